"""`pickout.load`: a run, a checkpoint file or a name, ready for use."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from pickout.checkpoints.assembly import assemble
from pickout.checkpoints.bundle import is_bundle, load_bundle
from pickout.checkpoints.device import Precision
from pickout.checkpoints.formats.foreign_model import ForeignModel, at_size
from pickout.checkpoints.formats.importer import HF_WEIGHTS, import_file
from pickout.checkpoints.loaded_model import LoadedModel
from pickout.checkpoints.named_weights import NAMED_WEIGHTS, fetched
from pickout.checkpoints.packaged import PACKAGES, packaged_file
from pickout.checkpoints.saved_model import SETTINGS_FILE, load_run, run_folder, written_out
from pickout.checkpoints.tokenizer_files import find_tokenizer
from pickout.config import nearest
from pickout.data.transforms import ImageSettings
from pickout.errors import CheckpointError
from pickout.methods import METHODS
from pickout.methods.model import ModelSettings
from pickout.text.tokenizer import Tokenizer

DEFAULT = "pickout-small"
"""The model that comes with the package, and is taken where none is named."""
DEFAULT_FILE = Path(__file__).parent.parent / "weights" / f"{DEFAULT}.safetensors"
"""Its file."""


def load(
    path_or_name: str | Path = DEFAULT,
    device: str = "cpu",
    precision: Precision = "auto",
    *,
    image: tuple[int, int] | None = None,
    tokenizer: Path | None = None,
) -> LoadedModel:
    """Load a model, or stop with a report of what does not fit. Nothing stays silently random.

    Args:
        path_or_name: by default the model that comes with the package; else a run's folder or its weight file, a
            Hugging Face CLIP folder, a CLIP state dict in OpenAI's names, an official ITSELF, RDE, IRRA, ALBEF or RaSa
            file, or the name of weights that `pickout weights get` fetched.
            Files in OpenAI's names tell no activation and are computed with CLIP's own QuickGELU; for weights that
            others trained with GELU under the same names, give a Hugging Face folder, whose config tells it.
        device: `auto`, `cpu`, `cuda` or `cuda:0`.
        precision: `fp32`; `bf16` for matrix products in bfloat16; `auto` for `bf16` where the machine has it natively.
        image: height and width in pixels, for imported files only; by default what the file was trained with, as far
            as its position table tells it. CLIP itself was trained on squares; person crops fare better at 384x128.
        tokenizer: CLIP's merges, or BERT's vocab.txt, for an imported file that has none beside it.

    Raises:
        CheckpointError: and its kinds; see `pickout.errors`.
        UsageError: a device or a precision that is not there.
    """
    path = resolve(path_or_name)
    if path.is_file() and is_bundle(path):
        if image is not None or tokenizer is not None:
            raise CheckpointError(f"{path}: a whole model carries its image size and tokenizer; leave both out")
        return load_bundle(path, device=device, precision=precision)
    run = run_folder(path)
    if run is not None:
        if image is not None or tokenizer is not None:
            raise CheckpointError(f"{path}: a run carries its own image size and tokenizer; leave both out")
        weights = path if path.is_file() else None
        return load_run(run, device=device, precision=precision, weights=weights)
    if path.is_dir() and not any((path / name).is_file() for name in ("config.json", *HF_WEIGHTS)):
        raise CheckpointError(
            f"{path}: a folder, but neither a run (no {SETTINGS_FILE}) nor a Hugging Face model (no config.json); "
            f"{_contents(path)}"
        )
    model = at_size(import_file(path, stated=image), image)
    return _ready(path, model, find_tokenizer([path], model.tokenizer, tokenizer), device, precision)


def resolve(path_or_name: str | Path) -> Path:
    """The path itself where something is there, or the folder of weights of that name.

    Raises:
        CheckpointError: neither; names the nearest known weights, or how to fetch them.
    """
    path = Path(path_or_name)
    if path.exists():
        return path
    name = str(path_or_name)
    if name == DEFAULT:
        return DEFAULT_FILE
    if name in PACKAGES:
        return packaged_file(name)
    here = fetched(name)
    if here is not None:
        return here
    if name in NAMED_WEIGHTS:
        raise CheckpointError(f"{name}: not fetched yet; run `pickout weights get {name}`")
    raise CheckpointError(
        f"{path}: no such file or folder, and no weights have that name{nearest(name, NAMED_WEIGHTS)}"
    )


def _ready(path: Path, model: ForeignModel, tokenizer: Tokenizer, device: str, precision: Precision) -> LoadedModel:
    height, width = model.image
    settings = ModelSettings(
        method=dict(model.method),
        image=ImageSettings(height=height, width=width, resample=model.resample),
        vision=model.vision,
        text=model.text,
        tokenizer=model.tokenizer,
    )
    state, unused = _for_use(settings, model.state)
    method, report = assemble(
        str(path),
        model.format,
        settings,
        tokenizer,
        model.identities,
        state,
        left_over=model.weights.left_over,
        ignored={**model.weights.ignored, **unused},
        resized={key: note for key, note in model.resized.items() if key in state},
        spelled=model.weights.spelled,
    )
    return LoadedModel(
        name=path.stem if path.is_file() else path.resolve().name,
        method=method,
        tokenizer=tokenizer,
        settings=written_out(settings, tokenizer),
        identities=model.identities,
        report=report,
        device=device,
        precision=precision,
    )


def _for_use(settings: ModelSettings, state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors that a model in use has, and those that only training needs."""
    prefixes = METHODS[str(settings.method["name"])].training_only
    kept = {key: tensor for key, tensor in state.items() if not key.startswith(prefixes)}
    return kept, {key: "needed in training only" for key in state if key not in kept}


def _contents(folder: Path) -> str:
    names = sorted(entry.name for entry in folder.iterdir())
    return f"it holds {', '.join(names[:5])}{' ...' if len(names) > 5 else ''}" if names else "it is empty"

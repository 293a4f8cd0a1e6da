"""`pickout.load`: a run, a checkpoint file or a name, ready for use; and which importer knows a file."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from pickout.checkpoints import named_weights
from pickout.checkpoints.formats import families
from pickout.checkpoints.formats.foreign_model import TABLES, Facts, ForeignModel, at_size, clip_model
from pickout.checkpoints.loaded_model import LoadedModel, Precision, RunSettings, assemble
from pickout.checkpoints.named_weights import HF_WEIGHTS, NAMED_WEIGHTS
from pickout.checkpoints.saved_model import SETTINGS_FILE, is_bundle, load_bundle, load_run, run_folder, written_out
from pickout.checkpoints.sentence_encoder import DEFAULT, DEFAULT_FILE
from pickout.checkpoints.weight_file import KeyReport, read_weights
from pickout.config import nearest
from pickout.errors import CheckpointError, CheckpointUnknown, DataError
from pickout.methods import METHODS
from pickout.text.build import build_tokenizer
from pickout.text.tokenizer import Tokenizer, TokenizerSettings


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
        UsageError: a device or a precision that is not there."""
    path = resolve(path_or_name)
    bundle = is_bundle(path)
    run = None if bundle else run_folder(path)
    if (bundle or run) and (image is not None or tokenizer is not None):
        raise CheckpointError(f"{path}: a model of ours has its own image size and tokenizer; leave both out")
    if bundle:
        model = load_bundle(path)
    elif run is not None:
        model = load_run(run, path if path.is_file() else None)
    else:
        model = _imported(path, image, tokenizer)
    return replace(model, device=device, precision=precision)


def resolve(path_or_name: str | Path) -> Path:
    """The path itself where something is there, or that of the weights of that name; else a CheckpointError."""
    path = Path(path_or_name)
    if path.exists():
        return path
    name = str(path_or_name)
    if name == DEFAULT:
        return DEFAULT_FILE
    if name in named_weights.PACKAGES:
        return named_weights.packaged_file(name)
    if here := named_weights.fetched(name):
        return here
    if name in NAMED_WEIGHTS:
        raise CheckpointError(f"{name}: not fetched yet; run `pickout weights get {name}`")
    raise CheckpointError(f"{path}: no such file or folder, nor weights of that name{nearest(name, NAMED_WEIGHTS)}")


def _imported(path: Path, image: tuple[int, int] | None, given: Path | None) -> LoadedModel:
    """A model of others."""
    if path.is_dir() and not any((path / name).is_file() for name in ("config.json", *HF_WEIGHTS)):
        names = sorted(entry.name for entry in path.iterdir())
        holds = f"holds {', '.join(names[:5])}" if names else "is empty"
        why = f"{path}: a folder, but neither a run (no {SETTINGS_FILE}) nor a Hugging Face model (no config.json);"
        raise CheckpointError(f"{why} it {holds}")
    model = at_size(import_file(path, stated=image), image)
    tokenizer = find_tokenizer([path], model.settings.tokenizer, given)
    training_only = METHODS[str(model.settings.method["name"])].training_only
    state = {key: tensor for key, tensor in model.weights.state.items() if not key.startswith(training_only)}
    unused = {key: "needed in training only" for key in model.weights.state if key not in state}
    report = KeyReport(
        str(path),
        model.format,
        left_over=model.weights.left_over,
        ignored={**model.weights.ignored, **unused},
        resized={key: note for key, note in model.resized.items() if key in state},
        spelled=model.weights.spelled,
    )
    name, form = path.stem if path.is_file() else path.resolve().name, written_out(model.settings, tokenizer)
    return assemble(report, RunSettings(name=name, identities=model.identities, model=form), tokenizer, state)


def import_file(path: Path, *, stated: tuple[int, int] | None = None) -> ForeignModel:
    """Read a foreign weight file, or that of a Hugging Face folder, under our names. A `stated` height and width are
    taken for the model's own where its position table can be of that size."""
    file = read_weights(weights_in(path))
    tensors, source, facts = file.tensors, str(path), Facts(stated=stated)
    if families.itself_names(tensors).told_by(tensors):
        model = families.read_itself(source, tensors, facts)
    elif families.OPENAI.told_by(tensors):
        model = clip_model(families.OPENAI.translate(source, tensors), facts, "OpenAI CLIP")
    elif families.HUGGING_FACE.told_by(tensors):
        facts = families.read_config(file.path.parent / "config.json")
        model = clip_model(families.HUGGING_FACE.translate(source, tensors), facts, "Hugging Face CLIP")
    elif families.is_albef(tensors):
        model = families.read_albef(source, tensors)
    else:
        for is_half, half in ((families.is_bert, "BERT"), (families.VIT.told_by, "a vision transformer")):
            if is_half(tensors):
                start = 'a training can start from both: --set \'train.initial=["BERT", "VIT"]\''
                raise CheckpointUnknown(f"{file.path}: {half} alone, half of a fusion model; {start}")
        raise CheckpointUnknown(
            f"{file.path}: no importer knows this file; {likeness(tensors)}. Known: runs of Pickout, CLIP (OpenAI or "
            "Hugging Face names), and the official files of ITSELF, RDE, IRRA, ALBEF and RaSa"
        )
    weights = replace(model.weights, ignored={**file.ignored, **model.weights.ignored})
    return replace(model, weights=weights)


def weights_in(path: Path) -> Path:
    """The weight file of a Hugging Face folder; anything else is one itself."""
    if not path.is_dir():
        return path
    for name in HF_WEIGHTS:
        if (path / name).is_file():
            return path / name
    shards = any(path.glob("model-*-of-*.safetensors"))
    what = "weights in several parts, which are not supported" if shards else f"no {' or '.join(HF_WEIGHTS)}"
    raise CheckpointError(f"{path}: {what}; fetch the whole folder again")


def likeness(tensors: Mapping[str, Tensor]) -> str:
    """What a state dict nearly is, and which keys that tell its format it lacks; else what it looks like."""
    formats = {
        "an official ITSELF, RDE or IRRA file": families.itself_names(tensors),
        "an OpenAI CLIP": families.OPENAI,
        "a Hugging Face CLIP": families.HUGGING_FACE,
        "a vision transformer in timm's names": families.VIT,
    }
    known = {name: sum(names.ours(key) is not None for key in tensors) for name, names in formats.items()}
    best = max(known, key=known.__getitem__)
    absent = [key for key in formats[best].telling if key not in tensors]
    # Nearly: half of the keys are the format's, and 20 at least.
    if known[best] >= max(len(tensors) / 2, 20) and 0 < len(absent) < len(formats[best].telling):
        return f"it is nearly {best}, but lacks {', '.join(absent)}"
    for fragment, name in TABLES["likeness"].items():
        if any(fragment in key for key in tensors):
            return f"it looks like {name}"
    return f"it looks like a state dict of {len(tensors)} tensors beginning with {', '.join(sorted(tensors)[:4])}"


def find_tokenizer(paths: Sequence[Path], settings: TokenizerSettings, given: Path | None = None) -> Tokenizer:
    """The tokenizer of imported files: the file given; else beside the weights, else among those fetched by name."""
    told = TABLES["tokenizers"]["clip" if settings.kind == "clip" else "wordpiece"]
    folders = [path if path.is_dir() else path.parent for path in paths]
    with suppress(CheckpointError):  # a user without a home has fetched nothing
        folders += map(named_weights.named_folder, NAMED_WEIGHTS)
    beside = (folder / name for folder in folders for name in told["names"])
    file = given or next(filter(Path.is_file, beside), None)
    if file is None:
        raise CheckpointError(f"{', '.join(map(str, paths))}: {told['remedy']}")
    try:
        return build_tokenizer(settings.model_copy(update={"file": file}))
    except DataError as error:
        raise CheckpointError(str(error)) from None

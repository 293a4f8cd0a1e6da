"""A model of ours on disk and on a hub: a run's folder (`model.toml`, `tokenizer.json`, `model.safetensors`), or one
file, a bundle: settings and tokenizer in its header, matrices as 8-bit whole numbers with a scale a row, or float16."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import tomli_w
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from pickout.checkpoints.hub import hub_address, hub_errors
from pickout.checkpoints.loaded_model import FORMAT, LoadedModel, RunSettings, assemble
from pickout.checkpoints.weight_file import KeyReport, read_weights, safetensors_header
from pickout.config import parse_settings, read_toml, to_toml
from pickout.errors import CheckpointError, CheckpointMismatch, DownloadFailed, RecipeError, StorageFull, UsageError
from pickout.files import atomic_path, beside, packaged_text, read_text, write_atomically
from pickout.methods import METHODS
from pickout.methods.base import Method
from pickout.methods.model import ModelSettings, method_settings
from pickout.text.familiarity import LEARNT
from pickout.text.tokenizer import Tokenizer

SETTINGS_FILE, TOKENIZER_FILE, WEIGHTS_FILE = "model.toml", "tokenizer.json", "model.safetensors"
_MARK = "pickout"
_TOKENIZER_HASH = "tokenizer_sha256"


def save_model(
    folder: Path,
    method: Method,
    tokenizer: Tokenizer,
    settings: ModelSettings,
    *,
    identities: int,
    name: str | None = None,
    state: Mapping[str, Tensor] | None = None,
) -> None:
    """Write a model that `pickout.load` reads; a StorageFull where no space is left. Weights come last. What only
    training needs (a momentum twin, queues) is left out; the training's checkpoints hold it. `state` has other weights
    under the method's names, for example an average; `name` is for people, by default the folder's."""
    tokens = tokenizer.to_json()
    training_only = METHODS[str(settings.method["name"])].training_only
    name, counted = name or folder.resolve().name, 0 if training_only else identities
    run = RunSettings(name=name, identities=counted, model=written_out(settings, tokenizer))
    write_atomically(folder / TOKENIZER_FILE, tokens)
    write_atomically(folder / SETTINGS_FILE, to_toml(run))
    own = {key: tensor for key, tensor in (state or method.state_dict()).items() if not key.startswith(training_only)}
    tensors = {key: tensor.detach().cpu().contiguous() for key, tensor in own.items()}
    metadata = {"format": "pt", _MARK: str(FORMAT), _TOKENIZER_HASH: hashlib.sha256(tokens.encode()).hexdigest()}
    _save(folder / WEIGHTS_FILE, tensors, metadata)


def load_run(path: Path, weights: Path | None = None) -> LoadedModel:
    """Read a folder that `save_model` wrote, or other `weights` of the same model beside it. A CheckpointError where a
    file is missing, damaged or of another version, or they do not belong together."""
    run = read_run_settings(path)
    if weights is None and not (path / WEIGHTS_FILE).exists():
        remedy = "a run writes it with its first epoch that is kept: give pickout train the same --out to go on"
        raise CheckpointError(f"{path / WEIGHTS_FILE}: no such file; {remedy}")
    file = read_weights(weights or path / WEIGHTS_FILE)
    tokenizer = read_tokenizer(path, file.metadata.get(_TOKENIZER_HASH))
    report = KeyReport(str(path), "a run of Pickout", ignored=file.ignored)
    return assemble(report, run, tokenizer, file.tensors)


def read_run_settings(path: Path) -> RunSettings:
    """The settings in a run's folder."""
    file = path / SETTINGS_FILE
    try:
        run = parse_settings(RunSettings, read_toml(file), source=str(file))
        method_settings(run.model, source=str(file))
    except RecipeError as error:
        raise CheckpointError(str(error)) from None
    if run.format != FORMAT:
        raise CheckpointError(f"{file}: layout {run.format}, this Pickout reads {FORMAT}; use the one that wrote it")
    return run


def run_folder(path: Path) -> Path | None:
    """The run that `path` is, or whose weights it is; None for anything else."""
    folder, weights = (path, path / WEIGHTS_FILE) if path.is_dir() else (path.parent, path)
    whole = (folder / SETTINGS_FILE).is_file()
    if path.is_dir() and whole:
        return folder
    if weights.suffix != ".safetensors" or _MARK not in safetensors_header(weights):
        return None
    if not whole:
        raise CheckpointError(f"{weights}: weights of a run; {SETTINGS_FILE} and {TOKENIZER_FILE} belong beside it")
    return folder


def written_out(settings: ModelSettings, tokenizer: Tokenizer) -> ModelSettings:
    """The same settings with every default of the method spelled out and no path of this machine."""
    # So a later version with other defaults computes the same, and a fingerprint stays.
    name, own = method_settings(settings)
    method: dict[str, Any] = {"name": name, **own.model_dump(mode="json", exclude_none=True)}
    tokens = settings.tokenizer.model_copy(update={"file": None, "context": tokenizer.context})
    return settings.model_copy(update={"method": method, "tokenizer": tokens})


def read_tokenizer(folder: Path, sha256: str | None = None) -> Tokenizer:
    """The tokenizer in a run's folder; its text is held against the hash saved with the weights, where they tell."""
    file = folder / TOKENIZER_FILE
    try:
        text = read_text(file)
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{file}: cannot be read; a run needs it beside its weights ({error})") from None
    if sha256 not in (None, hashlib.sha256(text.encode()).hexdigest()):
        raise CheckpointMismatch(f"{file}: not the tokenizer that the weights beside it were trained with; restore it")
    return Tokenizer.from_json(text, source=str(file))


def _save(target: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write a weight file, whole or not at all; a StorageFull where no space is left."""
    try:
        with atomic_path(target) as temporary:
            save_file(tensors, temporary, metadata)
            # The library writes the header's text entries in an order of chance; sorted, equal models are equal files.
            with temporary.open("r+b") as content:
                size = int.from_bytes(content.read(8), "little")
                told = json.loads(content.read(size))
                told["__metadata__"] = dict(sorted(metadata.items()))
                content.seek(8)
                content.write(json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode().ljust(size))
    except SafetensorError as error:
        if "os error 28" not in str(error):
            raise
        raise StorageFull(f"{target}: no space left on the device; the file before it is whole") from None


_WHOLE, _SETTINGS, _TOKENIZER = "pickout_bundle", "model", "tokenizer"
_SCALE = ".scale"
_SMALLEST = 64  # shorter rows are not worth a scale and stay float16

Bits = Literal["int8", "float16"]


def is_bundle(file: Path) -> bool:
    """Whether a file is a whole model. Raises nothing: what cannot be read is none."""
    return _WHOLE in safetensors_header(file)


def write_bundle(model: LoadedModel, file: Path, bits: Bits = "int8") -> None:
    """Write a model whole, its matrices as `bits` says, or nothing at all; StorageFull where no space is left. The list
    of learnt words goes beside it, where there is one."""
    tensors: dict[str, Tensor] = {}
    for key, tensor in model.method.state_dict().items():
        kept = tensor.detach().cpu().float().contiguous()
        if bits == "int8" and kept.ndim >= 2 and kept[0].numel() >= _SMALLEST:
            scale = (kept.flatten(1).abs().amax(dim=1) / 127).clamp_min(1e-12)
            shaped = scale.view(-1, *[1] * (kept.ndim - 1))
            tensors[key], tensors[key + _SCALE] = (kept / shaped).round().to(torch.int8), scale
        else:
            tensors[key] = kept if key.startswith(("vision.reduction", "text.reduction")) else kept.half()
    run = RunSettings(name=model.name, identities=0, model=model.settings)
    header = {
        _WHOLE: str(FORMAT),
        _SETTINGS: json.dumps(run.model_dump(mode="json", exclude_none=True)),
        _TOKENIZER: model.tokenizer.to_json(),
    }
    if model.learnt is not None:
        write_atomically(beside(file, LEARNT), "\n".join(sorted(model.learnt)) + "\n")
    _save(file, tensors, header)


def load_bundle(file: Path) -> LoadedModel:
    """Read what `write_bundle` wrote; a CheckpointError where it is anything else."""
    read = read_weights(file)
    if read.metadata.get(_WHOLE) != str(FORMAT):
        why = f"{file}: layout {read.metadata.get(_WHOLE)}, this Pickout reads {FORMAT}; use the one that wrote it"
        raise CheckpointError(why)
    try:
        run = parse_settings(RunSettings, json.loads(read.metadata[_SETTINGS]), source=f"{file}, header '{_SETTINGS}'")
        tokenizer = Tokenizer.from_json(read.metadata[_TOKENIZER], source=str(file))
    except KeyError as error:
        raise CheckpointError(f"{file}: its header has no {error}; fetch or make the file again") from None
    except (ValueError, RecursionError):
        raise CheckpointError(f"{file}: header '{_SETTINGS}' is no JSON; fetch or make the file again") from None
    report, state = KeyReport(str(file), "a whole model"), _widened(file, read.tensors)
    return assemble(report, run.model_copy(update={"identities": 0}), tokenizer, state)


def _widened(file: Path, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    wide = {}
    for key, tensor in tensors.items():
        owner, scale = tensors.get(key.removesuffix(_SCALE)), tensors.get(key + _SCALE, torch.empty(0))
        if key.endswith(_SCALE) and owner is not None and owner.dtype == torch.int8:
            continue
        if tensor.dtype in (torch.float16, torch.float32):
            wide[key] = tensor.float()
        elif tensor.dtype == torch.int8 and scale.dtype == torch.float32 and scale.shape == tensor.shape[:1]:
            wide[key] = tensor.float() * scale.view(-1, *[1] * (tensor.ndim - 1))
        else:
            kind = f"'{key}' holds {str(tensor.dtype).removeprefix('torch.')}"
            what = f"{kind}; expected float16, float32, or int8 with a float32 '{key}{_SCALE}' for each row"
            raise CheckpointError(f"{file}: {what}; fetch or make the file again")
    return wide


_NAME = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)
_LICENCE = re.compile(r"[\w.-]+", re.ASCII)
_MEASURES = ("R@1", "R@5", "R@10", "mAP")


def publish(
    run: Path, repository: str, *, licence: str | None = None, public: bool = False, endpoint: str | None = None
) -> str:
    """Upload the model of a run, with a generated card, in one commit. The run is loaded first, so that nothing damaged
    is published. The repository `owner/name` is made where it is not there, for everybody to read if `public`; its
    address comes back. `licence` is the hub's name of one. `CheckpointError`: no whole run; `UsageError`: no name of a
    repository or licence; `DownloadFailed`: offline, not allowed, or refused."""
    from huggingface_hub import CommitOperationAdd, HfApi

    if not _NAME.fullmatch(repository) or not _LICENCE.fullmatch(licence or "none"):
        raise UsageError(f"repository '{repository}', licence '{licence}': expected OWNER/NAME and one word like mit")
    model = load_run(run)
    content = {"README.md": model_card(model, run, repository, licence).encode()}
    names = [SETTINGS_FILE, TOKENIZER_FILE, *([LEARNT] if (run / LEARNT).exists() else []), WEIGHTS_FILE]
    content |= {name: (run / name).read_bytes() for name in names}
    address = hub_address(endpoint)
    api, url = HfApi(endpoint=address), f"{address}/{repository}"
    operations = [CommitOperationAdd(name, data) for name, data in content.items()]
    try:
        with hub_errors(url):
            api.create_repo(repository, private=not public, exist_ok=True)
            api.create_commit(repository, operations, commit_message=f"{model.name}, fingerprint {model.fingerprint}")
    except RuntimeError as error:
        raise DownloadFailed(f"{url}: {error}; run the same command again") from error
    return url


def model_card(model: LoadedModel, run: Path, repository: str, licence: str | None = None) -> str:
    """What a model is and what it found, in the hub's form; nothing of this machine is in it."""
    return packaged_text("pickout.checkpoints", "card.md").format(
        licence=f"license: {licence}\n" if licence else "",
        title=" ".join(model.name.split()),
        model=model,
        parameters=sum(parameter.numel() for parameter in model.method.parameters()),
        repository=repository,
        results="".join(f"{line}\n" for line in _results(run)),
        settings=tomli_w.dumps({"method": dict(model.settings.method)}),
    )


def _results(run: Path) -> Iterator[str]:
    """A row for each evaluation in the run's folder."""
    rows = []
    for file in sorted((run / "evaluations").glob("*/report.json")):
        try:
            found = json.loads(read_text(file))["text_to_image"]
            rows.append(f"| {file.parent.name} | {' | '.join(f'{found[name]:.2f}' for name in _MEASURES)} |")
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            continue  # A report of another version says nothing here.
    if rows:
        yield from (f"| text to image, percent | {' | '.join(_MEASURES)} |", "|---|---|---|---|---|", *rows, "")

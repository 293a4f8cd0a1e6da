"""Published weights from a model hub: resumed after a broken transfer, checked against the hub's own checksum."""

import os
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from pickout.checkpoints.transfer import NotOnHub, ask, digest, progress_bar, transfer
from pickout.errors import DownloadFailed
from pickout.files import storage_errors

HUB = "https://huggingface.co"
"""The hub that is asked unless `HF_ENDPOINT` or an argument names another."""


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


@dataclass(frozen=True, slots=True)
class Fetched:
    """One file that is there and has been checked.

    Args:
        path: where it lies.
        size: in bytes.
        checksum: `sha256:...` of a large file, `git-sha1:...` of a small one, as the hub states it.
        downloaded: bytes that were transferred now; 0 where the file was there already.
    """

    path: Path
    size: int
    checksum: str
    downloaded: int


def weights_home() -> Path:
    """Where named weights lie: `PICKOUT_WEIGHTS`, or the user's cache folder."""
    chosen = os.environ.get("PICKOUT_WEIGHTS")
    if chosen:
        return Path(chosen)
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "pickout" / "weights"


def named_folder(name: str) -> Path:
    """The folder of weights of this name, there or not."""
    return weights_home() / name


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


def fetch(
    repository: str,
    file: str,
    folder: Path,
    *,
    revision: str = "main",
    endpoint: str | None = None,
    progress: bool = False,
) -> Fetched:
    """Fetch one file, go on where an earlier transfer broke off, and check every byte.

    Args:
        repository: `owner/name`.
        file: its path in the repository.
        folder: where to put it.
        revision: branch, tag or commit.
        endpoint: the hub's address; by default `HF_ENDPOINT`, then `HUB`.
        progress: whether to draw a bar on standard error.

    Raises:
        DownloadFailed: offline, not found, broken off, or not what the hub's checksum says.
        StorageFull: no space left; what was fetched stays for the next attempt.
    """
    from huggingface_hub import hf_hub_url

    base = (endpoint or os.environ.get("HF_ENDPOINT") or HUB).rstrip("/")
    url = hf_hub_url(repository, file, revision=revision, endpoint=base)
    facts = ask(url)
    target = folder / file
    if target.is_file() and digest(target, facts.checksum) == facts.checksum:
        return Fetched(target, target.stat().st_size, facts.checksum, 0)
    partial = target.with_name(f".{target.name}.{facts.checksum.partition(':')[2][:16]}.part")
    with storage_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        with progress_bar(file, facts.size, shown=progress) as advance:
            downloaded = transfer(url, facts, partial, advance)
        found = digest(partial, facts.checksum)
        if found != facts.checksum:
            partial.unlink()
            raise DownloadFailed(
                f"{url}: the bytes that came have {found}, the hub states {facts.checksum}; they were thrown away. Try "
                "again, or another --endpoint if it stays so"
            )
        size = partial.stat().st_size
        partial.replace(target)
    return Fetched(target, size, facts.checksum, downloaded)

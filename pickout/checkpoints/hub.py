"""Published weights from a model hub: resumed after a broken transfer, checked against the hub's own checksum."""

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

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


_CLIP_FILES = ("config.json", "merges.txt", ("model.safetensors", "pytorch_model.bin"))
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
    }
)
"""Names for `pickout weights get` and `pickout.load`."""


class NotOnHub(DownloadFailed):
    """The hub answers, but has no such repository, revision or file."""


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
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    base = (endpoint or os.environ.get("HF_ENDPOINT") or HUB).rstrip("/")
    url = hf_hub_url(repository, file, revision=revision, endpoint=base)
    with _hub_errors(url):
        facts = get_hf_file_metadata(url, token=False, endpoint=base)
    checksum = _checksum(url, facts.etag)
    target = folder / file
    if target.is_file() and _digest(target, checksum) == checksum:
        return Fetched(target, target.stat().st_size, checksum, 0)
    partial = target.with_name(f".{target.name}.{checksum.partition(':')[2][:16]}.part")
    with storage_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        before = _transfer(url, facts.location, partial, facts.size, file, progress)
        found = _digest(partial, checksum)
        if found != checksum:
            partial.unlink()
            raise DownloadFailed(
                f"{url}: the bytes that came have {found}, the hub states {checksum}; they were thrown away. Try "
                "again, or another --endpoint if it stays so"
            )
        size = partial.stat().st_size
        partial.replace(target)
    return Fetched(target, size, checksum, size - before)


def _transfer(url: str, location: str, partial: Path, size: int | None, name: str, progress: bool) -> int:
    """Append what is missing to `partial` and return how much was there before."""
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils.tqdm import tqdm

    class Bar(tqdm):
        """The hub's own bar, which is drawn on request only."""

        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **{**options, "disable": not progress})  # type: ignore[no-untyped-call]

    before = partial.stat().st_size if partial.exists() else 0
    if size is not None and before > size:
        partial.unlink()
        before = 0
    with partial.open("ab") as file:
        with _hub_errors(url, partial):
            http_get(location, file, resume_size=before, expected_size=size, displayed_filename=name, tqdm_class=Bar)
        file.flush()
        os.fsync(file.fileno())
    return before


def _checksum(url: str, etag: str | None) -> str:
    """The hub's statement: SHA-256 of a large file, Git's SHA-1 of a small one.

    Raises:
        DownloadFailed: it states neither.
    """
    text = (etag or "").lower()
    if re.fullmatch("[0-9a-f]{64}", text):
        return f"sha256:{text}"
    if re.fullmatch("[0-9a-f]{40}", text):
        return f"git-sha1:{text}"
    raise DownloadFailed(
        f"{url}: the server states no checksum (ETag {etag!r}); it is not a model hub, or a broken one"
    )


def _digest(path: Path, checksum: str) -> str:
    """The checksum of a file, of the same kind as `checksum`."""
    kind = checksum.partition(":")[0]
    if kind == "sha256":
        digest = hashlib.sha256()
    else:
        digest = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return f"{kind}:{digest.hexdigest()}"


@contextmanager
def _hub_errors(url: str, partial: Path | None = None) -> Iterator[None]:
    """Turn the client's many exceptions into one sentence.

    Raises:
        NotOnHub: the hub has no such thing.
        DownloadFailed: anything else but a full disk.
    """
    import httpx2
    from huggingface_hub import errors

    try:
        yield
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError, errors.RemoteEntryNotFoundError):
        raise NotOnHub(f"{url}: not there (404); check the name, or try another --endpoint") from None
    except errors.HfHubHTTPError as error:
        raise DownloadFailed(f"{url}: the hub answered {error.response.status_code}; try again later") from None
    except errors.OfflineModeIsEnabled:
        raise DownloadFailed(f"{url}: offline mode is on (HF_HUB_OFFLINE); unset it to download") from None
    except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
        raise DownloadFailed(
            f"{url}: cannot be reached ({error}); check the network, or name a mirror with --endpoint or HF_ENDPOINT"
        ) from None
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise DownloadFailed(f"{url}: the transfer broke off ({error}){_kept(partial)}") from None
    except OSError as error:
        if error.errno is not None:
            raise
        raise DownloadFailed(f"{url}: the transfer ended too early{_kept(partial)}") from None


def _kept(partial: Path | None) -> str:
    if partial is None or not partial.exists():
        return "; try again"
    return f"; {partial.stat().st_size:,} bytes are kept, run the same command to go on"

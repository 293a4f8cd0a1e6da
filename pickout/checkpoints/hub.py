"""Files of a model hub: what the hub says of one, its bytes, and whether the right ones came."""

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote, urljoin

from pickout.errors import DownloadFailed
from pickout.files import storage_errors

HUB = "https://huggingface.co"
"""The hub that is asked unless `HF_ENDPOINT` or an argument names another."""
REDIRECTS = 5
"""How many redirects are followed to the answer that states a checksum."""
TIMEOUT = 10.0
"""Seconds without an answer after which a connection counts as broken."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """One file that is there and has been checked."""

    path: Path  # where it lies
    size: int  # in bytes
    checksum: str  # as the hub states it
    downloaded: int  # bytes that were transferred now; 0 where the file was there already


def hub_address(endpoint: str | None = None) -> str:
    """The hub's address: as given, else `HF_ENDPOINT`, else `HUB`."""
    return (endpoint or os.environ.get("HF_ENDPOINT") or HUB).rstrip("/")


def fetch(
    repository: str,
    file: str,
    folder: Path,
    *,
    kind: str | None = None,
    endpoint: str | None = None,
    progress: bool = False,
) -> Fetched:
    """Fetch one file, go on where an earlier transfer broke off, and check every byte."""
    from huggingface_hub import hf_hub_url
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils.tqdm import silent_tqdm, tqdm

    url = hf_hub_url(repository, file, repo_type=kind, endpoint=hub_address(endpoint))
    location, checksum, size = ask(url)
    target = folder / PurePosixPath(file).name
    if target.is_file() and digest(target, checksum) == checksum:
        return Fetched(target, target.stat().st_size, checksum, 0)
    partial = target.with_name(f".{target.name}.{checksum.partition(':')[2][:16]}.part")
    with storage_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        if partial.exists() and partial.stat().st_size > size:
            partial.unlink()
        with hub_errors(url, partial), partial.open("ab", buffering=0) as content:
            begun = content.tell()
            http_get(
                location,
                content,
                resume_size=begun,
                expected_size=size,
                headers=client_headers(),
                displayed_filename=file,
                tqdm_class=tqdm if progress else silent_tqdm,
            )
        found = digest(partial, checksum)
        if found != checksum:
            partial.unlink()
            raise DownloadFailed(
                f"{url}: the bytes that came have {found}, the hub states {checksum}; they were thrown away. Try "
                "again, or another --endpoint if it stays so"
            )
        partial.replace(target)
    return Fetched(target, size, checksum, size - begun)


def repository_files(repository: str, *, kind: str | None = None, endpoint: str | None = None) -> list[str]:
    """The files of a repository, as the hub's API lists them."""
    listed = _listed(f"/api/{kind or 'model'}s/{repository}", endpoint)
    if len(listed) != 1:
        raise DownloadFailed(f"{hub_address(endpoint)}/{repository}: no answer of a model hub about one repository")
    return listed[0][1]


def author_files(author: str, *, endpoint: str | None = None) -> dict[str, list[str]]:
    """The files of each of an author's or organisation's model repositories; errors as of `repository_files`."""
    return dict(_listed(f"/api/models?author={quote(author)}&full=true&limit=100", endpoint))


def _listed(path: str, endpoint: str | None) -> list[tuple[str, list[str]]]:
    url = hub_address(endpoint) + path
    with hub_errors(url):
        response = _asked("GET", url, follow_redirects=True)
    try:
        answer = response.json()
        entries = answer if isinstance(answer, list) else [answer]
        return [(str(one["id"]), [str(file["rfilename"]) for file in one["siblings"]]) for one in entries]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise DownloadFailed(f"{url}: no answer of a model hub ({type(error).__name__}: {error})") from None


def ask(url: str) -> tuple[str, str, int]:
    """Where a file's content is, its checksum (`sha256:...` of large files, `git-sha1:...` of small ones), its bytes.

    The hub's answers are followed up to the one that states the checksum; the content's own host is not asked.
    """
    at, tag, size = url, None, None
    for _ in range(REDIRECTS):
        with hub_errors(url):
            response = _asked("HEAD", at, follow_redirects=False)
            onward = response.headers.get("Location") if response.is_redirect else None
            at = urljoin(at, onward or at)
        tag, size = response.headers.get("X-Linked-ETag"), response.headers.get("X-Linked-Size")
        if onward is None:
            tag, size = tag or response.headers.get("ETag"), size or response.headers.get("Content-Length")
        if tag is not None or onward is None:
            break
    text = (tag or "").removeprefix("W/").strip('"').lower()
    kind = "sha256" if re.fullmatch("[0-9a-f]{64}", text) else "git-sha1" if re.fullmatch("[0-9a-f]{40}", text) else ""
    if not kind or size is None or not re.fullmatch("[1-9][0-9]{0,14}", size):
        told = f"ETag {tag!r}, size {size if size is None else size[:20]!r}"
        raise DownloadFailed(f"{url}: the server states no checksum or no size ({told}); it is not a model hub")
    return at, f"{kind}:{text}", int(size)


def _asked(method: str, url: str, **form: Any) -> Any:
    from huggingface_hub.utils import get_session, hf_raise_for_status  # type: ignore[attr-defined]

    response = get_session().request(method, url, headers=client_headers(), timeout=TIMEOUT, **form)
    hf_raise_for_status(response)
    return response


def digest(path: Path, checksum: str) -> str:
    """The checksum of a file, of the same kind as `checksum`."""
    kind = checksum.partition(":")[0]
    head = b"" if kind == "sha256" else f"blob {path.stat().st_size}\0".encode()
    with path.open("rb") as file:
        found = hashlib.file_digest(file, lambda: hashlib.new(kind.removeprefix("git-"), head, usedforsecurity=False))
    return f"{kind}:{found.hexdigest()}"


@contextmanager
def hub_errors(url: str, partial: Path | None = None) -> Iterator[None]:
    """Turn the client's many exceptions into one sentence; it says how much of the file `partial` is kept."""
    import httpx2
    from huggingface_hub import errors

    try:
        yield
        return
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError, errors.RemoteEntryNotFoundError):
        told = "not there (404); check the name, or try another --endpoint"
    except errors.HfHubHTTPError as error:
        status = error.response.status_code
        remedy = "set HF_TOKEN to a token that may do this" if status in (401, 403) else "try again later"
        told = f"the hub answered {status}; {remedy}"
    except errors.OfflineModeIsEnabled:
        told = "offline mode is on (HF_HUB_OFFLINE); unset it to download"
    except (httpx2.HTTPError, httpx2.InvalidURL, ValueError) as error:
        told = f"cannot be reached ({error}); check the network, or name a mirror with --endpoint or HF_ENDPOINT"
    except OSError as error:
        if error.errno is not None and not isinstance(error, ConnectionError):
            raise
        told = f"the transfer broke off ({str(error).splitlines()[0]})"
    kept = partial.stat().st_size if partial is not None and partial.exists() else 0
    again = f"; {kept:,} bytes are kept, run the same command to go on" if kept else ""
    raise DownloadFailed(f"{url}: {told}{again}")


def client_headers() -> dict[str, str]:
    """What every request says."""
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

    # No token: nothing private is fetched. No compression: sizes and ranges are of the file itself.
    return {**build_hf_headers(token=False), "Accept-Encoding": "identity"}

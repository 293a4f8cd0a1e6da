"""Files of a model hub: where one is, what the hub says of it, and whether the right bytes came."""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import quote, urljoin

from pickout.checkpoints.transfer import TIMEOUT, HubFacts, client_headers, digest, hub_errors, transfer
from pickout.errors import DownloadFailed
from pickout.files import storage_errors

HUB = "https://huggingface.co"
"""The hub that is asked unless `HF_ENDPOINT` or an argument names another."""
REDIRECTS = 5
"""How many redirects are followed to the answer that states a checksum."""
_SIZE = re.compile("[1-9][0-9]{0,14}")


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

    url = hf_hub_url(repository, file, repo_type=kind, endpoint=hub_address(endpoint))
    facts = ask(url)
    target = folder / PurePosixPath(file).name
    if target.is_file() and digest(target, facts.checksum) == facts.checksum:
        return Fetched(target, target.stat().st_size, facts.checksum, 0)
    partial = target.with_name(f".{target.name}.{facts.checksum.partition(':')[2][:16]}.part")
    with storage_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        with _progress_bar(file, facts.size, shown=progress) as advance:
            downloaded = transfer(url, facts, partial, advance)
        found = digest(partial, facts.checksum)
        if found != facts.checksum:
            partial.unlink()
            raise DownloadFailed(
                f"{url}: the bytes that came have {found}, the hub states {facts.checksum}; they were thrown away. Try "
                "again, or another --endpoint if it stays so"
            )
        partial.replace(target)
    return Fetched(target, facts.size, facts.checksum, downloaded)


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
    from huggingface_hub.utils import get_session, hf_raise_for_status  # type: ignore[attr-defined]

    url = hub_address(endpoint) + path
    with hub_errors(url):
        response = get_session().get(url, headers=client_headers(), timeout=TIMEOUT, follow_redirects=True)
        hf_raise_for_status(response)
    try:
        answer = response.json()
        entries = answer if isinstance(answer, list) else [answer]
        return [(str(one["id"]), [str(file["rfilename"]) for file in one["siblings"]]) for one in entries]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise DownloadFailed(f"{url}: no answer of a model hub ({type(error).__name__}: {error})") from None


def ask(url: str) -> HubFacts:
    """Follow the hub's answers up to the one that states the checksum; the content's own host is not asked."""
    from huggingface_hub.utils import get_session, hf_raise_for_status  # type: ignore[attr-defined]

    at = url
    for _ in range(REDIRECTS):
        with hub_errors(url):
            response = get_session().request(
                "HEAD", at, headers=client_headers(), timeout=TIMEOUT, follow_redirects=False
            )
            hf_raise_for_status(response)
            onward = response.headers.get("Location") if response.is_redirect else None
            at = urljoin(at, onward or at)
        tag, size = response.headers.get("X-Linked-ETag"), response.headers.get("X-Linked-Size")
        if onward is None:
            tag, size = tag or response.headers.get("ETag"), size or response.headers.get("Content-Length")
        if tag is not None or onward is None:
            return HubFacts(at, _checksum(url, tag), _size(url, size))
    raise DownloadFailed(f"{url}: more than {REDIRECTS} redirects; try another --endpoint")


@contextmanager
def _progress_bar(name: str, size: int, *, shown: bool) -> Iterator[Callable[[int], None]]:
    """A bar on standard error with speed and time left; yields the function that moves it on."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    first, *others = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn()
    with Progress(first, *others, TimeRemainingColumn(), console=Console(stderr=True), disable=not shown) as bar:
        task = bar.add_task(name, total=size)
        yield lambda count: bar.advance(task, count)


def _checksum(url: str, tag: str | None) -> str:
    text = (tag or "").removeprefix("W/").strip('"').lower()
    for length, kind in ((64, "sha256"), (40, "git-sha1")):
        if re.fullmatch(f"[0-9a-f]{{{length}}}", text):
            return f"{kind}:{text}"
    raise DownloadFailed(f"{url}: the server states no checksum (ETag {tag!r}); it is not a model hub, or a broken one")


def _size(url: str, size: str | None) -> int:
    if size is None or not _SIZE.fullmatch(size):
        told = "no size" if size is None else f"a size of '{size[:20]}'"
        raise DownloadFailed(f"{url}: the server states {told}; it is not a model hub, or a broken one")
    return int(size)

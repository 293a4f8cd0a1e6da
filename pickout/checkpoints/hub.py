"""One file over a model hub's protocol: what it is, its bytes, whether they are the right ones."""

import hashlib
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from pickout.errors import DownloadFailed
from pickout.files import storage_errors

HUB = "https://huggingface.co"
"""The hub that is asked unless `HF_ENDPOINT` or an argument names another."""
REDIRECTS = 5
"""How many redirects are followed to the answer that states a checksum."""
ATTEMPTS = 5
"""How often in a row a transfer may break off without progress."""
PROGRESS = 1 << 16
"""New bytes that count as progress; a server that gives a few at a time gives up as one that gives none."""
PAUSE = 1.0
"""Seconds before a transfer that broke off is taken up again; doubled each time in a row."""
TIMEOUT = 10.0
"""Seconds without an answer or a byte after which a connection counts as broken."""
PATIENCE = 60.0
"""Seconds in which a transfer must make progress."""
_SIZE = re.compile("[1-9][0-9]{0,14}")


class NotOnHub(DownloadFailed):
    """The hub answers, but has no such repository, revision or file."""


class BrokenOff(DownloadFailed):
    """A transfer ended before its end; another attempt may do."""


@dataclass(frozen=True, slots=True)
class HubFacts:
    """What the hub says of a file.

    Args:
        location: where its content is, perhaps on another host.
        checksum: `sha256:...` of a large file, `git-sha1:...` of a small one.
        size: in bytes.
    """

    location: str
    checksum: str
    size: int


@dataclass(frozen=True, slots=True)
class Fetched:
    """One file that is there and has been checked.

    Args:
        path: where it lies.
        size: in bytes.
        checksum: as the hub states it.
        downloaded: bytes that were transferred now; 0 where the file was there already.
    """

    path: Path
    size: int
    checksum: str
    downloaded: int


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
    """Fetch one file, go on where an earlier transfer broke off, and check every byte.

    Args:
        repository: `owner/name`.
        file: its path in the repository.
        folder: where to put it.
        kind: `dataset` for a repository of that kind; by default one of models.
        endpoint: the hub's address; by default `HF_ENDPOINT`, then `HUB`.
        progress: whether to draw a bar on standard error.

    Raises:
        DownloadFailed: offline, not found, broken off, or not what the hub's checksum says.
        StorageFull: no space left; what was fetched stays for the next attempt.
    """
    from huggingface_hub import hf_hub_url

    url = hf_hub_url(repository, file, repo_type=kind, endpoint=hub_address(endpoint))
    facts = ask(url)
    target = folder / file
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


def ask(url: str) -> HubFacts:
    """Follow the hub's answers up to the one that states the checksum; the content's own host is not asked.

    Args:
        url: the file's address on the hub.

    Raises:
        NotOnHub: no such file.
        DownloadFailed: not reachable, an error there, or no checksum or size stated.
    """
    from huggingface_hub.utils import get_session, hf_raise_for_status  # type: ignore[attr-defined]

    at = url
    for _ in range(REDIRECTS):
        with hub_errors(url):
            response = get_session().request("HEAD", at, headers=_headers(), timeout=TIMEOUT, follow_redirects=False)
            hf_raise_for_status(response)
            onward = response.headers.get("Location") if response.is_redirect else None
            at = urljoin(at, onward or at)
        tag, size = response.headers.get("X-Linked-ETag"), response.headers.get("X-Linked-Size")
        if onward is None:
            tag, size = tag or response.headers.get("ETag"), size or response.headers.get("Content-Length")
        if tag is not None or onward is None:
            return HubFacts(at, _checksum(url, tag), _size(url, size))
    raise DownloadFailed(f"{url}: more than {REDIRECTS} redirects; try another --endpoint")


def transfer(url: str, facts: HubFacts, partial: Path, advance: Callable[[int], None]) -> int:
    """Append to `partial` what it lacks; go on by itself where the transfer breaks off.

    Only bytes beyond the furthest that ever came are progress, so a server that sends the same ones again and again
    comes to an end.

    Args:
        url: the file's address on the hub, for errors.
        facts: what the hub says of it; never more than its size is written.
        partial: grows as bytes come, so that a later call can go on.
        advance: called with each number of bytes gained; negative where a server starts over.

    Returns:
        The bytes transferred.

    Raises:
        DownloadFailed: it broke off again and again; what came is kept.
    """
    have = partial.stat().st_size if partial.exists() else 0
    if have > facts.size:
        partial.unlink()
        have = 0
    advance(have)
    furthest, transferred, fruitless = have, 0, 0
    while have < facts.size:
        start = furthest
        try:
            with hub_errors(url, partial):
                for count in _stream(facts, partial, have):
                    have += count
                    transferred += max(count, 0)
                    furthest = max(furthest, have)
                    advance(count)
            if have < facts.size:
                raise BrokenOff(f"{url}: {have:,} bytes came, the hub states {facts.size:,}{_kept(partial)}")
        except BrokenOff:
            fruitless = 0 if furthest - start >= PROGRESS else fruitless + 1
            if fruitless >= ATTEMPTS:
                raise
            time.sleep(PAUSE * 2**fruitless)
    return transferred


def digest(path: Path, checksum: str) -> str:
    """The checksum of a file, of the same kind as `checksum`."""
    kind = checksum.partition(":")[0]
    if kind == "sha256":
        state = hashlib.sha256()
    else:
        state = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            state.update(block)
    return f"{kind}:{state.hexdigest()}"


@contextmanager
def hub_errors(url: str, partial: Path | None = None) -> Iterator[None]:
    """Turn the client's many exceptions into one sentence.

    Args:
        url: what is asked for.
        partial: what came of it so far; None before a transfer.

    Raises:
        NotOnHub: the hub has no such thing.
        BrokenOff: a connection ended too early.
        DownloadFailed: anything else but a full disk.
    """
    import httpx2
    from huggingface_hub import errors

    try:
        yield
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError, errors.RemoteEntryNotFoundError):
        raise NotOnHub(f"{url}: not there (404); check the name, or try another --endpoint") from None
    except errors.HfHubHTTPError as error:
        status = error.response.status_code
        kind = BrokenOff if partial is not None and (status == 429 or status >= 500) else DownloadFailed
        raise kind(f"{url}: the hub answered {status}; try again later") from None
    except errors.OfflineModeIsEnabled:
        raise DownloadFailed(f"{url}: offline mode is on (HF_HUB_OFFLINE); unset it to download") from None
    except (httpx2.UnsupportedProtocol, httpx2.InvalidURL, httpx2.TooManyRedirects, ValueError) as error:
        where = "leads on to an address that is none" if partial is None else "its content is at no address"
        raise DownloadFailed(f"{url}: cannot be reached, or {where} ({error}); try another --endpoint") from None
    except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
        if partial is not None:
            raise BrokenOff(f"{url}: the connection is lost ({_why(error)}){_kept(partial)}") from None
        raise DownloadFailed(
            f"{url}: cannot be reached ({error}); check the network, or name a mirror with --endpoint or HF_ENDPOINT"
        ) from None
    except httpx2.HTTPError as error:
        raise BrokenOff(f"{url}: the transfer broke off ({_why(error)}){_kept(partial)}") from None


def _stream(facts: HubFacts, partial: Path, have: int) -> Iterator[int]:
    """Ask for the bytes from `have` on and append them as they come, up to the stated size; yields how many."""
    from huggingface_hub.utils import get_session, hf_raise_for_status  # type: ignore[attr-defined]

    headers = {**_headers(), **({"Range": f"bytes={have}-"} if have else {})}
    asked = get_session().stream("GET", facts.location, headers=headers, timeout=TIMEOUT, follow_redirects=True)
    with asked as response, partial.open("ab", buffering=0) as file:
        if have and response.status_code == 416:
            return  # Nothing from there on: the content is shorter than was stated.
        hf_raise_for_status(response)
        begun = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
        if have and (response.status_code != 206 or (begun and int(begun[1]) != have)):
            # The server sends the whole file again.
            file.truncate(0)
            yield -have
            have = 0
        gained, since = 0, time.monotonic()
        try:
            for chunk in response.iter_bytes():
                part = chunk[: facts.size - have]
                file.write(part)
                have, gained = have + len(part), gained + len(part)
                yield len(part)
                if have >= facts.size:
                    return
                if gained >= PROGRESS:
                    gained, since = 0, time.monotonic()
                elif time.monotonic() - since > PATIENCE:
                    return
        finally:
            os.fsync(file.fileno())


@contextmanager
def _progress_bar(name: str, size: int, *, shown: bool) -> Iterator[Callable[[int], None]]:
    """A bar on standard error with speed and time left; yields the function that moves it on."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    first, *others = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn()
    with Progress(first, *others, TimeRemainingColumn(), console=Console(stderr=True), disable=not shown) as bar:
        task = bar.add_task(name, total=size)
        yield lambda count: bar.advance(task, count)


def _headers() -> dict[str, str]:
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

    # No token: nothing private is fetched. No compression: sizes and ranges are of the file itself.
    return {**build_hf_headers(token=False), "Accept-Encoding": "identity"}


def _checksum(url: str, tag: str | None) -> str:
    text = (tag or "").removeprefix("W/").strip('"').lower()
    if re.fullmatch("[0-9a-f]{64}", text):
        return f"sha256:{text}"
    if re.fullmatch("[0-9a-f]{40}", text):
        return f"git-sha1:{text}"
    raise DownloadFailed(f"{url}: the server states no checksum (ETag {tag!r}); it is not a model hub, or a broken one")


def _size(url: str, size: str | None) -> int:
    if size is None or not _SIZE.fullmatch(size):
        told = "no size" if size is None else f"a size of '{size[:20]}'"
        raise DownloadFailed(f"{url}: the server states {told}; it is not a model hub, or a broken one")
    return int(size)


def _why(error: Any) -> str:
    return str(error).partition(" (")[0] or type(error).__name__


def _kept(partial: Path | None) -> str:
    if partial is None or not partial.exists():
        return "; try again"
    return f"; {partial.stat().st_size:,} bytes are kept, run the same command to go on"

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

REDIRECTS = 5
"""How many redirects are followed to the answer that states a checksum."""

ATTEMPTS = 5
"""How often in a row a transfer may break off without a byte gained."""

PAUSE = 1.0
"""Seconds before a transfer that broke off is taken up again."""

TIMEOUT = 10.0
"""Seconds without an answer or a byte after which a connection counts as broken."""


class NotOnHub(DownloadFailed):
    """The hub answers, but has no such repository, revision or file."""


@dataclass(frozen=True, slots=True)
class HubFacts:
    """What the hub says of a file.

    Args:
        location: where its content is, perhaps on another host.
        checksum: `sha256:...` of a large file, `git-sha1:...` of a small one.
        size: in bytes, where it is told.
    """

    location: str
    checksum: str
    size: int | None


def ask(url: str) -> HubFacts:
    """Follow the hub's answers up to the one that states the checksum; the content's own host is not asked.

    Args:
        url: the file's address on the hub.

    Raises:
        NotOnHub: no such file.
        DownloadFailed: not reachable, an error there, or no checksum stated.
    """
    from huggingface_hub.utils import hf_raise_for_status, http_backoff  # type: ignore[attr-defined]

    at = url
    for _ in range(REDIRECTS):
        with _hub_errors(url):
            response = http_backoff(
                "HEAD",
                at,
                headers=_headers(),
                timeout=TIMEOUT,
                follow_redirects=False,
                retry_on_exceptions=(),
                retry_on_status_codes=(),
            )
            hf_raise_for_status(response)
        onward = response.headers.get("Location") if response.is_redirect else None
        tag, size = response.headers.get("X-Linked-ETag"), response.headers.get("X-Linked-Size")
        if onward is None:
            tag, size = tag or response.headers.get("ETag"), size or response.headers.get("Content-Length")
        at = urljoin(at, onward or at)
        if tag is not None or onward is None:
            return HubFacts(at, _checksum(url, tag), int(size) if size is not None and size.isdigit() else None)
    raise DownloadFailed(f"{url}: more than {REDIRECTS} redirects; try another --endpoint")


def transfer(url: str, facts: HubFacts, partial: Path, advance: Callable[[int], None]) -> int:
    """Append to `partial` what it lacks; go on by itself where the transfer breaks off.

    Args:
        url: the file's address on the hub, for errors.
        facts: what the hub says of it.
        partial: grows as bytes come, so that a later call can go on.
        advance: called with each number of bytes gained; negative where a server starts over.

    Returns:
        The bytes transferred.

    Raises:
        DownloadFailed: it broke off again and again; what came is kept.
    """
    gained = fruitless = 0
    advance(partial.stat().st_size if partial.exists() else 0)
    while True:
        have = partial.stat().st_size if partial.exists() else 0
        if facts.size is not None and have > facts.size:
            partial.unlink()
            advance(-have)
            have = 0
        if facts.size is not None and have == facts.size:
            break
        before = gained
        try:
            with _hub_errors(url, partial):
                for count in _stream(facts.location, partial, have):
                    gained += max(count, 0)
                    advance(count)
            if facts.size is None:
                break
        except BrokenOff:
            fruitless = 0 if gained > before else fruitless + 1
            if fruitless >= ATTEMPTS:
                raise
            time.sleep(PAUSE)
    return gained


class BrokenOff(DownloadFailed):
    """A transfer ended before its end; another attempt may do."""


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
def progress_bar(name: str, size: int | None, *, shown: bool) -> Iterator[Callable[[int], None]]:
    """A bar on standard error with speed and time left; yields the function that moves it on."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), disable=not shown) as bar:
        task = bar.add_task(name, total=size)
        yield lambda count: bar.advance(task, count)


def _stream(location: str, partial: Path, have: int) -> Iterator[int]:
    """Ask for the bytes from `have` on and append them as they come; yields how many."""
    from huggingface_hub.utils import hf_raise_for_status, http_stream_backoff  # type: ignore[attr-defined]

    headers = {**_headers(), **({"Range": f"bytes={have}-"} if have else {})}
    with (
        http_stream_backoff(
            "GET", location, headers=headers, timeout=TIMEOUT, follow_redirects=True, retry_on_exceptions=()
        ) as response,
        partial.open("ab", buffering=0) as file,
    ):
        hf_raise_for_status(response)
        if have and response.status_code != 206:
            # The server sends the whole file again.
            file.truncate(0)
            yield -have
        try:
            for chunk in response.iter_bytes():
                file.write(chunk)
                yield len(chunk)
        finally:
            os.fsync(file.fileno())


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


@contextmanager
def _hub_errors(url: str, partial: Path | None = None) -> Iterator[None]:
    """Turn the client's many exceptions into one sentence.

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
        raise DownloadFailed(f"{url}: the hub answered {error.response.status_code}; try again later") from None
    except errors.OfflineModeIsEnabled:
        raise DownloadFailed(f"{url}: offline mode is on (HF_HUB_OFFLINE); unset it to download") from None
    except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.UnsupportedProtocol, httpx2.InvalidURL) as error:
        if partial is not None:
            raise BrokenOff(f"{url}: the connection is lost ({_why(error)}){_kept(partial)}") from None
        raise DownloadFailed(
            f"{url}: cannot be reached ({error}); check the network, or name a mirror with --endpoint or HF_ENDPOINT"
        ) from None
    except httpx2.HTTPError as error:
        raise BrokenOff(f"{url}: the transfer broke off ({_why(error)}){_kept(partial)}") from None


def _why(error: Any) -> str:
    return str(error).partition(" (")[0] or type(error).__name__


def _kept(partial: Path | None) -> str:
    if partial is None or not partial.exists():
        return "; try again"
    return f"; {partial.stat().st_size:,} bytes are kept, run the same command to go on"

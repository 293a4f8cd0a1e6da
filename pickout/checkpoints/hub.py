"""Files of a model hub: what the hub says of one, its bytes, resumed where a transfer breaks off and never without end,
and whether the right ones came."""

import hashlib
import json
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote, urljoin

from pickout.errors import DownloadFailed
from pickout.files import LONGEST, storage_errors

HUB = "https://huggingface.co"  # the hub that is asked unless `HF_ENDPOINT` or an argument names another
REDIRECTS = 5  # how many redirects are followed to the answer that states a checksum
ATTEMPTS = 5  # how often in a row a transfer may break off without progress
PROGRESS = 1 << 16
"""New bytes that count as progress; a server that gives a few at a time gives up as one that gives none."""
PAUSE = 1.0  # seconds before a transfer that broke off is taken up again; doubled each time in a row
TIMEOUT = 10.0  # seconds without an answer or a byte after which a connection counts as broken
PATIENCE = 60.0  # seconds in which a transfer must make progress


class NotOnHub(DownloadFailed):
    """The hub answers, but has no such repository, revision or file."""


class BrokenOff(DownloadFailed):
    """A transfer ended before its end; another attempt may do."""


@dataclass(frozen=True, slots=True)
class HubFacts:
    """What the hub says of a file."""

    location: str  # where its content is, perhaps on another host
    checksum: str  # `sha256:...` of a large file, `git-sha1:...` of a small one
    size: int  # in bytes


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
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

    url = hf_hub_url(repository, file, repo_type=kind, endpoint=hub_address(endpoint))
    facts = ask(url)
    target = folder / PurePosixPath(file).name
    if target.is_file() and digest(target, facts.checksum) == facts.checksum:
        return Fetched(target, target.stat().st_size, facts.checksum, 0)
    partial = target.with_name(f".{target.name}.{facts.checksum.partition(':')[2][:16]}.part")
    with storage_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
        with Progress("{task.description}", *columns, console=Console(stderr=True), disable=not progress) as bar:
            task = bar.add_task(file, total=facts.size)
            downloaded = transfer(url, facts, partial, lambda count: bar.advance(task, count))
        found = digest(partial, facts.checksum)
        if found != facts.checksum:
            partial.unlink()
            why = f"{url}: the bytes that came have {found}, the hub states {facts.checksum}; they were thrown away"
            raise DownloadFailed(f"{why}. Try again, or another --endpoint if it stays so")
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
    """What the hub's API says of repositories, unless it never comes to an end: the files of each."""
    url, content, since = hub_address(endpoint) + path, bytearray(), time.monotonic()
    with hub_errors(url), _answer("GET", url) as response:
        for chunk in response.iter_bytes():
            content += chunk
            if len(content) > LONGEST or time.monotonic() - since > PATIENCE:
                raise DownloadFailed(f"{url}: the answer comes to no end; try another --endpoint")
    try:
        answer = json.loads(content)
        entries = answer if isinstance(answer, list) else [answer]
        return [(str(one["id"]), [str(file["rfilename"]) for file in one["siblings"]]) for one in entries]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise DownloadFailed(f"{url}: no answer of a model hub ({type(error).__name__}: {error})") from None


def ask(url: str) -> HubFacts:
    """Follow the hub's answers up to the one that states the checksum; the content's own host is not asked."""
    at = url
    for _ in range(REDIRECTS):
        with hub_errors(url), _answer("HEAD", at, follow=False) as response:
            response.read()  # nothing; only then the connection is used again
            onward = response.headers.get("Location") if response.is_redirect else None
            at = urljoin(at, onward or at)
        tag, size = response.headers.get("X-Linked-ETag"), response.headers.get("X-Linked-Size")
        if onward is None:
            tag, size = tag or response.headers.get("ETag"), size or response.headers.get("Content-Length")
        if tag is not None or onward is None:
            break
    else:
        raise DownloadFailed(f"{url}: more than {REDIRECTS} redirects; try another --endpoint")
    text = (tag or "").removeprefix("W/").strip('"').lower()
    kind = "sha256" if re.fullmatch("[0-9a-f]{64}", text) else "git-sha1" if re.fullmatch("[0-9a-f]{40}", text) else ""
    if not kind:
        fault = f"no checksum (ETag {tag!r})"
    elif size is None or not re.fullmatch("[1-9][0-9]{0,14}", size):
        fault = "no size" if size is None else f"a size of '{size[:20]}'"
    else:
        return HubFacts(at, f"{kind}:{text}", int(size))
    raise DownloadFailed(f"{url}: the server states {fault}; it is not a model hub, or a broken one")


def transfer(url: str, facts: HubFacts, partial: Path, advance: Callable[[int], None]) -> int:
    """Append to `partial` what it lacks; go on by itself where the transfer breaks off."""
    have = partial.stat().st_size if partial.exists() else 0
    if have > facts.size:
        partial.unlink()
        have = 0
    advance(have)
    # Only bytes beyond the furthest that ever came are progress: a server that sends the same ones again and again
    # comes to an end.
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
    head = b"" if kind == "sha256" else f"blob {path.stat().st_size}\0".encode()
    with path.open("rb") as file:
        found = hashlib.file_digest(file, lambda: hashlib.new(kind.removeprefix("git-"), head, usedforsecurity=False))
    return f"{kind}:{found.hexdigest()}"


@contextmanager
def hub_errors(url: str, partial: Path | None = None) -> Iterator[None]:
    """Turn the client's many exceptions into one sentence."""
    import httpx2
    from huggingface_hub import errors

    try:
        yield
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError, errors.RemoteEntryNotFoundError):
        raise NotOnHub(f"{url}: not there (404); check the name, or try another --endpoint") from None
    except errors.HfHubHTTPError as error:
        status = error.response.status_code
        kind = BrokenOff if partial is not None and (status == 429 or status >= 500) else DownloadFailed
        remedy = "set HF_TOKEN to a token that may do this" if status in (401, 403) else "try again later"
        raise kind(f"{url}: the hub answered {status}; {remedy}") from None
    except errors.OfflineModeIsEnabled:
        raise DownloadFailed(f"{url}: offline mode is on (HF_HUB_OFFLINE); unset it to download") from None
    except (httpx2.UnsupportedProtocol, httpx2.InvalidURL, httpx2.TooManyRedirects, ValueError) as error:
        where = "leads on to an address that is none" if partial is None else "its content is at no address"
        raise DownloadFailed(f"{url}: cannot be reached, or {where} ({error}); try another --endpoint") from None
    except (ConnectionError, httpx2.ConnectError, httpx2.ConnectTimeout) as error:
        lost = f"{url}: the connection is lost ({_why(error)})"
        if isinstance(error, ConnectionError):  # Of the library's own upload.
            raise DownloadFailed(f"{lost}; try again") from None
        if partial is not None:
            raise BrokenOff(f"{lost}{_kept(partial)}") from None
        why = f"{url}: cannot be reached ({error}); check the network, or name a mirror with --endpoint or HF_ENDPOINT"
        raise DownloadFailed(why) from None
    except httpx2.HTTPError as error:
        raise BrokenOff(f"{url}: the transfer broke off ({_why(error)}){_kept(partial)}") from None


@contextmanager
def _answer(method: str, url: str, start: int = 0, *, follow: bool = True) -> Iterator[Any]:
    """What a server answers, where it is no error; from byte `start` on there may be nothing (416)."""
    from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status  # type: ignore[attr-defined]

    # No token: nothing private is fetched. No compression: sizes and ranges are of the file itself.
    headers = {**build_hf_headers(token=False), "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    with get_session().stream(method, url, headers=headers, timeout=TIMEOUT, follow_redirects=follow) as response:
        if not start or response.status_code != 416:
            hf_raise_for_status(response)
        yield response


def _stream(facts: HubFacts, partial: Path, have: int) -> Iterator[int]:
    """Ask for the bytes from `have` on and append them as they come, up to the stated size; yields how many."""
    with _answer("GET", facts.location, have) as response, partial.open("ab", buffering=0) as file:
        if have and response.status_code == 416:
            return  # Nothing from there on: the content is shorter than was stated.
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


def _why(error: Any) -> str:
    return str(error).partition(" (")[0] or type(error).__name__


def _kept(partial: Path | None) -> str:
    if partial is None or not partial.exists():
        return "; try again"
    return f"; {partial.stat().st_size:,} bytes are kept, run the same command to go on"

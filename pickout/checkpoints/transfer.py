"""The bytes of one file from a model hub: resumed where a transfer breaks off, and never without end."""

import hashlib
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pickout.errors import DownloadFailed

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
        raise DownloadFailed(
            f"{url}: cannot be reached ({error}); check the network, or name a mirror with --endpoint or HF_ENDPOINT"
        ) from None
    except httpx2.HTTPError as error:
        raise BrokenOff(f"{url}: the transfer broke off ({_why(error)}){_kept(partial)}") from None


def client_headers() -> dict[str, str]:
    """What every request says."""
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

    # No token: nothing private is fetched. No compression: sizes and ranges are of the file itself.
    return {**build_hf_headers(token=False), "Accept-Encoding": "identity"}


def _stream(facts: HubFacts, partial: Path, have: int) -> Iterator[int]:
    """Ask for the bytes from `have` on and append them as they come, up to the stated size; yields how many."""
    from huggingface_hub.utils import get_session, hf_raise_for_status  # type: ignore[attr-defined]

    headers = {**client_headers(), **({"Range": f"bytes={have}-"} if have else {})}
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


def _why(error: Any) -> str:
    return str(error).partition(" (")[0] or type(error).__name__


def _kept(partial: Path | None) -> str:
    if partial is None or not partial.exists():
        return "; try again"
    return f"; {partial.stat().st_size:,} bytes are kept, run the same command to go on"

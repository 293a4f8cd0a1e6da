"""What stays out of a gallery: files that could not be indexed, and why (`quarantine.jsonl`); crops that were erased
and stay so (`suppression.json`): paths and bytes can be held against that list, not read from it."""

import hashlib
import json
import os
import secrets
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import Field

from pickout.config import Settings
from pickout.errors import GalleryDamaged
from pickout.files import write_atomically
from pickout.gallery.storage.tables import read_small_file

QUARANTINE = "quarantine.jsonl"
SUPPRESSION = "suppression.json"
_FORMAT = 1
_SIZE = 8  # bytes of a digest: of a million erased crops and ten million files, two are hardly ever alike

Crop = tuple[str, str]  # a row's id, which is the digest of its path, and its content


class Quarantined(NamedTuple):
    """One file that could not be indexed: its absolute path, and why in a few words."""

    file: Path
    reason: str


def read_quarantine(gallery: Path) -> list[Quarantined]:
    """The list, by path; empty where nothing was ever put on it. A garbled one is `GalleryDamaged`."""
    file, found = gallery / QUARANTINE, list[Quarantined]()
    try:
        for line in file.read_text(encoding="utf-8").splitlines():
            values = json.loads(line)
            found.append(Quarantined(Path(values["file"]), str(values["reason"])))
    except FileNotFoundError:
        pass
    except (ValueError, KeyError, TypeError, RecursionError):
        remedy = "delete the file, the next pickout index makes it anew"
        raise GalleryDamaged(f"{file}: line {len(found) + 1} is garbled; {remedy}") from None
    return found


def update_quarantine(gallery: Path, bad: Iterable[Quarantined], good: Iterable[Path]) -> None:
    """Put `bad` on the list and take `good` off it. Equal facts give an equal file, however often they are told. The
    caller holds the gallery's lock."""
    before, mended = {entry.file: entry for entry in read_quarantine(gallery)}, set(good)
    after = {file: entry for file, entry in before.items() if file not in mended}
    after.update((entry.file, entry) for entry in bad)
    if after != before:
        # ASCII JSON: a file name that is no UTF-8 survives as a lone surrogate and comes back as the same bytes.
        entries = [{"file": str(file), "reason": after[file].reason} for file in sorted(after, key=os.fsencode)]
        write_atomically(gallery / QUARANTINE, "".join(json.dumps(entry) + "\n" for entry in entries))


class Suppression(Settings):
    """The erased crops of a gallery: the contents of `suppression.json`."""

    format: int  # version of the file's layout
    # another key for each gallery, so that lists of two galleries cannot be compared
    key: str = Field(pattern=r"^[0-9a-f]{64}$")
    # digest of the path and of the content of each erased crop, hexadecimal, one behind the other
    crops: tuple[Annotated[str, Field(pattern=rf"^[0-9a-f]{{{4 * _SIZE}}}$")], ...]

    def covers(self, *facts: str) -> bool:
        """Whether a crop of one of these ids or contents was erased."""
        return bool(self.crops) and any(self._digest(fact) in self._halves for fact in facts)

    def since(self, earlier: "Suppression") -> "Suppression":
        """What was erased after `earlier` was read."""
        return self._of(set(self.crops) - set(earlier.crops if earlier.key == self.key else ()))

    @cached_property
    def _halves(self) -> frozenset[str]:
        return frozenset(half for crop in self.crops for half in (crop[: 2 * _SIZE], crop[2 * _SIZE :]))

    def _of(self, crops: Iterable[str]) -> "Suppression":
        return Suppression(format=_FORMAT, key=self.key, crops=tuple(sorted(crops)))

    def _digest(self, fact: str) -> str:
        return hashlib.blake2b(fact.encode(), key=bytes.fromhex(self.key), digest_size=_SIZE).hexdigest()


def read_suppression(gallery: Path) -> Suppression:
    """The erased crops of a gallery; none where nothing was erased. A garbled list is `GalleryDamaged`."""
    remedy = "delete the file; erased crops whose files are still there come back with the next pickout index"
    none = Suppression(format=_FORMAT, key=secrets.token_hex(32), crops=())
    return read_small_file(gallery / SUPPRESSION, Suppression, remedy, version=_FORMAT) or none


def update_suppression(gallery: Path, *, erased: Iterable[Crop] = (), back: Iterable[Crop] = ()) -> None:
    """Put `erased` on the list, and take off it those of an equal path or equal content as one of `back`. The caller
    holds the gallery's lock."""
    before = read_suppression(gallery)
    added = {before._digest(identifier) + before._digest(content) for identifier, content in erased}
    told = {before._digest(fact) for crop in back for fact in crop}
    kept = {crop for crop in before.crops if not told & {crop[: 2 * _SIZE], crop[2 * _SIZE :]}}
    write_atomically(gallery / SUPPRESSION, before._of(kept | added).model_dump_json() + "\n")

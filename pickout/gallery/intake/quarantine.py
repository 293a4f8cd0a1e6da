"""Files that could not be indexed, and why: `quarantine.jsonl` in the gallery's folder."""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pickout.errors import GalleryDamaged
from pickout.files import write_atomically
from pickout.gallery.storage.lock import writing

QUARANTINE = "quarantine.jsonl"


@dataclass(frozen=True, slots=True)
class Quarantined:
    """One file that could not be indexed.

    Args:
        file: its absolute path.
        reason: why, in a few words.
    """

    file: Path
    reason: str


def read_quarantine(gallery: Path) -> list[Quarantined]:
    """The list, by path; empty where nothing was ever put on it.

    Raises:
        GalleryDamaged: the file is garbled.
    """
    try:
        lines = (gallery / QUARANTINE).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    except UnicodeDecodeError:
        raise _garbled(gallery, 0) from None
    found = []
    for number, line in enumerate(lines):
        try:
            values = json.loads(line)
            found.append(Quarantined(Path(values["file"]), str(values["reason"])))
        except (ValueError, KeyError, TypeError, RecursionError):
            raise _garbled(gallery, number) from None
    return found


def update_quarantine(gallery: Path, bad: Iterable[Quarantined], good: Iterable[Path]) -> None:
    """Put `bad` on the list and take `good` off it. Equal facts give an equal file, however often they are told.

    Raises:
        StorageFull: no space left; the list stays as it was.
        GalleryDamaged: the file is garbled.
    """
    with writing(gallery):
        change_quarantine(gallery, bad, good)


def change_quarantine(gallery: Path, bad: Iterable[Quarantined], good: Iterable[Path]) -> None:
    """`update_quarantine` for a caller that holds the gallery's lock."""
    before = {entry.file: entry for entry in read_quarantine(gallery)}
    after: dict[Path, Quarantined] = dict(before)
    for file in good:
        after.pop(file, None)
    after.update((entry.file, entry) for entry in bad)
    if after != before:
        write_atomically(gallery / QUARANTINE, _lines(after))


def _lines(entries: Mapping[Path, Quarantined]) -> str:
    # ASCII JSON: a file name that is no UTF-8 survives as a lone surrogate and comes back as the same bytes.
    ordered = sorted(entries.values(), key=lambda entry: os.fsencode(entry.file))
    return "".join(json.dumps({"file": str(entry.file), "reason": entry.reason}) + "\n" for entry in ordered)


def _garbled(gallery: Path, line: int) -> GalleryDamaged:
    return GalleryDamaged(
        f"{gallery / QUARANTINE}: line {line + 1} is garbled; delete the file, the next pickout index makes it anew"
    )

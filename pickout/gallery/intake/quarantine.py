"""Files that could not be indexed, and why: `quarantine.jsonl` in the gallery's folder."""

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pickout.errors import GalleryDamaged
from pickout.files import write_atomically

QUARANTINE = "quarantine.jsonl"


@dataclass(frozen=True, slots=True)
class Quarantined:
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

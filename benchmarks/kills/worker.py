"""A process that does to a gallery what it is asked, line by line, and says when each is done; it is killed in between.

python benchmarks/kills/worker.py GALLERY
"""

import ctypes
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from kills.crops import GridEncoder, row_fact
from pickout.errors import PickoutError
from pickout.gallery.approximate.build import ApproximateSettings, usable
from pickout.gallery.changes import edits
from pickout.gallery.changes.edits import unfinished
from pickout.gallery.changes.verification import verify
from pickout.gallery.gallery import Gallery
from pickout.gallery.intake.report import IngestSettings
from pickout.gallery.portable import reader
from pickout.gallery.search.query import Query
from pickout.gallery.storage.rows import Metadata, row_seal
from pickout.gallery.storage.tables import MANIFEST, read_manifest

SETTINGS = IngestSettings(batch=4, commit=4, compact_every=3, threads=1)
"""Small, so that an adding is several commits and compactions."""


def main() -> None:
    path = Path(sys.argv[1])
    edits._AT_ONCE = reader._COMMIT_ROWS = 6  # for the same reason as in `SETTINGS`
    tell({"ready": True})
    for line in sys.stdin:
        request = json.loads(line)
        steps = arm(request.pop("kill_at", None))
        try:
            told = ACTIONS[request.pop("do")](path, **request)
        except PickoutError as error:
            told = {"error": f"{type(error).__name__}: {error}"}
        tell({**(told or {}), "done": True, "steps": steps()})


def tell(message: dict[str, Any]) -> None:
    print(json.dumps(message), flush=True)


def arm(kill_at: int | None) -> Callable[[], int]:
    """Die before the n-th change of the file system from here, where the library that counts them is loaded."""
    if kill_at is None:
        return lambda: 0
    library = ctypes.CDLL(None)
    library.count_from_here(kill_at)
    return lambda: int(library.counted())


def opened(path: Path) -> Gallery:
    if not (path / MANIFEST).exists():
        return Gallery.create(path, GridEncoder())
    return Gallery.open(path, GridEncoder(read_manifest(path).model.name))


def add(path: Path, folder: str, prune: bool = False) -> None:
    opened(path).add(folder, settings=SETTINGS, prune=prune)


def update(path: Path, ids: list[str], told: dict[str, Any]) -> None:
    opened(path).update(ids, Metadata(**told))


def remove(path: Path, ids: list[str]) -> None:
    opened(path).remove(ids)


def erase(path: Path, ids: list[str]) -> None:
    opened(path).erase(ids)


def compact(path: Path) -> None:
    opened(path).compact()


def rebuild(path: Path, model: str) -> None:
    opened(path).rebuild(GridEncoder(model), settings=SETTINGS, drop_missing=True)


def export(path: Path, file: str, ids: list[str]) -> None:
    opened(path).export(file, ids)


def prepare(path: Path, folder: str, beside: str, file: str) -> None:
    """An export of another gallery, of the same model."""
    other = Gallery.create(beside, GridEncoder(read_manifest(path).model.name))
    other.add(folder, settings=SETTINGS)
    other.export(file)


def take_in(path: Path, file: str) -> None:
    reader.import_gallery(file, path, replace_rows=True)


def approximate(path: Path) -> None:
    opened(path).approximate(settings=ApproximateSettings(above=0, searches=10, faster=0))


def save(path: Path, name: str, ids: list[str]) -> None:
    opened(path).saved.save(name, Query(["somebody"], more_like=ids))


def facts(path: Path) -> dict[str, Any]:
    """Everything that a reader sees."""
    gallery = opened(path)
    ids = [known.id for known in gallery._store.known()]
    rows, tokens = gallery._store.fetch(set(ids)), gallery._store.fetch_tokens(set(ids))
    return {
        "model": gallery.manifest.model.name,
        "approximate": usable(path, gallery.manifest, gallery._store) is not None,
        "ids": ids,
        "rows": {row.id: row_fact(row) for row in rows.values()},
        "unsealed": [row.id for row in rows.values() if row.seal != row_seal(row, tokens.get(row.id))],
        "found": [hit.id for hit in gallery.search("somebody", top=100_000)],
        "faults": [f"{fault.file.name}: {fault.what}" for fault in verify(path)],
        "unfinished": unfinished(path),
    }


ACTIONS: dict[str, Callable[..., dict[str, Any] | None]] = {
    action.__name__: action
    for action in (add, update, remove, erase, compact, rebuild, export, prepare, take_in, approximate, save, facts)
}

if __name__ == "__main__":
    main()

"""What must be in a gallery after operations that were acknowledged, and what may be after one that was not."""

import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from kills.crops import MODELS, Crop, Fact, draw_crop
from pickout.gallery.storage.rows import Metadata

Held = tuple[Crop, Metadata]
"""A row: its pixels and what is told about it."""


@dataclass
class Operation:
    """One change of a gallery.

    Args:
        kind: its name in the table of results.
        request: what a worker is asked.
        before: the rows that it touches as they are, by id; None where there is none.
        after: the same rows as they will be.
        model: the gallery's model afterwards, if it changes.
        whole: whether its rows change all together or not at all.
        files: crops that are deleted just before.
    """

    kind: str
    request: dict[str, Any]
    before: dict[str, Held | None] = field(default_factory=dict)
    after: dict[str, Held | None] = field(default_factory=dict)
    model: str | None = None
    whole: bool = False
    files: list[Path] = field(default_factory=list)


class Model:
    """The rows of one writer: what was acknowledged, and operations drawn at random.

    Args:
        crops: the folder of its crops; no other writer touches their rows.
        seed: of everything random.
        least: rows that are kept there between operations, about.
    """

    def __init__(self, crops: Path, seed: int, least: int = 30) -> None:
        self.crops, self.random, self._least = crops, random.Random(seed), least
        self.rows: dict[str, Held] = {}
        self.gone: set[str] = set()
        self.broken: set[str] = set()
        self.stale: list[dict[str, bytes]] = []
        self.erased: list[dict[str, bytes]] = []
        self.kept_out: set[str] = set()
        self.swept: list[dict[str, bytes]] = []
        self.model = MODELS[0]
        self.avoided: frozenset[str] = frozenset()
        self._drawn: dict[Path, Crop] = {}
        self._seed, self._number = seed, count()

    def fact(self, held: Held) -> Fact:
        """What its row must say now."""
        return held[0].fact(held[1], self.model)

    def settle(self, operation: Operation, now: dict[str, Held | None] | None = None) -> None:
        """Take over what an operation did: all of it, or `now` where it was interrupted."""
        for identifier, held in (operation.after if now is None else now).items():
            had = self.rows.pop(identifier, None)
            if held is not None:
                self.rows[identifier] = held
                if identifier in self.gone:
                    self._is_back(identifier)
                if had is not None and had[0] is not held[0]:
                    self.stale.append(had[0].pixels())
            elif had is not None:
                self.gone.add(identifier)
                if operation.kind == "erase":
                    self.kept_out.add(identifier)
                (self.erased if operation.kind == "erase" else self.stale).append(had[0].signs())
        if operation.kind == "erase" and now is None:  # what was removed or replaced before goes too
            self.swept += self.stale
            self.stale = []
        self.model = operation.model or self.model if now is None else self.model

    def _is_back(self, identifier: str) -> None:
        """A file whose row a change of model left out was added again: its name may be there, not its old pixels."""
        self.gone.discard(identifier)
        for signs in [*self.stale, *self.swept]:
            if signs.get("id") == identifier.encode():
                del signs["id"], signs["path"]

    def draw(self, kind: str) -> Iterator[Operation]:
        """Operations up to one of that kind, which comes last; each must be settled before the next is drawn."""
        enough = 12 if self._least < 100 else self._least
        while kind != "add" and len(self.rows) < enough:
            yield from self.add()
        yield from OPERATIONS[kind](self)

    def draw_any(self, kinds: Iterable[str]) -> Iterator[Operation]:
        """One of these kinds, by chance, that keeps the number of rows within limits."""
        crowded = "remove" if len(self.rows) > self._least + 70 else self.random.choice(sorted(kinds))
        return self.draw("add" if len(self.rows) < self._least else crowded)

    def add(self) -> Iterator[Operation]:
        folder = self.crops / f"{next(self._number):05d}"
        for _ in range(self.random.randint(5, 14)):
            self._draw_crop(folder / f"crop-{self._seed}-{next(self._number):06d}.png")
        yield self._adding("add", folder)

    def change(self, kind: str = "change") -> Iterator[Operation]:
        """Other pixels in files that have a row; when pruning, some of its files are gone."""
        folder = self.random.choice(sorted({crop.file.parent for crop, _ in self.rows.values()}))
        here = [crop.file for crop, _ in self.rows.values() if crop.file.parent == folder and crop.file.exists()]
        for file in self._some(here, 6):
            self._draw_crop(file)
        self._draw_crop(folder / f"crop-{self._seed}-{next(self._number):06d}.png")
        for file in self._some(here, 4) if kind == "prune" else ():
            file.unlink()
        yield self._adding(kind, folder, prune=kind == "prune")

    def prune(self) -> Iterator[Operation]:
        return self.change("prune")

    def update(self) -> Iterator[Operation]:
        ids = self._some(self._free(), 20)
        number = next(self._number)
        told = {"camera": f"camera {number}", "labels": {"seen": str(number)}}
        after = {each: (self.rows[each][0], Metadata(**told).over(self.rows[each][1])) for each in ids}
        yield Operation("update", {"do": "update", "ids": ids, "told": told}, self._held(ids), dict(after))

    def remove(self) -> Iterator[Operation]:
        yield self._taking("remove", self._some(self._free(), 40 if len(self.rows) > self._least + 70 else 8))

    def erase(self) -> Iterator[Operation]:
        """Half of the time one of the crops is named by a saved search and stands on the quarantine list."""
        ids = self._some(self._free(), 6)
        crop = self.rows[ids[0]][0]
        if not self.avoided and self.random.random() < 0.5:
            yield Operation("save", {"do": "save", "name": f"like {next(self._number)}", "ids": ids[:1]})
            if crop.file.exists():
                crop.file.write_bytes(b"no picture")
                self.broken.add(crop.id)
                yield self._adding("add", crop.file.parent)
        yield self._taking("erase", ids)

    def compact(self) -> Iterator[Operation]:
        """Behind updates, so that there is something to merge."""
        yield from self.update()
        yield from self.update()
        yield Operation("compact", {"do": "compact"})

    def rebuild(self) -> Iterator[Operation]:
        """The other model; rows whose originals are gone or changed are left out."""
        other = next(name for name in MODELS if name != self.model)
        after = {each: held if self._is_whole(held[0]) else None for each, held in self.rows.items()}
        yield Operation("rebuild", {"do": "rebuild", "model": other}, dict(self.rows), dict(after), model=other)

    def take_in(self) -> Iterator[Operation]:
        """Rows of another gallery, or of this one as they were before an update."""
        folder, file = self.crops / f"{next(self._number):05d}", self.crops / f"{next(self._number):05d}.pickout"
        if self.random.random() < 0.5:
            for operation in self.add():
                folder = Path(operation.request["folder"])
                request = {"do": "prepare", "folder": str(folder), "beside": f"{folder}.gallery", "file": str(file)}
                yield Operation("prepare", request)
                yield Operation("import", {"do": "take_in", "file": str(file)}, operation.before, operation.after)
            return
        for operation in self.update():
            yield Operation("export", {"do": "export", "file": str(file), "ids": list(operation.before)})
            yield operation
            yield Operation("import", {"do": "take_in", "file": str(file)}, operation.after, operation.before)

    def approximate(self) -> Iterator[Operation]:
        yield Operation("approximate", {"do": "approximate"})

    def _is_whole(self, crop: Crop) -> bool:
        return crop.file.exists() and crop.id not in self.broken and self._drawn[crop.file] is crop

    def _taking(self, kind: str, ids: list[str]) -> Operation:
        files = [self.rows[each][0].file for each in ids]
        return Operation(kind, {"do": kind, "ids": ids}, self._held(ids), dict.fromkeys(ids), whole=True, files=files)

    def _draw_crop(self, file: Path) -> None:
        crop = draw_crop(file, [self._seed, next(self._number)])
        self.broken.discard(crop.id)
        self._drawn[file] = crop

    def _adding(self, kind: str, folder: Path, *, prune: bool = False) -> Operation:
        """Adding a folder: a row for each readable file that was not erased; with `prune` none for one that is gone."""
        after: dict[str, Held | None] = {}
        for file in sorted(folder.iterdir()):
            crop = self._drawn[file]
            if crop.id not in self.broken and (crop.id in self.rows or crop.id not in self.kept_out):
                after[crop.id] = (crop, self.rows[crop.id][1] if crop.id in self.rows else Metadata())
        if prune:
            here = [each for each, (crop, _) in self.rows.items() if crop.file.parent == folder]
            after.update({each: None for each in here if not self.rows[each][0].file.exists()})
        return Operation(kind, {"do": "add", "folder": str(folder), "prune": prune}, self._held(after), after)

    def _held(self, ids: Iterable[str]) -> dict[str, Held | None]:
        return {each: self.rows.get(each) for each in ids}

    def _free(self) -> list[str]:
        return [each for each in self.rows if each not in self.avoided]

    def _some(self, things: Iterable[Any], most: int) -> list[Any]:
        ordered = sorted(things)
        return self.random.sample(ordered, self.random.randint(min(1, len(ordered)), min(most, len(ordered))))


OPERATIONS: dict[str, Callable[[Model], Iterator[Operation]]] = {
    "add": Model.add,
    "change": Model.change,
    "prune": Model.prune,
    "update": Model.update,
    "remove": Model.remove,
    "erase": Model.erase,
    "compact": Model.compact,
    "rebuild": Model.rebuild,
    "import": Model.take_in,
    "approximate": Model.approximate,
}
"""How each kind of operation is drawn."""

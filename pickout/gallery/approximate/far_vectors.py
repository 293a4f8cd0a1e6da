"""Vectors that stay on disk: their codes, which are held, say which are looked at, and these are scored exactly. What
the codes of a gallery's rows are is kept in a file beside its table."""

import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np

from pickout.errors import GalleryDamaged
from pickout.files import atomic_path
from pickout.gallery.approximate.codes import FITTED_ON, Codes
from pickout.gallery.storage.reading import MakeVectors, batches, matrix, vectors_at
from pickout.gallery.storage.rows import Located, Resident
from pickout.gallery.storage.store import Store
from pickout.gallery.vectors.exact import Best, Floats, Ids, Mask, Penalties, Places, Rows, Seals, exact_top, known_rows

CODES = "approximate.npz"
_DEEP = 128  # candidates are asked for in steps of so many, so that the first pages of a search come from the same ones
_SCORED = 2  # rows that are fetched and scored exactly, for each that is needed
_AT_ONCE = 8192  # vectors that are read and coded together


class FarVectors:
    """Vectors of a gallery too large to hold. A search scores exactly twice as many rows as it needs: of those that
    pass the filters the best by their codes, of which it looks closely at `wide` times as many. `told` says what was
    measured of such a search."""

    def __init__(
        self, store: Store, ids: Ids, seals: Seals, places: Places, codes: Codes, wide: int = 1, told: str = ""
    ) -> None:
        self._store, self._ids, self._seals, self._places, self.damaged = store, ids, seals, places, 0
        self._codes, self.wide, self._told = codes, wide, told
        self._sorted = np.argsort(ids)

    @staticmethod
    def maker(
        store: Store, before: Resident | None = None, wide: int = 1, told: str = "", *, anew: bool = False
    ) -> MakeVectors:
        """Makes them as the rows of a table are read, with the codes that the gallery's file keeps or that what was
        read `before` holds, unless `anew`; the vectors of rows that have none there are read."""

        def make(table: Any, ids: Ids, seals: Seals, places: Places, _order: Rows) -> "FarVectors":
            old = None if before is None else before.vectors
            held, codes = (old._seals, old._codes) if isinstance(old, FarVectors) else kept_codes(store)
            then, stays = known_rows(held, seals)
            if codes is None or anew or not stays.any():
                stays = np.zeros(len(ids), np.bool_)
                some = np.arange(0, len(ids), -(-len(ids) // FITTED_ON) or 1)
                codes = Codes.fitted(vectors_at(table, places[some])).of_none(len(ids))
            else:
                codes = replace(codes, words=codes.words[:, then], levels=codes.levels[then])
            new = np.flatnonzero(~stays)
            for start in range(0, len(new), _AT_ONCE):
                some = new[start : start + _AT_ONCE]
                coded = codes.of(vectors_at(table, places[some]))
                codes.words[:, some], codes.levels[some] = coded.words, coded.levels
            return FarVectors(store, ids, seals, places, codes, wide, told)

        return make

    def keep(self) -> None:
        """Write the codes to the gallery's file."""
        codes = self._codes
        with atomic_path(self._store.folder / CODES) as file, file.open("wb") as opened:
            np.savez(opened, **{each.name: getattr(codes, each.name) for each in fields(codes)}, seals=self._seals)

    def doubt(self, passed: int) -> str | None:
        """What to say beside a search of `passed` rows, where it may miss some."""
        note = f"Searched approximately, so that a good match may be missing: {self._told}."
        return None if passed <= _SCORED * _DEEP else note

    def at(self, rows: Sequence[int] | Rows) -> Floats:
        """The vectors (n, D) of these rows; NaN for a row that was removed since the gallery was read."""
        wanted = np.asarray(rows, dtype=np.int64)
        found, vectors = self._fetch(np.unique(wanted))
        place = dict(zip(found.tolist(), vectors, strict=True))
        gone = np.full(self._store.dimension, np.nan, dtype=np.float32)
        return np.array([place.get(row, gone) for row in wanted.tolist()], np.float32).reshape(-1, len(gone))

    def blocks(self) -> Iterator[tuple[Rows, Floats]]:
        """All rows in pieces: (b,) rows and their vectors (b, D)."""
        with self._store.latest() as table:
            for batch in batches(table, ["id", "vector"]):
                rows = self._rows(batch["id"].to_numpy(zero_copy_only=False))
                yield rows[rows >= 0], matrix(batch["vector"])[rows >= 0]

    def top(self, query_D: Floats, *, top: int, order_N: Rows, allowed_N: Mask | None, penalties: Penalties) -> Best:
        """About the best rows, and their exact scores."""
        allowed = None if allowed_N is None else np.flatnonzero(allowed_N)
        passed = len(order_N) if allowed is None else len(allowed)
        limit = _SCORED * -(-top // _DEEP) * _DEEP
        while True:
            near = self._codes.nearest(query_D, limit, allowed, penalties, wide=self.wide)
            found, vectors = self._fetch(near)
            if len(found) >= top or limit >= passed:
                break
            limit *= 4  # rows have gone since the gallery was read
        places, scores = exact_top(vectors, query_D, top=top, order_N=order_N[found], penalties=penalties)
        return found[places], scores

    def _fetch(self, rows: Rows) -> tuple[Rows, Floats]:
        """Those of `rows`, each once, that are still there in any order, and their vectors."""
        places = zip(self._ids[rows].tolist(), self._places[rows].tolist(), strict=True)
        wanted = Located({identifier.decode(): place for identifier, place in places})
        found, vectors = [np.empty(0, np.int64)], [np.empty((0, self._store.dimension), np.float32)]
        for batch in self._store.scan(["id", "vector"], wanted):
            found.append(self._rows(batch["id"].to_numpy(zero_copy_only=False)))
            vectors.append(matrix(batch["vector"]))
        return np.concatenate(found), np.concatenate(vectors)

    def _rows(self, ids: Any) -> Rows:
        """The rows of these ids; -1 for ids that came since the gallery was read."""
        asked, own = np.array(ids, dtype="S32"), self._ids
        if not len(own):
            return np.full(len(asked), -1, dtype=np.int64)
        rows = self._sorted[np.searchsorted(own, asked, sorter=self._sorted).clip(max=len(own) - 1)]
        return np.where(own[rows] == asked, rows, -1)


def kept_codes(store: Store) -> tuple[Seals, Codes | None]:
    """What the gallery's file holds, no rows where it is not there or of another model's vectors; `GalleryDamaged`
    where it cannot be used."""
    none = np.empty((0, 2), np.uint64), None
    try:
        with (store.folder / CODES).open("rb") as file, np.load(file, allow_pickle=False) as held:
            if held["mean"].shape != (store.dimension,):
                return none
            seals, codes = held["seals"], Codes(**{each.name: held[each.name] for each in fields(Codes)})
        if seals.shape[1:] != (2,) or not codes.are_of(len(seals), store.dimension):
            raise ValueError("holds other arrays than it should")
    except FileNotFoundError:
        return none
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        remedy = "delete it: searches are slow to begin until pickout gallery compact has written it again"
        raise GalleryDamaged(f"{store.folder / CODES}: cannot be used ({error}); {remedy}") from None
    return seals, codes

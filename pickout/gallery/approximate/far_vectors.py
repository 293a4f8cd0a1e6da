"""Vectors that stay on disk: four bits for each of their directions, which are held, say which are looked at, and these
are scored exactly. What the codes of a gallery's rows are is kept in a file beside its table.

Vectors less their mean are turned by a fixed random rotation, and each direction is kept in sixteen levels. Three steps
tell a score: how many of a row's signs differ from the query's is counted for all rows (Charikar, 2002, section 3); of
those that look best the signs are summed with the query's weights (RaBitQ, Gao and Long, 2024), and of the best of
these the levels. The weights are the least squares that tell vectors from signs, and from levels (docs/journal.md)."""

import math
import zipfile
from collections.abc import Iterator, Sequence
from functools import lru_cache, partial
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from pickout.errors import GalleryDamaged
from pickout.files import atomic_path
from pickout.gallery.storage.memory import MakeVectors, batches, matrix, vectors_at
from pickout.gallery.storage.rows import Located, Resident
from pickout.gallery.storage.store import Store
from pickout.gallery.vectors import exact
from pickout.gallery.vectors.exact import Aim, Best, Floats, Ids, Mask, Places, Rows, Seals

CODES = "approximate.npz"
_DEEP = 128  # candidates are asked for in steps of so many, so that the first pages of a search come from the same ones
_SCORED = 2  # rows that are fetched and scored exactly, for each that is needed
_AT_ONCE = 8192  # vectors that are read and coded together
_MOST_BITS = 1024  # longer vectors are projected on so many directions
_FITTED_ON = 20_000  # vectors that are enough to tell the mean and the weights from
_RIDGE = 1e-2  # added to the variance of a number, as a share of it, so that few vectors are no other case
_TOGETHER = 131_072  # rows that one thread scans before it takes the next ones: fewer, and threads wait for each other
_ROUGHLY = 16  # rows that are told apart by their signs' weights, for each that is told apart by its levels
_STEP = 0.335  # between levels, in standard deviations: the least error for sixteen of a normal number (Max, 1960)


class Codes(NamedTuple):
    """The codes of N rows, and how they are told from vectors of length D and tell scores."""

    mean: Floats  # (D,) of vectors
    steps: Floats  # (B,) between levels
    weights: Floats  # (2, D, B): a query times these is what each of the B signs weighs, and each step of the levels
    words: NDArray[np.uint64]  # (W, N) signs, 64 in a word
    levels: NDArray[np.uint8]  # (N, B / 2) levels, two in a byte

    @classmethod
    def fitted(cls, vectors_nD: Floats) -> Self:
        """No rows; how codes are told and tell scores, from such vectors as these, of which there is one at least."""
        mean = vectors_nD.mean(axis=0)
        spread = (vectors_nD - mean) @ _rotation(len(mean))
        steps = np.maximum(_STEP * spread.std(axis=0), np.finfo(np.float32).tiny)
        bits, weights = len(steps), np.empty((2, len(mean), len(steps)), np.float32)
        codes = cls(mean, steps, weights, np.empty((bits // 64, 0), np.uint64), np.empty((0, bits // 2), np.uint8))
        levels = _unpacked(codes.of(vectors_nD).levels)
        each = [_least_squares(found, vectors_nD - mean) for found in (np.sign(levels), levels)]
        return codes._replace(weights=np.stack(each))

    def of(self, vectors_ND: Floats) -> Self:
        """The codes of these vectors."""
        found = self.of_none(len(vectors_ND))

        def block(some: slice) -> None:
            turned = (vectors_ND[some] - self.mean) @ _rotation(len(self.mean))
            found.words[:, some] = _packed(turned).T
            levels = np.clip(np.floor(turned / self.steps) + 8, 0, 15).astype(np.uint8)
            found.levels[some] = levels[:, ::2] | levels[:, 1::2] << 4

        exact.in_threads(block, len(vectors_ND), _TOGETHER)
        return found

    def of_none(self, count: int) -> Self:
        """Room for the codes of so many rows."""
        words = np.zeros((len(self.words), count), np.uint64)
        return self._replace(words=words, levels=np.zeros((count, self.levels.shape[1]), np.uint8))

    def are_of(self, rows: int, dimension: int) -> bool:
        """Whether these are finite numbers in the shapes for so many rows."""
        bits = _rotation(dimension).shape[1]
        shapes = [(dimension,), (bits,), (2, dimension, bits), (bits // 64, rows), (rows, bits // 2)]
        own = (self.mean, self.steps, self.weights, self.words, self.levels)
        return [each.shape for each in own] == shapes and all(np.isfinite(each).all() for each in own[:3])

    def nearest(self, aim: Aim, count: int, allowed: Rows | None = None, *, wide: int = 1) -> Rows:
        """About the `count` best rows, sorted by place, of those `allowed` (None: all), or all where they are fewer;
        `wide` times as many are told apart by their levels."""
        passing = self.words.shape[1] if allowed is None else len(allowed)
        if passing <= count:
            return np.arange(passing) if allowed is None else allowed
        worse = self._worse(aim, allowed)
        # The least value up to which there are enough rows. All of the same value are taken.
        bound = int(np.searchsorted(np.bincount(worse).cumsum(), min(_ROUGHLY * wide * count, passing)))
        rows = np.flatnonzero(worse <= bound)
        rows = rows if allowed is None else allowed[rows]
        for score, kept in ((self._by_signs, wide * count), (self._by_levels, count)):
            scores = aim.scores(partial(score, rows=rows))
            if len(rows) > kept:
                rows = rows[np.argpartition(-scores, kept - 1)[:kept]]
        return np.sort(rows)

    def _worse(self, aim: Aim, allowed: Rows | None) -> NDArray[np.uint16]:
        """A whole number for each row: the smaller, the better it looks."""
        differing = self._differing(aim.vector, allowed)
        if not aim.penalties:
            return differing
        bits = 64 * len(self.words)
        cosines = np.cos(np.arange(bits + 1) * math.pi / bits).astype(np.float32)
        scores = cosines[differing] * np.float32(np.linalg.norm(aim.vector))
        for penalty in aim.penalties:
            over = np.maximum(cosines - np.float32(penalty.free), 0) * np.float32(penalty.weight)
            scores -= over[self._differing(penalty.vector, allowed)]
        return np.asarray(np.clip((scores.max() - scores) * bits, 0, 2**16 - 1).astype(np.uint16))

    def _differing(self, query_D: Floats, allowed: Rows | None) -> NDArray[np.uint16]:
        """In how many signs each row differs from the query's weights."""
        own = _packed((query_D @ self.weights[0])[None])[0]
        counts = np.zeros(self.words.shape[1] if allowed is None else len(allowed), np.uint16)

        def block(some: slice) -> None:
            part, rows = counts[some], some if allowed is None else allowed[some]
            differing, number = np.empty(len(part), np.uint64), np.empty(len(part), np.uint8)
            for row_words, word in zip(self.words, own, strict=True):
                np.bitwise_xor(row_words[rows], word, out=differing)
                np.add(part, np.bitwise_count(differing, out=number), out=part)

        exact.in_threads(block, len(counts), _TOGETHER)
        return counts

    def _by_signs(self, query_D: Floats, rows: Rows) -> Floats:
        """About the inner products of these rows and a query, from the rows' signs."""
        weights = query_D @ self.weights[0]
        signs = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).astype(np.float32) * 2 - 1
        sums = weights.reshape(-1, 8) @ signs.T  # of each byte's weights, for all 256 bytes
        scores = np.full(len(rows), self.mean @ query_D, np.float32)

        def block(some: slice) -> None:
            codes = np.ascontiguousarray(self.words[:, rows[some]].T).view(np.uint8)
            for column, table in zip(codes.T, sums, strict=True):
                scores[some] += table[column]

        exact.in_threads(block, len(rows), _TOGETHER)
        return scores

    def _by_levels(self, query_D: Floats, rows: Rows) -> Floats:
        """The same, from the rows' levels."""
        return np.asarray(_unpacked(self.levels[rows]) @ (query_D @ self.weights[1]) + self.mean @ query_D)


def _unpacked(levels: NDArray[np.uint8]) -> Floats:
    """Levels as numbers from -7.5 to 7.5. Shape: (N, B)."""
    halves = np.stack([levels & 15, levels >> 4], axis=2).reshape(len(levels), -1)
    return halves.astype(np.float32) - np.float32(7.5)


def _least_squares(numbers_nB: Floats, vectors_nD: Floats) -> Floats:
    """What tells vectors from numbers. Shape: (D, B)."""
    covariance = numbers_nB.T @ numbers_nB
    covariance[np.diag_indices_from(covariance)] *= 1 + _RIDGE
    return np.asarray(np.linalg.solve(covariance, numbers_nB.T @ vectors_nD).T)


def _packed(numbers_NB: NDArray[np.floating[Any]]) -> NDArray[np.uint64]:
    return np.packbits(numbers_NB >= 0, axis=1).view(np.uint64)


@lru_cache(maxsize=4)
def _rotation(dimension: int) -> Floats:
    """The same (D, B) for every gallery of this length of vectors; rows or columns are orthonormal."""
    size = (dimension, 64 * -(-min(dimension, _MOST_BITS) // 64))
    drawn = np.random.default_rng(0).standard_normal((max(size), min(size)))
    turned = np.linalg.qr(drawn)[0].astype(np.float32)
    return turned if size[0] >= size[1] else np.ascontiguousarray(turned.T)


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
            then, stays = exact.known_rows(held, seals)
            if codes is None or anew or not stays.any():
                stays = np.zeros(len(ids), np.bool_)
                some = np.arange(0, len(ids), -(-len(ids) // _FITTED_ON) or 1)
                codes = Codes.fitted(vectors_at(table, places[some])).of_none(len(ids))
            else:
                codes = codes._replace(words=codes.words[:, then], levels=codes.levels[then])
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
            np.savez(opened, **codes._asdict(), seals=self._seals)

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

    def top(self, aim: Aim, *, top: int, order_N: Rows, allowed_N: Mask | None = None) -> Best:
        """About the best rows, and their exact scores."""
        allowed = None if allowed_N is None else np.flatnonzero(allowed_N)
        passed = len(order_N) if allowed is None else len(allowed)
        limit = _SCORED * -(-top // _DEEP) * _DEEP
        while True:
            near = self._codes.nearest(aim, limit, allowed, wide=self.wide)
            found, vectors = self._fetch(near)
            if len(found) >= top or limit >= passed:
                break
            limit *= 4  # rows have gone since the gallery was read
        places, scores = exact.exact_top(vectors, aim, top=top, order_N=order_N[found])
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
            seals, codes = held["seals"], Codes(*(held[name] for name in Codes._fields))
        if seals.shape[1:] != (2,) or not codes.are_of(len(seals), store.dimension):
            raise ValueError("holds other arrays than it should")
    except FileNotFoundError:
        return none
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        remedy = "delete it: searches are slow to begin until pickout gallery compact has written it again"
        raise GalleryDamaged(f"{store.folder / CODES}: cannot be used ({error}); {remedy}") from None
    return seals, codes

"""One bit for each of a vector's directions: what a search scans where the vectors themselves stay on disk.

Vectors are turned by a fixed random rotation, so that all directions weigh alike, and the signs of what they differ by
from the mean are kept (RaBitQ, Gao and Long, 2024). Two steps tell a score from signs: how many of a row's differ from
the query's is counted for all rows (Charikar, 2002, section 3); those that look best are told apart by the sum of the
query's weights under the row's signs. The weights are the least squares that tell vectors from their signs: rows lie in
few directions and sentences beside them, and weights by the rotation alone find a fifth less (docs/journal.md)."""

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from pickout.gallery.vectors.exact import Floats, Penalties, Rows, in_threads

_MOST_BITS = 1024  # longer vectors are projected on so many directions
FITTED_ON = 20_000  # vectors that are enough to tell the mean and the weights from
_RIDGE = 1e-2  # added to the variance of a sign, as a share of it, so that few vectors are no other case
_TOGETHER = 131_072  # rows that one thread scans before it takes the next ones: fewer, and threads wait for each other
_ROUGHLY = 16  # rows that are told apart by weights, for each that is asked for

Words = NDArray[np.uint64]


@dataclass(frozen=True, slots=True, eq=False)
class Codes:
    """The signs of N rows, 64 in a word, and how they are told from vectors of length D."""

    mean: Floats  # (D,) of vectors
    weights: Floats  # (D, B): a query times these is what each of the B signs weighs
    words: Words  # (W, N)

    @classmethod
    def fitted(cls, vectors_nD: Floats) -> Self:
        """The codes of no rows yet, told from such vectors as these."""
        mean, bits = vectors_nD.sum(axis=0) / max(1, len(vectors_nD)), len(_rotation(vectors_nD.shape[1])[0])
        codes = cls(mean, np.empty((0, bits), np.float32), np.empty((bits // 64, 0), np.uint64))
        signs = np.unpackbits(codes.of(vectors_nD).words.T.copy().view(np.uint8), axis=1).astype(np.float32) * 2 - 1
        signs -= signs.mean(axis=0)
        covariance = signs.T @ signs + _RIDGE * len(vectors_nD) * np.eye(bits, dtype=np.float32)
        return replace(codes, weights=np.linalg.solve(covariance, signs.T @ (vectors_nD - mean)).T)

    def of(self, vectors_ND: Floats) -> Self:
        """The codes of these vectors."""
        words = np.empty((len(self.words), len(vectors_ND)), np.uint64)

        def block(start: int) -> None:
            some = slice(start, start + _TOGETHER)
            words[:, some] = _packed((vectors_ND[some] - self.mean) @ _rotation(len(self.mean))).T

        in_threads(block, range(0, len(vectors_ND), _TOGETHER))
        return replace(self, words=words)

    def of_none(self, count: int) -> Self:
        """Room for the codes of so many rows."""
        return replace(self, words=np.zeros((len(self.words), count), np.uint64))

    def of_rows(self, keep_N: NDArray[np.bool_] | Rows) -> Self:
        """The codes of some rows."""
        return replace(self, words=self.words[:, keep_N])

    def faults(self) -> bool:
        """Whether these cannot be the codes of any vectors."""
        bits = 64 * len(self.words)
        right = self.weights.shape == (len(self.mean), bits) == _rotation(len(self.mean)).shape
        return not right or not (np.isfinite(self.mean).all() and np.isfinite(self.weights).all())

    def nearest(self, query_D: Floats, count: int, allowed: Rows | None, penalties: Penalties) -> Rows:
        """About the `count` best rows, sorted by place, of those `allowed` (None: all), or all where they are fewer."""
        passing = self.words.shape[1] if allowed is None else len(allowed)
        if passing <= count:
            return np.arange(passing) if allowed is None else allowed
        worse = self._worse(query_D, allowed, penalties)
        # The least value up to which there are enough rows. All of the same value are taken.
        bound = int(np.searchsorted(np.bincount(worse).cumsum(), min(_ROUGHLY * count, passing)))
        rows = np.flatnonzero(worse <= bound)
        rows = rows if allowed is None else allowed[rows]
        scores = self._scores(query_D, rows)
        for penalty in penalties:
            scores -= penalty.weight * np.maximum(self._scores(penalty.vector, rows) - penalty.free, 0)
        return np.sort(rows[np.argpartition(-scores, min(count, len(rows)) - 1)[:count]])

    def _worse(self, query_D: Floats, allowed: Rows | None, penalties: Penalties) -> NDArray[np.uint16]:
        """A whole number for each row: the smaller, the better it looks."""
        differing = self._differing(query_D, allowed)
        if not penalties:
            return differing
        bits = 64 * len(self.words)
        cosines = np.cos(np.arange(bits + 1) * math.pi / bits).astype(np.float32)
        scores = cosines[differing] * np.float32(np.linalg.norm(query_D))
        for penalty in penalties:
            over = np.maximum(cosines - np.float32(penalty.free), 0) * np.float32(penalty.weight)
            scores -= over[self._differing(penalty.vector, allowed)]
        worse: NDArray[np.uint16] = np.clip((scores.max() - scores) * bits, 0, 2**16 - 1).astype(np.uint16)
        return worse

    def _differing(self, query_D: Floats, allowed: Rows | None) -> NDArray[np.uint16]:
        """In how many signs each row differs from the query's weights."""
        own = _packed((query_D @ self.weights)[None])[0]
        counts = np.zeros(self.words.shape[1] if allowed is None else len(allowed), np.uint16)

        def block(start: int) -> None:
            some = slice(start, start + _TOGETHER)
            part, rows = counts[some], some if allowed is None else allowed[some]
            differing, number = np.empty(len(part), np.uint64), np.empty(len(part), np.uint8)
            for row_words, word in zip(self.words, own, strict=True):
                np.bitwise_xor(row_words[rows], word, out=differing)
                np.add(part, np.bitwise_count(differing, out=number), out=part)

        in_threads(block, range(0, len(counts), _TOGETHER))
        return counts

    def _scores(self, query_D: Floats, rows: Rows) -> Floats:
        """About the inner products of these rows and a query, from the rows' signs."""
        weights = query_D @ self.weights
        signs = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).astype(np.float32) * 2 - 1
        sums = weights.reshape(-1, 8) @ signs.T  # of each byte's weights, for all 256 bytes
        scores = np.full(len(rows), self.mean @ query_D, np.float32)

        def block(start: int) -> None:
            some = slice(start, start + _TOGETHER)
            codes = np.ascontiguousarray(self.words[:, rows[some]].T).view(np.uint8)
            for column, table in zip(codes.T, sums, strict=True):
                scores[some] += table[column]

        in_threads(block, range(0, len(rows), _TOGETHER))
        return scores


def _packed(numbers_NB: NDArray[np.floating[Any]]) -> Words:
    return np.packbits(numbers_NB > 0, axis=1).view(np.uint64)


@lru_cache(maxsize=4)
def _rotation(dimension: int) -> Floats:
    """The same (D, B) for every gallery of this length of vectors; rows or columns are orthonormal."""
    size = (dimension, 64 * -(-min(dimension, _MOST_BITS) // 64))
    drawn = np.random.default_rng(0).standard_normal((max(size), min(size)))
    turned = np.linalg.qr(drawn)[0].astype(np.float32)
    return turned if size[0] >= size[1] else np.ascontiguousarray(turned.T)

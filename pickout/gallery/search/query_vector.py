"""From a query to one vector and penalties, so that a search with many parts is as exact as one with a sentence."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pickout.config import Settings
from pickout.errors import UsageError
from pickout.gallery.encoder import Encoder, picture_vectors, sentence_vectors
from pickout.gallery.search.query import Query
from pickout.gallery.storage.rows import Resident
from pickout.gallery.vectors.exact import Penalty

_SAMPLE = 10_000  # crops over which the spread of scores is taken at most


class AimSettings(Settings):
    """How the parts of a query are weighed; docs/queries.md tells what the defaults were chosen on."""

    picture: float = Field(default=0.5, ge=0, le=1)
    """Weight of the pictures and liked crops in a query that has sentences, too."""
    without: float = Field(default=0.5, ge=0)
    """What likeness to the unwanted costs, in standard deviations of the score for each one of its own."""
    less_like: float = Field(default=0.5, ge=0)
    """The same for likeness to the crops that are not meant, shared among them."""
    less_like_from: float = 2.0
    """Standard deviations above the mean likeness from which that costs anything, so that only look-alikes are hit."""


class Aim(NamedTuple):
    """A query as a search needs it: (D,) whose inner product with a crop's is the score before penalties."""

    vector: NDArray[np.float32]
    penalties: tuple[Penalty, ...] = ()


def take_aim(
    query: Query,
    encoder: Encoder,
    resident: Resident,
    locate: Callable[[str], int],
    settings: AimSettings,
    known: Mapping[str, NDArray[np.float32]] = {},
) -> Aim:
    """Encode a query.

    Sentences are averaged, and so are pictures with liked crops; where there are both, the vector is
    `(1 - w) sentences + w pictures`. A mean of unit vectors gives the mean of the scores. For each unwanted part n,
    `weight * sigma_q * max(0, z_n(x) - from)` is taken off, where `z_n` is the likeness to n in standard deviations
    over the gallery and `sigma_q` the standard deviation of the score: being far from the unwanted earns nothing.

    `locate` tells a crop's row by its id or path; `known` are sentences that were encoded already."""
    names = [*query.more_like, *query.less_like]
    crops = list(resident.vectors.at([locate(name) for name in names])) if names else []
    for name, crop in zip(names, crops, strict=True):
        if not np.isfinite(crop).all():
            raise UsageError(f"no crop '{name}' in the gallery any more")
    liked, disliked = crops[: len(query.more_like)], crops[len(query.more_like) :]
    pictures = [*picture_vectors(encoder, query.pictures()), *liked]
    said = [*query.texts, *query.without]
    sentences = [known[each] for each in said] if known.keys() >= set(said) else list(sentence_vectors(encoder, said))
    described, unwanted = sentences[: len(query.texts)], sentences[len(query.texts) :]
    vector = _mean(described or pictures)
    if described and pictures:
        vector = np.asarray((1 - settings.picture) * vector + settings.picture * _mean(pictures), dtype=np.float32)
    if not unwanted and not disliked:
        return Aim(vector)
    sample = _sample(resident)
    spread = float((sample @ vector).std()) if len(sample) else 0.0
    penalties = [_penalty(sample, each, spread * settings.without, 0.0) for each in unwanted]
    # Crops that are not meant share one weight, as one picture of them would; unwanted things count each by itself.
    share = spread * settings.less_like / max(len(disliked), 1)
    penalties += [_penalty(sample, each, share, settings.less_like_from) for each in disliked]
    return Aim(vector, tuple(penalties))


def _mean(vectors: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    return vectors[0] if len(vectors) == 1 else np.mean(np.stack(vectors), axis=0, dtype=np.float32)


def _penalty(sample_ND: NDArray[np.float32], vector: NDArray[np.float32], cost: float, beyond: float) -> Penalty:
    """Costs `cost` for each standard deviation of likeness from `beyond` standard deviations above its mean."""
    likeness = sample_ND @ vector
    deviation = float(likeness.std()) if len(likeness) else 0.0
    if deviation <= 1e-6:  # All crops are equally like it: nothing to tell them apart by.
        return Penalty(vector, 0.0, 0.0)
    return Penalty(vector, float(likeness.mean()) + beyond * deviation, cost / deviation)


def _sample(resident: Resident) -> NDArray[np.float32]:
    """Vectors of crops evenly spaced in the order of paths: the same for the same gallery, whatever the filter."""
    rows = len(resident.ids)
    chosen = np.zeros(rows, dtype=np.bool_)
    chosen[np.linspace(0, rows - 1, min(rows, _SAMPLE)).astype(np.int64)] = True
    vectors = resident.vectors.at(np.flatnonzero(chosen[resident.order]))
    return vectors[np.isfinite(vectors[:, 0])]

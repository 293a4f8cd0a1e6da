"""From a query to ranked rows: filter first, search, look again at the best, group, cut out a page."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

import numpy as np
from pydantic import Field

from pickout.config import Settings
from pickout.errors import UsageError
from pickout.gallery.encoder import Encoder, Matching, picture_vectors, sentence_vectors
from pickout.gallery.search.filters import ANYWHERE, Where, allowed, check_where
from pickout.gallery.search.query import Query, is_end, possible_ids
from pickout.gallery.storage.rows import NO_FACET, Resident
from pickout.gallery.storage.store import Store
from pickout.gallery.vectors.exact import Aim, Doubles, Floats, Penalty, Rows


class Grouping(StrEnum):
    """Which candidates are shown as one."""

    NONE = "none"  # each crop by itself
    TRACK = "track"  # crops of one track of one camera and video. A crop without track is by itself.
    DUPLICATE = "duplicate"  # crops whose vectors are nearly equal to that of a better candidate


def grouped(positions_k: Rows, resident: Resident, grouping: Grouping, *, duplicate: float) -> list[list[int]]:
    """Walk down a ranking; each crop joins the first group it belongs to, or leads a new one. Places in the ranking."""
    numbers: Iterable[int] = range(len(positions_k))
    if grouping is Grouping.TRACK and resident.facets.get("track", NO_FACET).names:
        facets = [resident.facets.get(name, NO_FACET) for name in ("track", "camera", "video")]
        keys = np.stack([facet.positions[positions_k] for facet in facets if facet.names])
        keys = np.where(keys[:1] < 0, -1 - np.arange(len(positions_k)), keys)  # no track: nothing else is like it
        numbers = np.unique(keys, axis=1, return_inverse=True)[1].reshape(-1).tolist()
    elif grouping is Grouping.DUPLICATE:
        numbers = _by_leader(resident.vectors.at(positions_k), duplicate)
    groups: dict[int, list[int]] = {}
    for place, number in enumerate(numbers):
        groups.setdefault(number, []).append(place)
    return list(groups.values())


def _by_leader(vectors_kD: Floats, duplicate: float) -> Iterator[int]:
    """For each vector the number of the first leader that it is nearly equal to, or a new one, which it leads."""
    leaders, count = np.empty_like(vectors_kD), 0
    for vector in vectors_kD:
        alike = np.flatnonzero(leaders[:count] @ vector >= duplicate)
        if not len(alike):
            leaders[count] = vector
            count += 1
        yield int(alike[0]) if len(alike) else count - 1


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


Known = Mapping[str, Floats]  # vectors of sentences that were encoded together


def take_aim(
    query: Query, encoder: Encoder, resident: Resident, store: Store, settings: AimSettings, known: Known
) -> Aim:
    """Encode a query. Sentences are averaged, and so are pictures with liked crops; where there are both, the vector is
    `(1 - w) sentences + w pictures`. For each unwanted part n, `weight * sigma_q * max(0, z_n(x) - from)` is taken off,
    where `z_n` is the likeness to n in standard deviations over the gallery and `sigma_q` the standard deviation of the
    score. `known` are sentences that were encoded already."""
    names = [*query.more_like, *query.less_like]
    crops = list(resident.vectors.at([_located(name, resident, store) for name in names])) if names else []
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


def _located(name: str, resident: Resident, store: Store) -> int:
    """The row of a crop by its id, its path or the end of its path."""

    def rows(ids: Iterable[str]) -> Iterator[int]:
        found = (int(row) for each in ids for row in np.flatnonzero(resident.ids == each.encode(errors="replace")))
        return (row for row in found if resident.hidden is None or not resident.hidden[row])

    if (position := next(rows(possible_ids(name)), None)) is not None:
        return position
    alike = list(rows(identifier for identifier, file in store.files() if is_end(name, file)))
    if len(alike) > 1:
        raise UsageError(f"'{name}' is the end of {len(alike)} crops' paths; give the id of one")
    if not alike:
        raise UsageError(f"no crop '{name}' in the gallery; give an id or a path as --json tells them")
    return alike[0]


def _mean(vectors: list[Floats]) -> Floats:
    return vectors[0] if len(vectors) == 1 else np.mean(np.stack(vectors), axis=0, dtype=np.float32)


def _penalty(sample_ND: Floats, vector: Floats, cost: float, beyond: float) -> Penalty:
    """Costs `cost` for each standard deviation of likeness from `beyond` standard deviations above its mean."""
    likeness = sample_ND @ vector
    deviation = float(likeness.std()) if len(likeness) else 0.0
    if deviation <= 1e-6:  # All crops are equally like it: nothing to tell them apart by.
        return Penalty(vector, 0.0, 0.0)
    return Penalty(vector, float(likeness.mean()) + beyond * deviation, cost / deviation)


def _sample(resident: Resident) -> Floats:
    """Vectors of crops evenly spaced in the order of paths: the same for the same gallery, whatever the filter."""
    rows = len(resident.ids)
    chosen = np.zeros(rows, dtype=np.bool_)
    chosen[np.linspace(0, rows - 1, min(rows, _SAMPLE)).astype(np.int64)] = True
    vectors = resident.vectors.at(np.flatnonzero(chosen[resident.order]))
    return vectors[np.isfinite(vectors[:, 0])]


LOOKED_AT = 50  # rows ranked at least, whatever is shown: what stands behind a candidate tells how much its score means
_GROUPED = 1000  # rows that are grouped at least, so that a group has its members

SecondLook = Callable[[Rows], Floats]
"""Matching scores (k,) of rows (k,); NaN for a row that was indexed without tokens."""


class SearchSettings(Settings):
    """Rarely changed numbers of a search; `pickout search --set` sets them."""

    aim: AimSettings = AimSettings()  # how the parts of a query are weighed
    error: float = Field(default=0.05, gt=0, lt=1)
    """Share of searches for people who are not there that may be answered, once the gallery is calibrated."""
    duplicate: float = Field(default=0.95, gt=0, le=1)
    """Inner product of two crops' vectors from which they are near-duplicates."""
    candidates: int | None = Field(default=None, ge=0)
    """How many of the best are looked at again by a model that can; none: as many as the model says."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A search as it was asked for: `top` candidates on each page, pages from 1."""

    query: Query
    where: Where = ANYWHERE
    top: int = 20
    page: int = 1
    grouping: Grouping = Grouping.NONE
    settings: SearchSettings = field(default_factory=SearchSettings)


class Place(NamedTuple):
    """One row in the ranking, with its score, that of a second look, and the rows that are shown as one with it."""

    position: int
    score: float
    match: float | None
    others: tuple[int, ...] = ()


class Ranking(NamedTuple):
    """A page of the ranking and what stands around it."""

    places: list[Place]  # best first
    passed: int  # how many rows pass the filters
    head: Doubles  # (h,) scores that rank the first rows of all, best first, whatever the page
    more: bool  # whether there is a next page


def ranked(resident: Resident, aim: Aim, asked: Asked, candidates: int = 0, look: SecondLook | None = None) -> Ranking:
    """A page of rows, or groups of rows, that pass the filters, best first; equal scores by path. The best `candidates`
    are looked at again and ranked by that; the rest follow as they were."""
    check_where(asked.where, resident)
    mask = allowed(asked.where, resident)
    passed = len(resident.ids) if mask is None else int(np.count_nonzero(mask))
    top, wanted, grouping = asked.top, asked.page * asked.top, asked.grouping
    depth = max(wanted + 1, candidates, LOOKED_AT, _GROUPED if grouping is not Grouping.NONE else 0)
    looked: dict[int, float] = {}
    came = -1
    while True:
        rows, scores = resident.vectors.top(aim, top=depth, order_N=resident.order, allowed_N=mask)
        if look is not None and candidates:
            first = rows[:candidates].tolist()
            if not looked:
                matches = zip(first, look(rows[:candidates]).tolist(), strict=True)
                looked = {row: match for row, match in matches if match == match}
            # Rows that had no second look keep the order they had, behind those that had one.
            order = np.arange(len(rows))
            order[: len(first)] = np.argsort([-looked.get(row, -np.inf) for row in first], kind="stable")
            rows, scores = rows[order], scores[order]
        groups = grouped(rows, resident, grouping, duplicate=asked.settings.duplicate)
        # All that pass may never come: a crop goes away meanwhile, or its page of an index is damaged.
        if len(groups) > wanted or len(rows) >= passed or len(rows) <= came:
            break
        depth, came = 4 * depth, len(rows)
    numbers = rows.tolist()
    places = [
        Place(numbers[best], float(scores[best]), looked.get(numbers[best]), tuple(numbers[other] for other in others))
        for best, *others in groups[wanted - top : wanted]
    ]
    head = [looked[row] for row in numbers[: len(looked)]] if looked else scores[:LOOKED_AT]
    return Ranking(places, passed, np.asarray(head, dtype=np.float64), len(groups) > wanted)


def looks_again(encoder: Encoder, query: Query, candidates: int | None) -> int:
    """How many of the best are looked at again, of `candidates` wanted: 0 for a model that cannot, or with pictures or
    crops in the query, which a second look would forget."""
    if not isinstance(encoder, Matching) or query.images or query.more_like or query.less_like or not query.texts:
        return 0
    return encoder.candidates if candidates is None or not encoder.candidates else candidates


def second_look(encoder: Matching, query: Query, resident: Resident, store: Store, without: float) -> SecondLook:
    """The mean matching score of the query's sentences, less `without` times that of the unwanted above its mean."""

    def look(rows: Rows) -> Floats:
        ids = resident.located(rows.tolist())
        tokens = store.fetch_tokens(ids)
        have = np.array([each in tokens for each in ids], np.bool_)
        scores = np.full(len(ids), np.nan, dtype=np.float32)
        if have.any():
            stacked = np.stack([tokens[each] for each in ids if each in tokens])
            found = np.mean([encoder.match(text, stacked) for text in query.texts], axis=0)
            for text in query.without:
                unwanted = encoder.match(text, stacked)
                found = found - without * np.maximum(unwanted - unwanted.mean(), 0)
            scores[have] = found
        return scores

    return look

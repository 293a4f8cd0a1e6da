"""One search from query to answer, on a gallery's parts."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pickout.errors import UsageError
from pickout.gallery.encoder import Encoder, Matching, sentence_vectors
from pickout.gallery.search.answer import Answer, Verdict
from pickout.gallery.search.crop_names import is_end, possible_ids
from pickout.gallery.search.filters import Where, allowed, check_where
from pickout.gallery.search.groups import Grouping
from pickout.gallery.search.hits import Hit
from pickout.gallery.search.probability import Calibration
from pickout.gallery.search.query import Query
from pickout.gallery.search.query_vector import take_aim
from pickout.gallery.search.ranking import Ranking, SearchSettings, ranked
from pickout.gallery.search.reading_notes import reading_notes
from pickout.gallery.search.second_look import looks_again, second_look
from pickout.gallery.storage.columns import row_seal
from pickout.gallery.storage.rows import Resident, Row
from pickout.gallery.storage.store import Store
from pickout.gallery.vectors.exact import HeldVectors


@dataclass(frozen=True, slots=True)
class Asked:
    """A search as it was asked for.

    Args:
        query: what for.
        where: the filters.
        top: candidates on a page.
        page: from 1.
        grouping: which crops are shown as one.
        settings: rarely changed numbers.
    """

    query: Query
    where: Where
    top: int
    page: int
    grouping: Grouping
    settings: SearchSettings


Known = Mapping[str, NDArray[np.float32]]
"""Vectors of sentences that were encoded together."""


@contextmanager
def together(asked: Sequence[Asked], encoder: Encoder, resident: Resident) -> Iterator[Known]:
    """Encode the sentences of several searches at once, and score the single sentences in one pass over the vectors."""
    if len(asked) < 2:
        yield {}
        return
    sentences = list(dict.fromkeys(text for each in asked for text in (*each.query.texts, *each.query.without)))
    known = dict(zip(sentences, sentence_vectors(encoder, sentences), strict=True))
    plain = {each.query.texts[0] for each in asked if len(each.query.texts) == 1 and not each.query.images}
    if len(plain) < 2 or not isinstance(resident.vectors, HeldVectors):
        yield known
        return
    with resident.vectors.scored_together(np.stack([known[text] for text in sorted(plain)])):
        yield known


def answer(
    asked: Asked,
    encoder: Encoder,
    resident: Resident,
    store: Store,
    calibration: Calibration | None,
    known: Known | None = None,
) -> Answer:
    """Search, and say how sure the result is.

    Args:
        asked: the search.
        encoder: the gallery's model.
        resident: its rows.
        store: where they lie.
        calibration: of the gallery, where there is one.
        known: from `together`.

    Raises:
        UsageError: a filter or a crop that the gallery does not know.
        ImageUnreadable: a picture of the query that cannot be read.
        GalleryError: the encoder broke its promise.
    """
    query, settings = asked.query, asked.settings
    aim = take_aim(query, encoder, resident, _finder(resident, store), settings.aim, known or {})
    candidates, look = looks_again(encoder, query, settings.candidates), None
    if candidates and isinstance(encoder, Matching):
        look = second_look(encoder, query, resident, store, settings.aim.without)
    ranking = ranked(
        resident,
        aim,
        top=asked.top,
        where=asked.where,
        page=asked.page,
        grouping=asked.grouping,
        duplicate=settings.duplicate,
        candidates=candidates,
        second_look=look,
    )
    notes = reading_notes(query, encoder)
    if doubt := resident.vectors.doubt(ranking.passed):
        notes.append(doubt)
    verdict = None
    if calibration is not None and not (query.is_plain and calibration.second_look == bool(candidates)):
        calibration = None
        notes.append("Probabilities are only told for a single sentence, searched as the gallery was calibrated.")
    elif calibration is not None and len(ranking.head):
        best = calibration.probabilities(ranking.head[:1], ranking.head, ranking.passed)[0]
        verdict = Verdict(float(best), calibration.threshold(settings.error, ranking.passed), settings.error)
        notes += calibration.doubts(float(ranking.head[0]), ranking.passed)
    rows = store.fetch(_id(resident, place.position) for place in ranking.places)
    hits = _hits(ranking, rows, resident, calibration, first=(asked.page - 1) * asked.top + 1)
    faults = tuple(_faults(hits, rows, len(ranking.places), resident, store))
    about = (ranking.passed, asked.page, ranking.more, asked.grouping, verdict, tuple(notes), faults)
    return Answer(query, hits, asked.where, *about)


@dataclass(frozen=True, slots=True)
class Scored:
    """Every crop that passes some filters.

    Args:
        ids: (k,) byte strings of 32 hexadecimal digits.
        scores: (k,) inner products with the query, less penalties.
        times: (k,) microseconds, NaT without time.
    """

    ids: NDArray[np.bytes_]
    scores: NDArray[np.float32]
    times: NDArray[np.datetime64]


def every_score(query: Query, where: Where, encoder: Encoder, resident: Resident, store: Store) -> Scored:
    """The score of every crop that passes the filters, in one pass over the vectors.

    Raises:
        UsageError: a filter or a crop that the gallery does not know.
        ImageUnreadable: a picture of the query that cannot be read.
        GalleryError: the encoder broke its promise.
    """
    check_where(where, resident)
    aim = take_aim(query, encoder, resident, _finder(resident, store), SearchSettings().aim)
    scores = np.empty(len(resident.ids), np.float32)
    for rows, vectors in resident.vectors.blocks():
        found = vectors @ aim.vector
        for penalty in aim.penalties:
            found -= np.float32(penalty.weight) * np.maximum(vectors @ penalty.vector - np.float32(penalty.free), 0)
        scores[rows] = found
    passed = allowed(where, resident)
    chosen = slice(None) if passed is None else passed
    return Scored(resident.ids[chosen], scores[chosen], resident.times[chosen])


def _faults(
    hits: Sequence[Hit], rows: Mapping[str, Row], places: int, resident: Resident, store: Store
) -> Iterator[str]:
    """What is damaged of what is shown, and of the vectors that were compared."""
    # Where the version is another, another process has removed them meanwhile.
    if len(hits) < places and store.version() == resident.version:
        yield f"{places - len(hits)} candidates are left out, since their rows cannot be read"
    unlike = [hit for hit in hits if rows[hit.id].seal not in (None, row_seal(rows[hit.id]))]
    # Most models keep no tokens; where they are kept, the seal is over them, too.
    tokens = store.fetch_tokens(hit.id for hit in unlike) if unlike else {}
    ranks = [str(hit.rank) for hit in unlike if rows[hit.id].seal != row_seal(rows[hit.id], tokens.get(hit.id))]
    if ranks:
        yield f"candidate {', '.join(ranks)}: the row is not as it was written, so what is shown of it may be wrong"
    if resident.damaged:
        yield f"{resident.damaged} crops have damaged vectors, so they are found wrongly or not at all"


def _hits(
    ranking: Ranking, rows: Mapping[str, Row], resident: Resident, calibration: Calibration | None, *, first: int
) -> tuple[Hit, ...]:
    hits: list[Hit] = []
    for place, probability in zip(ranking.places, _probabilities(ranking, calibration), strict=True):
        row = rows.get(_id(resident, place.position))
        if row is None:  # another process has removed it since this one read the vectors
            continue
        others = tuple(_id(resident, other) for other in place.others)
        hits.append(
            Hit.of(row, first + len(hits), place.score, match=place.match, probability=probability, others=others)
        )
    return tuple(hits)


def _probabilities(ranking: Ranking, calibration: Calibration | None) -> list[float | None]:
    """One for each place; None for those behind the candidates that were looked at again."""
    places = ranking.places
    if calibration is None or not places:
        return [None] * len(places)
    decisive = np.array([place.decisive for place in places])
    told = calibration.probabilities(decisive, ranking.head, ranking.passed).tolist()
    return [
        None if calibration.second_look and place.match is None else value
        for place, value in zip(places, told, strict=True)
    ]


def _id(resident: Resident, position: int) -> str:
    return str(resident.ids[position].decode())


def _finder(resident: Resident, store: Store) -> Callable[[str], int]:
    """Finds the row of a crop by its id, its path or the end of its path."""

    def row(identifier: str) -> int | None:
        found: NDArray[np.int64] = np.flatnonzero(resident.ids == identifier.encode(errors="replace"))
        return int(found[0]) if len(found) else None

    def find(name: str) -> int:
        for identifier in possible_ids(name):
            if (position := row(identifier)) is not None:
                return position
        alike = [identifier for identifier, file in store.files() if is_end(name, file)]
        if len(alike) > 1:
            raise UsageError(f"'{name}' is the end of {len(alike)} crops' paths; give the id of one")
        position = row(alike[0]) if alike else None
        if position is None:
            raise UsageError(f"no crop '{name}' in the gallery; give an id or a path as --json tells them")
        return position

    return find

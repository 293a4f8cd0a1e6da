"""One search from query to answer, on a gallery's parts."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pickout.errors import UsageError
from pickout.gallery.encoder import Encoder, Matching
from pickout.gallery.search.answer import Answer, Verdict
from pickout.gallery.search.crop_names import is_end, possible_ids
from pickout.gallery.search.filters import Where
from pickout.gallery.search.groups import Grouping
from pickout.gallery.search.hits import Hit
from pickout.gallery.search.probability import Calibration
from pickout.gallery.search.query import Query
from pickout.gallery.search.query_vector import take_aim
from pickout.gallery.search.ranking import Place, Ranking, SearchSettings, ranked
from pickout.gallery.search.reading_notes import reading_notes
from pickout.gallery.search.second_look import looks_again, second_look
from pickout.gallery.storage.columns import row_seal
from pickout.gallery.storage.rows import Resident, Row
from pickout.gallery.storage.store import Store


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


def answer(asked: Asked, encoder: Encoder, resident: Resident, store: Store, calibration: Calibration | None) -> Answer:
    """Search, and say how sure the result is.

    Raises:
        UsageError: a filter or a crop that the gallery does not know.
        ImageUnreadable: a picture of the query that cannot be read.
        GalleryError: the encoder broke its promise.
    """
    query, settings = asked.query, asked.settings
    aim = take_aim(query, encoder, resident, _finder(resident, store), settings.aim)
    candidates = looks_again(encoder, query, settings.candidates)
    look = None
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
    fits = calibration is not None and query.is_plain and calibration.second_look == bool(candidates)
    notes = reading_notes(query, encoder)
    if doubt := resident.vectors.doubt(ranking.passed):
        notes.append(doubt)
    verdict = None
    if calibration is not None and fits and len(ranking.head):
        verdict = _verdict(calibration, ranking, settings.error)
        notes += calibration.doubts(float(ranking.head[0]), ranking.passed)
    elif calibration is not None and not fits:
        notes.append("Probabilities are only told for a single sentence, searched as the gallery was calibrated.")
    rows = store.fetch(_id(resident, place.position) for place in ranking.places)
    hits = _hits(ranking, asked, resident, rows, calibration if fits else None)
    missing = len(ranking.places) - len(hits)
    faults = tuple(_faults(hits, rows, missing, resident, store))
    return Answer(
        query,
        hits,
        asked.where,
        ranking.passed,
        asked.page,
        ranking.more,
        asked.grouping,
        verdict,
        tuple(notes),
        faults,
    )


def _faults(
    hits: Sequence[Hit], rows: Mapping[str, Row], missing: int, resident: Resident, store: Store
) -> Iterator[str]:
    """What is damaged of what is shown, and of the vectors that were compared."""
    if missing and store.version() == resident.version:  # else another process has removed them meanwhile
        yield f"{missing} candidates are left out, since their rows cannot be read"
    unlike = [hit for hit in hits if rows[hit.id].seal not in (None, row_seal(rows[hit.id]))]
    # Most models keep no tokens; where they are kept, the seal is over them, too.
    tokens = store.fetch_tokens(hit.id for hit in unlike) if unlike else {}
    ranks = [str(hit.rank) for hit in unlike if rows[hit.id].seal != row_seal(rows[hit.id], tokens.get(hit.id))]
    if ranks:
        yield f"candidate {', '.join(ranks)}: the row is not as it was written, so what is shown of it may be wrong"
    if resident.damaged:
        yield f"{resident.damaged} crops have damaged vectors, so they are found wrongly or not at all"


def _verdict(calibration: Calibration, ranking: Ranking, error: float) -> Verdict:
    best = calibration.probabilities(ranking.head[:1], ranking.head, ranking.passed)[0]
    return Verdict(float(best), calibration.threshold(error, ranking.passed), error)


def _hits(
    ranking: Ranking, asked: Asked, resident: Resident, rows: Mapping[str, Row], calibration: Calibration | None
) -> tuple[Hit, ...]:
    places = ranking.places
    probabilities = _probabilities(places, ranking, calibration)
    first = (asked.page - 1) * asked.top + 1
    # A row that another process removed since this one read the vectors is passed over.
    found = [pair for pair in zip(places, probabilities, strict=True) if _id(resident, pair[0].position) in rows]
    return tuple(
        Hit.of(
            rows[_id(resident, place.position)],
            rank,
            place.score,
            match=place.match,
            probability=probability,
            others=tuple(_id(resident, other) for other in place.others),
        )
        for rank, (place, probability) in enumerate(found, start=first)
    )


def _probabilities(places: list[Place], ranking: Ranking, calibration: Calibration | None) -> list[float | None]:
    """One for each place; None for those behind the candidates that were looked at again."""
    if calibration is None or not places:
        return [None] * len(places)
    told = calibration.probabilities(
        np.array([place.decisive for place in places]), ranking.head, ranking.passed
    ).tolist()
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

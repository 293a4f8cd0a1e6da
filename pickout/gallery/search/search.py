"""One search from query to answer, on a gallery's parts."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pickout.errors import UsageError
from pickout.gallery.encoder import Encoder
from pickout.gallery.printable import printable
from pickout.gallery.search.answer import Answer, Verdict
from pickout.gallery.search.filters import Where
from pickout.gallery.search.groups import Grouping
from pickout.gallery.search.hits import Hit
from pickout.gallery.search.probability import Calibration
from pickout.gallery.search.query import Query
from pickout.gallery.search.query_vector import take_aim
from pickout.gallery.search.ranking import Place, Ranking, SearchSettings, ranked
from pickout.gallery.search.reading_notes import reading_notes
from pickout.gallery.search.second_look import looks_again, second_look
from pickout.gallery.storage.rows import Resident, row_id
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
    candidates = looks_again(encoder, query, store, settings.candidates)
    ranking = ranked(
        resident,
        aim,
        top=asked.top,
        where=asked.where,
        page=asked.page,
        grouping=asked.grouping,
        duplicate=settings.duplicate,
        candidates=candidates,
        second_look=second_look(encoder, query, resident, store, settings.aim.without) if candidates else None,
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
    hits = _hits(ranking, asked, resident, store, calibration if fits else None)
    return Answer(
        query, hits, asked.where, ranking.passed, asked.page, ranking.more, asked.grouping, verdict, tuple(notes)
    )


def _verdict(calibration: Calibration, ranking: Ranking, error: float) -> Verdict:
    best = calibration.probabilities(ranking.head[:1], ranking.head, ranking.passed)[0]
    return Verdict(float(best), calibration.threshold(error, ranking.passed), error)


def _hits(
    ranking: Ranking, asked: Asked, resident: Resident, store: Store, calibration: Calibration | None
) -> tuple[Hit, ...]:
    places = ranking.places
    rows = store.fetch(_id(resident, place.position) for place in places)
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
    """Finds the row of a crop by id, by absolute path, or by its path below the indexed folder."""

    def row(identifier: str) -> int | None:
        found: NDArray[np.int64] = np.flatnonzero(resident.ids == identifier.encode())
        return int(found[0]) if len(found) else None

    def find(name: str) -> int:
        position = row(name) if name.isascii() else None
        if position is None:
            position = row(row_id(Path(name).absolute()))
        if position is not None:
            return position
        parts = Path(name).parts
        alike = [identifier for identifier, file in store.files() if file.parts[-len(parts) :] == parts]
        if len(alike) > 1:
            raise UsageError(f"'{printable(name)}' is the end of {len(alike)} crops' paths; give the id of one")
        position = row(alike[0]) if alike else None
        if position is None:
            raise UsageError(f"no crop '{printable(name)}' in the gallery; give an id or a path as --json tells them")
        return position

    return find

"""One search from query to answer, on a gallery's parts."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pickout.errors import UsageError
from pickout.gallery.encoder import Encoder, Matching, Reading, sentence_vectors
from pickout.gallery.search.answer import Answer, Hit, Verdict
from pickout.gallery.search.filters import Where, allowed, check_where
from pickout.gallery.search.probability import Calibration, passing
from pickout.gallery.search.query import Query, is_end, possible_ids
from pickout.gallery.search.query_vector import take_aim
from pickout.gallery.search.ranking import Asked, Ranking, SearchSettings, looks_again, ranked, second_look
from pickout.gallery.storage.columns import row_seal
from pickout.gallery.storage.rows import Resident, Row
from pickout.gallery.storage.store import Store
from pickout.gallery.vectors.exact import HeldVectors

_FOREIGN = 0.5  # share of letters in foreign words from which the script is told to be unknown
_STRANGE = 0.5  # share of unknown words from which the language is told to be unknown
_NAMED = 5

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
    asked: Asked, encoder: Encoder, resident: Resident, store: Store, calibration: Calibration | None, known: Known
) -> Answer:
    """Search, and say how sure the result is. `known` comes from `together`; errors as of `Gallery.ask`."""
    query, settings = asked.query, asked.settings
    aim = take_aim(query, encoder, resident, _finder(resident, store), settings.aim, known)
    candidates, look = looks_again(encoder, query, settings.candidates), None
    if candidates and isinstance(encoder, Matching):
        look = second_look(encoder, query, resident, store, settings.aim.without)
    ranking = ranked(resident, aim, asked, candidates, look)
    notes = _reading_notes(query, encoder)
    if doubt := resident.vectors.doubt(ranking.passed):
        notes.append(doubt)
    verdict = None
    if calibration is not None and not (query.is_plain and calibration.second_look == bool(candidates)):
        calibration = None
        notes.append("Probabilities are only told for a single sentence, searched as the gallery was calibrated.")
    elif calibration is not None and len(ranking.head):
        best = calibration.probabilities(ranking.head[:1], ranking.head, ranking.passed)[0]
        verdict = Verdict(float(best), passing(calibration.levels, settings.error, ranking.passed), settings.error)
        notes += calibration.doubts(float(ranking.head[0]), ranking.passed)
    rows = store.fetch(_id(resident, place.position) for place in ranking.places)
    hits = _hits(ranking, rows, resident, calibration, first=(asked.page - 1) * asked.top + 1)
    faults = tuple(_faults(hits, rows, len(ranking.places), resident, store))
    about = (ranking.passed, asked.page, ranking.more, asked.grouping, verdict, tuple(notes), faults)
    return Answer(query, hits, asked.where, *about)


@dataclass(frozen=True, slots=True)
class Scored:
    """Every crop that passes some filters."""

    ids: NDArray[np.bytes_]  # (k,) 32 hexadecimal digits
    scores: NDArray[np.float32]  # (k,) inner products with the query, less penalties
    times: NDArray[np.datetime64]  # (k,) microseconds, NaT without time


def every_score(query: Query, where: Where, encoder: Encoder, resident: Resident, store: Store) -> Scored:
    """The score of every crop that passes the filters, in one pass over the vectors."""
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


def _reading_notes(query: Query, encoder: Encoder) -> list[str]:
    """One note for each sentence that the model cannot read as it stands; none where it cannot tell."""
    if not isinstance(encoder, Reading):
        return []
    return [note for text in (*query.texts, *query.without) if (note := _note(text, encoder))]


def _note(text: str, encoder: Reading) -> str:
    found = encoder.familiarity(text)
    shown = text if len(text) <= 60 else text[:57] + "..."
    if found.foreign >= _FOREIGN or found.words == 0:
        return f"'{shown}' is in a script that the model does not know; the ranking is little better than chance."
    if found.strange >= _STRANGE:
        return f"'{shown}' is hardly in words that the model knows; name clothes and things plainly, in English."
    told = []
    if found.unknown:
        more = f" and {len(found.unknown) - _NAMED} more" if len(found.unknown) > _NAMED else ""
        told.append(f"The model hardly knows: {', '.join(found.unknown[:_NAMED])}{more}.")
    if found.cut:
        told.append(f"The model read the first {found.words - found.cut} of {found.words} words of '{shown}'.")
    return " ".join(told)


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
    told: list[float | None] = [None] * len(ranking.places)
    if calibration is not None and told:
        decisive = [place.score if place.match is None else place.match for place in ranking.places]
        told = calibration.probabilities(np.array(decisive), ranking.head, ranking.passed).tolist()
    hits: list[Hit] = []
    for place, probability in zip(ranking.places, told, strict=True):
        row = rows.get(_id(resident, place.position))
        if row is None:  # another process has removed it since this one read the vectors
            continue
        if calibration is not None and calibration.second_look and place.match is None:
            probability = None  # it stands behind those that were looked at again
        others = tuple(_id(resident, other) for other in place.others)
        known = {"match": place.match, "probability": probability, "others": others}
        hits.append(Hit.of(row, first + len(hits), place.score, **known))
    return tuple(hits)


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

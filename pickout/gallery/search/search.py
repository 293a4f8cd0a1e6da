"""One search from query to answer, on a gallery's parts."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from datetime import datetime
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pickout.errors import listed
from pickout.gallery.approximate.far_vectors import FarVectors
from pickout.gallery.encoder import Encoder, Matching, Reading, sentence_vectors
from pickout.gallery.search import ranking
from pickout.gallery.search.filters import ANYWHERE, Where, allowed, check_where
from pickout.gallery.search.probability import Calibration, passing
from pickout.gallery.search.query import Query
from pickout.gallery.search.ranking import Asked, Grouping, Known, Ranking, SearchSettings, take_aim
from pickout.gallery.storage.rows import Located, Metadata, Resident, Row, row_seal
from pickout.gallery.storage.store import Store
from pickout.gallery.vectors.exact import Floats, HeldVectors, Ids
from pickout.text.familiarity import Familiarity

_SHOWN = ("id", "file", "path", "width", "height", "metadata", "thumbnail")  # what a hit takes from its row


@dataclass(frozen=True, slots=True)
class Hit:
    """One candidate: a crop that a person must look at, not an identification."""

    rank: int  # 1 for the best
    score: float  # inner product of the query's and the crop's vectors, less penalties
    id: str  # the row's id
    file: Path  # the crop's absolute path when it was indexed; it may have moved
    path: str  # the same below the indexed folder
    width: int  # of the upright original in pixels, as is the height
    height: int
    metadata: Metadata  # camera, time and labels
    thumbnail: bytes  # a small JPEG of it
    match: float | None = None  # score of the model's second look, which ranks the best; None where there was none
    probability: float | None = None  # that it shows the person described; None where that is not calibrated
    others: tuple[str, ...] = ()  # ids of the crops that are shown as one with it, best first

    @classmethod
    def of(cls, row: Row, rank: int, score: float, **told: Any) -> "Hit":
        """The hit that shows `row`; `told` is what else is known."""
        return cls(rank=rank, score=score, **{name: getattr(row, name) for name in _SHOWN}, **told)

    @property
    def camera(self) -> str | None:
        """The camera's name where it is known."""
        return self.metadata.camera

    @property
    def time(self) -> datetime | None:
        """When the crop was taken where it is known, without zone."""
        return self.metadata.time

    def as_json(self) -> dict[str, Any]:
        """All but the thumbnail, with plain values."""
        told = asdict(self)
        about, _ = told.pop("metadata"), told.pop("thumbnail")
        about |= {"time": self.time and self.time.isoformat(), "box": about["box"] and list(about["box"])}
        return {**told, "file": str(self.file), **about, "others": list(self.others)}


class Verdict(NamedTuple):
    """Whether the best probability reaches a threshold that a share `error` of searches for absent people reach."""

    best: float
    threshold: float
    error: float

    @property
    def is_good(self) -> bool:
        """False: no good match. The candidates are shown all the same, for a person to judge."""
        return self.best >= self.threshold

    def words(self) -> str:
        """The verdict as a sentence."""
        if self.is_good:
            return f"The best candidate passes the threshold that {self.error:.0%} of searches for absent people pass."
        told = f"the best candidate has probability {self.best:.2f}, below {self.threshold:.2f}"
        return f"No good match: {told}, which only {self.error:.0%} of searches for absent people reach."


@dataclass(frozen=True, slots=True)
class Answer:
    """What one search gave."""

    query: Query  # what was searched for
    hits: Sequence[Hit]  # the page's candidates, best first
    where: Where = ANYWHERE  # the filters
    passed: int = 0  # how many crops pass the filters
    page: int = 1  # the page's number, from 1
    more: bool = False  # whether there is a next page
    grouping: Grouping = Grouping.NONE  # which crops are shown as one
    verdict: Verdict | None = None  # None where the gallery is not calibrated for the query
    notes: Sequence[str] = ()  # what must be said beside the candidates, as that the model does not know a word
    faults: Sequence[str] = ()  # damage: candidates whose rows are not as they were written, or are missing
    located: Located = field(default_factory=Located, repr=False)
    """Ids of all crops that are shown, and where their rows stood when they were ranked."""
    unknown: Mapping[str, str] = field(default_factory=dict)  # words never learnt, and what each may be meant for

    @property
    def no_good_match(self) -> bool | None:
        """True where the best candidate is below the threshold; None where nothing can be said."""
        return None if self.verdict is None else not self.verdict.is_good

    def as_json(self) -> dict[str, Any]:
        """All but the candidates, with plain values."""
        verdict = self.verdict
        told = {name: getattr(self, name) for name in ("passed", "page", "more", "no_good_match")}
        told |= {"best_probability": verdict and verdict.best, "threshold": verdict and verdict.threshold}
        told |= {"error": verdict and verdict.error, "notes": list(self.notes), "faults": list(self.faults)}
        told["unknown"] = dict(self.unknown)
        return {"query": self.query.as_json(), "where": self.where.as_json(), "group": self.grouping.value, **told}


_FOREIGN = 0.5  # share of letters in foreign words from which the script is told to be unknown
_STRANGE = 0.5  # share of unknown words from which the language is told to be unknown
_FEWEST = 3  # unknown words below which they are named instead
_NAMED = 5


@contextmanager
def together(asked: Sequence[Asked], encoder: Encoder, resident: Resident) -> Iterator[Known]:
    """Encode the sentences of several searches at once, and score the single sentences in one pass over the vectors."""
    several = asked if len(asked) > 1 else ()
    sentences = list(dict.fromkeys(text for each in several for text in (*each.query.texts, *each.query.without)))
    known = dict(zip(sentences, sentence_vectors(encoder, sentences), strict=True))
    plain = {each.query.texts[0] for each in several if len(each.query.texts) == 1 and not each.query.images}
    held = resident.vectors if len(plain) > 1 and isinstance(resident.vectors, HeldVectors) else None
    with held.scored_together(np.stack([known[text] for text in sorted(plain)])) if held else nullcontext():
        yield known


def answer(
    asked: Asked, encoder: Encoder, resident: Resident, store: Store, calibration: Calibration | None, known: Known
) -> Answer:
    """Search, and say how sure the result is. `known` comes from `together`; errors as of `Gallery.ask`."""
    query, settings = asked.query, asked.settings
    aim = take_aim(query, encoder, resident, store, settings.aim, known)
    candidates, look, verdict = ranking.looks_again(encoder, query, settings.candidates), None, None
    if candidates and isinstance(encoder, Matching):
        look = ranking.second_look(encoder, query, resident, store, settings.aim.without)
    found = ranking.ranked(resident, aim, asked, candidates, look)
    # One note for each sentence that the model cannot read as it stands; none where it cannot tell.
    texts = (*query.texts, *query.without)
    read = [encoder.familiarity(text) for text in texts] if isinstance(encoder, Reading) else []
    notes = [note for text, familiar in zip(texts, read, strict=False) if (note := _note(text, familiar))]
    if isinstance(resident.vectors, FarVectors) and (doubt := resident.vectors.doubt(found.passed)):
        notes.append(doubt)
    if calibration is not None and not (query.is_plain and calibration.second_look == bool(candidates)):
        calibration = None
        notes.append("Probabilities are only told for a single sentence, searched as the gallery was calibrated.")
    elif calibration is not None and len(found.head):
        best = calibration.probabilities(found.head[:1], found.head, found.passed)[0]
        verdict = Verdict(float(best), passing(calibration.levels, settings.error, found.passed), settings.error)
        notes += calibration.doubts(float(found.head[0]), found.passed)
    rows = store.fetch(resident.located(place.position for place in found.places))
    hits = _hits(found, rows, resident, calibration, first=(asked.page - 1) * asked.top + 1)
    faults = tuple(_faults(hits, rows, len(found.places), resident, store))
    about = (found.passed, asked.page, found.more, asked.grouping, verdict, tuple(notes), faults)
    shown = resident.located(row for place in found.places for row in (place.position, *place.others))
    unknown = {word: meant for each in read for word, meant in zip_longest(each.unknown, each.meant, fillvalue="")}
    return Answer(query, hits, asked.where, *about, located=shown, unknown=unknown)


class Scored(NamedTuple):
    """Every crop that passes some filters."""

    ids: Ids  # (k,) 32 hexadecimal digits
    scores: Floats  # (k,) inner products with the query, less penalties
    times: NDArray[np.datetime64]  # (k,) microseconds, NaT without time


def every_score(query: Query, where: Where, encoder: Encoder, resident: Resident, store: Store) -> Scored:
    """The score of every crop that passes the filters, in one pass over the vectors."""
    check_where(where, resident)
    aim = take_aim(query, encoder, resident, store, SearchSettings().aim, {})
    scores = np.empty(len(resident.ids), np.float32)
    for rows, vectors in resident.vectors.blocks():
        scores[rows] = aim.scores(vectors.__matmul__)
    chosen = slice(None) if (passed := allowed(where, resident)) is None else passed
    return Scored(resident.ids[chosen], scores[chosen], resident.times[chosen])


def _note(text: str, found: Familiarity) -> str:
    shown = text if len(text) <= 60 else text[:57] + "..."
    if found.foreign >= _FOREIGN or found.words == 0:
        return f"'{shown}' is in a script that the model does not know; the ranking is little better than chance."
    if found.strange >= _STRANGE and len(found.unknown) >= _FEWEST:
        return f"'{shown}' is hardly in words that the model knows; name clothes and things plainly, in English."
    told = []
    if found.unknown:
        pairs = zip_longest(found.unknown, found.meant, fillvalue="")
        named = [f"'{word}'" + (f" (did you mean '{meant}'?)" if meant else "") for word, meant in pairs]
        told.append(f"The model never learnt {listed(named, _NAMED)}; it may guess.")
    if found.cut:
        told.append(f"The model read the first {found.words - found.cut} of {found.words} words of '{shown}'.")
    return " ".join(told)


def _faults(hits: Sequence[Hit], rows: dict[str, Row], places: int, resident: Resident, store: Store) -> Iterator[str]:
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
    if damaged := resident.vectors.damaged:
        yield f"{damaged} crops have damaged vectors, so they are found wrongly or not at all"


def _hits(
    found: Ranking, rows: Mapping[str, Row], resident: Resident, calibration: Calibration | None, *, first: int
) -> tuple[Hit, ...]:
    told, hits = list[float | None]([None] * len(found.places)), list[Hit]()
    if calibration is not None and told:
        decisive = [place.score if place.match is None else place.match for place in found.places]
        told = calibration.probabilities(np.array(decisive), found.head, found.passed).tolist()
    ids = resident.located(place.position for place in found.places)
    for identifier, place, probability in zip(ids, found.places, told, strict=True):
        row = rows.get(identifier)
        if row is None:  # another process has removed it since this one read the vectors
            continue
        if calibration is not None and calibration.second_look and place.match is None:
            probability = None  # it stands behind those that were looked at again
        known = {"match": place.match, "probability": probability, "others": tuple(resident.located(place.others))}
        hits.append(Hit.of(row, first + len(hits), place.score, **known))
    return tuple(hits)

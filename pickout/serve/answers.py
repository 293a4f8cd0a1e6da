"""What clients are answered: a model for each body. What is not in one is a fault of the server, not an extra."""

from dataclasses import dataclass
from types import GenericAlias
from typing import Annotated, Any, Literal

from pydantic import Field, conlist, create_model

from pickout.gallery.changes.retention import Hold, KeepRule
from pickout.gallery.intake.report import IngestReport
from pickout.serve.access import TokenFacts
from pickout.serve.requests import Body, Id, Name

Filtered = dict[str, str | list[str] | dict[str, list[str]]]
"""Filters that are set, by name, as a search takes them; ranges as `from/to`."""
Parts = dict[str, list[str]]  # parts of a query that are set


def _of(name: str, words: str | None = None, /, *, base: Any = Body, **fields: Any) -> Any:
    """A model of this name; a field is its type, or that and what it tells in words. Where such a model is within a
    type, that is made by a call, since mypy takes no variable for a type."""
    each = {key: kind if isinstance(kind, tuple) else (kind, None) for key, kind in fields.items()}
    required: Any = {key: Annotated[kind, Field(description=told)] for key, (kind, told) in each.items()}
    return create_model(name, __base__=base, __doc__=words, **required)


class Crop(Body):
    id: Id
    width: int
    height: int
    camera: str | None
    time: str | None
    video: str | None
    frame: int | None
    box: list[int] | None
    track: str | None
    labels: dict[str, str]


class Candidate(Crop):
    rank: int
    score: float
    match: float | None = Field(description="Score of the model's second look, where it has one.")
    probability: float | None
    """That it shows the person described, where the gallery is calibrated."""
    others: list[Id] = Field(description="Crops that are shown as one with it.")
    thumbnail: str | None = Field(None, description="A JPEG in base64, where it was asked for.")


@dataclass
class Uploaded(IngestReport):
    """An index run, and the ids of the crops that were sent."""

    crops: tuple[str, ...] = ()


_USER, _LIMITS = (str, "As the audit tells it."), list[str] | None
Me = _of(
    "Me", name=str, user=_USER, roles=list[str], blurred=bool, expires=str | None, cameras=_LIMITS, galleries=_LIMITS
)
_COUNTED = "For each thing that can be filtered by, how many crops have each value; the 1000 most frequent."
_VALUES = (dict[str, dict[str, int]], _COUNTED)
GalleryAnswer = _of(
    "GalleryAnswer", gallery=str, model=str, fingerprint=str, purposes=list[str], crops=int, values=_VALUES
)
ReadPart = _of("ReadPart", text=str, meaning=str)
OpenTime = _of("OpenTime", text=str, complete=str)
_OPEN = "Times that are no filter yet, and how each is said with its day (`{day}`); empty where more is missing."
_TIMES = (conlist(OpenTime), _OPEN)
ParseAnswer = _of("ParseAnswer", description=str, where=Filtered, read=conlist(ReadPart), open=_TIMES)
SearchAnswer = _of(
    "SearchAnswer",
    query=Parts,
    where=Filtered,
    group=str,
    passed=(int, "Crops that passed the filters."),
    page=int,
    more=bool,
    no_good_match=bool | None,
    best_probability=float | None,
    threshold=float | None,
    error=float | None,
    notes=list[str],
    faults=list[str],
    unknown=(dict[str, str], "Words that the model never learnt, and what each may be meant for."),
    parse=ParseAnswer | None,
    candidates=list[Candidate],
)
_PROMISED = {"promised": bool, "least_false_alarms_a_day": float, "crops_a_day": float, "note": str | None}
NewWatch = _of("NewWatch", name=str, search=str, **_PROMISED)
Watch = _of(
    "Watch", base=NewWatch, webhook=str | None, made=str, false_alarms_a_day=float, stopped=bool, why_stopped=str | None
)
Erased = _of("Erased", erased=int, searches_removed=(list[str], "Saved searches that named an erased crop."))
_RESULT = (dict[str, Any] | None, "As the route that began it tells.")
Begun = _of("Begun", job=str, what=str, gallery=str, ended=bool, progress=dict[str, Any], result=_RESULT)
_UNREAD = (dict[str, str], "What could not be read, by recording.")
VideoAnswer = _of("VideoAnswer", tracks=int, crops=int, faults=_UNREAD, indexed=IngestReport | None)
_CHECK = (dict[str, float | list[float] | None], "How well probabilities hold for people not used for fitting.")
Calibrated = _of("Calibrated", check=_CHECK, doubts=list[str])
Quarantine = _of("Quarantine", file=str, reason=str)
Rebuilding = _of("Rebuilding", model=str, fingerprint=str, done=int, rows=int)
State = _of(
    "State",
    rows=int,
    cameras=list[str],
    quarantined=int,
    saved_searches=int,
    format=int,
    created=str,
    model=str,
    fingerprint=str,
    search=str,
    rebuild=Rebuilding | None,
    bytes=int,
    quarantine=conlist(Quarantine),
)
_STATE = Literal["read", "mark", "cut"]
_HEAT = list[list[float]] | None
ExplainedWord = _of("ExplainedWord", text=str, start=int, stop=int, state=_STATE, weight=float | None, patches=_HEAT)
Shown = _of("Shown", way=str | None, measured=bool, note=str)
Kept = _of("Kept", patches=list[tuple[int, int, float]], pieces=list[tuple[int, float]])
Explanation = _of(
    "Explanation",
    schema_=Annotated[str, Field(alias="schema")],
    meaning=str,
    model=str,
    fingerprint=str,
    sentence=str,
    score=float,
    shown=GenericAlias(dict, (str, Shown)),
    grid=tuple[int, int],
    patches=(_HEAT, "Heat, row by row from the top."),
    words=conlist(ExplainedWord),
    bank=Kept | None,
)
CaseFacts = _of("CaseFacts", id=str, name=str, about=str, made=str, by=str)
_COUNTS = (dict[str, int], "How many crops have each verdict; `differ`: more than one.")
Case = _of("Case", "A case, as lists tell it.", base=CaseFacts, marks=_COUNTS)
_BOXES = list[tuple[float, float, float, float]]
Redaction = _of("Redaction", "What is blurred of a crop.", head=bool, boxes=_BOXES, reason=str, by=str, at=str)
JobAnswer = _of("JobAnswer", base=Begun, error=str | None)
SavedSearch = _of("SavedSearch", name=str, query=Parts, where=Filtered, group=str, saved=str, user=str)
Alarm = _of("Alarm", number=int, crop=Crop, at=str, p=float, score=float)
Recording = _of("Recording", recording=str, name=str, bytes=int, sent=str)
Fault = _of("Fault", file=str, what=str)
Rebuilt = _of("Rebuilt", rows=int, encoded=int, resumed=int, dropped=int, uncalibrated=bool, seconds=float)
Due = _of("Due", due=int, held=int, undated=int)
AuditState = _of("AuditState", entries=int, root=str, heads=int, faults=list[str], public_key=str)
Status = _of("Status", status=Literal["running", "ready", "stopping"])
Galleries = _of("Galleries", galleries=list[str])
PictureAnswer = _of("PictureAnswer", picture=str)
Saved = _of("Saved", saved=str)
Watches = _of("Watches", watches=conlist(Watch))
Updated = _of("Updated", updated=int)
Removed = _of("Removed", removed=int)
Compacted = _of("Compacted", compacted=bool)
Drawn = _of("Drawn", crops=int)
Searched = _of("Searched", search=str)
Entries = _of("Entries", entries=list[dict[str, Any]])
NewToken = _of("NewToken", base=TokenFacts, secret=str)
TokenList = _of("TokenList", tokens=list[TokenFacts])
RetentionAnswer = _of("RetentionAnswer", base=Due, rules=list[KeepRule], holds=list[Hold])
SavedSearches = _of("SavedSearches", saved=conlist(SavedSearch))
Alarms = _of("Alarms", alarms=conlist(Alarm))
Recordings = _of("Recordings", recordings=conlist(Recording))
Verified = _of("Verified", faults=int, found=conlist(Fault))
CaseList = _of("CaseList", "Cases.", cases=conlist(Case))
Mark = _of("Mark", "What one person judged.", by=str, verdict=str, reason=str, sentence=str, at=str)
MarkedCrop = _of("MarkedCrop", "A crop, and what was judged about it.", base=Crop, marks=conlist(Mark))
Note = _of("Note", "A note that was written.", text=str, by=str, at=str)
_SEARCH = (dict[str, Any], "The search, and how many candidates it showed.")
CaseQuery = _of("CaseQuery", "A search that was made for a case.", told=_SEARCH, by=str, at=str)
_REDACTED = GenericAlias(dict, (str, Redaction))
_HELD = {"crops": conlist(MarkedCrop), "notes": conlist(Note), "queries": conlist(CaseQuery)}
WholeCase = _of("WholeCase", "A case with all that is in it.", base=CaseFacts, **_HELD, redactions=_REDACTED)
Site = _of("Site", "Where the cameras stand.", cameras=dict[Name, tuple[float, float]], image=bool)

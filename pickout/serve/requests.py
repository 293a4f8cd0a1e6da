"""What clients send, checked: sizes, characters, no path where an id belongs."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from pickout.errors import UsageError
from pickout.gallery.approximate.build import ApproximateSettings
from pickout.gallery.calibration.fit import CalibrationSettings
from pickout.gallery.changes.retention import KeepRule
from pickout.gallery.intake.metadata import CameraFrom
from pickout.gallery.search.filters import Where
from pickout.gallery.search.query import LONGEST_SENTENCE, MOST
from pickout.gallery.search.ranking import Grouping
from pickout.gallery.storage.rows import Metadata, parse_time
from pickout.serve.access import Role

Id = Annotated[str, StringConstraints(max_length=2**20)]  # a bound that refuses what is no Unicode
"""Names a crop, a case, a recording or a picture, as an answer gave it; never a path. One that is garbled is answered
like one that is not there, so it is looked for as it is."""
Name = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]
"""A camera, track, label and so on."""
Moment = Annotated[str, StringConstraints(max_length=64)]
Place = Annotated[str, StringConstraints(min_length=1, max_length=4096)]
Side = Annotated[int, Field(strict=True, ge=-(2**31), lt=2**31)]
Box = Annotated[tuple[Side, Side, Side, Side], Field(strict=False)]
Head = Annotated[str, Field(max_length=10_000)]  # of the audit, signed
Sentence = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_SENTENCE)]
Names = Annotated[list[Name], Field(max_length=1000)]
Crops = Annotated[list[Id], Field(max_length=100_000)]
Text = Annotated[str, StringConstraints(max_length=10_000)]
Reason = Annotated[str, StringConstraints(max_length=1000)]
Marked = Annotated[list[Id], Field(min_length=1, max_length=10_000)]
Share = Annotated[float, Field(strict=True, ge=0, le=1)]
ShareBox = Annotated[tuple[Share, Share, Share, Share], Field(strict=False)]


class Body(BaseModel):
    """A JSON body: unknown names are refused."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)


class Sending(Body):
    """One that a client sends: no text where a number belongs, no number where text or a yes does."""

    model_config = ConfigDict(strict=True)


def _text(value: object) -> object:
    if isinstance(value, int | float):
        raise ValueError("a time is text, as 2026-03-01T14:30")
    return value


Time = Annotated[datetime, Field(strict=False), BeforeValidator(_text)]  # JSON has text for it
Range = Annotated[tuple[Time, Time], Field(strict=False)]
_YESTERDAY = "What `yesterday` is told by, in the zone of the gallery's times; none: the server's clock."
Now = Annotated[Time | None, Field(description=_YESTERDAY)]


class Filters(Sending):
    """Which crops; several filters all hold."""

    cameras: Names = Field([], description="Any of these cameras.")
    not_cameras: Names = Field([], description="None of these.")
    tracks: Names = Field([], description="Any of these tracks.")
    not_tracks: Names = Field([], description="None of these.")
    videos: Names = Field([], description="Any of these source videos.")
    not_videos: Names = Field([], description="None of these.")
    labels: dict[Name, Names] = Field({}, max_length=100, description="For each name, any of these values.")
    not_labels: dict[Name, Names] = Field({}, max_length=100, description="For each name, none of these values.")
    after: Time | None = None
    """At this time or later. Without an offset as the gallery's times stand; with one, in UTC."""
    before: Time | None = Field(None, description="Earlier than this time.")
    during: list[Range] = Field([], max_length=100, description="In any of these ranges.")

    def where(self) -> Where:
        """The same as a gallery takes it."""
        try:
            return Where(**{name: getattr(self, name) for name in type(self).model_fields})
        except OverflowError:
            raise UsageError("a time beyond the calendar; give one between the years 1 and 9999") from None


class SearchBody(Sending):
    """A search. At least one of `sentences`, `pictures`, `more_like` and `saved` is needed."""

    sentences: list[Sentence] = Field([], max_length=MOST, description="Descriptions of one person.")
    pictures: list[Id] = Field([], max_length=MOST, description="Uploaded pictures, by the ids that the upload gave.")
    without: list[Sentence] = Field([], max_length=MOST, description="What the person does not wear or carry.")
    more_like: list[Id] = Field([], max_length=MOST, description="Crops that show the person or somebody alike.")
    less_like: list[Id] = Field([], max_length=MOST, description="Crops that are not meant.")
    where: Filters = Field(Filters(), description="Which crops to look at.")
    saved: Name | None = Field(None, description="Run the search kept under this name, instead of all the above.")
    top: int = Field(default=20, ge=1, le=600, description="How many candidates on a page.")
    page: int = Field(default=1, ge=1, le=10_000, description="Which page.")
    group: Grouping = Field(Grouping.NONE, strict=False, description="Which candidates are shown as one.")
    parse: bool = True
    """Read a single sentence for cameras and times; the answer tells what was read."""
    now: Now = None
    thumbnails: bool = Field(False, description="Whether each candidate comes with its thumbnail, a JPEG in base64.")
    case: Id | None = Field(None, description="The case that this is searched for, which notes it down.")
    error: float = Field(default=0.05, gt=0, lt=1)
    """Share of searches for absent people that may be answered, where the gallery is calibrated."""


class SentenceBody(Sending):
    """A sentence."""

    sentence: Sentence = Field(description="A description of a person.")
    now: Now = None


class ChosenBody(Sending):
    """Which crops a change concerns."""

    crops: Crops = Field([], description="These.")
    where: Filters = Field(Filters(), description="And of them, or of all, those that pass these filters.")


class CropBody(Sending):
    """What is told about a crop."""

    camera: Name | None = Field(None, description="Its camera.")
    time: Moment | None = Field(None, description="When it was taken, ISO 8601.")
    video: Name | None = Field(None, description="The source video.")
    frame: int | None = Field(default=None, ge=0, lt=2**31, description="The frame's number there.")
    box: Box | None = Field(None, description="Left, top, width and height in that frame.")
    track: Name | None = Field(None, description="Its track.")
    labels: Annotated[dict[Name, Name], Field(max_length=100)] = Field({}, description="Labels.")

    def told(self) -> Metadata:
        """The same as a gallery takes it."""
        time = None if self.time is None else parse_time(self.time)
        return Metadata(self.camera, time, self.labels, self.video, self.frame, self.box, self.track)


class UpdateBody(ChosenBody, CropBody):
    """Crops, and what is told about them."""

    forget: Names = Field([], description="What is taken back of them: camera, time ..., or labels by name.")

    def told(self) -> Metadata:
        """The same as a gallery takes it."""
        found = super().told()
        if found == Metadata() and not self.forget:
            raise UsageError("nothing to tell; give a camera, a time, a label ... or what to forget")
        return found


class ExportBody(ChosenBody):
    """Which crops go into an export; none named: all."""

    pictures: bool = Field(False, description="Whether the original pictures go in, too.")


class FolderBody(Sending):
    """A folder of crops on the server."""

    folder: Place = Field(description="Below one of the folders that the server's owner allows.")
    table: str | None = Field(None, max_length=4096, description="Camera, time and labels by image; likewise.")
    camera_from: CameraFrom = Field(CameraFrom.NONE, strict=False)
    exclude: Names = Field([], description="Patterns of names that are passed over.")
    prune: bool = Field(False, description="Remove the rows below this folder whose files are gone.")
    prune_folders: bool = Field(False, description="Remove also those in folders that are gone.")
    again: bool = Field(False, description="Take back crops that were erased; without, they stay so.")


class VideoBody(Sending):
    """Recordings to look through for people: one that was sent, or those in a folder on the server."""

    recording: Id | None = Field(None, description="A recording that was sent, by the id that sending it gave.")
    folder: Place | None = None
    """Instead: a recording, or a folder of them or of pictures, below one of the folders that the owner allows."""
    camera: Name | None = Field(None, description="Its camera; none: by the recording's name without date and time.")
    start: Moment | None = Field(None, description="When it began, ISO 8601; none: by its name, else by its container.")
    zone: Name = Field("UTC", description="Time zone of `start` and of times in names.")
    detector: Annotated[str, Field(pattern=r"^(embedded|movenet|nanodet|[^\x00]{1,4000}\.onnx)$")] = "embedded"
    """What finds people; an `.onnx` file lies below one of the folders that the server's owner allows."""
    per_track: int = Field(default=3, ge=1, le=50, description="Crops of one person in one pass, at most.")
    rate: float = Field(default=5.0, gt=0, le=120, description="Frames looked at in a second of a recording.")


class CalibrateBody(Sending):
    """People to calibrate with."""

    data: Name | None = Field(None, description="A data set's name; none: drawn people, for rougher probabilities.")
    folder: Place | None = Field(None, description="Below one of the folders that the server's owner allows.")
    split: Name = Field("val", description="Its people must not have been used for training.")
    settings: CalibrationSettings = Field(CalibrationSettings(), description="How.")


class ApproximateBody(Sending):
    """How to search a gallery that is too large to hold."""

    off: bool = Field(False, description="Whether to search exactly again instead.")
    settings: ApproximateSettings = Field(ApproximateSettings(), description="How.")


class RebuildBody(Sending):
    """Another model."""

    model: Place = Field(description="A run folder or weight file below one of the folders that the owner allows.")
    drop_missing: bool = Field(False, description="Leave out crops whose originals cannot be read.")
    restart: bool = Field(False, description="Throw away what an earlier rebuild has begun.")


class SaveBody(SearchBody):
    """A search to keep."""

    name: Name = Field(description="Under this name.")


class WatchBody(Sending):
    """A saved search that is asked of each new crop."""

    name: Name = Field(description="Of the watch.")
    search: Name = Field(description="The saved search.")
    false_alarms_a_day: float = Field(gt=0, le=10_000, description="How many false alarms a day its owner accepts.")
    crops_a_day: float | None = Field(default=None, gt=0, le=1e9)
    """How many new crops pass its filters on a day; none: as many as passed on the days that the gallery covers."""
    webhook: Annotated[str, StringConstraints(max_length=2000)] | None = None
    """Where alarms are sent, too: an address that the server's owner allows."""


class RulesBody(Sending):
    """How long crops are kept."""

    rules: list[KeepRule] = Field(max_length=1000, description="At most one for each camera, and one for the rest.")


class HoldBody(ChosenBody):
    """Crops that are kept whatever the rules say; with filters also those that come later."""

    reason: Annotated[str, StringConstraints(min_length=1, max_length=1000)] = Field(description="Why.")


class TokenBody(Sending):
    """A new token."""

    name: Name = Field(description="Who will have it.")
    roles: list[Annotated[Role, Field(strict=False)]] = Field(min_length=1, max_length=4, description="What it is for.")
    cameras: Annotated[Names, Field(min_length=1)] | None = None
    """Whose crops it may see, also of cameras that come later; none: all crops."""
    galleries: Annotated[Names, Field(min_length=1)] | None = Field(None, description="Which it may see; none: all.")
    days: float = Field(default=30, gt=0, le=366, description="How long it is valid.")
    blurred: bool = Field(False, description="Whether faces are always blurred.")


class HeadsBody(Sending):
    """Heads that were kept elsewhere."""

    heads: list[Head] = Field([], max_length=100, description="As they were given out.")


class SinceBody(Sending):
    """An earlier head."""

    since: Head = Field(description="As it was given out.")


class CaseBody(Sending):
    """A new case."""

    name: Annotated[Name, StringConstraints(strip_whitespace=True)] = Field(description="What it is called.")
    about: Text = Field("", description="What it is about.")


class MarksBody(Sending):
    """What somebody judged."""

    crops: Marked = Field(description="About these.")
    verdict: Literal["fits", "maybe", "no"] | None = Field(None, description="If the crop fits; none takes it back.")
    reason: Reason = Field("", description="Why.")
    sentence: str = Field("", max_length=LONGEST_SENTENCE, description="What was searched for.")


class NoteBody(Sending):
    """A note."""

    text: Annotated[Text, StringConstraints(min_length=1)] = Field(description="What is noted.")


class RedactionBody(Sending):
    """What is blurred of crops when they leave."""

    crops: Marked = Field(description="Of these.")
    head: bool = Field(True, description="Whether the head is blurred; if not, a reason is needed.")
    boxes: list[ShareBox] = Field([], max_length=100, description="Blurred, too: left, top, width, height as shares.")
    reason: Reason = Field("", description="Why.")


class ArchiveBody(Sending):
    """What goes into a case's archive."""

    originals: bool = Field(False, description="Whether original pictures go in, unblurred, which needs a reason.")
    reason: Reason = Field("", description="Why, or for whom.")


class SiteBody(Sending):
    """Where the cameras stand."""

    cameras: Annotated[dict[Name, Annotated[tuple[Share, Share], Field(strict=False)]], Field(max_length=1000)]
    """Left and top, as shares of the plan's width and height."""

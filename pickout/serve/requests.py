"""What clients send, checked: sizes, characters, no path where an id belongs."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from pickout.errors import UsageError
from pickout.gallery.approximate.build import ApproximateSettings
from pickout.gallery.calibration.fit import CalibrationSettings
from pickout.gallery.search.filters import Where
from pickout.gallery.search.query import LONGEST_SENTENCE, MOST
from pickout.gallery.search.ranking import Grouping
from pickout.gallery.storage.rows import Metadata, parse_time
from pickout.serve.access import Role
from pickout.serve.retention import KeepRule

_MOST_NAMES = 1000

CropId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
"""A crop, by the opaque id that search gives; never a path."""
CaseId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]
"""A case."""
RecordingId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
"""A recording that was sent."""
PictureId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
"""A picture that was uploaded to search with."""
Name = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]
"""A camera, track, label and so on."""
Side = Annotated[int, Field(ge=-(2**31), lt=2**31)]
Sentence = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_SENTENCE)]
Names = Annotated[list[Name], Field(max_length=_MOST_NAMES)]
Crops = Annotated[list[CropId], Field(max_length=100_000)]


class Body(BaseModel):
    """A JSON body: unknown names are refused."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)


class Filters(Body):
    """Which crops; several filters all hold."""

    cameras: Names = []
    """Any of these cameras."""
    not_cameras: Names = []
    """None of these."""
    tracks: Names = []
    """Any of these tracks."""
    not_tracks: Names = []
    """None of these."""
    videos: Names = []
    """Any of these source videos."""
    not_videos: Names = []
    """None of these."""
    labels: Annotated[dict[Name, Names], Field(max_length=100)] = {}
    """For each name, any of these values."""
    not_labels: Annotated[dict[Name, Names], Field(max_length=100)] = {}
    """For each name, none of these values."""
    after: datetime | None = None
    """At this time or later. Without an offset as the gallery's times stand; with one, in UTC."""
    before: datetime | None = None
    """Earlier than this time."""
    during: Annotated[list[tuple[datetime, datetime]], Field(max_length=100)] = []
    """In any of these ranges."""

    def where(self) -> Where:
        """The same as a gallery takes it."""
        try:
            return Where(**{name: getattr(self, name) for name in type(self).model_fields})
        except OverflowError:
            raise UsageError("a time beyond the calendar; give one between the years 1 and 9999") from None


class SearchBody(Body):
    """A search. At least one of `sentences`, `pictures`, `more_like` and `saved` is needed."""

    sentences: Annotated[list[Sentence], Field(max_length=MOST)] = []
    """Descriptions of one person."""
    pictures: Annotated[list[PictureId], Field(max_length=MOST)] = []
    """Pictures that were uploaded, by the ids that the upload gave."""
    without: Annotated[list[Sentence], Field(max_length=MOST)] = []
    """What the person does not wear or carry."""
    more_like: Annotated[list[CropId], Field(max_length=MOST)] = []
    """Crops that show the person or somebody alike."""
    less_like: Annotated[list[CropId], Field(max_length=MOST)] = []
    """Crops that are not meant."""
    where: Filters = Filters()
    """Which crops to look at."""
    saved: Name | None = None
    """Run the search that is kept under this name, instead of all the above."""
    top: int = Field(default=20, ge=1, le=600)
    """How many candidates on a page."""
    page: int = Field(default=1, ge=1, le=10_000)
    """Which page."""
    group: Grouping = Grouping.NONE
    """Which candidates are shown as one."""
    parse: bool = True
    """Whether a single sentence is read for cameras and times; the answer tells what was read."""
    now: datetime | None = None
    """What `yesterday` in a sentence is told by, in the zone of the gallery's times; none: the server's clock."""
    thumbnails: bool = False
    """Whether each candidate comes with its thumbnail, a JPEG in base64: one answer instead of many requests."""
    case: CaseId | None = None
    """The case that this is searched for, which notes it down."""
    error: float = Field(default=0.05, gt=0, lt=1)
    """Share of searches for absent people that may be answered, where the gallery is calibrated."""


class SentenceBody(Body):
    """A sentence."""

    sentence: Sentence
    """A description of a person."""
    now: datetime | None = None
    """What `yesterday` is told by, in the zone of the gallery's times; none: the server's clock."""


class ChosenBody(Body):
    """Which crops a change concerns."""

    crops: Crops = []
    """These."""
    where: Filters = Filters()
    """And of them, or of all, those that pass these filters."""


class CropBody(Body):
    """What is told about a crop."""

    camera: Name | None = None
    """Its camera."""
    time: Annotated[str, StringConstraints(max_length=64)] | None = None
    """When it was taken, ISO 8601."""
    video: Name | None = None
    """The source video."""
    frame: int | None = Field(default=None, ge=0, lt=2**31)
    """The frame's number there."""
    box: tuple[Side, Side, Side, Side] | None = None
    """Left, top, width and height in that frame."""
    track: Name | None = None
    """Its track."""
    labels: Annotated[dict[Name, Name], Field(max_length=100)] = {}
    """Labels."""

    def told(self) -> Metadata:
        """The same as a gallery takes it."""
        time = None if self.time is None else parse_time(self.time)
        return Metadata(self.camera, time, self.labels, self.video, self.frame, self.box, self.track)


class UpdateBody(ChosenBody, CropBody):
    """Crops, and what is told about them."""

    def told(self) -> Metadata:
        """The same as a gallery takes it."""
        found = super().told()
        if found == Metadata():
            raise UsageError("nothing to tell; give a camera, a time, a label ...")
        return found


class ExportBody(ChosenBody):
    """Which crops go into an export; none named: all."""

    pictures: bool = False
    """Whether the original pictures go in, too."""


class FolderBody(Body):
    """A folder of crops on the server."""

    folder: Annotated[str, StringConstraints(min_length=1, max_length=4096)]
    """Below one of the folders that the server's owner allows."""
    table: Annotated[str, StringConstraints(max_length=4096)] | None = None
    """Camera, time and labels by image; likewise."""
    camera_from: str = Field(default="none", pattern="^(none|folder|name)$")
    """Where the camera comes from when no table tells."""
    exclude: Names = []
    """Patterns of names that are passed over."""
    prune: bool = False
    """Remove the rows below this folder whose files are gone."""
    prune_folders: bool = False
    """Remove also those in folders that are gone."""
    again: bool = False
    """Take back crops that were erased; without, they stay so."""


class VideoBody(Body):
    """Recordings to look through for people: one that was sent, or those in a folder on the server."""

    recording: RecordingId | None = None
    """A recording that was sent, by the id that sending it gave."""
    folder: Annotated[str, StringConstraints(min_length=1, max_length=4096)] | None = None
    """Instead: a recording, or a folder of them or of pictures, below one of the folders that the owner allows."""
    camera: Name | None = None
    """Its camera; none: by the recording's name without date and time."""
    start: Annotated[str, StringConstraints(max_length=64)] | None = None
    """When the recording began, ISO 8601; none: by its name, else by its container."""
    zone: Name = "UTC"
    """Time zone of `start` and of times in names."""
    detector: Annotated[str, StringConstraints(pattern=r"^(embedded|movenet|nanodet|[^\x00]{1,4000}\.onnx)$")] = (
        "embedded"
    )
    """What finds people; an `.onnx` file lies below one of the folders that the server's owner allows."""
    per_track: int = Field(default=3, ge=1, le=50)
    """Crops of one person in one pass, at most."""
    rate: float = Field(default=5.0, gt=0, le=120)
    """Frames looked at in a second of a recording."""


class CalibrateBody(Body):
    """People to calibrate with."""

    data: Name | None = None
    """The data set's name; none: people are drawn, on whom probabilities are rougher."""
    folder: Annotated[str, StringConstraints(min_length=1, max_length=4096)] | None = None
    """Below one of the folders that the server's owner allows."""
    split: Name = "val"
    """Its people must not have been used for training."""
    settings: CalibrationSettings = CalibrationSettings()
    """How."""


class ApproximateBody(Body):
    """How to search a gallery that is too large to hold."""

    off: bool = False
    """Whether to search exactly again instead."""
    settings: ApproximateSettings = ApproximateSettings()
    """How."""


class RebuildBody(Body):
    """Another model."""

    model: Annotated[str, StringConstraints(min_length=1, max_length=4096)]
    """A run folder or weight file below one of the folders that the server's owner allows."""
    drop_missing: bool = False
    """Leave out crops whose originals cannot be read."""
    restart: bool = False
    """Throw away what an earlier rebuild has begun."""


class SaveBody(SearchBody):
    """A search to keep."""

    name: Name
    """Under this name."""


class WatchBody(Body):
    """A saved search that is asked of each new crop."""

    name: Name
    """Of the watch."""
    search: Name
    """The saved search."""
    false_alarms_a_day: float = Field(gt=0, le=10_000)
    """How many false alarms a day its owner accepts."""
    crops_a_day: float | None = Field(default=None, gt=0, le=1e9)
    """How many new crops pass its filters on a day; none: as many as passed on the days that the gallery covers."""
    webhook: Annotated[str, StringConstraints(max_length=2000)] | None = None
    """Where alarms are sent, too: an address that the server's owner allows."""


class RulesBody(Body):
    """How long crops are kept."""

    rules: Annotated[list[KeepRule], Field(max_length=1000)]
    """At most one for each camera, and one for the rest."""


class HoldBody(ChosenBody):
    """Crops that are kept whatever the rules say; with filters also those that come later."""

    reason: Annotated[str, StringConstraints(min_length=1, max_length=1000)]
    """Why."""


class TokenBody(Body):
    """A new token."""

    name: Name
    """Who will have it."""
    roles: Annotated[list[Role], Field(min_length=1, max_length=4)]
    """What it is for."""
    cameras: Names | None = None
    """Whose crops it may see; none: all crops."""
    galleries: Names | None = None
    """Which it may see; none: all."""
    days: float = Field(default=30, gt=0, le=366)
    """How long it is valid."""
    blurred: bool = False
    """Whether faces are always blurred."""


class HeadsBody(Body):
    """Heads that were kept elsewhere."""

    heads: Annotated[list[Annotated[str, Field(max_length=10_000)]], Field(max_length=100)] = []
    """As they were given out."""


class SinceBody(Body):
    """An earlier head."""

    since: Annotated[str, Field(max_length=10_000)]
    """As it was given out."""

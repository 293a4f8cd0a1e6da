"""What clients send about cases and the site, checked."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from pickout.gallery.search.query import LONGEST_SENTENCE
from pickout.serve.requests import Id, Name, Sending

Text = Annotated[str, StringConstraints(max_length=10_000)]
Reason = Annotated[str, StringConstraints(max_length=1000)]
Marked = Annotated[list[Id], Field(min_length=1, max_length=10_000)]
Side01 = Annotated[float, Field(strict=True, ge=0, le=1)]
Box = Annotated[tuple[Side01, Side01, Side01, Side01], Field(strict=False)]


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
    boxes: list[Box] = Field([], max_length=100, description="What else: left, top, width, height, as shares of it.")
    reason: Reason = Field("", description="Why.")


class ArchiveBody(Sending):
    """What goes into a case's archive."""

    originals: bool = Field(False, description="Whether original pictures go in, unblurred, which needs a reason.")
    reason: Reason = Field("", description="Why, or for whom.")


class SiteBody(Sending):
    """Where the cameras stand."""

    cameras: Annotated[dict[Name, Annotated[tuple[Side01, Side01], Field(strict=False)]], Field(max_length=1000)]
    """Left and top, as shares of the plan's width and height."""

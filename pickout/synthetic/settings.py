"""What to draw on a street, and how its captions are written."""

from pathlib import Path

from pydantic import Field, model_validator

from pickout.config import Settings
from pickout.synthetic.avatars import Take


class MistakeSettings(Settings):
    """How often a writer errs. Each rate is for one thing that the caption could name, 0 never to 1 always."""

    colour: float = Field(default=0.05, ge=0, le=1)  # a colour is taken for one of the two nearest to it
    vague: float = Field(default=0.07, ge=0, le=1)
    """A thing gets a vague word: "top" for "polo shirt", "dark" for "maroon", its details untold."""
    omission: float = Field(default=0.08, ge=0, le=1)  # a thing in plain sight is left out
    side: float = Field(default=0.04, ge=0, le=1)  # left is taken for right
    spelling: float = Field(default=0.012, ge=0, le=1)
    """A word is misspelt; this rate is for each word of five letters or more, or known to be misspelt often."""
    plain: float = Field(default=0.0, ge=0, le=1)  # of writers, who use but the plainest words: "blue", "jacket"


class CaptionSettings(Settings):
    """How many sentences an image gets, and how often their writer errs."""

    per_image: int = Field(default=2, ge=1, le=10)  # captions of each image, all different
    queries: int = Field(default=4, ge=0, le=20)  # short queries about each image, as users type them, in an own file
    mistakes: MistakeSettings = MistakeSettings()  # how often the writer errs


class AvatarSettings(Settings):
    """Rigged, textured bodies in place of drawn ones."""

    folder: Path | None = None  # folder of avatars, see docs/street.md; without one, everybody is drawn
    share: float = Field(default=1.0, ge=0, le=1)  # the part of the people who are avatars; the others are drawn
    take: Take = "all"  # of `train` and `held-out` each takes bodies of its own, so that two streets share none


class StreetSettings(Settings):
    """What to draw. Equal settings give equal bytes, whatever the number of workers."""

    identities: int = Field(default=1000, ge=1, le=99_999)  # people of the training split, numbered from 1
    val_identities: int = Field(default=100, ge=0, le=99_999)  # people of the validation split, numbered next
    test_identities: int = Field(default=100, ge=0, le=99_999)  # people of the test split, numbered last
    images: int = Field(default=4, ge=1, le=99)  # images of each person
    cameras: int = Field(default=5, ge=1, le=26)
    """Cameras in the street; with two or more, everybody with two images is seen by at least two of them."""
    seed: int = Field(default=1, ge=0, lt=2**63)  # the number from which everything is drawn
    height: int = Field(default=192, ge=32, le=1024)  # height of an image in pixels
    width: int = Field(default=64, ge=16, le=1024)  # width of an image in pixels
    changed: bool = False  # whether images are as a bad camera has them (`STRONG` of `pickout.data.image_changes`)
    twins: bool = False
    """Whether every person of an even number is the one before but for one garment, which the captions of both name
    without a mistake."""
    captions: CaptionSettings = CaptionSettings()  # how many sentences an image gets, and how often their writer errs
    avatars: AvatarSettings = AvatarSettings()  # rendered people

    @model_validator(mode="after")
    def _numbers_fit(self) -> "StreetSettings":
        if self.people > 99_999:
            raise ValueError("identities, val_identities and test_identities together must stay below 100000")
        if self.twins and self.avatars.folder is not None:
            raise ValueError("twins: people from avatars have their clothes painted on; draw all of them")
        return self

    @property
    def untold(self) -> set[str]:
        """What is not told of a street that could have been drawn before it could be chosen."""
        return {name for name in ("changed", "twins") if not getattr(self, name)}

    @property
    def people(self) -> int:
        """Everybody in the three splits."""
        return self.identities + self.val_identities + self.test_identities

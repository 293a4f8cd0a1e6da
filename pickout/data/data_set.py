"""What a data set is, once read: images of people, who they show and the sentences about them."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """One image of one person."""

    image: Path  # absolute path of the file; it may be missing until someone opens it
    identity: int  # the person's number. In a training split identities run from 0 without gaps
    captions: tuple[str, ...]  # the sentences about this image, in the file's order; may be empty
    camera: str | None = None  # the camera's name where the data set tells
    time: datetime | None = None  # when the image was taken where the data set tells


@dataclass(frozen=True, slots=True)
class Pair:
    """One training item: a caption and its image. `image` and `caption` are positions in the split."""

    image: int
    caption: str
    identity: int


@dataclass(frozen=True, slots=True)
class Split:
    """The images of one split of a data set."""

    data: str  # the data set's name, for example `cuhk-pedes`
    name: str  # `train`, `val` or `test`
    images: tuple[ImageRecord, ...]  # in the order of the annotation file

    def pairs(self) -> Iterator[Pair]:
        """Every (image, caption) pair, image by image: the training items, and the queries of an evaluation."""
        for position, record in enumerate(self.images):
            for caption in record.captions:
                yield Pair(position, caption, record.identity)

    @property
    def identities(self) -> int:
        """How many different people the split shows."""
        return len({record.identity for record in self.images})


@dataclass(frozen=True, slots=True)
class DataSet:
    """A data set on disk, all splits read, no image opened."""

    name: str  # its name in the registry
    root: Path  # the folder it was read from
    splits: dict[str, Split]  # by name; a set without validation split has no `val` entry
    notes: tuple[str, ...] = ()  # what the reader had to assume; every command says so

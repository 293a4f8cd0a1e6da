"""What a data set is, once read: images of people, who they show and the sentences about them."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """One image of one person.

    Args:
        image: absolute path of the file; it may be missing until someone opens it.
        identity: the person's number. In a training split identities run from 0 without gaps.
        captions: the sentences about this image, in the file's order; may be empty.
        camera: the camera's name where the data set tells.
        time: when the image was taken where the data set tells.
    """

    image: Path
    identity: int
    captions: tuple[str, ...]
    camera: str | None = None
    time: datetime | None = None


@dataclass(frozen=True, slots=True)
class Pair:
    """One training item: a caption and its image. `image` and `caption` are positions in the split."""

    image: int
    caption: str
    identity: int


@dataclass(frozen=True, slots=True)
class Split:
    """The images of one split of a data set.

    Args:
        data: the data set's name, for example `cuhk-pedes`.
        name: `train`, `val` or `test`.
        images: in the order of the annotation file.
    """

    data: str
    name: str
    images: tuple[ImageRecord, ...]

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
    """A data set on disk, all splits read, no image opened.

    Args:
        name: its name in the registry.
        root: the folder it was read from.
        splits: by name; a set without validation split has no `val` entry.
        notes: what the reader had to assume; every command says so.
    """

    name: str
    root: Path
    splits: dict[str, Split]
    notes: tuple[str, ...] = ()

"""The training split as items: an image and a caption, augmented as a pure function of seed, epoch and place."""

import hashlib
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field
from torch import Tensor
from torch.utils.data import Dataset

from pickout.config import Settings
from pickout.data import transforms
from pickout.data.batching import Draw, Example
from pickout.data.data_set import Split
from pickout.data.image_changes import Picture, change_picture, read_parts
from pickout.data.images import faults, open_image
from pickout.data.transforms import AugmentationSettings, CaptionAugmentationSettings, ImageSettings
from pickout.errors import DataError, DataMissing, ImageUnreadable
from pickout.text.tokenizer import Tokenizer

_STREAM = 2  # keeps the items' random streams apart from the sampler's

OTHERS = 300  # images that lend backgrounds and neighbours to others

REMEDY = "mend or remove it, or leave unreadable images out with --set data.skip_unreadable=true"
"""What to do about an unreadable training image."""


class DataSettings(Settings):
    """What to train on and how to read it."""

    name: str  # the data set's name, as `pickout data check` takes it
    root: Path  # the data set's folder; a relative path starts where the command runs
    workers: int = Field(0, ge=0, le=1024)
    """Processes that decode and augment images beside the training process; the batches do not depend on it."""
    cache: bool = False  # keep all training images in memory, resized: 3 bytes a pixel, for small data sets
    validation: Path | None = None  # another such folder, whose `val` split chooses the epoch in place of the own one
    copies: int = Field(0, ge=0)
    """With a frozen image tower: so many changed copies of each image go through the frozen part once, before training,
    and with a frozen text tower each caption; epochs draw among the copies. 0: each image is changed anew."""
    forget: float = Field(0.0, ge=0, lt=1)  # with copies: the share of image tokens and of words unseen by a step
    features: Path | None = None  # where those copies are kept, for several runs; none: in the run's folder
    skip_unreadable: bool = False  # leave out images that cannot be read, found before training; the journal names them


@dataclass(frozen=True, slots=True)
class Pairing:
    """What a method wants of an item beside its image and caption."""

    second_view: bool = False  # whether the image is augmented a second time, by other random numbers
    # probability that a further caption is any of the person's (RaSa: 0.1), else the item's own; None: no further one
    weak_captions: float | None = None


PLAIN = Pairing()  # an image and its caption


class TrainingPairs(Dataset[Example | ImageUnreadable]):
    """Every (image, caption) pair of a training split, indexed by `Draw`. The same draw gives the same example in any
    process, so a resumed run and any number of workers see equal batches. All captions are encoded here; `files` are
    the images, and `image_of` tells which of them each pair shows."""

    def __init__(
        self,
        split: Split,
        tokenizer: Tokenizer,
        image: ImageSettings,
        augmentation: tuple[AugmentationSettings, CaptionAugmentationSettings],
        seed: int,
        pairing: Pairing = PLAIN,
    ) -> None:
        pairs = list(split.pairs())
        self._captions = [pair.caption for pair in pairs]
        self.identities = [pair.identity for pair in pairs]
        self.seed, self.image, self._pairing = seed, image, pairing
        self.augmentation, self._of_captions = augmentation
        self.files = [record.image for record in split.images]
        self.image_of = np.array([pair.image for pair in pairs], dtype=np.int64)
        self.ids = tokenizer.encode(self._captions).astype(np.int32)
        self._tokenizer, self.mask = tokenizer, tokenizer.mask
        self._cache: list[NDArray[np.uint8]] | None = None
        self._items: dict[int, list[int]] = defaultdict(list)
        for item, identity in enumerate(self.identities):
            self._items[identity].append(item)

    def __len__(self) -> int:
        return len(self.image_of)

    def ids_of(self, item: int) -> NDArray[np.int64]:
        """A pair's caption as it is. Shape: (context,)."""
        ids: NDArray[np.int64] = self.ids[item].astype(np.int64)
        return ids

    def fill_cache(self, *, threads: int = 4, advance: Callable[[], None] = lambda: None) -> None:
        """Decode and resize every image into memory (height * width * 3 bytes each); `advance` is called after each."""

        def load(file: Path) -> NDArray[np.uint8]:
            try:
                image = open_image(file)
            except ImageUnreadable as error:
                raise ImageUnreadable(error.path, f"{error.reason}; {REMEDY}") from None
            advance()
            return np.asarray(transforms.resize(image, self.image))

        with ThreadPoolExecutor(threads) as pool:
            self._cache = list(pool.map(load, self.files))

    def __getitem__(self, draw: Draw) -> Example | ImageUnreadable:
        position = int(self.image_of[draw.item])
        generator = np.random.default_rng([_STREAM, self.seed, draw.epoch, draw.place])
        try:
            image = self.changed(position, generator)
        except ImageUnreadable as error:
            return error
        view = partial(transforms.augment, image, self.image, self.augmentation, generator)
        return self.example(draw.item, view, generator)

    def example(self, own: int, view: Callable[[], Tensor], generator: np.random.Generator) -> Example:
        """What the method wants of the pair `own`; `view` makes another view of its image at each call."""
        pixels, ids, identity = view(), self._caption(own, generator), self.identities[own]
        second = view() if self._pairing.second_view else None
        if self._pairing.weak_captions is None:
            return Example(pixels, ids, identity, second)
        # Another sentence about the same person, which may fit another of the person's images better (RaSa).
        other, theirs = own, self._items[identity]
        if generator.random() < self._pairing.weak_captions:
            other = theirs[int(generator.integers(len(theirs)))]
        weak = ids if other == own else self._caption(other, generator)
        # Letter for letter, before any cleaning.
        return Example(pixels, ids, identity, second, weak, self._captions[own] != self._captions[other])

    def changed(self, position: int, generator: np.random.Generator) -> Image.Image:
        """The image at `position`, changed as the recipe says; an `ImageUnreadable` where it cannot be decoded."""
        image, rates = self._open(position), self.augmentation.changes
        if not rates:
            return image
        pixels = np.asarray(image, np.float32) / np.float32(255)
        picture = Picture(pixels, read_parts(self.files[position]), self._others)
        return Image.fromarray(change_picture(picture, rates, generator))

    @cached_property
    def _others(self) -> list[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
        """Some of the images with their masks, for backgrounds and neighbours of others."""
        chosen = np.random.default_rng([_STREAM, self.seed]).integers(len(self.files), size=OTHERS)
        masks = [(int(position), read_parts(self.files[position])) for position in chosen]
        return [(np.asarray(self._open(position)), mask) for position, mask in masks if mask is not None]

    def _caption(self, item: int, generator: np.random.Generator) -> NDArray[np.int64]:
        return transforms.augment_tokens(self.ids_of(item), self._tokenizer, self._of_captions, generator)

    def fingerprint(self, *, captions: bool = True) -> str:
        """A digest of identities, file names and, with `captions`, token ids; of other items it is another."""
        digest = hashlib.sha256(np.array(self.identities, dtype=np.int64).tobytes())
        digest.update("\n".join(self.files[i].name for i in self.image_of).encode())
        digest.update(self.ids.tobytes() if captions else b"")
        return digest.hexdigest()

    def _open(self, position: int) -> Image.Image:
        if self._cache is not None:
            return Image.fromarray(self._cache[position])
        return open_image(self.files[position])


def with_captions(split: Split) -> Split:
    """The split without the images that no caption describes; a DataError where none has one."""
    images = tuple(record for record in split.images if record.captions)
    if not images:
        raise DataError(f"{split.data}, split '{split.name}': no image has a caption, so there is nothing to train on")
    return replace(split, images=images)


def require_files(split: Split, remedy: str) -> None:
    """Check that every image is there; a DataMissing names the first that is not, and ends with `remedy`."""
    missing = [record.image for record in split.images if not record.image.is_file()]
    if missing:
        why = f"{missing[0]}: no such image; {len(missing)} of {len(split.images)} images of split '{split.name}' of"
        raise DataMissing(f"{why} {split.data} are missing, which `pickout data check` lists; {remedy}")


def readable(split: Split, *, threads: int = 4) -> tuple[Split, list[ImageUnreadable]]:
    """The split without the images that cannot be read, and what is wrong with each; a DataError where none can."""
    found = list(faults((record.image for record in split.images), threads))
    kept = tuple(record for record, wrong in zip(split.images, found, strict=True) if wrong is None)
    if not kept:
        raise DataError(f"{split.data}, split '{split.name}': none of {len(found)} images can be read: {found[0]}")
    return replace(split, images=kept), [wrong for wrong in found if wrong is not None]

"""`gallery.json`: what a gallery is and which model made it; and how such small JSON files are read, strictly."""

import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from pydantic import Field, TypeAdapter, ValidationError

from pickout.config import Settings
from pickout.errors import GalleryDamaged, GalleryMissing, GalleryModelMismatch
from pickout.files import write_atomically
from pickout.gallery.encoder import Encoder

FORMAT = 2
"""Version of the folder's layout that this code writes; version 1 is read, and brought up to date by a change."""
MANIFEST = "gallery.json"
TABLE = "crops"  # name of a new gallery's table
FROM_BACKUP = "from a backup, and erase again what was erased since: a backup brings it back"
"""Goes with every advice to put files back."""

_Contents = TypeVar("_Contents")


class ModelFacts(Settings):
    """The model that made every vector of a gallery."""

    name: str  # what to call the model in a message
    fingerprint: str  # the encoder's fingerprint; a sentence must be encoded by the same model
    dimension: int = Field(ge=1, le=65536)  # length of a vector
    run: str | None = None  # where the model was loaded from, so that a search can load it again

    def made(self, encoder: "Encoder | ModelFacts") -> bool:
        """Whether `encoder` is this model."""
        return (encoder.fingerprint, encoder.dimension) == (self.fingerprint, self.dimension)


class Manifest(Settings):
    """The contents of `gallery.json`."""

    format: int  # version of the folder's layout
    created: datetime  # when the gallery was made, UTC
    model: ModelFacts  # the model that made its vectors
    table: str = Field(default=TABLE, pattern=r"^crops(-[0-9a-f]+)?$")  # the folder of its rows, less `.lance`
    seal: str | None = None  # digest of all the rest, so that a change by hand shows

    def sealed(self) -> "Manifest":
        """This manifest with its seal as it should be."""
        rest = self.model_dump_json(exclude={"seal"})
        return self.model_copy(update={"seal": hashlib.blake2b(rest.encode(), digest_size=16).hexdigest()})

    def check(self, encoder: Encoder, gallery: Path) -> None:
        """Refuse any model but the gallery's own, with `GalleryModelMismatch`."""
        if self.model.made(encoder):
            return
        remedy = f"pass --model {self.model.run}" if self.model.run else "load the gallery's own model"
        own = f"the gallery was built with run {self.model.fingerprint[:8]} ({self.model.name})"
        other = f"this run is {encoder.fingerprint[:8]} ({encoder.name})"
        raise GalleryModelMismatch(f"{gallery}: {own}, {other}; {remedy}, or change its model: pickout gallery rebuild")


def new_manifest(encoder: Encoder, run: str | None) -> Manifest:
    """The manifest of a gallery made now by `encoder`, which was loaded from `run`."""
    return Manifest(
        format=FORMAT,
        created=datetime.now(UTC).replace(microsecond=0),
        model=ModelFacts(name=encoder.name, fingerprint=encoder.fingerprint, dimension=encoder.dimension, run=run),
    )


def write_manifest(gallery: Path, manifest: Manifest, name: str = MANIFEST) -> None:
    """Write `gallery.json`, or the file `name`, whole or not at all."""
    write_atomically(gallery / name, manifest.sealed().model_dump_json(indent=2) + "\n")


def read_manifest(gallery: Path, name: str = MANIFEST) -> Manifest:
    """Read `gallery.json`, or the file `name`. `GalleryMissing` where there is no gallery, `GalleryDamaged` where the
    file is garbled or of a format that this version does not know."""
    file = gallery / name
    manifest = read_small_file(file, Manifest, f"index again into a new folder, or put the file back {FROM_BACKUP}")
    if manifest is None:
        remedy = f"make one with: pickout index CROPS --model RUN --out {gallery}"
        raise GalleryMissing(f"{gallery}: no gallery there (no {MANIFEST}); {remedy}")
    if manifest.format not in (1, FORMAT):
        what = f"format {manifest.format}, this version of Pickout knows formats up to {FORMAT}"
        raise GalleryDamaged(f"{file}: {what}; use the version that wrote it or index again into a new folder")
    return manifest


def read_small_file(
    file: Path, contents: type[_Contents], remedy: str, *, check: Callable[[_Contents], str | None] = lambda _: None
) -> _Contents | None:
    """What `file` holds; None where it is not there. `GalleryDamaged`, with the remedy, where it cannot be read, is
    garbled, or `check` tells what is wrong with it."""
    try:
        text = file.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise GalleryDamaged(f"{file}: cannot be read: {error.strerror}") from None
    try:
        # A path that is no UTF-8 is kept with lone surrogates, which JSON may hold and pydantic's own reader refuses.
        found = TypeAdapter(contents).validate_python(json.loads(text))
    except ValidationError as error:
        raise GalleryDamaged(f"{file}: {first_fault(error)}; {remedy}") from None
    except (ValueError, RecursionError):
        raise GalleryDamaged(f"{file}: is no JSON; {remedy}") from None
    if wrong := check(found):
        raise GalleryDamaged(f"{file}: {wrong}; {remedy}")
    return found


def first_fault(error: ValidationError) -> str:
    """The first thing that is wrong, and where."""
    first = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"]) or "the file"
    return f"{place}: {first['msg']}"


def known_format(found: int, known: int) -> str | None:
    """What to say of a file of another format than the one that is known."""
    return None if found == known else f"format {found}, this version knows {known}"

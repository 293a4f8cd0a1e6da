"""`gallery.json`, which says what a gallery is and which model made it, and the tables of its folder: which holds its
rows, which is being built beside it for another model, and how an empty gallery is made. Small JSON files are read
strictly."""

import hashlib
import json
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from pydantic import Field, TypeAdapter, ValidationError

from pickout.config import Settings
from pickout.errors import GalleryDamaged, GalleryError, GalleryMissing, GalleryModelMismatch
from pickout.files import half_written, storage_errors, write_atomically
from pickout.gallery.encoder import Encoder
from pickout.gallery.storage.lock import writing
from pickout.gallery.storage.store import FROM_BACKUP, TABLE, Store

FORMAT = 2
"""Version of the folder's layout that this code writes; version 1 is read, and brought up to date by a change."""
MANIFEST = "gallery.json"

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


def new_manifest(encoder: Encoder | ModelFacts, run: str | None) -> Manifest:
    """The manifest of a gallery made now by `encoder`, which was loaded from `run`."""
    model = ModelFacts(name=encoder.name, fingerprint=encoder.fingerprint, dimension=encoder.dimension, run=run)
    return Manifest(format=FORMAT, created=datetime.now(UTC).replace(microsecond=0), model=model)


def write_manifest(gallery: Path, manifest: Manifest, name: str = MANIFEST) -> None:
    """Write `gallery.json`, or the file `name`, whole or not at all."""
    write_atomically(gallery / name, manifest.sealed().model_dump_json(indent=2) + "\n")


def read_manifest(gallery: Path, name: str = MANIFEST) -> Manifest:
    """Read `gallery.json`, or the file `name`. `GalleryMissing` where there is no gallery, `GalleryDamaged` where the
    file is garbled or of a format that this version does not know."""
    file = gallery / name
    remedy = f"index again into a new folder, or put the file back {FROM_BACKUP}"
    if name == REBUILD:
        remedy = "delete it, and begin the rebuild again if it was not finished"
    manifest = read_small_file(file, Manifest, remedy)
    if manifest is None:
        remedy = f"make one with: pickout index CROPS --model RUN --out {gallery}"
        raise GalleryMissing(f"{gallery}: no gallery there (no {MANIFEST}); {remedy}")
    if manifest.format not in (1, FORMAT):
        what = f"format {manifest.format}, this version of Pickout knows formats up to {FORMAT}"
        raise GalleryDamaged(f"{file}: {what}; use the version that wrote it or index again into a new folder")
    return manifest


def read_small_file(
    file: Path, contents: type[_Contents], remedy: str, *, version: int | None = None
) -> _Contents | None:
    """What `file` holds; None where it is not there. `GalleryDamaged`, with the remedy, where it cannot be read, is
    garbled, or its `format` is another than the `version` that is known."""
    try:
        text = file.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        if file.is_symlink():  # what it led to is elsewhere, and not nothing
            raise GalleryDamaged(f"{file}: is a link to what is not there; put that back or delete the link") from None
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
    if version is not None and (told := getattr(found, "format", None)) != version:
        raise GalleryDamaged(f"{file}: format {told}, this version knows {version}; {remedy}")
    return found


def first_fault(error: ValidationError) -> str:
    """The first thing that is wrong, and where."""
    first = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"]) or "the file"
    return f"{place}: {first['msg']}"


CALIBRATION = "calibration.json"  # what probabilities are told from; `pickout.gallery.search.probability` reads it
CALIBRATION_PLOT = "calibration.png"  # its picture, where the command line drew one
REBUILD = "rebuild.json"
"""What `gallery.json` will be once the table for another model is whole; there only while that is not finished."""

_OURS = re.compile(rf"{TABLE}(-[a-f][0-9a-f]{{7}})?\.lance")  # a copy under another name, a date maybe, is not ours
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")  # also after two strokes have become one: `s3:/bucket/name`


def checked_folder(path: str | Path) -> Path:
    """The absolute path of a gallery; `GalleryError` where it is no UTF-8 text, or an address."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise GalleryError(f"{path}: the path of a gallery must be UTF-8 text; give another name") from None
    if _ADDRESS.match(str(path)):
        raise GalleryError(f"{path}: is an address; a gallery is a folder on this machine, so give a path")
    return Path(path).absolute()


def make_gallery(folder: Path, manifest: Manifest) -> None:
    """An empty gallery that `manifest` describes, where there is none; its folder becomes its owner's alone.
    `GalleryError` where it holds other files, `GalleryMissing` where it cannot be made, `GalleryDamaged` for crops
    without manifest."""
    try:
        with storage_errors(folder):
            folder.mkdir(0o700, parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise GalleryError(f"{folder}: is a file; give a folder for the gallery") from None
    except PermissionError:
        raise GalleryMissing(f"{folder}: cannot be made; check the permissions of the folder above") from None
    others = sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith("."))
    if MANIFEST in others:
        return
    if others not in ([], [f"{TABLE}.lance"]):
        raise GalleryError(f"{folder}: is no gallery and holds other files ({others[0]}, ...); give a new folder")
    with suppress(PermissionError):  # somebody else's folder: what is written into it is still for its writer alone
        folder.chmod(0o700)
    with writing(folder):
        if (folder / MANIFEST).exists():
            return
        if Store(folder, manifest.model.dimension, create=True).count():
            raise GalleryDamaged(f"{folder}: holds crops but no {MANIFEST}; put that file back {FROM_BACKUP}")
        write_manifest(folder, manifest)  # last, so that a kill leaves either no gallery or a whole one


@contextmanager
def changing(gallery: Path, store: Store) -> Iterator[None]:
    """Hold the gallery's lock for a change of `store`. `GalleryModelMismatch` where another process has rebuilt the
    gallery with another model since `store` was opened."""
    with writing(gallery):
        if read_manifest(gallery).table != store.name:
            what = "has been rebuilt with another model meanwhile; nothing was written after that. Run again"
            raise GalleryModelMismatch(f"{gallery}: {what}")
        yield


def pending(gallery: Path) -> Manifest | None:
    """What is being built beside the gallery's table; None where nothing is."""
    if not (gallery / REBUILD).exists():
        return None
    told = read_manifest(gallery, REBUILD)
    return None if told.table == read_manifest(gallery).table else told


def pending_store(gallery: Path) -> Store | None:
    """The table that is being built; None where none is, or it is gone."""
    told = pending(gallery)
    if told is None or not (folder := gallery / f"{told.table}.lance").exists():
        return None
    try:
        return Store(gallery, told.model.dimension, told.table)
    except GalleryDamaged as error:
        remedy = f"throw it away: run pickout gallery rebuild with --restart, or delete {REBUILD}"
        what = "the table that was begun for another model cannot be used"
        raise GalleryDamaged(f"{folder}: {what}; {remedy}") from error


def leftover_tables(gallery: Path) -> list[Path]:
    """Tables that nothing names: of another model, left by an interrupted swap or an abandoned rebuild."""
    named = [each.table for each in (read_manifest(gallery), pending(gallery)) if each is not None]
    return sorted(set(_tables(gallery)) - {gallery / f"{name}.lance" for name in named})


def _tables(gallery: Path) -> list[Path]:
    return [folder for folder in gallery.iterdir() if _OURS.fullmatch(folder.name) and not folder.is_symlink()]


def finish_swap(gallery: Path) -> None:
    """Delete what interrupted writes, an interrupted swap or an abandoned rebuild left, which may hold what is erased
    since. Every writer calls this before it writes."""
    if half_written(gallery, below=False) or (gallery / REBUILD).exists() or len(_tables(gallery)) > 1:
        with writing(gallery):
            clear(gallery)


def clear(gallery: Path) -> None:
    """Delete halves of files, the calibration of a model that was swapped for another, and tables that nothing names;
    the caller holds the lock, as does whoever writes one of these files."""
    for file in half_written(gallery, below=False):
        file.unlink(missing_ok=True)
    own, swapped = read_manifest(gallery).model, pending(gallery) is None and (gallery / REBUILD).exists()
    if swapped:
        with suppress(GalleryDamaged):  # a garbled calibration stays to be told of
            found = read_small_file(gallery / CALIBRATION, dict[str, Any], "") or {}
            if found.get("model", own.fingerprint) != own.fingerprint:
                (gallery / CALIBRATION_PLOT).unlink(missing_ok=True)
                (gallery / CALIBRATION).unlink(missing_ok=True)
    for folder in leftover_tables(gallery):
        shutil.rmtree(folder)
    if swapped:
        (gallery / REBUILD).unlink()


def begin(gallery: Path, encoder: Encoder, run: str | None, *, restart: bool) -> tuple[Manifest, Store]:
    """What the gallery will be with another model, loaded from `run`, and the table for it, the one that was begun
    unless `restart`, or an empty one. `GalleryModelMismatch` where that was begun for a third model."""
    with writing(gallery):
        if restart:
            (gallery / REBUILD).unlink(missing_ok=True)
        clear(gallery)
        begun, store = pending(gallery), pending_store(gallery)
        if begun is not None and store is not None:
            if not (model := begun.model).made(encoder):
                there = f" (--model {model.run})" if model.run else ""
                what = f"a change to the model {model.name} {model.fingerprint[:8]} has begun"
                other = f"this one is {encoder.name} {encoder.fingerprint[:8]}; go on with that one{there}"
                raise GalleryModelMismatch(f"{gallery}: {what}, {other}, or throw away what was begun: --restart")
            if run is not None and run != model.run:
                begun = begun.model_copy(update={"model": model.model_copy(update={"run": run})})
                write_manifest(gallery, begun, REBUILD)
            return begun, store
        table = f"{TABLE}-{secrets.choice('abcdef')}{secrets.token_hex(4)[1:]}"  # as `_OURS`
        update = {"table": table, "created": read_manifest(gallery).created}
        told = new_manifest(encoder, run).model_copy(update=update)
        # The table first: a kill in between leaves one that nothing names, which the next writer deletes.
        store = Store(gallery, encoder.dimension, table, create=True)
        write_manifest(gallery, told, REBUILD)
        return told, store

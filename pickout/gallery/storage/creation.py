"""An empty gallery in a folder."""

import re
from contextlib import suppress
from pathlib import Path

from pickout.errors import GalleryDamaged, GalleryError, GalleryMissing
from pickout.files import storage_errors
from pickout.gallery.storage.lance_table import LanceStore
from pickout.gallery.storage.lock import writing
from pickout.gallery.storage.manifest import FROM_BACKUP, MANIFEST, TABLE, Manifest, write_manifest

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
"""How an address begins, also after two strokes have become one: `s3:/bucket/name`."""


def checked_folder(path: str | Path) -> Path:
    """The absolute path of a gallery.

    Raises:
        GalleryError: it is no UTF-8 text, or an address.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise GalleryError(f"{path}: the path of a gallery must be UTF-8 text; give another name") from None
    if _ADDRESS.match(str(path)):
        raise GalleryError(f"{path}: is an address; a gallery is a folder on this machine, so give a path")
    return Path(path).absolute()


def make_gallery(folder: Path, manifest: Manifest) -> None:
    """An empty gallery that `manifest` describes, where there is none.

    The folder becomes its owner's alone, and with it all that is ever written into it. The manifest is written last,
    so that a kill leaves either no gallery or a whole one.

    Raises:
        GalleryError: the folder is a file or holds other files.
        GalleryMissing: it cannot be made.
        GalleryDamaged: it holds crops without a manifest.
        StorageFull: no space left.
    """
    try:
        with storage_errors(folder):
            folder.mkdir(0o700, parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise GalleryError(f"{folder}: is a file; give a folder for the gallery") from None
    except PermissionError:
        raise GalleryMissing(f"{folder}: cannot be made; check the permissions of the folder above") from None
    if (folder / MANIFEST).exists():
        return
    _refuse_others(folder)
    with suppress(PermissionError):  # somebody else's folder: what is written into it is still for its writer alone
        folder.chmod(0o700)
    with writing(folder):
        if (folder / MANIFEST).exists():
            return
        store = LanceStore(folder, manifest.model.dimension, create=True)
        if store.count():
            raise GalleryDamaged(f"{folder}: holds crops but no {MANIFEST}; put that file back {FROM_BACKUP}")
        write_manifest(folder, manifest)


def _refuse_others(folder: Path) -> None:
    others = sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith("."))
    if MANIFEST not in others and others not in ([], [f"{TABLE}.lance"]):
        raise GalleryError(f"{folder}: is no gallery and holds other files ({others[0]}, ...); give a new folder")

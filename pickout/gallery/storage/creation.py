"""An empty gallery in a folder."""

from pathlib import Path

from pickout.errors import GalleryDamaged, GalleryError, GalleryMissing
from pickout.files import storage_errors
from pickout.gallery.encoder import Encoder
from pickout.gallery.printable import printable
from pickout.gallery.storage.lance_table import LanceStore
from pickout.gallery.storage.lock import writing
from pickout.gallery.storage.manifest import MANIFEST, TABLE, Manifest, new_manifest, write_manifest


def checked_folder(path: str | Path) -> Path:
    """The path of a gallery.

    Raises:
        GalleryError: it is no UTF-8 text.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise GalleryError(f"{printable(path)}: the path of a gallery must be UTF-8 text; give another name") from None
    return Path(path)


def make_gallery(folder: Path, encoder: Encoder, run: str | None) -> None:
    """An empty gallery for `encoder`, which was loaded from `run`; see `make_from`."""
    make_from(folder, new_manifest(encoder, run))


def make_from(folder: Path, manifest: Manifest) -> None:
    """An empty gallery that `manifest` describes, where there is none.

    The manifest is written last, so that a kill leaves either no gallery or a whole one.

    Raises:
        GalleryError: the folder is a file or holds other files.
        GalleryMissing: it cannot be made.
        GalleryDamaged: it holds crops without a manifest.
        StorageFull: no space left.
    """
    try:
        with storage_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise GalleryError(f"{folder}: is a file; give a folder for the gallery") from None
    except PermissionError:
        raise GalleryMissing(f"{folder}: cannot be made; check the permissions of the folder above") from None
    with writing(folder):
        if (folder / MANIFEST).exists():
            return
        others = sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith("."))
        if others not in ([], [f"{TABLE}.lance"]):
            raise GalleryError(f"{folder}: is no gallery and holds other files ({others[0]}, ...); give a new folder")
        store = LanceStore(folder, manifest.model.dimension, create=True)
        if store.count():
            raise GalleryDamaged(f"{folder}: holds crops but no {MANIFEST}; put that file back from a backup")
        write_manifest(folder, manifest)

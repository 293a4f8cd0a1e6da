"""Pictures from a portable file, put into a folder under names that the file has no say in."""

import stat
from dataclasses import replace
from pathlib import Path

from pickout.errors import GalleryError, ImageUnreadable, UsageError
from pickout.files import atomic_path
from pickout.gallery.intake.picture import digest, read_file
from pickout.gallery.portable.file import PortableFile
from pickout.gallery.storage.rows import Row, row_id


class PictureFolder:
    """Where the pictures of a portable file are put: `<SHA-256>-<id of the row>.<ending>`.

    A crop has a file of its own, as always in a gallery, also where two crops have the same bytes.

    Args:
        portable: where they come from.
        folder: where they go; made with the first picture.
        gallery: the gallery's folder.

    Raises:
        UsageError: the file holds no pictures, or the folder is the gallery's own or a file.
    """

    def __init__(self, portable: PortableFile, folder: Path, gallery: Path) -> None:
        if not portable.pictures and portable.contents.rows:
            raise UsageError(f"{portable.file}: holds no pictures; export with --crops, or import without --crops-to")
        self._portable, self._folder = portable, folder.resolve()
        self.written = 0
        if self._folder.is_relative_to(gallery.resolve()):
            raise UsageError(f"{folder}: lies in the gallery's own folder; give another one for the pictures")
        if self._folder.exists() and not self._folder.is_dir():
            raise UsageError(f"{folder}: is a file; give a folder for the pictures")

    def place(self, row: Row) -> Row:
        """Put a row's picture into the folder; the row as it is for that file. One without picture stays as it is.

        Raises:
            GalleryDamaged: the picture is not as it was written.
            GalleryError: the folder may not be written to, or another file has the name.
            StorageFull: no space left.
        """
        name = self._portable.pictures.get(row.content)
        if name is None:
            return row
        file = self._folder / f"{row.content}-{row.id}{Path(name).suffix}"
        if not self._is_there(file, row.content):
            self._write(file, row.content)
        return replace(row, id=row_id(file), root=str(self._folder), path=file.name, seal=None)

    def _is_there(self, file: Path, content: str) -> bool:
        try:
            if not stat.S_ISREG(file.lstat().st_mode):
                raise GalleryError(f"{file}: is no ordinary file; give another folder for the pictures")
            if digest(read_file(file)) == content:
                return True
        except (FileNotFoundError, NotADirectoryError):
            return False
        except ImageUnreadable:
            pass
        raise GalleryError(f"{file}: is another file than the one to put there; delete it or give another folder")

    def _write(self, file: Path, content: str) -> None:
        try:
            # Not forced to the disk one by one: the same command can make them again.
            with atomic_path(file, durable=False) as temporary, temporary.open("wb") as stream:
                for piece in self._portable.picture(content):
                    stream.write(piece)
        except PermissionError:
            raise GalleryError(f"{self._folder}: may not be written to; check its permissions") from None
        except (FileExistsError, NotADirectoryError):
            raise UsageError(f"{self._folder}: cannot be made; give another folder for the pictures") from None
        self.written += 1

"""The first look at each file, in threads, while the model is busy with earlier ones."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pickout.errors import ImageUnreadable
from pickout.gallery.intake.cameras import CameraFrom, camera_of
from pickout.gallery.intake.inventory import Inventory
from pickout.gallery.intake.metadata import MetadataTable, exif_time
from pickout.gallery.intake.picture import Picture, decode, digest, read_file
from pickout.gallery.intake.prefetch import reading_ahead
from pickout.gallery.intake.scan import Scan
from pickout.gallery.intake.suppression import Suppression
from pickout.gallery.storage.rows import Metadata, row_id


@dataclass(frozen=True, slots=True)
class Examined:
    """A file that has been read.

    Args:
        file: its absolute path.
        id: the id of its row.
        told: what table, name and folder tell about it.
        content: digest of its bytes; empty when it could not be read.
        picture: its pixels; None where the gallery has a row of equal bytes, or when it could not be read.
        taken: the time in its EXIF block; None when the row is as it should be anyway.
        problem: why it could not be read.
        erased: whether its crop was erased, and is in the gallery no more.
    """

    file: Path
    id: str
    told: Metadata
    content: str = ""
    picture: Picture | None = None
    taken: datetime | None = None
    problem: str | None = None
    erased: bool = False


@dataclass(frozen=True, slots=True)
class Examiner:
    """Looks at the files below a folder.

    Args:
        scan: gives its files.
        root: the absolute folder.
        inventory: what the gallery holds; pictures of known bytes are not decoded.
        table: metadata by image.
        camera_from: where the camera comes from when the table does not tell.
        suppression: crops that were erased.
        again: whether they are read all the same.
    """

    scan: Scan
    root: Path
    inventory: Inventory
    table: MetadataTable | None
    camera_from: CameraFrom
    suppression: Suppression
    again: bool

    @contextmanager
    def all(self, *, threads: int, ahead: int) -> Iterator[Iterator[Examined]]:
        """Every image file below the folder in order, at most `ahead` of them read before they are asked for."""
        with reading_ahead(self.examine, self.scan.files(), threads=threads, ahead=ahead) as examined:
            yield examined

    def examine(self, file: Path) -> Examined:
        """Read one file, and decode it unless its bytes are known."""
        identifier, told = row_id(file), self._told(file)
        known = self.inventory.content(identifier)
        erased = known is None and self.suppression.has_path(identifier)
        if erased and not self.again:
            return Examined(file, identifier, told, erased=True)
        try:
            data = read_file(file)
            content = digest(data)
            erased = erased or (content != known and self.suppression.has_content(content))
            if erased and not self.again:
                return Examined(file, identifier, told, erased=True)
            picture = None if self.inventory.row_with(content) else decode(file, data)
        except ImageUnreadable as error:
            return Examined(file, identifier, told, problem=error.reason)
        current = self.inventory.is_current(identifier, content, told)
        return Examined(file, identifier, told, content, picture, None if current else exif_time(data), erased=erased)

    def _told(self, file: Path) -> Metadata:
        camera = Metadata(camera=camera_of(self.root, file, self.camera_from))
        return camera if self.table is None else self.table.of(self.root, file).over(camera)

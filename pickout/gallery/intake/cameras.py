"""The camera that a crop's name or folder tells."""

import re
from enum import StrEnum
from pathlib import Path

from pickout.gallery.storage.rows import storable

_NAMED_CAMERA = re.compile(r"(?:^|[_-])c(?:am)?[_-]?(\d+)(?=s\d|[_.-]|$)", re.IGNORECASE)


class CameraFrom(StrEnum):
    """Where a crop's camera comes from when no table tells."""

    NONE = "none"
    """Nowhere."""
    FOLDER = "folder"
    """The folder the file lies in, for example `cam_a/0001.jpg`: cam_a. Files at the top have none."""
    NAME = "name"
    """The part `c5` of the file's name, as Market-1501, DukeMTMC-reID and RSTPReid write it: c5."""


def camera_of(root: Path, image: Path, source: CameraFrom) -> str | None:
    """The camera that `image`'s name or folder tells, None where it tells none."""
    if source is CameraFrom.FOLDER:
        return None if image.parent == root else storable(image.parent.name)
    if source is CameraFrom.NAME:
        found = _NAMED_CAMERA.search(image.stem)
        return f"c{int(found[1])}" if found else None
    return None

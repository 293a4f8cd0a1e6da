"""CUHK-PEDES, and any set written in its format."""

import re

from pickout.data.annotated import AnnotatedFolder
from pickout.data.published import PUBLISHED

_CAMERA = re.compile(r"(?:^|/)(cam_\w+)/")


def camera_of(path: str) -> str | None:
    """`cam_a` from `cam_a/001.jpg`. The other folders of CUHK-PEDES are source data sets, not cameras."""
    found = _CAMERA.search(path)
    return found.group(1) if found else None


CUHK_PEDES = AnnotatedFolder(
    name="cuhk-pedes",
    folder="CUHK-PEDES",
    files=("reid_raw.json",),
    camera=camera_of,
    source=PUBLISHED["cuhk-pedes"].request,
)

STREET = AnnotatedFolder(
    name="street",
    folder="street",
    files=("reid_raw.json",),
    camera=camera_of,
    source=PUBLISHED["street"].request,
)
"""The drawn street, which is written in the format of CUHK-PEDES."""

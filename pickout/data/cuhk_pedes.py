"""CUHK-PEDES, and any set written in its format."""

import re

from pickout.data.annotation import Counts
from pickout.data.caption_folder import CaptionFolder

_CAMERA = re.compile(r"(?:^|/)(cam_\w+)/")


def camera_of(path: str) -> str | None:
    """`cam_a` from `cam_a/001.jpg`. The other folders of CUHK-PEDES are source data sets, not cameras."""
    found = _CAMERA.search(path)
    return found.group(1) if found else None


CUHK_PEDES = CaptionFolder(
    name="cuhk-pedes",
    title="CUHK-PEDES",
    request="Request it from its authors, for academic use: "
    "https://github.com/ShuangLI59/Person-Search-with-Natural-Language-Description",
    folder="CUHK-PEDES",
    files=("reid_raw.json",),
    # Counted in the released file; papers print 80,412 captions, two an image, but nine images have more.
    published={
        "train": Counts(11_003, 34_054, 68_126),
        "val": Counts(1_000, 3_078, 6_158),
        "test": Counts(1_000, 3_074, 6_156),
    },
    camera=camera_of,
)

STREET = CaptionFolder(
    name="street",
    title="A drawn street",
    request="Draw one: pickout data draw FOLDER",
    folder="street",
    files=("reid_raw.json",),
    camera=camera_of,
)
"""The drawn street, which is written in the format of CUHK-PEDES."""

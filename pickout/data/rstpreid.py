"""RSTPReid: five images of each person by different cameras, with two captions an image."""

import re

from pickout.data.annotation import Counts
from pickout.data.caption_folder import CaptionFolder

_CAMERA = re.compile(r"(?:^|/)\d+_(c\d+)_")


def camera_of(path: str) -> str | None:
    """`c5` from `0000_c5_0022.jpg`: person, camera, frame."""
    found = _CAMERA.search(path)
    return found.group(1) if found else None


RSTPREID = CaptionFolder(
    name="rstpreid",
    title="RSTPReid",
    request="Its authors give it at https://github.com/NjtechCVLab/RSTPReid-Dataset",
    folder="RSTPReid",
    files=("data_captions.json",),
    path_field="img_path",
    image_folders=("imgs", "crops"),
    published={
        "train": Counts(3_701, 18_505, 37_010),
        "val": Counts(200, 1_000, 2_000),
        "test": Counts(200, 1_000, 2_000),
    },
    camera=camera_of,
)

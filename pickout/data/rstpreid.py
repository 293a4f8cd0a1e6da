"""RSTPReid: five images of each person by different cameras, with two captions an image."""

import re

from pickout.data.annotated import AnnotatedFolder
from pickout.data.published import PUBLISHED

_CAMERA = re.compile(r"(?:^|/)\d+_(c\d+)_")


def camera_of(path: str) -> str | None:
    """`c5` from `0000_c5_0022.jpg`: person, camera, frame."""
    found = _CAMERA.search(path)
    return found.group(1) if found else None


RSTPREID = AnnotatedFolder(
    name="rstpreid",
    folder="RSTPReid",
    files=("data_captions.json",),
    path_field="img_path",
    image_folders=("imgs", "crops"),
    camera=camera_of,
    source=PUBLISHED["rstpreid"].request,
)

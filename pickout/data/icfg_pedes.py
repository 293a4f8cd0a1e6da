"""ICFG-PEDES: people of MSMT17 with one long caption an image."""

import re

from pickout.data.annotated import AnnotatedFolder
from pickout.data.published import PUBLISHED

_CAMERA = re.compile(r"(?:^|/)\d+_\d+_(\d+)_\d{4}(?:morning|noon|afternoon)")


def camera_of(path: str) -> str | None:
    """`c01` from MSMT17's `0000_000_01_0303morning_0008_0.jpg`: person, image, camera, time of day, frame."""
    found = _CAMERA.search(path)
    return f"c{found.group(1)}" if found else None


ICFG_PEDES = AnnotatedFolder(
    name="icfg-pedes",
    folder="ICFG-PEDES",
    files=("ICFG-PEDES.json", "ICFG_PEDES.json"),
    camera=camera_of,
    source=PUBLISHED["icfg-pedes"].request,
)
"""Its image folders `train` and `test` are MSMT17's, not the split; the field `split` decides."""

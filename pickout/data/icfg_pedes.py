"""ICFG-PEDES: people of MSMT17 with one long caption an image."""

import re

from pickout.data.annotation import Counts
from pickout.data.caption_folder import CaptionFolder

_CAMERA = re.compile(r"(?:^|/)\d+_\d+_(\d+)_\d{4}(?:morning|noon|afternoon)")


def camera_of(path: str) -> str | None:
    """`c01` from MSMT17's `0000_000_01_0303morning_0008_0.jpg`: person, image, camera, time of day, frame."""
    found = _CAMERA.search(path)
    return f"c{found.group(1)}" if found else None


ICFG_PEDES = CaptionFolder(
    name="icfg-pedes",
    title="ICFG-PEDES",
    request="Request it from its authors, for academic use: https://github.com/zifyloo/SSAN",
    folder="ICFG-PEDES",
    files=("ICFG-PEDES.json", "ICFG_PEDES.json"),
    published={"train": Counts(3_102, 34_674, 34_674), "test": Counts(1_000, 19_848, 19_848)},
    camera=camera_of,
)
"""Its image folders `train` and `test` are MSMT17's, not the split; the field `split` decides."""

"""Drawn people to try a gallery on: seen by cameras at times, calibrated. Nobody in them was ever photographed."""

import csv
import shutil
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from random import Random
from typing import Any

from pickout.data.registry import open_data
from pickout.gallery.gallery import Gallery
from pickout.synthetic.street import StreetSettings, draw_street

STREET: Mapping[str, Any] = {"identities": 1, "val_identities": 40, "test_identities": 64, "images": 3}
"""Those of the test split are searched; those of the validation split calibrate."""
_MORNING = datetime(2026, 3, 2, 7, 30)
_PLACES = {"cam_a": "lobby", "cam_b": "car park", "cam_c": "platform", "cam_d": "stairs", "cam_e": "north gate"}


def add_sample(gallery: Gallery, folder: Path, tell: Callable[[str, int, int], None]) -> int:
    """Draw people into `folder`, where they stay, index them in an empty gallery and calibrate it; how many crops."""
    people, crops = folder / "people", folder / "crops"
    draw_street(StreetSettings(**STREET), people, progress=lambda done, total: tell("drawing", done, total))
    splits = open_data("street", people).splits
    _tell_of(splits["test"].images, crops)
    gallery.add(crops, table=crops / "table.csv", on_progress=lambda at: tell("indexing", at.done, at.total))
    gallery.calibrate(splits["val"], tell=lambda what, done, total: tell(f"calibrating: {what}", done, total))
    shutil.rmtree(people)
    return gallery.count()


def _tell_of(images: Any, crops: Path) -> None:
    """Copies of the crops with camera, time and track: everybody walks from camera to camera on one morning."""
    random, by_person = Random(1), sorted(images, key=lambda image: str(image.identity))
    crops.mkdir(parents=True, exist_ok=True)
    with (crops / "table.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["image", "camera", "time", "track"])
        for person, shown in groupby(by_person, attrgetter("identity")):
            at = _MORNING + timedelta(minutes=random.randrange(240))
            for image in shown:
                camera = _PLACES.get(image.image.parent.name, image.image.parent.name)
                name = f"{image.image.stem}-{image.image.parent.name}{image.image.suffix}"
                (crops / name).write_bytes(image.image.read_bytes())
                table.writerow([name, camera, at.isoformat(), f"{camera} {person}"])
                at += timedelta(seconds=random.randrange(4, 400))

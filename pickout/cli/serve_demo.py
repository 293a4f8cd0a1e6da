"""The people of `pickout serve --demo`: drawn, seen by cameras at times, calibrated; kept for the next time."""

import csv
from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

STREET: Mapping[str, Any] = {"identities": 1, "val_identities": 40, "test_identities": 64, "images": 3}
"""Those of the test split are searched; those of the validation split calibrate."""
_MORNING = datetime(2026, 3, 2, 7, 30)
_PLACES = {"cam_a": "lobby", "cam_b": "car park", "cam_c": "platform", "cam_d": "stairs", "cam_e": "north gate"}


def demo_gallery(folder: Path, device: str) -> Path:
    """Draw people below `folder`, index and calibrate them with the model that comes with Pickout; the gallery."""
    from pickout.cli.index import indexing_progress
    from pickout.cli.model import default_model, load_model
    from pickout.cli.terminal import progress
    from pickout.data.registry import open_data
    from pickout.gallery.gallery import Gallery
    from pickout.synthetic.street import StreetSettings, draw_street

    people, target = folder / "people", folder / "demo.gallery"
    done = folder / "done"
    if done.exists():
        return target
    with progress("drawing", quiet=False) as drawn:
        draw_street(StreetSettings(**STREET), people, progress=drawn)
    splits = open_data("street", people).splits
    crops = folder / "crops"
    _tell_of(splits["test"].images, crops)
    place = default_model()
    gallery = Gallery.create(target, load_model(place, device), run=place)
    with indexing_progress(True) as indexed:
        gallery.add(crops, table=crops / "table.csv", on_progress=indexed)
    with progress("calibrating", quiet=False) as show:
        gallery.calibrate(splits["val"], tell=lambda what, done, total: show(done, total, what=what))
    done.touch()
    return target


def _tell_of(images: Any, crops: Path) -> None:
    """Copies of the crops with camera, time and track: everybody walks from camera to camera on one morning."""
    random, seen = Random(1), defaultdict[str, list[Any]](list)
    for image in images:
        seen[str(image.identity)].append(image)
    crops.mkdir(parents=True, exist_ok=True)
    with (crops / "table.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["image", "camera", "time", "track"])
        for person, shown in sorted(seen.items()):
            at = _MORNING + timedelta(minutes=random.randrange(240))
            for image in shown:
                camera = _PLACES.get(image.image.parent.name, image.image.parent.name)
                name = f"{image.image.stem}-{image.image.parent.name}{image.image.suffix}"
                (crops / name).write_bytes(image.image.read_bytes())
                table.writerow([name, camera, at.isoformat(), f"{camera} {person}"])
                at += timedelta(seconds=random.randrange(4, 400))

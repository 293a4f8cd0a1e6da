"""Drawn crops, and the small true encoder."""

import io
import os
import sys
from pathlib import Path

import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent))

from colour_encoder import COLOURS, ColourEncoder

from pickout.gallery.audit.log import AUDIT
from pickout.gallery.gallery import Gallery


@pytest.fixture
def encoder():
    return ColourEncoder()


@pytest.fixture
def draw():
    """draw(path, hair, top, bottom, shade): a crop of three coloured thirds; `shade` makes its pixels unique."""
    return draw_crop


@pytest.fixture
def failing(monkeypatch):
    """failing(folder, error): from now on everything below `folder`, and its list of names, fails with that error.

    Tests may run as root, who may read everything. The system's own calls are replaced, on which all others rest.
    `failing(folder, None)` mends it again.
    """
    broken = {}

    def check(path):
        name = "" if isinstance(path, int) else os.fsdecode(path)
        for folder, error in broken.items():
            if error is not None and Path(name).is_relative_to(folder):
                raise OSError(error, os.strerror(error), name)

    def guard(owner, call, *, below=False):
        real = getattr(owner, call)

        def guarded(path, *args, **options):
            if not below or Path(os.fsdecode(path)) not in broken:
                check(path)
            return real(path, *args, **options)

        monkeypatch.setattr(owner, call, guarded)

    guard(os, "scandir")
    guard(os, "listdir")
    guard(os, "stat", below=True)
    guard(os, "lstat", below=True)
    guard(io, "open")

    def fail(folder, error):
        broken[Path(folder)] = error

    return fail


@pytest.fixture
def crops(tmp_path):
    """Six people of known colours, below three camera folders."""
    root = tmp_path / "crops"
    people = [
        ("cam_a/0001_c1.png", "black", "teal", "black"),
        ("cam_a/0002_c1.png", "brown", "red", "blue"),
        ("cam_b/0003_c2.png", "yellow", "olive", "blue"),
        ("cam_b/0004_c2.png", "black", "white", "black"),
        ("cam_c/0005_c3.png", "black", "orange", "grey"),
        ("0006.png", "brown", "green", "brown"),
    ]
    for shade, (name, *colours) in enumerate(people):
        draw_crop(root / name, *colours, shade=shade)
    return root


@pytest.fixture
def gallery(tmp_path, encoder, crops):
    """The six people, indexed, with a log that begins after that."""
    made = Gallery.create(tmp_path / "people.gallery", encoder)
    made.add(crops)
    (made.path / AUDIT).unlink()
    return made


def draw_crop(path, hair="black", top="teal", bottom="black", shade=0, size=(24, 72), **save):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new("RGB", size)
    third = size[1] // 3
    for row, colour in enumerate((hair, top, bottom)):
        pixel = tuple(round(255 * part) for part in COLOURS[colour])
        image.paste(pixel, (0, row * third, size[0], (row + 1) * third))
    image.putpixel((0, 0), (shade % 256, shade // 256 % 256, 77))
    image.save(path, **save)
    return path

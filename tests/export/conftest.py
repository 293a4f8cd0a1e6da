"""Pictures, and a split of people in them."""

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent))

from pickout.data.data_set import ImageRecord, Split


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep the tests away from what the user's machine remembers."""
    monkeypatch.setenv("PICKOUT_WEIGHTS", str(tmp_path / "weights"))
    return tmp_path / "weights"


@pytest.fixture
def crops() -> list[Image.Image]:
    generator = np.random.default_rng(0)
    coarse = [Image.fromarray(generator.integers(0, 256, (6, 3, 3), np.uint8)) for _ in range(11)]
    return [each.resize((40 + number, 90), Image.Resampling.BICUBIC) for number, each in enumerate(coarse)]


@pytest.fixture
def people(tmp_path: Path, crops: list[Image.Image]) -> Split:
    records = []
    for number, crop in enumerate(crops):
        crop.save(file := tmp_path / f"{number}.png")
        records.append(ImageRecord(file, number, (f"a woman in {number} jackets",)))
    return Split("drawn", "val", tuple(records))

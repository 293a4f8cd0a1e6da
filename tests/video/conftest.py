"""Small recordings whose people are coloured blocks, and detectors that find them."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from block_people import BlockDetector, write_video


@pytest.fixture
def block_detector(monkeypatch):
    """Every detector that a harvest makes finds teal and red blocks."""
    monkeypatch.setattr("pickout.video.harvest.make_detector", lambda name, threads: BlockDetector())
    return BlockDetector()


@pytest.fixture
def recording(tmp_path):
    """Two people, one after the other, with a pause in between: 12 seconds at 10 frames a second."""
    return write_video(tmp_path / "lobby_20260301_093000.mkv", seconds=12)


@pytest.fixture
def generator():
    return np.random.default_rng(7)

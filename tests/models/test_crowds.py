"""Frames of crowds: equal chance gives equal frames, and the mask says who is where."""

import crowds
import numpy as np
import pytest
from crowds import draw_crowd

SIZE = (144, 256)


@pytest.fixture(scope="module")
def frames():
    return [draw_crowd(np.random.default_rng([5, number]), SIZE) for number in range(6)]


def test_equal_chance_gives_equal_frames(frames):
    again = draw_crowd(np.random.default_rng([5, 2]), SIZE)
    assert np.array_equal(again.image, frames[2].image) and np.array_equal(again.owner, frames[2].owner)


def test_a_person_is_where_the_mask_says(frames, monkeypatch):
    """The same frame with nobody in it differs there."""
    monkeypatch.setattr(crowds._Canvas, "put", lambda *_, **__: None)
    compared = 0
    for number, frame in enumerate(frames):
        empty = draw_crowd(np.random.default_rng([5, number]), SIZE)
        assert not empty.owner.any()
        for who in np.unique(frame.owner[frame.owner > 0]):
            change = np.abs(frame.image.astype(int) - empty.image)[frame.owner == who].mean()
            assert change > 8
            compared += 1
    assert compared >= 4


def test_people_are_numbered_from_one_and_some_frames_have_nobody(frames):
    counts = [int(frame.owner.max()) for frame in frames]
    assert max(counts) <= 5 and max(counts) >= 2


def test_somebody_mostly_hidden_is_not_asked_for():
    canvas = object.__new__(crowds._Canvas)
    canvas._owner, canvas._whole = np.zeros((10, 10), np.int16), [50, 50]
    canvas._owner[:, :5], canvas._owner[0, 5:] = 1, 2
    assert np.unique(canvas.owner()).tolist() == [0, 1]

"""Tracks and the choice of their crops, on boxes that are known."""

import numpy as np
import pytest

from pickout.video.boxes import detections
from pickout.video.extraction import StandingCamera
from pickout.video.frames import Frame
from pickout.video.tracks import Tracker, TrackSettings


def frame(number, rate=10, size=(240, 320), noise=None):
    image = np.full((*size, 3), 120, np.uint8)
    if noise is not None:
        image[:] = noise.integers(0, 255, image.shape)
    return Frame(number, number / rate, image)


def boxes(*rows):
    return detections(np.array([row[:4] for row in rows], np.float32), np.array([row[4] for row in rows], np.float32))


def test_two_people_who_pass_each_other_at_a_distance_are_two_tracks():
    tracker = Tracker(10, TrackSettings(alike=0))
    for number in range(40):
        x = 4 * number
        found = boxes((x, 20, x + 30, 110, 0.9), (200 - x, 120, 230 - x, 220, 0.8))
        tracker.update(frame(number), found)
    tracks = list(tracker.ended(100))
    assert [track.seen for track in tracks] == pytest.approx([40, 40], abs=2)


def test_a_person_hidden_for_less_than_the_patience_stays_one_track():
    for gap, count in ((15, 1), (40, 2)):
        tracker, over = Tracker(10, TrackSettings(patience=2.0)), []
        for number in range(20 + gap):
            x = 50 + number // 4
            hidden = 10 <= number < 10 + gap
            tracker.update(
                frame(number), detections(np.empty((0, 4)), np.empty(0)) if hidden else boxes((x, 20, x + 40, 140, 0.9))
            )
            over += tracker.ended(number / 10)
        assert len([*over, *tracker.ended(100)]) == count


def test_the_best_crops_are_large_sharp_and_whole(generator):
    tracker = Tracker(10, TrackSettings(per_track=1))
    for number, (sharp, cut, height) in enumerate(
        [(False, False, 120), (True, False, 60), (True, True, 120), (True, False, 120), (False, False, 120)]
    ):
        left = 0 if cut else 20
        tracker.update(
            frame(number, noise=generator if sharp else None), boxes((left, 60, left + 50, 60 + height, 0.9))
        )
    (track,) = tracker.ended(100)
    assert [each.frame for each in track.chosen(TrackSettings(per_track=1))] == [3]


def test_crops_that_are_alike_are_kept_once_and_never_more_than_asked():
    settings = TrackSettings(per_track=3)
    for changes, count in ((False, 1), (True, 3)):
        tracker = Tracker(10, settings)
        for number in range(30):
            image = frame(number).image
            image[20:140, 50:100] = 120 + (8 * number % 120 if changes else 0)
            tracker.update(Frame(number, number / 10, image), boxes((50, 20, 100, 140, 0.9)))
        (track,) = tracker.ended(100)
        chosen = track.chosen(settings)
        assert len(chosen) == count
        assert [each.frame for each in chosen] == sorted(each.frame for each in chosen)


def test_memory_of_a_long_track_is_bounded(generator):
    settings = TrackSettings(per_track=2)
    tracker = Tracker(10, settings)
    for number in range(200):
        tracker.update(frame(number, noise=generator), boxes((50, 20, 100, 140, 0.9)))
    (track,) = tracker.ended(100)
    assert track.seen > 190 and len(track.best) == 8


def test_boxes_too_small_to_be_described_give_no_track():
    tracker = Tracker(10, TrackSettings(smallest=40))
    for number in range(10):
        tracker.update(frame(number), boxes((50, 20, 60, 50, 0.9)))
    assert list(tracker.ended(100)) == []


def test_boxes_beyond_the_frame_are_cut_to_it():
    tracker = Tracker(10, TrackSettings())
    for number in range(5):
        tracker.update(frame(number), boxes((-30, -50, 60, 300, 0.9)))
    (track,) = tracker.ended(100)
    assert track.best[0].box == (0, 0, 64, 240)


def test_a_box_in_which_nothing_moves_is_weighed_down_and_a_moving_one_is_not():
    camera = StandingCamera()
    found = boxes((20, 60, 60, 180, 0.8), (200, 60, 240, 180, 0.8))
    for number in range(10):
        image = frame(number).image
        if number:
            image[60:180, 200:240] = 30 + 5 * number
        weighed = camera.weigh(image, boxes((20, 60, 60, 180, 0.8), (200, 60, 240, 180, 0.8)))
    assert weighed.confidence == pytest.approx([0.6, 0.8], abs=0.01)
    assert np.array_equal(weighed.xyxy, found.xyxy)


def test_a_camera_that_moves_weighs_nothing(generator):
    camera = StandingCamera()
    for number in range(5):
        weighed = camera.weigh(frame(number, noise=generator).image // (number + 1), boxes((20, 60, 60, 180, 0.8)))
    assert weighed.confidence == pytest.approx([0.8])

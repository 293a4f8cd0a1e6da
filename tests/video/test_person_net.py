"""The detector that comes with the package: its file, its boxes, and that it finds people whom it never saw."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from crowds import draw_crowd
from right_boxes import right_boxes

from pickout.errors import VideoError
from pickout.video import make_detector, person_net
from pickout.video.person_net import HEAD_FILE, decode

INPUTS = Path(__file__).parents[2] / "models" / "person-head.inputs.json"


@pytest.fixture(scope="module")
def detector():
    return make_detector("embedded")


def test_a_peak_of_heat_becomes_one_box():
    heat, reach = torch.zeros(8, 10), torch.zeros(4, 8, 10)
    heat[3, 4], heat[3, 5] = 0.9, 0.6
    reach[:, 3, 4] = torch.tensor([0.5, 1.5, 0.5, 2.5]).log()
    boxes, scores = decode(heat, reach, 8)
    assert scores.tolist() == pytest.approx([0.9])
    assert boxes[0].tolist() == pytest.approx([32, 16, 40, 48])


def test_drawn_people_that_it_never_saw_are_found(detector):
    found_large = large = false = 0
    for number in range(8):
        crowd = draw_crowd(np.random.default_rng([77, number]), (288, 512))
        people = [np.nonzero(crowd.owner == who) for who in np.unique(crowd.owner[crowd.owner > 0])]
        boxes = np.array([[x.min(), y.min(), x.max() + 1, y.max() + 1] for y, x in people], np.float32).reshape(-1, 4)
        sure = detector.detect(crowd.image)
        sure = sure[sure.confidence >= 0.5]
        false += (~right_boxes(sure, boxes)).sum()
        for box, (rows, _) in zip(boxes, people, strict=True):
            if len(rows) > 300:
                large, found_large = large + 1, found_large + right_boxes(sure, box[None]).any()
    assert large >= 8 and found_large / large > 0.6 and false <= 0.5 * large


@pytest.mark.parametrize("size", [(40, 33), (33, 900), (700, 90), (1080, 1920)])
def test_pictures_of_every_shape_give_boxes_within_them(detector, size):
    image = np.random.default_rng(3).integers(0, 255, (*size, 3), dtype=np.uint8)
    found = detector.detect(image)
    assert (found.xyxy >= 0).all() and (found.xyxy <= [size[1], size[0]] * 2).all()


def test_what_went_in_is_written_down_and_is_what_is_shipped():
    told = json.loads(INPUTS.read_text(encoding="utf-8"))
    assert told["sha256"] == hashlib.sha256(HEAD_FILE.read_bytes()).hexdigest()
    assert told["tower"] == person_net.tower_hash(person_net.default_tower())
    assert HEAD_FILE.stat().st_size < 200_000


def test_a_head_of_another_tower_is_refused(monkeypatch):
    monkeypatch.setattr(person_net, "tower_hash", lambda tower: "another")
    with pytest.raises(VideoError, match="another image tower"):
        make_detector("embedded")

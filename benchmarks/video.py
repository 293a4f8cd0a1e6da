"""Boxes, tracks and speed of `pickout video`: against boxes marked by hand, and against the detector alone.

    python benchmarks/video.py [--clip VIDEO --marks JSON] [--street STREET] [--detector NAME]

Prints recall and false boxes at an overlap (IoU) of 0.5, with and without the help of movement; the same on frames put
together from a street's test people; tracks; and frames a second of the whole beside those of the detector.
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

import numpy as np

from pickout.video.detectors import DEFAULT, detections, make_detector
from pickout.video.extraction import ExtractionSettings
from pickout.video.frames import VideoFile
from pickout.video.harvest import harvest
from pickout.video.motion import StandingCamera
from pickout.video.recordings import find_recordings

SHARED = Path(os.environ.get("PICKOUT_SHARED", Path(__file__).parents[2] / "shared"))
CLIP = SHARED / "sample-video" / "one-by-one-person-detection.mp4"
MARKS = Path(__file__).parents[1] / "tests" / "video" / "sample_video_boxes.json"
SCORE = 0.5
"""From which a box begins a track, so the score at which boxes are counted."""


def overlaps(found_n4, true_m4):
    """IoU of each found box with each true one. Shape: (n, m)."""
    if not len(found_n4) or not len(true_m4):
        return np.zeros((len(found_n4), len(true_m4)))
    low = np.maximum(found_n4[:, None, :2], true_m4[None, :, :2])
    high = np.minimum(found_n4[:, None, 2:], true_m4[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    area = lambda boxes: (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)  # noqa: E731
    return shared / (area(found_n4)[:, None] + area(true_m4)[None] - shared)


def count(found, true):
    """True boxes found, true boxes, found boxes that are nobody."""
    true = np.asarray(true, dtype=float).reshape(-1, 4)
    boxes = found.xyxy[found.confidence >= SCORE]
    iou = overlaps(boxes, true)
    hits = 0
    for _ in range(min(iou.shape)):
        best = np.unravel_index(iou.argmax(), iou.shape)
        if iou[best] < 0.5:
            break
        hits += 1
        iou[best[0], :] = iou[:, best[1]] = -1
    return np.array([hits, len(true), len(boxes) - hits])


def on_clip(detector, clip, marks):
    wanted = {int(number): boxes for number, boxes in json.loads(marks.read_text())["boxes"].items()}
    nobody = detections(np.empty((0, 4)), np.empty(0))
    plain, helped, camera = np.zeros(3, int), np.zeros(3, int), StandingCamera()
    for frame in VideoFile(clip, 10).frames():
        if frame.number in wanted:
            found = detector.detect(frame.image)
            plain += count(found, wanted[frame.number])
            helped += count(camera.weigh(frame.image, found), wanted[frame.number])
        elif frame.number % 2 == 0:
            camera.weigh(frame.image, nobody)
    for name, (hits, true, false) in (("detector alone", plain), ("with movement", helped)):
        print(f"{clip.name}, {name}: {hits} of {true} boxes, {false} false in {len(wanted)} frames")


def on_street(detector, street, frames=200):
    from pickout.synthetic.crowds import CrowdMaker

    total = np.zeros(3, int)
    for crowd in CrowdMaker(street, "test").frames(frames, (288, 512), seed=99):
        total += count(detector.detect(crowd.image), crowd.boxes)
    hits, true, false = total
    print(f"frames of {street.name}: recall {hits / true:.3f} of {true} boxes, {100 * false / frames:.0f} false in 100 frames")


def speed(name, clip):
    detector = make_detector(name, 1)
    frames = [frame.image for frame in VideoFile(clip, 5).frames()][:200]
    begun = time.process_time(), time.perf_counter()
    for image in frames:
        detector.detect(image)
    alone = len(frames) / (time.perf_counter() - begun[1])
    with tempfile.TemporaryDirectory() as folder:
        begun = time.process_time(), time.perf_counter()
        report = harvest(find_recordings([str(clip)]), Path(folder) / "out", name, ExtractionSettings())
        (entry,) = report.recordings.values()
        whole = entry.frames / (time.perf_counter() - begun[1])
    print(f"{entry.frames} frames: {whole:.1f} a second, detector alone {alone:.1f}, ratio {whole / alone:.2f}")
    print(f"tracks: {report.tracks}, crops: {report.crops}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clip", type=Path, default=CLIP)
    parser.add_argument("--marks", type=Path, default=MARKS)
    parser.add_argument("--street", type=Path)
    parser.add_argument("--detector", default=DEFAULT)
    given = parser.parse_args()
    detector = make_detector(given.detector)
    if given.street:
        on_street(detector, given.street)
    if not given.clip.exists():
        print(f"{given.clip}: not there; nothing more to measure")
        return
    on_clip(detector, given.clip, given.marks)
    speed(given.detector, given.clip)


if __name__ == "__main__":
    main()

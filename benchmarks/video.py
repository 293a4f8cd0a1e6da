"""Detectors and trackers on a recording whose people were marked by hand, and trackers on simulated crossings.

    python benchmarks/video.py CLIP MARKS.json [--detectors embedded,movenet] [--trackers bytetrack]

MARKS is of the form of tests/video/sample_video_boxes.json: boxes at some frames, and the stretches in which each
person is seen. Printed for each detector: recall and false boxes at IoU 0.5 with the score from which `pickout video`
begins a track, boxes where nobody is, tracks of each person and of nobody, frames a second, and which share of the time
the detector took (what the whole command reaches of the detector alone). Nothing may be trained, tuned or chosen by
what this prints for the clip.
"""

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from supervision import Detections

from pickout.video import make_detector
from pickout.video.boxes import Detector, detections
from pickout.video.extraction import ExtractionSettings, StandingCamera
from pickout.video.extraction import extract as extract_people
from pickout.video.frames import VideoFile
from pickout.video.recordings import find_recordings
from pickout.video.tracks import Tracker, TrackSettings

sys.path.append(str(Path(__file__).parents[1] / "models"))
from right_boxes import right_boxes

SCENES, SECONDS, RATE, WALKERS = 3, 60, 5, 6
"""Simulated recordings, how long each is, frames a second, and people in each."""


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path)
    parser.add_argument("marks", type=Path)
    parser.add_argument("--detectors", default="embedded,movenet,nanodet")
    parser.add_argument("--trackers", default="bytetrack,cbiou")
    parser.add_argument("--whole", default="embedded", help="detectors with which the whole clip is looked through")
    given = parser.parse_args()
    torch.set_num_threads(1)
    marks = json.loads(given.marks.read_text(encoding="utf-8"))
    print("detector    recall  false/100 marked  false/100 empty")
    for name in given.detectors.split(","):
        for motion in (True, False):
            found = _boxes(make_detector(name, threads=1), given.clip, marks, motion=motion)
            print(f"{name:8}  {found}  {'with' if motion else 'without'} motion", flush=True)
    print("\ndetector  tracker    tracks a person + of nobody  frames/s  share of the time in the detector")
    for name in given.whole.split(","):
        watched = _Watched(make_detector(name, threads=1))
        for tracker in given.trackers.split(","):
            settings = ExtractionSettings(tracks=TrackSettings(tracker=tracker))
            print(f"{name:8}  {tracker:9}  {_looked_through(watched, given.clip, marks, settings)}", flush=True)
    print("\nsimulated: tracker    switches  tracks a person  seen")
    for tracker in given.trackers.split(","):
        print(f"           {tracker:9}  {_simulated(tracker)}", flush=True)


def _boxes(detector: Detector, clip: Path, marks: dict, *, motion: bool) -> str:
    """Recall and false boxes at the marked frames, and boxes where nobody is, as the tracker begins tracks."""
    camera, right, people, false, empty, wrong = StandingCamera(), 0, 0, 0, 0, 0
    for frame in VideoFile(clip, ExtractionSettings().rate).frames():
        boxes = marks["boxes"].get(str(frame.number))
        nobody = all(not first - 8 <= frame.number <= last + 8 for first, last in marks["people"])
        looked_at = boxes is not None or (nobody and frame.number % 10 == 0)
        found = detector.detect(frame.image) if looked_at else detections(np.empty((0, 4)), np.empty(0))
        if motion:
            found = camera.weigh(frame.image, found)
        sure = found[found.confidence >= TrackSettings().confident]
        if boxes is not None:
            good = right_boxes(sure, np.array(boxes, dtype=np.float32).reshape(-1, 4))
            right, people, false = right + good.sum(), people + len(boxes), false + (~good).sum()
        if nobody and looked_at:
            empty, wrong = empty + 1, wrong + len(sure)
    return f"{right:4}/{people}  {100 * false / len(marks['boxes']):16.1f}  {100 * wrong / empty:15.1f}"


class _Watched:
    """A detector whose time is kept, and whose answers are given again to the next tracker."""

    def __init__(self, detector: Detector) -> None:
        self._detector, self.seconds, self.frames = detector, 0.0, 0
        self._kept: dict[int, tuple[NDArray[np.float32], NDArray[np.float32]]] = {}

    def again(self) -> None:
        """Begin with the first frame again."""
        self.frames, self.seconds = 0, 0.0

    def detect(self, image: NDArray[np.uint8]) -> Detections:
        """As the detector does."""
        begun = time.perf_counter()
        if self.frames not in self._kept:
            found = self._detector.detect(image)
            self._kept[self.frames] = (found.xyxy, found.confidence)
        self.seconds, self.frames = self.seconds + time.perf_counter() - begun, self.frames + 1
        return detections(*self._kept[self.frames - 1])


def _looked_through(detector: _Watched, clip: Path, marks: dict, settings: ExtractionSettings) -> str:
    """The whole command on the clip; speeds are of the first time, when the detector works."""
    detector.again()
    (recording,) = find_recordings([str(clip)])
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        pieces = list(extract_people(recording, recording.source(settings.rate), detector, settings, Path(folder)))
    seconds = time.perf_counter() - begun
    rows = [row for piece in pieces for row in piece.rows]
    return f"{_tracks(rows, marks):27}  {detector.frames / seconds:8.1f}  {detector.seconds / seconds:.2f}"


def _tracks(rows: list[dict], marks: dict) -> str:
    """Tracks of each person, and of nobody."""
    seen: dict[str, set[int]] = {}
    for row in rows:
        found = [number for number, (first, last) in enumerate(marks["people"]) if first <= row["frame"] <= last]
        seen.setdefault(row["track"], set()).update(found or [-1])
    tracks = Counter(number for numbers in seen.values() for number in numbers)
    return " ".join(str(tracks[number]) for number in range(len(marks["people"]))) + f" + {tracks[-1]}"


def _simulated(name: str) -> str:
    """A tracker on people who walk to and fro before a camera, with boxes as a detector gives them."""
    switches = people = tracks = seen = there = 0
    for scene in range(SCENES):
        generator = np.random.default_rng(scene)
        tracker = Tracker(RATE, TrackSettings(tracker=name))
        of: dict[int, list[int]] = {number: [] for number in range(WALKERS)}
        for number, (boxes, who) in enumerate(_walk(generator)):
            found = _as_detected(generator, boxes)
            there += len(boxes)
            for box, _, track in tracker.follow(found, number / RATE):
                matched = right_boxes(detections(box[None], np.ones(1)), boxes)
                if matched.any():
                    overlap = [right_boxes(detections(box[None], np.ones(1)), each[None]).any() for each in boxes]
                    of[int(who[int(np.argmax(overlap))])].append(track)
        switches += sum(first != second for each in of.values() for first, second in pairwise(each))
        people += WALKERS
        tracks += sum(len(set(each)) for each in of.values())
        seen += sum(map(len, of.values()))
    return f"{switches:8}  {tracks / people:22.2f}  {seen / there:.3f}"


def _walk(generator: np.random.Generator) -> Iterator[tuple[NDArray[np.float32], NDArray[np.intp]]]:
    """Boxes of those who are seen, and who they are, in each frame: 640x360 pixels, a camera 3 m above the ground."""
    place = generator.uniform((-4, 4), (4, 14), (WALKERS, 2))
    goal = generator.uniform((-4, 4), (4, 14), (WALKERS, 2))
    pace = generator.uniform(0.8, 1.6, WALKERS) / RATE
    for _ in range(SECONDS * RATE):
        way = goal - place
        far = np.linalg.norm(way, axis=1)
        goal[far < pace] = generator.uniform((-4, 4), (4, 14), (int((far < pace).sum()), 2))
        place += way / np.maximum(far, 1e-6)[:, None] * np.minimum(pace, far)[:, None]
        x, away = place.T
        middle, foot, top = 320 + 400 * x / away, 60 + 400 * 3 / away, 60 + 400 * 1.3 / away
        half = 400 * 0.28 / away
        boxes = np.stack([middle - half, top, middle + half, foot], axis=1).astype(np.float32)
        near_first = np.argsort(away)
        shown: list[int] = []
        for who in near_first:
            hidden = max((_covered(boxes[who], boxes[other]) for other in shown), default=0.0)
            if hidden < 0.7 and 0 < middle[who] < 640:
                shown.append(int(who))
        yield boxes[shown], np.array(shown)


def _covered(box: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    wide = min(box[2], other[2]) - max(box[0], other[0])
    tall = min(box[3], other[3]) - max(box[1], other[1])
    return max(0.0, float(wide)) * max(0.0, float(tall)) / float((box[2] - box[0]) * (box[3] - box[1]))


def _as_detected(generator: np.random.Generator, boxes: NDArray[np.float32]) -> Detections:
    """One in ten is missed, sides are off by some percent, one in five is weak, and now and then nobody is boxed."""
    kept = boxes[generator.random(len(boxes)) > 0.1]
    size = (kept[:, 2:] - kept[:, :2])[:, [0, 1, 0, 1]]
    moved = kept + generator.normal(0, 0.04, kept.shape) * size
    scores = np.where(generator.random(len(kept)) < 0.2, 0.35, 0.8)
    if generator.random() < 0.05:
        corner = generator.uniform((0, 60), (560, 200))
        moved = np.concatenate([moved, [[*corner, corner[0] + 60, corner[1] + 150]]])
        scores = np.append(scores, 0.55)
    return detections(moved, scores)


if __name__ == "__main__":
    main()

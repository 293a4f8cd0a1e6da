"""From recordings to crops of the people in them.

    recordings   which files, and what their names and containers tell: camera and time
    frames       a file, a folder of pictures or a live camera as upright pictures with their times
    boxes        frames in, boxes and scores out, by one of these:
    person_net, onnx_detector, installed_detectors
    tracks       boxes of one person over time, and the best crops of each
    extraction   all of it for one recording, in pieces that a kill cannot halve
    harvest      all of it for many recordings, several at a time, into a folder with a table

Boxes travel as `supervision.Detections`, which the trackers' library reads. Decoding is PyAV's, tracking `trackers`'.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from pickout.errors import UsageError

if TYPE_CHECKING:
    from pickout.video.boxes import Detector


def require_libraries() -> None:
    """Make sure that what decodes and tracks is installed; `UsageError` where it is not."""
    from importlib.util import find_spec

    if lacking := [name for name in ("av", "supervision", "trackers") if find_spec(name) is None]:
        raise UsageError(f"pickout video needs {', '.join(lacking)}: pip install 'pickout[video]'")


def make_detector(name: str, threads: int | None = None) -> "Detector":
    """A detector by its name (`embedded`, `movenet`, `nanodet`), or the one in an ONNX file, on so many threads; None:
    as many as there are cores. `UsageError`: another name or kind of file; `VideoError`: a file that cannot be used, or
    a package that is not installed."""
    if name.endswith(".onnx"):
        from pickout.video.onnx_detector import OnnxDetector

        return OnnxDetector(Path(name), threads)
    if threads is not None:
        import torch

        torch.set_num_threads(threads)
    if name == "embedded":
        from pickout.video.person_net import PersonNetDetector

        return PersonNetDetector.shipped()
    if name in ("movenet", "nanodet"):
        from pickout.video.installed_detectors import InstalledDetector

        return InstalledDetector(name)
    why = f"detector {name}: expected embedded, movenet, nanodet, or the path of an .onnx file (docs/video.md)"
    raise UsageError(why)

"""From recordings to crops of the people in them.

    recordings   which files, and what their names and containers tell: camera and time
    frames       a file, a folder of pictures or a live camera as upright pictures with their times
    boxes, detectors    frames in, boxes and scores out, by one of these:
    person_net, onnx_detector, installed_detectors
    tracks       boxes of one person over time, and the best crops of each
    extraction   all of it for one recording, in pieces that a kill cannot halve
    harvest      all of it for many recordings, several at a time, into a folder with a table

Boxes travel as `supervision.Detections`, which the trackers' library reads. Decoding is PyAV's, tracking `trackers`'.
"""

from pickout.errors import UsageError


def require_libraries() -> None:
    """Make sure that what decodes and tracks is installed; `UsageError` where it is not."""
    from importlib.util import find_spec

    if lacking := [name for name in ("av", "supervision", "trackers") if find_spec(name) is None]:
        raise UsageError(f"pickout video needs {', '.join(lacking)}: pip install 'pickout[video]'")

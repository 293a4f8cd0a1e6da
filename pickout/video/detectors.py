"""Which detector is meant."""

from pathlib import Path

from pickout.errors import UsageError
from pickout.video.boxes import Detector
from pickout.video.onnx_detector import OnnxDetector


def make_detector(name: str, threads: int | None = None) -> Detector:
    """The detector in an ONNX file.

    Args:
        name: the path of an `.onnx` file.
        threads: how many it may use; None: as many as there are cores.

    Raises:
        UsageError: another kind of file.
        VideoError: a file that cannot be used.
    """
    if not name.endswith(".onnx"):
        raise UsageError(f"--detector {name}: give the path of an .onnx file; docs/video.md tells which fit")
    return OnnxDetector(Path(name), threads)

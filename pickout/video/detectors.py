"""Which detector is meant."""

from pathlib import Path

from pickout.errors import UsageError
from pickout.video.boxes import Detector

EMBEDDED = "embedded"  # the detector that comes with the package, and is taken where none is named


def make_detector(name: str, threads: int | None = None) -> Detector:
    """A detector by its name (`embedded`, `movenet`, `nanodet`), or the one in an ONNX file, on so many threads; None:
    as many as there are cores. `UsageError`: another name or kind of file; `VideoError`: a file that cannot be used, or
    a package that is not installed."""
    if name.endswith(".onnx"):
        from pickout.video.onnx_detector import OnnxDetector

        return OnnxDetector(Path(name), threads)
    if threads is not None:
        import torch

        torch.set_num_threads(threads)
    if name == EMBEDDED:
        from pickout.video.person_net import PersonNetDetector

        return PersonNetDetector.shipped()
    if name in ("movenet", "nanodet"):
        from pickout.video.installed_detectors import InstalledDetector

        return InstalledDetector(name)
    why = f"detector {name}: expected {EMBEDDED}, movenet, nanodet, or the path of an .onnx file (docs/video.md)"
    raise UsageError(why)

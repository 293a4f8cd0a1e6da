"""Detectors from ONNX files, told apart by their inputs and outputs.

| export  | inputs                                 | outputs                                                          |
|---------|----------------------------------------|------------------------------------------------------------------|
| RF-DETR | one image, ImageNet mean and deviation | `dets` (1, n, 4): centre and size, 0 to 1; `labels` (1, n, c)    |
| D-FINE  | `images` 0 to 1, `orig_target_sizes`   | `labels` (1, n), `boxes` (1, n, 4) in pixels, `scores` (1, n)    |
| YOLOX   | one image, BGR 0 to 255, letterboxed   | (1, n, 85): offset and log size by cell, objectness, classes     |
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pictures
from supervision import Detections

from pickout.errors import VideoError
from pickout.video.boxes import letterboxed, people

_MEAN, _DEVIATION = np.array([0.485, 0.456, 0.406], np.float32), np.array([0.229, 0.224, 0.225], np.float32)
_LEAST = 0.1  # boxes below this score are left out; the tracker reads weak ones, too, but not noise
_STRIDES = (8, 16, 32)  # of YOLOX's three grids, in the order of its output
_COCO_91 = 91  # classes of a head that counts COCO's original category numbers, where a person is 1; with 80 it is 0

Image = NDArray[np.uint8]


class OnnxDetector:
    """A detector run by ONNX Runtime, on so many threads; None: as many as there are cores. `VideoError`: ONNX Runtime
    is not installed, or the file is no model or of another layout."""

    def __init__(self, file: Path, threads: int | None = None) -> None:
        try:
            import onnxruntime
        except ImportError:
            raise VideoError(f"{file}: ONNX models need ONNX Runtime; pip install onnxruntime") from None
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or 0
        options.log_severity_level = 3
        try:
            self._session: Any = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's own classes, one for each reason
            raise VideoError(f"{file}: is no ONNX model that can be run ({str(error).splitlines()[0][:200]})") from None
        self._file, self._image = file, self._session.get_inputs()[0]
        shape = self._image.shape
        fixed = len(shape) == 4 and all(isinstance(side, int) for side in shape[2:])
        self._size: tuple[int, int] = (shape[2], shape[3]) if fixed else (640, 640)
        self._run = self._layout()

    def detect(self, image: Image) -> Detections:
        """The people in a picture."""
        return people(*self._run(image), least=_LEAST, counts=0.5, overlap=0.7)

    def _layout(self) -> Callable[[Image], tuple[NDArray[Any], NDArray[Any]]]:
        outputs = [(each.name, len(each.shape)) for each in self._session.get_outputs()]
        names = {name for name, _ in outputs}
        if {"labels", "boxes", "scores"} <= names and len(self._session.get_inputs()) == 2:
            return self._dfine
        if {"dets", "labels"} <= names:
            return self._rfdetr
        if len(outputs) == 1 and outputs[0][1] == 3:
            return self._yolox
        shown = ", ".join(f"{name} of {axes} axes" for name, axes in outputs)
        raise VideoError(f"{self._file}: outputs {shown}; expected an export of RF-DETR, D-FINE or YOLOX")

    def _resized(self, image: Image) -> NDArray[np.float32]:
        small = Pictures.fromarray(image).resize(self._size[::-1], Pictures.Resampling.BILINEAR)
        return np.asarray(small, dtype=np.float32) / np.float32(255)

    def _rfdetr(self, image: Image) -> tuple[NDArray[Any], NDArray[Any]]:
        pixels = ((self._resized(image) - _MEAN) / _DEVIATION).transpose(2, 0, 1)[None]
        boxes, logits = self._session.run(["dets", "labels"], {self._image.name: pixels})
        person = 1 if logits.shape[2] >= _COCO_91 - 1 else 0
        middle, size = boxes[0, :, :2], boxes[0, :, 2:]
        corners = np.concatenate([middle - size / 2, middle + size / 2], axis=1)
        whole = np.array([image.shape[1], image.shape[0]] * 2, dtype=np.float32)
        return corners * whole, 1 / (1 + np.exp(-logits[0, :, person]))

    def _dfine(self, image: Image) -> tuple[NDArray[Any], NDArray[Any]]:
        pixels = self._resized(image).transpose(2, 0, 1)[None]
        sizes = np.array([[image.shape[1], image.shape[0]]], dtype=np.int64)
        given = {self._image.name: pixels, self._session.get_inputs()[1].name: sizes}
        labels, boxes, scores = self._session.run(["labels", "boxes", "scores"], given)
        people = labels[0] == 0
        return boxes[0][people], scores[0][people]

    def _yolox(self, image: Image) -> tuple[NDArray[Any], NDArray[Any]]:
        field, scale = letterboxed(image, self._size, 114)
        pixels = field[..., ::-1].astype(np.float32).transpose(2, 0, 1)[None]
        (rows,) = self._session.run(None, {self._image.name: pixels})
        height, width = self._size
        grids = [np.indices((height // stride, width // stride)).reshape(2, -1)[::-1].T for stride in _STRIDES]
        cells = np.concatenate(grids).astype(np.float32)
        strides = np.repeat(_STRIDES, [len(grid) for grid in grids])[:, None].astype(np.float32)
        if rows.shape[1] != len(cells) or rows.shape[2] < 6:
            why = f"{self._file}: output {rows.shape}; a YOLOX of {self._size} gives (1, {len(cells)}, 85), not decoded"
            raise VideoError(why)
        middle = (rows[0, :, :2] + cells) * strides
        size = np.exp(np.clip(rows[0, :, 2:4], -20, 20)) * strides
        return np.concatenate([middle - size / 2, middle + size / 2], axis=1) / scale, rows[0, :, 4] * rows[0, :, 5]

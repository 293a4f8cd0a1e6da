"""Starting weights of a fusion model: ALBEF's or RaSa's files, runs of our own, or BERT and a vision transformer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isqrt
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from pickout.checkpoints import albef, bert_vit
from pickout.checkpoints.imported import POSITIONS, Imported, fit_positions, usual_heads
from pickout.checkpoints.reading import read_weights
from pickout.checkpoints.recognise import model_looks_like
from pickout.checkpoints.report import KeyReport, compare
from pickout.checkpoints.run import WEIGHTS_FILE, read_run_settings, run_folder
from pickout.errors import CheckpointMismatch, CheckpointUnknown
from pickout.methods.fusion_model import FusionModel
from pickout.nn.transformer import Layer

Queues = Literal["keep", "random"]
"""What becomes of a file's queues: its features serve as negatives until they are overwritten, or none is taken."""

_QUEUES = ("image_queue", "text_queue", "identity_queue", "queue_pointer")
_TOWERS = ("vision.", "text.")
_WORDS = "text.embeddings.positions.weight"


@dataclass(slots=True)
class Start:
    """What one file gives.

    Args:
        format: what it was taken for.
        state: tensors under our names.
        heads: heads of the towers that it has, by `vision` or `text`.
        ignored: keys left out on purpose, each with the reason.
        left_over: keys without a name of ours.
        lacks: prefixes of ours that this kind of file never has, each with the reason.
    """

    format: str
    state: dict[str, Tensor]
    heads: dict[str, int]
    ignored: Mapping[str, str] = field(default_factory=dict)
    left_over: Sequence[str] = ()
    lacks: Mapping[str, str] = field(default_factory=dict)


def initialise_fusion(method: FusionModel, paths: Sequence[Path], queues: Queues) -> KeyReport:
    """Copy weights into a fusion model before training; see `pickout.checkpoints.initial.initialise`.

    Args:
        method: at its starting weights; changed in place.
        paths: files or run folders; together they must hold both towers.
        queues: whether the file's queues are taken.

    Raises:
        CheckpointUnknown: a file of no kind that a fusion model can start from.
        CheckpointMismatch: a tower is missing or has other sizes.
    """
    starts = [_read(path, method) for path in paths]
    source = " and ".join(map(str, paths))
    for start in starts:
        _require_heads(source, method, start)
    state = {key: tensor for start in starts for key, tensor in start.state.items()}
    ignored = {key: reason for start in starts for key, reason in start.ignored.items()}
    if queues == "random":
        ignored |= {key: "queues start at random" for key in _QUEUES if state.pop(key, None) is not None}
    resized = _fit(method, state)
    expected = method.state_dict()
    usable = {}
    for key, tensor in state.items():
        own = expected.get(key)
        if key.startswith(_TOWERS) or (own is not None and own.shape == tensor.shape):
            usable[key] = tensor
        else:
            ignored[key] = "this model has none of this size"
    twin = all(key in usable for key in expected if key.startswith(albef.MOMENTUM))
    report = compare(
        source,
        " and ".join(start.format for start in starts),
        usable,
        expected,
        left_over=tuple(key for start in starts for key in start.left_over),
        resized=resized,
        ignored=ignored,
        fresh=_fresh(expected, usable, starts, twin=twin),
    )
    report.require_complete()
    with torch.no_grad():
        for key, tensor in usable.items():
            expected[key].copy_(tensor)
    if method.momentum is not None and not twin:
        method.restart_momentum()
    return report


def _read(path: Path, method: FusionModel) -> Start:
    run = run_folder(path)
    if run is not None:
        settings = read_run_settings(run)
        file = read_weights(run / WEIGHTS_FILE)
        heads = {"vision": settings.model.vision.heads, "text": settings.model.text.heads}
        return Start("a run of Pickout", dict(file.tensors), heads)
    file = read_weights(path / "model.safetensors" if path.is_dir() else path)
    tensors = file.tensors
    if albef.is_albef(tensors):
        return _whole(albef.translate(str(path), tensors), file.ignored)
    if bert_vit.is_bert(tensors):
        parts = bert_vit.text_tensors(tensors, text_layers=method.text.layers)
        words = bert_vit.word_head_tensors(str(path), {_with_bert(key): value for key, value in tensors.items()})
        lacks = {f"text.fusion.{n}.cross.": "BERT looks at no image" for n in range(method.text.fusion_layers)}
        return Start(
            "BERT",
            parts.state | words,
            {"text": usual_heads(parts.state["text.embeddings.words.weight"].shape[1])},
            {**file.ignored, **parts.ignored},
            parts.left_over,
            lacks,
        )
    if bert_vit.is_vit(tensors):
        parts = bert_vit.vision_tensors(tensors)
        heads = {"vision": usual_heads(parts.state["vision.class_token"].shape[0])}
        return Start("a vision transformer", parts.state, heads, {**file.ignored, **parts.ignored}, parts.left_over)
    raise CheckpointUnknown(
        f"{path}: a fusion model cannot start from it; it looks like {model_looks_like(tensors)}. Known: ALBEF, RaSa, "
        "runs of Pickout, and BERT together with a vision transformer in timm's names"
    )


def _whole(imported: Imported, beside: Mapping[str, str]) -> Start:
    heads = {"vision": imported.vision.heads, "text": imported.text.heads}
    return Start(imported.format, dict(imported.state), heads, {**beside, **imported.ignored}, list(imported.left_over))


def _with_bert(key: str) -> str:
    return key if key.startswith(("bert.", "cls.")) else f"bert.{key}"


def _require_heads(source: str, method: FusionModel, start: Start) -> None:
    """Compare what shapes do not show.

    Raises:
        CheckpointMismatch: other heads.
    """
    first = method.vision.transformer.layers[0]
    assert isinstance(first, Layer)
    ours = {"vision": first.attention.heads, "text": method.text.heads}
    wrong = [
        f"{tower}.heads = {ours[tower]}, the file's is {count}"
        for tower, count in start.heads.items()
        if count != ours[tower]
    ]
    if wrong:
        raise CheckpointMismatch(f"{source}: its towers compute otherwise: {'; '.join(wrong)}")


def _fit(method: FusionModel, state: dict[str, Tensor]) -> dict[str, str]:
    """Bring position tables to the model's sizes, in place; what was done."""
    resized: dict[str, str] = {}
    for twin in ("", albef.MOMENTUM):
        key, words = f"{twin}{POSITIONS}", f"{twin}{_WORDS}"
        if key in state:
            side = isqrt(state[key].shape[0] - 1)
            if side * side == state[key].shape[0] - 1 and (side, side) != method.vision.grid:
                state[key], note = fit_positions(state[key], (side, side), method.vision.grid, "bicubic")
                resized |= {key: note} if note else {}
        if words in state and state[words].shape[0] > method.text.context:
            resized[words] = f"cut from {state[words].shape[0]} to {method.text.context} positions"
            state[words] = state[words][: method.text.context]
    return resized


def _fresh(
    expected: Mapping[str, Tensor], usable: Mapping[str, Tensor], starts: Sequence[Start], *, twin: bool
) -> dict[str, str]:
    """Our tensors that the files need not have, each with the reason."""
    lacks = {prefix: reason for start in starts for prefix, reason in start.lacks.items()}
    fresh: dict[str, str] = {}
    for key in expected:
        if key in usable:
            continue
        reason = next((reason for prefix, reason in lacks.items() if key.startswith(prefix)), None)
        if key.startswith(albef.MOMENTUM) and not twin:
            fresh[key] = "copied from the trained part"
        elif reason is not None:
            fresh[key] = reason
        elif not key.startswith(_TOWERS):
            fresh[key] = "the file does not have it at this size; it starts anew"
    return fresh

"""Starting weights of a fusion model: ALBEF's or RaSa's files, runs of our own, or BERT and a vision transformer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from pickout.checkpoints import albef, bert_vit
from pickout.checkpoints.imported import POSITIONS, Imported, fit_positions, usual_heads
from pickout.checkpoints.importing import weights_in
from pickout.checkpoints.reading import WeightFile, read_weights
from pickout.checkpoints.recognise import model_looks_like
from pickout.checkpoints.report import KeyReport, compare
from pickout.checkpoints.run import WEIGHTS_FILE, read_run_settings, run_folder
from pickout.errors import CheckpointMismatch, CheckpointUnknown
from pickout.methods.fusion_model import FusionModel
from pickout.nn.positions import patch_grid
from pickout.nn.transformer import Layer

Queues = Literal["keep", "random"]
"""What becomes of a file's queues: its features serve as negatives until they are overwritten, or none is taken."""

_QUEUES = ("image_queue", "text_queue", "identity_queue", "queue_pointer")
_HEADS = (
    *("image_projection.", "text_projection.", "temperature", "word_head."),
    *("matching_head.", "relation_head.", "replaced_head.", *_QUEUES),
)
_TOWERS = ("vision.", "text.")
_FOLLOWED = tuple(
    albef.MOMENTUM + part for part in ("vision.", "text.", "image_projection.", "text_projection.", "word_head.")
)
_WORD_POSITIONS = "text.embeddings.positions.weight"
_NEITHER = "neither BERT nor a vision transformer has it"
_COPIED = "copied from the trained part"


@dataclass(slots=True)
class Start:
    """What one file gives.

    Args:
        format: what it was taken for.
        state: tensors under our names.
        heads: heads of the towers that it has, by `vision` or `text`.
        ignored: keys left out on purpose, each with the reason.
        left_over: keys without a name of ours.
        lacks: prefixes of ours that this kind of file need not have, each with the reason.
        grid: rows and columns of its image position table; None without one.
    """

    format: str
    state: dict[str, Tensor]
    heads: dict[str, int]
    ignored: Mapping[str, str] = field(default_factory=dict)
    left_over: Sequence[str] = ()
    lacks: Mapping[str, str] = field(default_factory=dict)
    grid: tuple[int, int] | None = None


def initialise_fusion(method: FusionModel, paths: Sequence[Path], queues: Queues) -> KeyReport:
    """Copy weights into a fusion model before training; see `pickout.checkpoints.initial.initialise`.

    Each part of the momentum twin that no file has is copied from the trained part.

    Args:
        method: at its starting weights; changed in place.
        paths: files or run folders; together they must hold both towers.
        queues: whether the file's queues are taken.

    Raises:
        CheckpointUnknown: a file of no kind that a fusion model can start from.
        CheckpointMismatch: a tower is missing or has other sizes, or a file lacks what its kind has.
    """
    starts = [_read(path, method) for path in paths]
    source = " and ".join(map(str, paths))
    for start in starts:
        _require_heads(source, method, start)
    state = {key: tensor for start in starts for key, tensor in start.state.items()}
    expected = method.state_dict()
    resized = _fit(method, state, next((start.grid for start in starts if start.grid), method.vision.grid))
    ignored = {key: reason for start in starts for key, reason in start.ignored.items()}
    lacks = {prefix: reason for start in starts for prefix, reason in start.lacks.items()}
    dropped = _drop_queues(source, state, expected, queues)
    absent = [key for key in state if key.startswith((*_HEADS, *_FOLLOWED)) and not _has_part(expected, key)]
    for key in absent:
        ignored[key] = "this model has no such part"
        del state[key]
    fresh = _fresh(expected, state, lacks | (dict.fromkeys(_QUEUES, next(iter(dropped.values()))) if dropped else {}))
    report = compare(
        source,
        " and ".join(start.format for start in starts),
        state,
        expected,
        left_over=tuple(key for start in starts for key in start.left_over),
        resized=resized,
        ignored=ignored | dropped,
        fresh=fresh,
    )
    report.require_complete()
    with torch.no_grad():
        for key, tensor in state.items():
            expected[key].copy_(tensor)
        for key, reason in fresh.items():
            if reason == _COPIED:
                expected[key].copy_(expected[key.removeprefix(albef.MOMENTUM)])
    return report


def _read(path: Path, method: FusionModel) -> Start:
    run = run_folder(path)
    if run is not None:
        return _run(run)
    file = read_weights(weights_in(path) if path.is_dir() else path)
    if albef.is_albef(file.tensors):
        return _whole(albef.translate(str(path), file.tensors), file.ignored)
    if bert_vit.is_bert(file.tensors):
        return _bert(path, file, method)
    if bert_vit.is_vit(file.tensors):
        return _vit(path, file)
    raise CheckpointUnknown(
        f"{path}: a fusion model cannot start from it; it looks like {model_looks_like(file.tensors)}. Known: ALBEF, "
        "RaSa, runs of Pickout, and BERT together with a vision transformer in timm's names"
    )


def _run(folder: Path) -> Start:
    model = read_run_settings(folder).model
    file = read_weights(folder / WEIGHTS_FILE)
    return Start(
        "a run of Pickout",
        dict(file.tensors),
        {"vision": model.vision.heads, "text": model.text.heads},
        lacks=dict.fromkeys(_HEADS, "the run does not have it"),
        grid=patch_grid(model.image.height, model.image.width, model.vision.patch, model.vision.stride),
    )


def _whole(imported: Imported, beside: Mapping[str, str]) -> Start:
    lacks = {}
    if imported.format != albef.RASA:
        new = ("relation_head.", "replaced_head.", "identity_queue")
        lacks = dict.fromkeys(new, "RaSa's own, which ALBEF does not have")
    if imported.format == albef.RETRIEVAL:
        lacks["word_head."] = "ALBEF's files for retrieval have no word head"
    return Start(
        imported.format,
        dict(imported.state),
        {"vision": imported.vision.heads, "text": imported.text.heads},
        {**beside, **imported.ignored},
        imported.left_over,
        lacks,
        patch_grid(*imported.image, imported.vision.patch, imported.vision.stride),
    )


def _bert(path: Path, file: WeightFile, method: FusionModel) -> Start:
    tensors = bert_vit.in_new_names(file.tensors)
    parts = bert_vit.text_tensors(tensors, text_layers=method.text.layers)
    words = bert_vit.word_head_tensors(str(path), tensors)
    lacks = {f"text.fusion.{n}.cross.": "BERT looks at no image" for n in range(method.text.fusion_layers)}
    lacks |= dict.fromkeys(_HEADS, _NEITHER)
    width = parts.state["text.embeddings.words.weight"].shape[-1:].numel()
    return Start(
        "BERT",
        parts.state | words,
        {"text": usual_heads(width)},
        {**file.ignored, **parts.ignored},
        parts.left_over,
        lacks,
    )


def _vit(path: Path, file: WeightFile) -> Start:
    parts = bert_vit.vision_tensors(file.tensors)
    side = albef.square_side(str(path), parts.state[POSITIONS])
    return Start(
        "a vision transformer",
        parts.state,
        {"vision": usual_heads(parts.state["vision.class_token"].numel())},
        {**file.ignored, **parts.ignored},
        parts.left_over,
        dict.fromkeys(_HEADS, _NEITHER),
        (side, side),
    )


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


def _fit(method: FusionModel, state: dict[str, Tensor], grid: tuple[int, int]) -> dict[str, str]:
    """Bring position tables to the model's sizes, in place; what was done."""
    resized: dict[str, str] = {}
    for twin in ("", albef.MOMENTUM):
        key, words = f"{twin}{POSITIONS}", f"{twin}{_WORD_POSITIONS}"
        if key in state:
            state[key], note = fit_positions(state[key], grid, method.vision.grid, "bicubic")
            resized |= {key: note} if note else {}
        if words in state and state[words].ndim and len(state[words]) > method.text.context:
            resized[words] = f"cut from {len(state[words])} to {method.text.context} positions"
            state[words] = state[words][: method.text.context]
    return resized


def _drop_queues(
    source: str, state: dict[str, Tensor], expected: Mapping[str, Tensor], queues: Queues
) -> dict[str, str]:
    """Take out the file's queues where they are not wanted or do not fit; each key with the reason.

    Raises:
        CheckpointMismatch: a pointer that points nowhere.
    """
    found = [key for key in _QUEUES if key in state and key in expected]
    reason = None
    if queues == "random":
        reason = "queues start at random"
    elif any(state[key].shape != expected[key].shape for key in found):
        reason = "the file's queues are of another size; they start at random"
    if reason is not None:
        for key in found:
            del state[key]
        return dict.fromkeys(found, reason)
    if "queue_pointer" in found and not 0 <= int(state["queue_pointer"]) < len(expected["identity_queue"]):
        raise CheckpointMismatch(f"{source}: queue_ptr is {int(state['queue_pointer'])}, outside of its queues")
    return {}


def _has_part(expected: Mapping[str, Tensor], key: str) -> bool:
    """Whether the model has the head, the queue or the twin's part that the key belongs to."""
    prefix = next(prefix for prefix in (*_HEADS, *_FOLLOWED) if key.startswith(prefix))
    return any(own.startswith(prefix) for own in expected)


def _fresh(expected: Mapping[str, Tensor], state: Mapping[str, Tensor], lacks: Mapping[str, str]) -> dict[str, str]:
    """Our tensors that the files need not have, each with the reason."""
    whole = {part for part in _FOLLOWED if any(key.startswith(part) for key in state)}
    fresh: dict[str, str] = {}
    for key in expected:
        if key in state:
            continue
        reason = next((reason for prefix, reason in lacks.items() if key.startswith(prefix)), None)
        if key.startswith(albef.MOMENTUM):
            reason = None if key.startswith(tuple(whole)) else _COPIED
        if reason is not None:
            fresh[key] = reason
    return fresh

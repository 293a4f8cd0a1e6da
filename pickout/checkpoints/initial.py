"""Starting weights of a training: the towers, and the heads where they fit, from any file that an importer knows."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from pickout.checkpoints.imported import POSITIONS, Imported, fit_positions
from pickout.checkpoints.importing import import_file
from pickout.checkpoints.initial_fusion import Queues, initialise_fusion
from pickout.checkpoints.load import resolve
from pickout.checkpoints.packaged import initialise_frozen
from pickout.checkpoints.reading import read_weights
from pickout.checkpoints.report import KeyReport, compare
from pickout.checkpoints.run import WEIGHTS_FILE, read_run_settings, run_folder
from pickout.errors import CheckpointMismatch
from pickout.methods.base import Method
from pickout.methods.fusion_model import FusionModel
from pickout.nn.frozen import MultiStageTower
from pickout.nn.positions import patch_grid
from pickout.nn.text import TextSettings, TextTransformer
from pickout.nn.transformer import Layer, Transformer
from pickout.nn.vision import VisionSettings, VisionTransformer

_TOWERS = ("vision.", "text.")
_NEW = "a head that the file does not have at this size; it starts anew"


def initialise(method: Method, source: str | Path | Sequence[str | Path], queues: Queues = "keep") -> KeyReport:
    """Copy weights into a method before training.

    Both towers must come from the file whole; the position table is resized to the method's image size. Heads are
    copied where name and shape agree (fine-tuning on the same people); others keep their starting weights, and the
    report names each of both kinds.

    Args:
        method: at its starting weights; changed in place.
        source: whatever `pickout.load` takes; for a fusion model also BERT and a vision transformer, two files.
        queues: what becomes of the queues in ALBEF's and RaSa's files.

    Returns:
        The account of every key.

    Raises:
        CheckpointError: and its kinds, as `pickout.load`.
        CheckpointMismatch: towers of other sizes.
    """
    paths = [resolve(source)] if isinstance(source, str | Path) else [resolve(one) for one in source]
    if isinstance(method.get_submodule("vision"), MultiStageTower):
        return initialise_frozen(method, paths)
    if isinstance(method, FusionModel):
        return initialise_fusion(method, paths, queues)
    if len(paths) != 1:
        raise CheckpointMismatch(f"{', '.join(map(str, paths))}: this method starts from one file")
    path = paths[0]
    run = run_folder(path)
    imported = import_file(path) if run is None else _import_run(run)
    vision, text = method.get_submodule("vision"), method.get_submodule("text")
    assert isinstance(vision, VisionTransformer) and isinstance(text, TextTransformer)
    _require_equal(str(path), "vision", vision.transformer, imported.vision)
    _require_equal(str(path), "text", text.transformer, imported.text)
    state, resized = dict(imported.state), dict(imported.resized)
    if POSITIONS in state:
        old = patch_grid(*imported.image, imported.vision.patch, imported.vision.stride)
        state[POSITIONS], note = fit_positions(state[POSITIONS], old, vision.grid)
        if note:
            resized[POSITIONS] = note
    return _copy(str(path), imported, method, state, resized)


def _require_equal(source: str, tower: str, ours: Transformer, theirs: VisionSettings | TextSettings) -> None:
    """Compare what shapes do not show.

    Raises:
        CheckpointMismatch: other heads or another activation.
    """
    first = ours.layers[0]
    assert isinstance(first, Layer)
    pairs = {
        "heads": (first.attention.heads, theirs.heads),
        "activation": (first.feed_forward.activation, theirs.activation),
    }
    wrong = [f"{tower}.{key} = {own!r}, the file's is {other!r}" for key, (own, other) in pairs.items() if own != other]
    if wrong:
        raise CheckpointMismatch(f"{source}: its towers compute otherwise: {'; '.join(wrong)}")


def _copy(
    source: str, imported: Imported, method: Method, state: dict[str, Tensor], resized: dict[str, str]
) -> KeyReport:
    expected = method.state_dict()
    usable, ignored = {}, dict(imported.ignored)
    for key, tensor in state.items():
        head = not key.startswith(_TOWERS)
        if head and (key not in expected or expected[key].shape != tensor.shape):
            ignored[key] = "a head of another size or kind"
        else:
            usable[key] = tensor
    fresh = {key: _NEW for key in expected if key not in usable and not key.startswith(_TOWERS)}
    report = compare(
        source,
        imported.format,
        usable,
        expected,
        left_over=imported.left_over,
        resized=resized,
        ignored=ignored,
        fresh=fresh,
    )
    try:
        report.require_complete()
    except CheckpointMismatch as error:
        raise CheckpointMismatch(
            f"{error}; give vision and text the sizes of these weights, or start without"
        ) from None
    with torch.no_grad():
        for key, tensor in usable.items():
            expected[key].copy_(tensor)
    return report


def _import_run(folder: Path) -> Imported:
    run = read_run_settings(folder)
    file = read_weights(folder / WEIGHTS_FILE)
    return Imported(
        format="a run of Pickout",
        method=run.model.method,
        vision=run.model.vision,
        text=run.model.text,
        image=(run.model.image.height, run.model.image.width),
        identities=run.identities,
        state=file.tensors,
    )

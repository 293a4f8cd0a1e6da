"""Towers that start from pretrained weights."""

from pathlib import Path

from pickout.checkpoints.importing import import_file
from pickout.config import Settings
from pickout.errors import CheckpointMismatch
from pickout.methods.base import Method
from pickout.methods.model import ModelSettings

_TOWERS = ("vision.", "text.")


def start_from(method: Method, source: Path, model: ModelSettings) -> str:
    """Put the towers of a pretrained model into `method`; heads keep their starting weights.

    The image tower's position table is resized to the recipe's image size.

    Args:
        method: changed in place.
        source: a file or folder that an importer knows.
        model: the recipe's sizes.

    Returns:
        A sentence about what was done.

    Raises:
        CheckpointError: the file cannot be used, or its towers are not those of the recipe: names what differs.
    """
    imported = import_file(source, image=(model.image.height, model.image.width))
    wrong = [*_differing("vision", model.vision, imported.vision), *_differing("text", model.text, imported.text)]
    towers = {key: tensor for key, tensor in imported.state.items() if key.startswith(_TOWERS)}
    own = {key: tensor for key, tensor in method.state_dict().items() if key.startswith(_TOWERS)}
    wrong += [f"no tensor for {key}" for key in sorted(own.keys() - towers.keys())]
    wrong += [f"no place for {key}" for key in sorted(towers.keys() - own.keys())]
    wrong += [
        f"{key} is {tuple(towers[key].shape)}, the recipe's {tuple(own[key].shape)}"
        for key in sorted(own.keys() & towers.keys())
        if own[key].shape != towers[key].shape
    ]
    if wrong:
        raise CheckpointMismatch(f"{source}: its towers are not those of the recipe: {'; '.join(wrong[:6])}")
    method.load_state_dict(towers, strict=False)
    resized = "".join(f"; {key} {note}" for key, note in imported.resized.items())
    return f"towers start from {source} ({imported.format}){resized}"


def _differing(tower: str, wanted: Settings, found: Settings) -> list[str]:
    ours, theirs = wanted.model_dump(), found.model_dump()
    return [
        f"model.{tower}.{key} = {ours[key]!r}, the file's is {theirs[key]!r}"
        for key in ours
        if ours[key] != theirs[key]
    ]

"""Ways to train and to score. A method is one class and one line in `METHODS`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pickout.config import Settings
from pickout.data.training_pairs import PLAIN, Pairing
from pickout.methods import union
from pickout.methods.aga import Aga, AgaSettings
from pickout.methods.base import Method
from pickout.methods.dual import Dual, DualSettings
from pickout.methods.fusion import Fusion
from pickout.methods.fusion_model import TRAINING_ONLY, FusionSettings, pairing
from pickout.methods.itself import Itself, ItselfSettings
from pickout.methods.union import Union, UnionSettings

__all__ = ["METHODS", "MethodEntry"]


@dataclass(frozen=True, slots=True)
class MethodEntry:
    """One line of `METHODS`. `build` makes the method from its settings, the image tower, the text tower, how many
    people the training split shows (0 for a model that is only used, which has nothing that only training needs) and
    the vocabulary; it raises `RecipeError` for settings that do not fit the towers. `pairing` tells what training items
    hold beside image and caption. A method with state under the prefixes `training_only` is saved without it."""

    settings: type[Settings]
    build: Callable[..., Method]
    pairing: Callable[[Any], Pairing] = lambda _: PLAIN
    training_only: tuple[str, ...] = ()


METHODS: dict[str, MethodEntry] = {
    "dual": MethodEntry(DualSettings, Dual),
    "itself": MethodEntry(ItselfSettings, Itself),
    "fusion": MethodEntry(FusionSettings, Fusion, pairing, TRAINING_ONLY),
    "aga": MethodEntry(AgaSettings, Aga, pairing, TRAINING_ONLY),
    "union": MethodEntry(UnionSettings, Union, pairing, union.TRAINING_ONLY),
}  # method name to its settings and builder

"""Ways to train and to score. A method is one class and one line in `METHODS`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pickout.config import Settings
from pickout.data.training_pairs import PLAIN, Pairing
from pickout.methods.aga import Aga, AgaSettings
from pickout.methods.base import Method
from pickout.methods.dual import Dual, DualSettings
from pickout.methods.fusion import Fusion
from pickout.methods.fusion_model import TRAINING_ONLY, FusionSettings, pairing
from pickout.methods.itself import Itself, ItselfSettings

__all__ = ["METHODS", "MethodEntry"]


@dataclass(frozen=True, slots=True)
class MethodEntry:
    """One line of `METHODS`.

    Args:
        settings: the method's own settings class; it need not declare `name`.
        build: makes the method from its settings, the image tower, the text tower, how many people the training split
            shows (0 for a model that is only used, which has nothing that only training needs) and the vocabulary;
            raises `RecipeError` for settings that do not fit the towers.
        pairing: from the method's settings to what its training items hold beside image and caption.
        training_only: prefixes of state keys that only training needs. A method with such parts is saved without them
            and loaded with no identities, for which it builds none of them.
    """

    settings: type[Settings]
    build: Callable[..., Method]
    pairing: Callable[[Any], Pairing] = lambda _: PLAIN
    training_only: tuple[str, ...] = ()


METHODS: dict[str, MethodEntry] = {
    "dual": MethodEntry(DualSettings, Dual),
    "itself": MethodEntry(ItselfSettings, Itself),
    "fusion": MethodEntry(FusionSettings, Fusion, pairing, TRAINING_ONLY),
    "aga": MethodEntry(AgaSettings, Aga, pairing, TRAINING_ONLY),
}
"""Method name to its settings and builder."""

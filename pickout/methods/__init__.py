"""Ways to train and to score. A method is one file and one line in `METHODS`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from pickout.config import Settings
from pickout.data.training_pairs import PLAIN, Pairing
from pickout.methods.aga import AgaSettings, build_aga
from pickout.methods.base import Method
from pickout.methods.dual import DualSettings, build_dual
from pickout.methods.fusion_build import build_fusion, pairing
from pickout.methods.fusion_model import TRAINING_ONLY
from pickout.methods.fusion_settings import FusionSettings
from pickout.methods.itself import ItselfSettings, build_itself
from pickout.text.vocabulary import Vocabulary

__all__ = ["METHODS", "Build", "MethodEntry"]


@runtime_checkable
class Build(Protocol):
    """Makes a method from its settings and two towers.

    Raises:
        RecipeError: settings that do not fit the towers, for example a roll-out layer that they do not have.
    """

    def __call__(self, settings: Any, vision: Any, text: Any, identities: int, vocabulary: Vocabulary) -> Method:
        """Build it.

        Args:
            settings: an object of the entry's settings class.
            vision: the image tower of the kind that the settings name.
            text: the text tower likewise; knows its start and end token.
            identities: how many people the training split shows; 0 for a model that is only used, which then has no
                classification heads and nothing else that only training needs.
            vocabulary: what the tokenizer's ids stand for.
        """


@dataclass(frozen=True, slots=True)
class MethodEntry:
    """One line of `METHODS`.

    Args:
        settings: the method's own settings class; it need not declare `name`.
        build: makes the method.
        pairing: from the method's settings to what its training items hold beside image and caption.
        training_only: prefixes of state keys that only training needs. A method with such parts is saved without them
            and loaded with no identities, for which it builds none of them.
    """

    settings: type[Settings]
    build: Build
    pairing: Callable[[Any], Pairing] = lambda _: PLAIN
    training_only: tuple[str, ...] = ()


METHODS: dict[str, MethodEntry] = {
    "dual": MethodEntry(DualSettings, build_dual),
    "itself": MethodEntry(ItselfSettings, build_itself),
    "fusion": MethodEntry(FusionSettings, build_fusion, pairing, TRAINING_ONLY),
    "aga": MethodEntry(AgaSettings, build_aga, pairing, TRAINING_ONLY),
}
"""Method name to its settings and builder."""

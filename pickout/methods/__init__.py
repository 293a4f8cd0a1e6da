"""Ways to train and to score. A method is one file and one line in `METHODS`."""

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from pickout.config import Settings
from pickout.methods.base import Method
from pickout.methods.dual import DualSettings, build_dual
from pickout.methods.itself import ItselfSettings, build_itself
from pickout.nn.text import TextTransformer
from pickout.nn.vision import VisionTransformer

__all__ = ["METHODS", "Build", "MethodEntry"]


@runtime_checkable
class Build(Protocol):
    """Makes a method from its settings and two towers.

    Raises:
        RecipeError: settings that do not fit the towers, for example a roll-out layer that they do not have.
    """

    def __call__(self, settings: Any, vision: VisionTransformer, text: TextTransformer, identities: int) -> Method:
        """Build it.

        Args:
            settings: an object of the entry's settings class.
            vision: the image tower.
            text: the text tower; knows its start and end token.
            identities: how many people the training split shows; 0 for a model that is only used, which then has no
                classification heads.
        """


@dataclass(frozen=True, slots=True)
class MethodEntry:
    """One line of `METHODS`.

    Args:
        settings: the method's own settings class; it need not declare `name`.
        build: makes the method.
    """

    settings: type[Settings]
    build: Build


METHODS: dict[str, MethodEntry] = {
    "dual": MethodEntry(DualSettings, build_dual),
    "itself": MethodEntry(ItselfSettings, build_itself),
}
"""Method name to its settings and builder."""

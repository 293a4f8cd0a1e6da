"""Pickout: find people in images from a sentence.

    model = pickout.load("runs/demo")

Names are imported when they are first used, so that `import pickout` and `pickout --help` load no torch."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from pickout import errors

if TYPE_CHECKING:
    from pickout.checkpoints.source import load
    from pickout.evaluate.protocol import evaluate
    from pickout.gallery.gallery import Gallery
    from pickout.gallery.search.filters import Where
    from pickout.gallery.search.query import Query

__all__ = ["Gallery", "Query", "Where", "__version__", "errors", "evaluate", "load"]

__version__ = "0.1.0"

_HOMES = {
    "Gallery": "pickout.gallery.gallery",
    "Query": "pickout.gallery.search.query",
    "Where": "pickout.gallery.search.filters",
    "evaluate": "pickout.evaluate.protocol",
    "load": "pickout.checkpoints.source",
}  # public name to the module that defines it


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'pickout' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)

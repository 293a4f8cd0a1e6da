"""Arguments of another type than a method says: one clear error for every public method of a class."""

import functools
import inspect
import os
import re
import types
import typing
from collections.abc import Callable, Collection, Iterable, Sequence
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

from pickout.errors import UsageError, printable

Class = TypeVar("Class", bound=type[Any])


def checked_arguments(own: Class) -> Class:
    """`own`, whose public methods raise a `UsageError` that names an argument of another type than their annotation."""
    for name, method in list(vars(own).items()):
        function = method.__func__ if isinstance(method, classmethod) else method
        if inspect.isfunction(function) and not name.startswith("_"):
            wrapped = _checked(function)
            setattr(own, name, classmethod(wrapped) if isinstance(method, classmethod) else wrapped)
    return own


def _checked(method: Callable[..., Any]) -> Callable[..., Any]:
    signature = inspect.signature(method)
    hints = functools.cache(lambda: typing.get_type_hints(method))  # late: they may name the class itself

    @functools.wraps(method)
    def with_check(*args: Any, **options: Any) -> Any:
        try:
            given = signature.bind(*args, **options).arguments
        except TypeError:  # too many arguments, or unknown ones: Python's own error names the method
            given = {}
        for name, value in given.items():
            if name in hints() and not _fits(value, hints()[name]):
                expected = re.sub(r"(\w+\.)+", "", inspect.formatannotation(hints()[name]))
                raise UsageError(f"{method.__name__}: {name} = {printable(repr(value))[:80]}: expected {expected}")
        return method(*args, **options)

    return with_check


def _fits(value: Any, hint: Any) -> bool:
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, each) for each in typing.get_args(hint))
    kind = origin or hint
    if isinstance(kind, type) and issubclass(kind, Enum):
        return value in list(kind)
    if kind is Path:
        return isinstance(value, os.PathLike)
    if kind is int and isinstance(value, bool):
        return False
    if kind in (Sequence, Collection, Iterable):  # also an array or a generator, but no text, whose letters were meant
        return isinstance(value, Iterable) and not isinstance(value, str | bytes)
    return kind is Any or isinstance(value, kind)

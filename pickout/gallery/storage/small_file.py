"""The small JSON files beside a gallery's table, read strictly."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from pickout.errors import GalleryDamaged

_Contents = TypeVar("_Contents")


def read_small_file(
    file: Path, contents: type[_Contents], remedy: str, *, check: Callable[[_Contents], str | None] = lambda _: None
) -> _Contents | None:
    """What `file` holds; None where it is not there.

    `GalleryDamaged`, with the remedy, where it cannot be read, is garbled, or `check` tells what is wrong with it."""
    try:
        text = file.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise GalleryDamaged(f"{file}: cannot be read: {error.strerror}") from None
    try:
        # A path that is no UTF-8 is kept with lone surrogates, which JSON may hold and pydantic's own reader refuses.
        found = TypeAdapter(contents).validate_python(json.loads(text))
    except ValidationError as error:
        raise GalleryDamaged(f"{file}: {first_fault(error)}; {remedy}") from None
    except (ValueError, RecursionError):
        raise GalleryDamaged(f"{file}: is no JSON; {remedy}") from None
    if wrong := check(found):
        raise GalleryDamaged(f"{file}: {wrong}; {remedy}")
    return found


def first_fault(error: ValidationError) -> str:
    """The first thing that is wrong, and where."""
    first = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"]) or "the file"
    return f"{place}: {first['msg']}"


def known_format(found: int, known: int) -> str | None:
    """What to say of a file of another format than the one that is known."""
    return None if found == known else f"format {found}, this version knows {known}"

"""Frozen settings and their TOML form.

Each part declares its own `Settings` class beside the code that needs it; a recipe is a `Settings` made of those. An
unknown key is an error that names the nearest known one; a wrong type names the key, the value and the expected type.
"""

import difflib
import json
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args

import tomli_w
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from pickout.errors import RecipeError


class Settings(BaseModel):
    """Base of every settings class: frozen, no unknown key, no silent conversion."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)


S = TypeVar("S", bound=Settings)


def parse_settings(schema: type[S], values: Mapping[str, Any], *, source: str, prefix: str = "") -> S:
    """Check `values` against `schema`.

    Args:
        schema: the settings class.
        values: a nested mapping, as TOML gives it.
        source: what to call its origin in an error, usually a file name.
        prefix: dotted path of `values` inside `source`, put before each key in an error.

    Raises:
        RecipeError: an unknown key (with the nearest known one), a missing key, a wrong type or value.
    """
    try:
        # JSON mode is strict about types yet takes a list for a tuple and a string for a path.
        return schema.model_validate_json(json.dumps(values, default=str), strict=True)
    except ValidationError as error:
        lines = [_explain(schema, detail, prefix) for detail in error.errors(include_url=False)]
        raise RecipeError(f"{source}: " + "; ".join(lines)) from None


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        RecipeError: the file is missing, unreadable or no TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RecipeError(f"{path}: no such file; give the path of a recipe (see the recipes folder)") from None
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: cannot be read: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{path}: not valid TOML: {error}") from None


def to_toml(settings: Settings) -> str:
    """The TOML text of `settings`; parsing it gives an equal object. None values are left out."""
    return tomli_w.dumps(settings.model_dump(mode="json", exclude_none=True))


def apply_overrides(values: Mapping[str, Any], overrides: Iterable[str]) -> dict[str, Any]:
    """Lay `--set key.path=value` pairs over a nested mapping and return a new one.

    A value is read as TOML (`3`, `0.1`, `true`, `[5, 12]`, `"text"`); what is no TOML value is taken as a string.

    Raises:
        RecipeError: a pair without `=`, or a path through something that is no table.
    """
    result = json.loads(json.dumps(values, default=str))
    for pair in overrides:
        path, equals, text = pair.partition("=")
        if not equals or not path.strip():
            raise RecipeError(f"--set {pair}: expected key.path=value, for example --set train.epochs=5")
        *parents, last = path.strip().split(".")
        table = result
        for parent in parents:
            table = table.setdefault(parent, {})
            if not isinstance(table, dict):
                raise RecipeError(f"--set {pair}: '{parent}' is a value, not a table")
        table[last] = _toml_value(text.strip())
    return dict(result)


def nearest(word: str, known: Iterable[str]) -> str:
    """`" (did you mean 'x'?)"` for the known word nearest to `word`, or the list of known words when none is near."""
    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    if close:
        return f" (did you mean '{close[0]}'?)"
    return f" (known: {', '.join(names)})" if names else ""


def _toml_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _explain(schema: type[BaseModel], detail: ErrorDetails, prefix: str) -> str:
    location = [str(part) for part in detail["loc"]]
    key = ".".join([prefix, *location] if prefix else location)
    if detail["type"] == "extra_forbidden":
        return f"unknown key '{key}'{nearest(location[-1], _fields_at(schema, location[:-1]))}"
    if detail["type"] == "missing":
        return f"missing key '{key}'"
    return f"'{key}' = {detail['input']!r}: {detail['msg'][0].lower()}{detail['msg'][1:]}"


def _fields_at(schema: type[BaseModel], path: list[str]) -> list[str]:
    for part in path:
        field = schema.model_fields.get(part)
        inner = None if field is None else _settings_in(field.annotation)
        if inner is None:
            return []
        schema = inner
    return list(schema.model_fields)


def _settings_in(annotation: Any) -> type[BaseModel] | None:
    for candidate in (annotation, *get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None

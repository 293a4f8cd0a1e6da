"""Frozen settings and their TOML form.

Each part declares its own `Settings` class beside the code that needs it; a recipe is a `Settings` made of those. An
unknown key is an error that names the nearest known one; a wrong type names key, value and expected type."""

import difflib
import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from pickout.errors import RecipeError
from pickout.files import read_text

DEEPEST = 16  # tables within tables that settings may have; ours have four
_PART = r"""(?:[\w-]+|"[^"\n]*"|'[^'\n]*')"""
_DEEP_KEY = re.compile(rf"""(?<![\w"'-]){_PART}(?:[ \t]*\.[ \t]*{_PART}){{{DEEPEST}}}""")
"""A dotted key of more parts: the reader of TOML takes time and memory by their square."""
_WHOLE = 1 << 63

Size = Annotated[int, Field(gt=0, le=1 << 20)]  # a width, in numbers; far above any model's
Layers = Annotated[int, Field(gt=0, le=1000)]  # how many layers


class Settings(BaseModel):
    """Base of every settings class: frozen, no unknown key, no silent conversion."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)


S = TypeVar("S", bound=Settings)


def parse_settings(schema: type[S], values: Mapping[str, Any], *, source: str, prefix: str = "") -> S:
    """Check `values`, a nested mapping as TOML gives it, against `schema`. Errors call its origin `source` and put the
    dotted path `prefix` before each key. `RecipeError`: a key that is unknown or missing, a wrong type or value."""
    _check_numbers(values, source, [prefix] if prefix else [])
    try:
        # JSON mode is strict about types yet takes a list for a tuple and a string for a path.
        return schema.model_validate_json(json.dumps(values, default=str), strict=True)
    except ValidationError as error:
        lines = [_explain(schema, detail, prefix) for detail in error.errors(include_url=False)]
        raise RecipeError(f"{source}: " + "; ".join(lines)) from None


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file. `RecipeError`: the file is missing, unreadable or no TOML."""
    try:
        text = read_text(path)
        deep = _DEEP_KEY.search(text)
        if deep:
            raise RecipeError(f"{path}: key '{deep[0][:60]}...' has more than {DEEPEST} parts; no setting has so many")
        return tomllib.loads(text)
    except FileNotFoundError:
        raise RecipeError(f"{path}: no such file; give the path of a recipe (see the recipes folder)") from None
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: cannot be read: {error}") from None
    except (ValueError, RecursionError) as error:
        raise RecipeError(f"{path}: not valid TOML: {error}") from None


def to_toml(settings: Settings) -> str:
    """The TOML text of `settings`; parsing it gives an equal object. None values are left out."""
    return tomli_w.dumps(settings.model_dump(mode="json", exclude_none=True))


def apply_overrides(values: Mapping[str, Any], overrides: Iterable[str]) -> dict[str, Any]:
    """Lay `--set key.path=value` pairs over a nested mapping and return a new one. A value is read as TOML (`3`, `0.1`,
    `true`, `[5, 12]`, `"text"`); else as a string. `RecipeError`: no `=`, or a path through what is no table."""
    result = json.loads(json.dumps(values, default=str))
    for pair in overrides:
        path, equals, text = pair.partition("=")
        if not equals or not path.strip():
            raise RecipeError(f"--set {pair}: expected key.path=value, for example --set train.epochs=5")
        *parents, last = path.strip().split(".")
        if len(parents) > DEEPEST:
            raise RecipeError(f"--set {pair}: a key has at most {DEEPEST} parts")
        table = result
        for parent in parents:
            table = table.setdefault(parent, {})
            if not isinstance(table, dict):
                raise RecipeError(f"--set {pair}: '{parent}' is a value, not a table")
        try:
            table[last] = tomllib.loads(f"value = {text.strip()}")["value"]
        except (ValueError, RecursionError):
            table[last] = text.strip()
    return dict(result)


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The values of a nested mapping by dotted path."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return found


def nearest(word: str, known: Iterable[str]) -> str:
    """`" (did you mean 'x'?)"` for the known word nearest to `word`, or the list of known words when none is near."""
    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    if close:
        return f" (did you mean '{close[0]}'?)"
    return f" (known: {', '.join(names)})" if names else ""


def _check_numbers(values: Any, source: str, path: list[str]) -> None:
    """Refuse whole numbers that no part could compute with, and tables within tables without end."""
    key = ".".join(path)
    if len(path) > DEEPEST:
        raise RecipeError(f"{source}: '{key}': tables within tables, more than {DEEPEST} of them")
    if isinstance(values, int) and not -_WHOLE <= values < _WHOLE:
        raise RecipeError(f"{source}: '{key}' = {values}: a whole number of more than 64 bits")
    inner = values.items() if isinstance(values, Mapping) else enumerate(values) if isinstance(values, list) else ()
    for name, value in inner:
        _check_numbers(value, source, [*path, str(name)])


def _explain(schema: type[BaseModel], detail: ErrorDetails, prefix: str) -> str:
    location = [str(part) for part in detail["loc"]]
    key = ".".join([prefix, *location] if prefix else location)
    if detail["type"] == "extra_forbidden":
        return f"unknown key '{key}'{nearest(location[-1], _fields_at(schema, location[:-1]))}"
    if detail["type"] == "missing":
        return f"missing key '{key}'"
    told = f"{detail['msg'][0].lower()}{detail['msg'][1:]}"
    if detail["type"] == "value_error" and isinstance(detail["input"], dict):
        return (f"'{key}': " if key else "") + told.removeprefix("value error, ")  # of several keys, which it names
    return f"'{key}' = {detail['input']!r}: {told}"


def _fields_at(schema: type[BaseModel], path: list[str]) -> list[str]:
    for part in path:
        field = schema.model_fields.get(part)
        inner = () if field is None else (field.annotation, *get_args(field.annotation))
        tables = [each for each in inner if isinstance(each, type) and issubclass(each, BaseModel)]
        if not tables:
            return []
        schema = tables[0]
    return list(schema.model_fields)

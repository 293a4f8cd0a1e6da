"""Presets: named sets of values that take the place of a method's defaults, for a paper to the letter or a release."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import model_validator

from pickout.config import Settings

Preset = Literal["recommended", "as_paper", "as_released"]


class PresetSettings(Settings):
    """Settings of a method that has presets.

    A preset sets whole choices: a number and the unit that it is counted in are one key, so that no key of a recipe can
    keep the one while a preset changes the other.
    """

    presets: ClassVar[Mapping[str, Mapping[str, Any]]]
    """What each preset sets differently from the fields' defaults; a key given beside `preset` wins."""

    preset: Preset = "recommended"
    """Fills in defaults: ours, the paper to the letter where that can be built, or the released program."""

    @model_validator(mode="before")
    @classmethod
    def _fill_in_the_preset(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        filled = {**cls.presets.get(str(values.get("preset")), {}), **values}
        # Behind a validator of this kind a list of TOML no longer passes for a tuple by itself.
        return {key: tuple(value) if isinstance(value, list) else value for key, value in filled.items()}

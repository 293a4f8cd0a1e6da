"""Descriptions that name protected traits: warned of, blocked or recorded by rules that everybody can read."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Literal

from pickout.config import Settings, parse_settings, read_toml
from pickout.errors import AccessDenied, RecipeError


class Rule(Settings):
    """One rule."""

    name: str
    """What it is about."""
    action: Literal["warn", "block", "log"]
    """What happens to a query that it fits."""
    why: str
    """What is told to the searcher."""
    patterns: tuple[str, ...]
    """Regular expressions, without regard to case."""


class _Rules(Settings):
    rule: tuple[Rule, ...] = ()
    """The rules."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What the rules say of a query.

    Args:
        warnings: to be told beside the candidates.
        rules: names of the rules that fit, for the audit.
    """

    warnings: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()


class PolicyBlocked(AccessDenied):
    """A rule refuses the description.

    Args:
        rule: which.
    """

    def __init__(self, rule: Rule) -> None:
        super().__init__(f"not searched (rule '{rule.name}'): {rule.why}")
        self.rule = rule.name


class Policy:
    """The rules of one file.

    Args:
        file: `default`, `off`, or a path.

    Raises:
        RecipeError: the file is missing or wrong, or a pattern is no regular expression.
    """

    def __init__(self, file: str) -> None:
        rules: tuple[Rule, ...] = ()
        if file != "off":
            own = resources.files("pickout.serve").joinpath("policy.toml")
            with resources.as_file(own) as packaged:
                path = packaged if file == "default" else Path(file)
                rules = parse_settings(_Rules, read_toml(path), source=file).rule
        try:
            self._rules = [(rule, [re.compile(each, re.IGNORECASE) for each in rule.patterns]) for rule in rules]
        except re.error as error:
            raise RecipeError(f"{file}: '{error.pattern!r}' is no regular expression: {error.msg}") from None

    def judge(self, sentences: Sequence[str]) -> Judged:
        """What the rules say.

        Raises:
            PolicyBlocked: one refuses a sentence.
        """
        fitting = [rule for rule, patterns in self._rules if any(p.search(s) for p in patterns for s in sentences)]
        for rule in fitting:
            if rule.action == "block":
                raise PolicyBlocked(rule)
        warnings = tuple(rule.why for rule in fitting if rule.action == "warn")
        return Judged(warnings, tuple(rule.name for rule in fitting))

"""What the owner of a server decides: its settings, and rules on descriptions that everybody can read."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field

from pickout.config import Settings, parse_settings, read_toml
from pickout.errors import AccessDenied, RecipeError
from pickout.files import packaged_table

SETTINGS = "settings.toml"


class ServeSettings(Settings):
    """The contents of `settings.toml` in a server's folder."""

    purposes: tuple[str, ...] = ("missing person", "incident", "own recordings", "research")
    """What a search may be made for; each request says one of these. `*`: any words. Empty: none is asked for."""
    policy: str = "default"  # the file of rules on descriptions; `default`: the one in the package; `off`: none
    hosts: tuple[str, ...] = ()  # names by which the server is called besides those of this machine's loopback address
    folders: tuple[Path, ...] = ()  # below these, crops, data sets and models may be read when a client names a path
    recordings: tuple[Path, ...] = ()  # folders of the recordings that crops were cut from, so that frames can be shown
    webhooks: tuple[str, ...] = ()  # addresses, as `https://host:port`, to which alarms may be sent
    largest_body: int = Field(default=2**20, ge=1024)  # bytes of a request without files
    largest_upload: int = Field(default=2**28, ge=1024)  # bytes of a request with files
    largest_file: int = Field(default=2**25, ge=1024)  # bytes of one picture
    most_files: int = Field(default=1000, ge=1)  # pictures in one request
    largest_recording: int = Field(default=2**33, ge=1024)  # bytes of one recording
    recording_seconds: float = Field(default=7200.0, gt=0)  # longest time for sending one
    recording_days: float = Field(default=7.0, gt=0)  # how long a recording is kept that nobody had looked through
    idle_seconds: float = Field(default=20.0, gt=0)  # longest pause in a request's body
    body_seconds: float = Field(default=300.0, gt=0)  # longest time for a request's body
    waiting: int = Field(default=256, ge=1)  # searches of one gallery that may wait; more are told to come back
    together: int = Field(default=16, ge=1)  # searches that are encoded and scored at once
    failures: int = Field(default=10, ge=1)  # wrong tokens from one address in a minute, after which it has to wait
    jobs: int = Field(default=8, ge=1)  # long jobs that may wait or run
    keep_minutes: float = Field(default=60.0, gt=0)  # how often retention is enforced and heads of the audit are signed
    watch_seconds: float = Field(default=10.0, gt=0)  # how often watches look for new crops
    compact_minutes: float = Field(default=30.0, gt=0)  # how often the pieces that changes leave on disk are merged


def read_settings(state: Path) -> ServeSettings:
    """The settings in a server's folder; the defaults where there are none."""
    file = state / SETTINGS
    return parse_settings(ServeSettings, read_toml(file), source=str(file)) if file.exists() else ServeSettings()


class Rule(Settings):
    """One rule."""

    name: str  # what it is about
    action: Literal["warn", "block", "log"]  # what happens to a query that it fits
    why: str  # what is told to the searcher
    patterns: tuple[str, ...]  # regular expressions, without regard to case


class _Rules(Settings):
    rule: tuple[Rule, ...] = ()  # the rules


class PolicyBlocked(AccessDenied):
    """A rule refuses the description."""

    def __init__(self, rule: Rule) -> None:
        super().__init__(f"not searched (rule '{rule.name}'): {rule.why}")
        self.rule = rule.name


class Policy:
    """The rules of one file."""

    def __init__(self, file: str) -> None:
        rules: tuple[Rule, ...] = ()
        if file != "off":
            told = packaged_table("pickout.serve", "policy.toml") if file == "default" else read_toml(Path(file))
            rules = parse_settings(_Rules, told, source=file).rule
        try:
            self._rules = [(rule, [re.compile(each, re.IGNORECASE) for each in rule.patterns]) for rule in rules]
        except re.error as error:
            raise RecipeError(f"{file}: '{error.pattern!r}' is no regular expression: {error.msg}") from None

    def judge(self, sentences: Sequence[str]) -> list[Rule]:
        """The rules that fit; PolicyBlocked where one of them refuses a sentence."""
        fitting = [rule for rule, patterns in self._rules if any(p.search(s) for p in patterns for s in sentences)]
        for rule in fitting:
            if rule.action == "block":
                raise PolicyBlocked(rule)
        return fitting

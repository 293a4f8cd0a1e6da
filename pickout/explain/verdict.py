"""What a measurement allows to be shown: for each target the ways that did better than chance, and the best of them.

A run keeps the measurement of its validation split as `explain.json`; what is shown as an explanation is decided there.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import TypeAdapter

from pickout.errors import CheckpointError, UsageError
from pickout.explain.ways import WAYS

SCHEMA, FILE = "pickout.explain/1", "explain.json"  # of a measurement, and its name in a run folder

Target = Literal["patches", "words", "word_patches", "looks"]
"""Heat over the crop, weights of the words, heat of each word over the crop, and where each word of a matching head
looks. The first three are about the score of the embeddings, the last about that of the matching head."""
TARGETS: tuple[Target, ...] = get_args(Target)
UNMEASURED: Mapping[Target, str] = {
    "patches": "shapley",
    "words": "shapley",
    "word_patches": "shapley_phrases",
    "looks": "cross_attention_hidden",
}  # what is shown, and said to be unmeasured, for a model without a measurement


@dataclass(frozen=True, slots=True)
class Number:
    """A mean over pairs with its 95 % interval (bootstrap over people)."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True, slots=True)
class Finding:
    """How one way did at one target."""

    deletion: Number  # area under the deletion curve of random maps less that of the way; above 0 is better than random
    insertion: Number  # area under the insertion curve of the way less that of random maps; likewise
    ratio: Number | None = None  # of garment words' heat on a drawn street: share on the garment over its share of all

    @property
    def holds(self) -> bool:
        """Whether it is better than chance beyond the interval in everything that was measured."""
        better = self.deletion.low > 0 and self.insertion.low > 0
        return better and (self.ratio is None or self.ratio.low > 1)

    @property
    def merit(self) -> float:
        """By which the best way is chosen: the ratio where it was measured, else the two gains together."""
        return self.deletion.mean + self.insertion.mean if self.ratio is None else self.ratio.mean


@dataclass(frozen=True, slots=True)
class Verdict:
    """What may be shown at one target: by which way, or None; whether that rests on a measurement of this model; and
    the same in a sentence."""

    way: str | None
    measured: bool
    note: str


Findings = Mapping[Target, Mapping[str, Finding]]
_FINDINGS: TypeAdapter[Findings] = TypeAdapter(Findings)


@dataclass(frozen=True, slots=True)
class Measurement:
    """What `pickout explain measure` found of a model, by target and way; `facts` are data, split, pairs, seed and the
    like, for the reader."""

    fingerprint: str
    findings: Findings
    facts: Mapping[str, Any]

    def best(self, target: Target) -> str | None:
        """The way with the greatest merit among those that hold."""
        ways = self.findings.get(target, {})
        holding = [name for name, found in ways.items() if found.holds and name in WAYS]
        return max(holding, key=lambda name: ways[name].merit, default=None)

    def as_json(self) -> dict[str, Any]:
        """The file's content."""
        found = {
            target: {name: asdict(finding) | {"holds": finding.holds} for name, finding in ways.items()}
            for target, ways in self.findings.items()
        }
        shown = {target: self.best(target) for target in TARGETS}
        return {"schema": SCHEMA, "fingerprint": self.fingerprint, "shown": shown, **self.facts, "findings": found}


def read_measurement(file: Path) -> Measurement | None:
    """The measurement in a file; None where there is none, and `CheckpointError` where it is something else."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        if content.pop("schema") != SCHEMA:
            raise CheckpointError(f"{file}: not a measurement of this Pickout ({SCHEMA}); measure again or delete it")
        findings = _FINDINGS.validate_python(content.pop("findings"))
        content.pop("shown")
        return Measurement(content.pop("fingerprint"), findings, content)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OSError) as error:
        raise CheckpointError(f"{file}: a damaged measurement ({error}); measure again or delete it") from None


def judge(measurement: Measurement | None, fingerprint: str, wanted: str | None = None) -> dict[Target, Verdict]:
    """What may be shown of a model with this fingerprint at each target, by its measurement, or by the way that is
    `wanted` instead of the best. A measurement of another model counts as none; `UsageError` for an unknown way."""
    if wanted is not None and wanted not in WAYS:
        raise UsageError(f"unknown way '{wanted}'; known are {', '.join(WAYS)}")
    if measurement is None or measurement.fingerprint != fingerprint:
        return {
            target: Verdict(wanted or UNMEASURED[target], False, "not measured for this model") for target in TARGETS
        }
    return {target: _judge(target, measurement, wanted) for target in TARGETS}


def _judge(target: Target, measurement: Measurement, wanted: str | None) -> Verdict:
    way = wanted or measurement.best(target)
    if way is None:
        return Verdict(None, True, "not shown: no way did better than chance on this model")
    finding = measurement.findings.get(target, {}).get(way)
    if finding is None:
        return Verdict(None, True, f"not shown: '{way}' gives none")
    if not finding.holds:
        return Verdict(None, True, f"not shown: '{way}' did no better than chance on this model")
    told = "measured on this model: deletion and insertion better than random"
    if finding.ratio is not None:
        told += f"; {finding.ratio.mean:.1f} times as much heat on a named garment as chance"
    return Verdict(way, True, told)

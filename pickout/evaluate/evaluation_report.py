"""What an evaluation found, as data and as JSON. The fields are described in docs/evaluation.md."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from pickout.evaluate.bootstrap import BootstrapSettings, bootstrap
from pickout.evaluate.metrics import MEASURES, Metrics, average, cmc, score_queries
from pickout.evaluate.relevant_ranks import RelevantRanks

SCHEMA = "pickout.evaluation/1"
"""Name and version of the JSON form."""

_DIRECTIONS = ("text_to_image", "image_to_text", "text_to_image_without_own", "image_to_text_without_own")

ProtocolName = Literal["standard", "paper"]
"""`standard` chooses nothing on the evaluated split; `paper` repeats the field's habit of doing so."""


@dataclass(frozen=True, slots=True)
class Direction:
    """One direction of the search, for example captions against images.

    Args:
        metrics: means over queries.
        intervals: low and high of each measure by its short name; None without resampling.
        gallery: how many items the gallery has.
        cmc: recall at 1, 2, ... in percent.
    """

    metrics: Metrics
    intervals: Mapping[str, tuple[float, float]] | None
    gallery: int
    cmc: tuple[float, ...]

    def to_json(self) -> dict[str, Any]:
        """The direction as JSON fields."""
        return {
            **self.metrics.named(),
            "chance R@1": self.metrics.chance,
            "queries": self.metrics.queries,
            "excluded_queries": self.metrics.excluded,
            "gallery": self.gallery,
            "intervals": self.intervals,
            "cmc": self.cmc,
        }


@dataclass(frozen=True, slots=True)
class SweepRow:
    """Text to image with one weight of the global similarity (ITSELF, Eq. 8)."""

    global_weight: float
    metrics: Metrics

    def to_json(self) -> dict[str, float]:
        """The row as JSON fields."""
        return {"global_weight": self.global_weight, **self.metrics.named()}


@dataclass(frozen=True, slots=True)
class Sweep:
    """The published habit: several weights scored on the evaluated split, the best kept.

    Args:
        rows: by ascending weight.
        best: the row of the highest R@1; the smaller weight of two that are equal.
        label: how to call its numbers wherever they are shown.
    """

    rows: tuple[SweepRow, ...]
    best: SweepRow
    label: str


@dataclass(frozen=True, slots=True)
class Subject:
    """What was evaluated on what.

    Args:
        model: the model's name.
        fingerprint: of its weights.
        method: the method's class.
        trained_on: the data set of the model's run, where known.
        epoch_selected_on: the split that chose the run's epoch, or `last epoch`, where known.
        data: the data set's name.
        root: the folder it was read from.
        split: the split's name; `images`, `captions` and `identities` say how many it has.
    """

    model: str
    fingerprint: str
    method: str
    trained_on: str | None
    epoch_selected_on: str | None
    data: str
    root: str
    split: str
    images: int
    captions: int
    identities: int


@dataclass(frozen=True, slots=True)
class Report:
    """A whole evaluation.

    Args:
        subject: the model and the data.
        protocol: how the numbers were chosen.
        notes: sentences a reader of the numbers must know.
        text_to_image: captions as queries, images as gallery.
        image_to_text: images as queries, captions as gallery.
        text_to_image_without_own: each caption's own image taken out of its gallery; None when no query is left.
        image_to_text_without_own: each image's own captions taken out; None when no query is left.
        sweep: weights tried on this split, under the paper protocol.
        bootstrap: how the intervals were drawn.
        circumstances: date, versions, device, processes, tie rule, seconds.
        text_to_image_by_embedding: before the second look; None for a method without one.
    """

    subject: Subject
    protocol: ProtocolName
    notes: tuple[str, ...]
    text_to_image: Direction
    image_to_text: Direction
    text_to_image_without_own: Direction | None
    image_to_text_without_own: Direction | None
    sweep: Sweep | None
    bootstrap: BootstrapSettings
    circumstances: Mapping[str, Any]
    text_to_image_by_embedding: Direction | None = None

    def directions(self) -> dict[str, Direction]:
        """The directions that could be scored, by the name of their JSON field."""
        names = (*_DIRECTIONS, "text_to_image_by_embedding")
        return {name: found for name in names if (found := getattr(self, name)) is not None}

    def to_json(self) -> dict[str, Any]:
        """The report as JSON fields (schema `SCHEMA`)."""
        sweep = self.sweep and {
            "label": self.sweep.label,
            "best": self.sweep.best.to_json(),
            "rows": [row.to_json() for row in self.sweep.rows],
        }
        return {
            "schema": SCHEMA,
            **asdict(self.subject),
            "protocol": self.protocol,
            "notes": list(self.notes),
            **dict.fromkeys(_DIRECTIONS),
            **{name: direction.to_json() for name, direction in self.directions().items()},
            "sweep": sweep,
            "bootstrap": {**self.bootstrap.model_dump(), "unit": "identity", "kind": "percentile"},
            **self.circumstances,
        }

    def json_line(self) -> str:
        """The report as one line of JSON."""
        return json.dumps(self.to_json(), ensure_ascii=False, allow_nan=False)

    def json_text(self) -> str:
        """The report as indented JSON, for a file."""
        return json.dumps(self.to_json(), ensure_ascii=False, allow_nan=False, indent=2) + "\n"


def summarise(
    ranks: RelevantRanks, identity: np.ndarray[Any, np.dtype[np.int64]], settings: BootstrapSettings, *, cmc_ranks: int
) -> Direction | None:
    """Measures, intervals and curve of one direction, or None when no query has a relevant item.

    Args:
        ranks: of the relevant items.
        identity: who each query is about. Shape: (queries,).
        settings: how intervals are drawn; no resamples, no intervals.
        cmc_ranks: length of the curve; cut at the size of the gallery.
    """
    scores = score_queries(ranks)
    if not len(scores.kept):
        return None
    intervals = None
    if settings.resamples:
        ends = bootstrap(scores.values, identity[scores.kept], settings)
        intervals = dict(zip(MEASURES, zip(ends.low.tolist(), ends.high.tolist(), strict=True), strict=True))
    gallery = int(ranks.gallery.max())
    return Direction(average(scores), intervals, gallery, tuple(cmc(scores, min(cmc_ranks, gallery))))

"""What a run folder tells about its model, and its record of looks at the test split."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pickout.config import read_toml
from pickout.evaluate.evaluation_report import Report
from pickout.files import storage_errors

RECIPE_FILE = "recipe.toml"
SUMMARY_FILE = "summary.json"
LOG_FILE = "evaluations.jsonl"
"""One line for each evaluation on a test split. Who looks often and keeps the best number has chosen on test."""


@dataclass(frozen=True, slots=True)
class Training:
    """How a run's model came about, as far as its folder tells.

    Args:
        data: the data set it was trained on.
        root: where that was.
        selected_on: the split that chose the epoch, or `last epoch`.
    """

    data: str | None = None
    root: Path | None = None
    selected_on: str | None = None


def read_training(folder: Path | None) -> Training:
    """Read the recipe in a run folder; a folder without one, or none, tells nothing.

    Raises:
        RecipeError: the recipe is there and is no TOML.
    """
    if folder is None or not (folder / RECIPE_FILE).is_file():
        return Training()
    values = read_toml(folder / RECIPE_FILE)
    try:  # A finished run says what it chose its epoch on: it knows when its data set had no split for that.
        summary = json.loads((folder / SUMMARY_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        summary = {}
    root = _text(values, "data", "root")
    selected = _text({"summary": summary}, "summary", "selected_on") or _text(values, "train", "select")
    return Training(_text(values, "data", "name"), None if root is None else Path(root), selected)


def log_look(folder: Path, report: Report) -> None:
    """Append one line about an evaluation on a test split to the run's `evaluations.jsonl`.

    Raises:
        StorageFull: no space left.
    """
    subject = report.subject
    line = {
        "date": report.circumstances["date"],
        "data": subject.data,
        "split": subject.split,
        "protocol": report.protocol,
        "fingerprint": subject.fingerprint,
        "R@1": report.text_to_image.metrics.recall_at_1,
        "mAP": report.text_to_image.metrics.mean_average_precision,
    }
    path = folder / LOG_FILE
    with storage_errors(path), path.open("ab") as file:
        file.write(json.dumps(line).encode() + b"\n")


def _text(values: dict[str, Any], table: str, key: str) -> str | None:
    found = values.get(table)
    value = found.get(key) if isinstance(found, dict) else None
    return value if isinstance(value, str) else None

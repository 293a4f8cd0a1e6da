"""What a run folder tells about its model, and its record of looks at the test split."""

import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pickout.config import read_toml
from pickout.evaluate.evaluation_report import Report
from pickout.files import storage_errors

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
    if folder is None or not (folder / "recipe.toml").is_file():
        return Training()
    values = read_toml(folder / "recipe.toml")
    # A finished run says what it chose its epoch on: it knows when its data set had no split for that.
    with suppress(OSError, ValueError):
        values["summary"] = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    root = _text(values, "data", "root")
    selected = _text(values, "summary", "selected_on") or _text(values, "train", "select")
    return Training(_text(values, "data", "name"), None if root is None else Path(root), selected)


def _text(values: dict[str, Any], table: str, key: str) -> str | None:
    found = values.get(table)
    value = found.get(key) if isinstance(found, dict) else None
    return value if isinstance(value, str) else None


def log_look(folder: Path, report: Report) -> None:
    """Append one line about an evaluation on a test split to the run's `evaluations.jsonl`.

    Raises:
        StorageFull: no space left.
    """
    subject, metrics = report.subject, report.text_to_image.metrics
    line = {"date": report.circumstances["date"], "data": subject.data, "split": subject.split}
    line |= {"protocol": report.protocol, "fingerprint": subject.fingerprint}
    line |= {"R@1": metrics.recall_at_1, "mAP": metrics.mean_average_precision}
    path = folder / LOG_FILE
    with storage_errors(path), path.open("ab") as file:
        file.write(json.dumps(line).encode() + b"\n")

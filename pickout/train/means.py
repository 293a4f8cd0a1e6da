"""Running means of the numbers that training reports."""

from typing import Any

from pickout.train.engine import StepReport


class Means:
    """Means over the steps since the last line, and over the whole epoch."""

    def __init__(self) -> None:
        self._recent: list[StepReport] = []
        self._total, self._steps = 0.0, 0

    def add(self, report: StepReport) -> None:
        """Take in one optimiser step."""
        self._recent.append(report)
        self._total += report.loss
        self._steps += 1

    def since_last(self) -> dict[str, Any]:
        """Mean loss, terms and logs since the last call: a journal line's fields."""
        count = len(self._recent)
        line: dict[str, Any] = {"loss": sum(report.loss for report in self._recent) / count}
        for key in ("terms", "logs"):
            rows = [getattr(report, key) for report in self._recent]
            if rows[0]:
                line[key] = {name: sum(row[name] for row in rows) / count for name in rows[0]}
        self._recent.clear()
        return line

    def whole(self) -> dict[str, float]:
        """The mean loss of the epoch."""
        return {"loss": self._total / max(self._steps, 1)}

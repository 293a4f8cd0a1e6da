"""Running means of the numbers that training reports."""

from typing import Any

from pickout.train.engine import StepReport


class Means:
    """Means over the steps since the last line, and over the whole epoch."""

    def __init__(self) -> None:
        self._recent: list[StepReport] = []
        self._sums: dict[str, dict[str, float]] = {"loss": {"loss": 0.0}, "terms": {}, "logs": {}}
        self._steps = 0

    def add(self, report: StepReport) -> None:
        """Take in one optimiser step."""
        self._recent.append(report)
        self._steps += 1
        for key, values in (("loss", {"loss": report.loss}), ("terms", report.terms), ("logs", report.logs)):
            sums = self._sums[key]
            for name, value in values.items():
                sums[name] = sums.get(name, 0.0) + value

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

    def whole(self) -> dict[str, Any]:
        """Mean loss, terms and logs of the epoch."""
        steps = max(self._steps, 1)
        line: dict[str, Any] = {"loss": self._sums["loss"]["loss"] / steps}
        for key in ("terms", "logs"):
            if self._sums[key]:
                line[key] = {name: total / steps for name, total in self._sums[key].items()}
        return line

"""What a study found: a table, a plot and the numbers behind them. Differences between variants are paired over people
and seeds, with p-values corrected for how many are compared.

A variant's run and the base's run of the same seed answer the same queries. A resample draws people, the same ones for
both, and seeds, with replacement; all queries of a drawn person count as often as the person was drawn. So an interval
holds both kinds of chance: other people of this kind, and other seeds."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pickout.evaluate.metrics import MEASURES
from pickout.pages import figure_bytes, new_figure, open_axes
from pickout.study.runs import Answers, Plan, Run


@dataclass(frozen=True, slots=True)
class Difference:
    """A variant less the base of comparison."""

    mean: float  # over seeds and queries
    low: float  # lower end of the interval
    high: float
    p: float  # two-sided, of no difference, not corrected


Measured = NDArray[np.float64]  # one number for each query under each seed. Shape: (seeds, queries)


def paired_difference(
    variant: Measured, base: Measured, people: NDArray[np.int64], *, resamples: int = 10_000, seed: int = 0
) -> Difference:
    """Percentile interval of 95 % and p-value, never below 2 / (resamples + 1), of a difference of means: of a measure
    of each query under each seed, (seeds, queries), and whom each is about, (queries,)."""
    names, person = np.unique(people, return_inverse=True)
    counts = np.bincount(person).astype(np.float64)
    sums = np.stack([np.bincount(person, weights=row, minlength=len(names)) for row in variant - base])
    chance = np.random.default_rng(seed)
    drawn_people = chance.multinomial(len(names), np.full(len(names), 1 / len(names)), size=resamples)
    drawn_seeds = chance.multinomial(len(sums), np.full(len(sums), 1 / len(sums)), size=resamples) / len(sums)
    means = np.einsum("rs,sp,rp->r", drawn_seeds, sums, drawn_people, optimize=True) / (drawn_people @ counts)
    tail = (1 - 0.95) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    beyond = min(int((means <= 0).sum()), int((means >= 0).sum()))
    p = min(1.0, 2 * (beyond + 1) / (resamples + 1))
    return Difference(float((variant - base).mean()), float(low), float(high), p)


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values corrected for their number (Holm 1979): among all, a find by chance stays as rare as in one."""
    order = np.argsort(p_values)
    corrected, largest = [1.0] * len(p_values), 0.0
    for rank, place in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        corrected[place] = largest
    return corrected


RULE = (
    "Differences are to `{}`, paired over people and seeds (percentile bootstrap, 95 %); p by Holm for the number of "
    "comparisons."
)


@dataclass(frozen=True, slots=True)
class Row:
    """One variant on one population."""

    variant: str
    seeds: tuple[int, ...]  # which have ended
    means: dict[str, float]  # by measure, the mean over seeds
    spread: float | None  # of the study's measure over seeds, a standard deviation; None for one seed
    difference: Difference | None  # to the base over the seeds that both have; None for the base itself
    p: float | None  # the difference's p-value, corrected
    seconds: float  # of training, a run


def compare(plan: Plan, runs: Sequence[Run]) -> dict[str, list[Row]]:
    """The finished runs, compared, by population; variants without a run are left out."""
    ended = {(run.variant, run.seed): (run.answers(), run.seconds()) for run in runs if run.is_finished}
    asked = next((held for held, _ in ended.values()), {})
    return {name: _rows(plan, {key: (held[name], took) for key, (held, took) in ended.items()}) for name in asked}


def _rows(plan: Plan, ended: dict[tuple[str, int], tuple[Answers, float]]) -> list[Row]:
    base = plan.compared_with
    column = MEASURES.index(plan.measure)
    rows = []
    for variant in plan.variants:
        seeds = [seed for seed in plan.seeds if (variant, seed) in ended]
        if not seeds:
            continue
        difference, shared = None, [seed for seed in seeds if (base, seed) in ended]
        if variant != base and shared:
            own, others = (
                np.stack([ended[name, seed][0].values[:, column] for seed in shared]) for name in (variant, base)
            )
            difference = paired_difference(own, others, ended[base, shared[0]][0].people)
        each = np.stack([ended[variant, seed][0].values.mean(axis=0) for seed in seeds])
        means = dict(zip(MEASURES, each.mean(axis=0).tolist(), strict=True))
        spread = float(each[:, column].std(ddof=1)) if len(seeds) > 1 else None
        seconds = float(np.mean([ended[variant, seed][1] for seed in seeds]))
        rows.append(Row(variant, tuple(seeds), means, spread, difference, None, seconds))
    corrected = iter(holm([row.difference.p for row in rows if row.difference]))
    return [replace(row, p=next(corrected)) if row.difference else row for row in rows]


def to_text(plan: Plan, found: dict[str, list[Row]]) -> str:
    """The comparison as indented JSON, for a file."""
    told = {"schema": "pickout.study/1", **plan.model_dump(mode="json", by_alias=True)}
    rows = {name: [asdict(row) for row in rows] for name, rows in found.items()}
    told |= {"rule": RULE.format(plan.compared_with), "found": rows}
    return json.dumps(told, indent=2, ensure_ascii=False) + "\n"


def to_markdown(plan: Plan, found: dict[str, list[Row]]) -> str:
    """The comparison as a page."""
    lines = [f"# {plan.name}", "", *([plan.claim, ""] if plan.claim else []), RULE.format(plan.compared_with), ""]
    head = ["variant", "seeds", f"{plan.measure} (sd over seeds)", "difference", "p", "mAP", "R@10", "seconds a run"]
    for name, rows in found.items():
        queries = f"## Asked about {name}, {plan.split}"
        lines += [queries, "", f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
        for row in rows:
            spread = "" if row.spread is None else f" ({row.spread:.1f})"
            change = row.difference
            told = "" if change is None else f"{change.mean:+.1f} [{change.low:+.1f}, {change.high:+.1f}]"
            cells = [row.variant, str(len(row.seeds)), f"{row.means[plan.measure]:.1f}{spread}", told]
            cells += ["" if row.p is None else f"{row.p:.3f}", f"{row.means['mAP']:.1f}", f"{row.means['R@10']:.1f}"]
            lines.append(f"| {' | '.join([*cells, f'{row.seconds:.0f}'])} |")
        lines.append("")
    return "\n".join(lines)


def plot(plan: Plan, found: dict[str, list[Row]]) -> bytes:
    """Each variant's difference to the base with its interval, a panel a population, as PNG bytes."""
    plain: dict[str, Any] = {"parse_math": False}  # names may hold $
    most = max(len(rows) for rows in found.values())
    figure = new_figure(7.2, 1.2 + 0.42 * most * len(found))
    for axes, (name, rows) in zip(figure.subplots(len(found), squeeze=False)[:, 0], found.items(), strict=True):
        for place, row in enumerate(rows):
            change = row.difference
            if change is None:
                axes.plot(0, place, "|", color="#0b6e99", markersize=14, markeredgewidth=2)
            else:
                axes.plot([change.low, change.high], [place, place], color="#c2571a", linewidth=2)
                axes.plot(change.mean, place, "o", color="#c2571a", markersize=5)
        axes.axvline(0, color="#777777", linewidth=0.8)
        axes.set_yticks(range(len(rows)), [f"{row.variant} ({row.means[plan.measure]:.1f})" for row in rows], **plain)
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_xlabel(f"difference in {plan.measure} to {plan.compared_with}, in points", **plain)
        axes.set_title(f"{plan.name}, asked about {name}", loc="left", fontsize=11, fontweight="bold", **plain)
        open_axes(axes, axis="x")
    return figure_bytes(figure)

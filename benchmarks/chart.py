"""Draws what `pickout bench --out FILE.json` measured: python benchmarks/chart.py FILE.json PICTURE.png"""

import json
import sys
from pathlib import Path

from pickout.pages import figure_bytes, new_figure, open_axes


def main() -> None:
    found = json.loads(Path(sys.argv[1]).read_text())
    figure = new_figure(8, 0.7 + 0.95 * sum(len(sides) for sides in found["work"].values()) / 2)
    panels = figure.subplots(len(found["work"]), 1, squeeze=False)[:, 0]
    for axes, (work, sides) in zip(panels, found["work"].items(), strict=True):
        for place, (side, each) in enumerate(sides.items()):
            ours = side == list(sides)[-1]
            axes.barh(place, each["seconds"], color="#0b6e99" if ours else "#b8c4cc", height=0.65)
            told = f" {each['seconds']:.3g} s" + ("" if ours else f", {each['seconds_ratio']:.2f} times as long")
            axes.text(each["seconds"], place, told, va="center", fontsize=8, color="#1f2933")
        axes.set_yticks(range(len(sides)), list(sides), fontsize=8)
        axes.set_ylim(len(sides) - 0.4, -0.6)
        axes.set_xlim(0, 1.45 * max(each["seconds"] for each in sides.values()))
        axes.set_xticks([])
        axes.set_title(work, loc="left", fontsize=10, fontweight="bold", color="#1f2933")
        open_axes(axes, axis="x")
        axes.spines[["bottom", "left"]].set_visible(False)
        axes.tick_params(left=False)
    told = f"{found['model']} by {found['runtime']}; {found['machine']}, load {found['load']}, {found['date']}; medians"
    figure.supxlabel(told, x=0.01, ha="left", fontsize=7.5, color="#52606d")
    Path(sys.argv[2]).write_bytes(figure_bytes(figure))


if __name__ == "__main__":
    main()

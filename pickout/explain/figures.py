"""The papers' figures for a model of one's own: guesses and attention (AGA, figures 4 and 6), masks (AGA, figure 5),
entropy by layer (ITSELF, figure 7)."""

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np

from pickout.explain.masks import HiddenPiece, Masked, word_weights
from pickout.explain.overlay import overlay
from pickout.explain.pair import Array, Pair

_BLUE, _ORANGE, _GREY, _INK = "#0b6e99", "#c2571a", "#d9d9d9", "#1f2933"
_SIZE, _LETTER = 10.5, 0.602
"""Size of a drawn sentence in points, and the width of a letter of matplotlib's fixed-width font relative to it."""
_WIDE = 4.7  # inches of a sentence of the mask figure


@contextmanager
def _drawn(width: float, height: float, stream: io.BytesIO) -> Iterator[Any]:
    """A figure of so many inches, written to the stream as PNG at the end."""
    # Not pyplot: its global state warns when many figures are drawn, and would need a display.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=150, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    yield figure
    # Without the library's version inside, equal findings give equal bytes.
    figure.savefig(stream, format="png", metadata={"Software": None})


def guesses_figure(pair: Pair, pieces: Sequence[HiddenPiece], *, words: int = 5) -> bytes:
    """The crop, the sentence coloured by attention, and the raw guesses at so many leading words, the original marked;
    `pieces` are those of `hidden_pieces`. A PNG file's bytes."""
    stream, weights = io.BytesIO(), word_weights(pieces)
    leading = list(weights)[:words]
    first = {piece.word: piece for piece in reversed(pieces)}
    # Full colour is the highest weight, but at least three even shares: even attention stays pale.
    top = max(max(weights.values()), 3 / len(weights))
    shades = {told: weights[word] / top for told, word in enumerate(pair.told)}
    texts, wide = [pair.words[word].text for word in pair.told], 1.9 * (len(leading) + 1)
    places = _layout(texts, wide)
    high = 0.4 + 0.3 * (1 + places[-1][0])
    likeliest = max([0.1, *(guess.probability for word in leading for guess in first[word].guesses)])
    with _drawn(wide, high + 3.0, stream) as figure:
        above, below = figure.subfigures(2, 1, height_ratios=(high, 3.0))
        above.suptitle("attention of the class token (AGA, Eq. 8)", x=0.01, ha="left", fontsize=10, color=_INK)
        _sentence(above.subplots(), texts, places, lambda told: (0.76, 0.34, 0.10, 0.85 * shades[told]), wide)
        below.suptitle("what the model guesses where the word is hidden", x=0.01, ha="left", fontsize=10, color=_INK)
        panels = below.subplots(1, len(leading) + 1, squeeze=False)[0]
        _show(panels[0], pair.picture)
        for axes, word in zip(panels[1:], leading, strict=True):
            _bars(axes, pair.words[word].text, first[word], likeliest)
    return stream.getvalue()


def _bars(axes: Any, word: str, piece: HiddenPiece, likeliest: float) -> None:
    for row, guess in enumerate(piece.guesses):
        colour = _ORANGE if guess.original else _BLUE
        axes.barh(row + 0.22, guess.probability, color=colour, height=0.3)
        shown = f"{guess.text or '(no word)'}  {guess.probability:.2f}"
        letter = {"fontsize": 8.5, "color": colour, "weight": "bold" if guess.original else "normal"}
        axes.text(0.02 * likeliest, row - 0.16, shown, va="center", parse_math=False, **letter)
    axes.set(xlim=(0, 1.05 * likeliest), ylim=(len(piece.guesses) - 0.3, -0.6), xticks=[], yticks=[])
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    title = f"{word} (no. {piece.rank})" if piece.rank else word
    axes.set_title(title, fontsize=10, loc="left", color=_INK, parse_math=False)


def masks_figure(pair: Pair, found: Mapping[str, Masked], looks: Array) -> bytes:
    """Random and guided masks side by side: where the hidden words look, what each draw hides, and how likely. `looks`
    tells where each told word looks while it is hidden, (told, patches)."""
    stream, texts = io.BytesIO(), [pair.words[word].text for word in pair.told]
    places = _layout(texts, _WIDE)
    draws, lines = len(next(iter(found.values())).draws), 1 + places[-1][0]
    likeliest = 1.05 * max(max(masked.probability) for masked in found.values())
    with _drawn(13, 1.9 + 0.36 * lines * draws, stream) as figure:
        for side, (rule, masked) in zip(figure.subfigures(1, len(found)), found.items(), strict=True):
            left, right = side.subfigures(1, 2, width_ratios=(1, 3.4))
            hidden = sorted({told for draw in masked.draws for told in draw})
            heat = looks[hidden].mean(axis=0) if hidden else np.zeros(pair.grid.patches, np.float32)
            heat = heat - heat.mean()  # what is looked at more than an average place
            _show(left.subplots(), overlay(pair.picture, heat.reshape(pair.grid.rows, pair.grid.columns), pair.grid))
            rows = right.subplots(draws + 1, 1, height_ratios=(*[0.36 * lines] * draws, 1.5))
            for axes, draw in zip(rows, masked.draws, strict=False):
                _sentence(axes, texts, places, partial(_dark, draw), _WIDE)
            rows[-1].bar(range(len(texts)), masked.probability, color=_ORANGE if rule == "guided" else _BLUE, width=0.7)
            rows[-1].set(ylim=(0, likeliest), ylabel="probability")
            rows[-1].set_xticks(range(len(texts)), texts, rotation=60, ha="right", fontsize=7, parse_math=False)
            rows[-1].tick_params(axis="y", labelsize=7)
            rows[-1].spines[["top", "right"]].set_visible(False)
            side.suptitle(f"{rule} masks", fontsize=12, fontweight="bold", color=_INK)
    return stream.getvalue()


def _dark(hidden: Sequence[int], told: int) -> str | None:
    return _INK if told in hidden else None


def entropy_figure(found: Mapping[str, Array], title: str) -> bytes:
    """Mean entropy over pairs by layer (from `attention_entropy`), and the middle half of the pairs as a band."""
    stream = io.BytesIO()
    with _drawn(6.4, 3.8, stream) as figure:
        axes = figure.add_subplot()
        for (kind, rows), colour in zip(found.items(), (_BLUE, _ORANGE), strict=True):
            layers = np.arange(1, rows.shape[1] + 1)
            axes.plot(layers, rows.mean(axis=0), "o-", color=colour, linewidth=1.8, markersize=4, label=kind)
            axes.fill_between(layers, *np.percentile(rows, (25, 75), axis=0), color=colour, alpha=0.15, linewidth=0)
        axes.set(xlabel="layer", ylabel="entropy of the class token's attention (nats)")
        axes.set_xticks(range(1, max(rows.shape[1] for rows in found.values()) + 1))
        axes.set_ylim(bottom=0)
        axes.grid(color=_GREY, linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize=9)
        axes.set_title(title, loc="left", fontsize=11, fontweight="bold", parse_math=False)
    return stream.getvalue()


def _columns(inches: float) -> float:
    """Letters in a line."""
    return inches * 72 / (_SIZE * _LETTER)


def _layout(texts: Sequence[str], inches: float) -> list[tuple[int, int]]:
    """Line and column of each word of a sentence that is drawn so wide."""
    places, line, column = list[tuple[int, int]](), 0, 0
    for text in texts:
        if column and column + len(text) + 2 > _columns(inches):
            line, column = line + 1, 0
        places.append((line, column))
        column += len(text) + 2
    return places


def _sentence(
    axes: Any, texts: Sequence[str], places: Sequence[tuple[int, int]], box: Callable[[int], Any], inches: float
) -> None:
    """Words in lines, some in a box of a colour; dark boxes have white letters."""
    from matplotlib.patches import FancyBboxPatch

    for told, (text, (line, column)) in enumerate(zip(texts, places, strict=True)):
        colour = box(told)
        if colour is not None:
            corner, style = (column - 0.35, line + 0.17), "round,pad=0,rounding_size=0.25"
            axes.add_patch(FancyBboxPatch(corner, len(text) + 0.7, 0.66, style, fc=colour, lw=0))
        letters = "white" if colour == _INK else _INK
        middle = column + len(text) / 2
        letter = {"family": "DejaVu Sans Mono", "fontsize": _SIZE, "color": letters, "parse_math": False}
        axes.text(middle, line + 0.5, text, ha="center", va="center_baseline", **letter)
    axes.set(xlim=(-0.5, _columns(inches) - 0.5), ylim=(places[-1][0] + 1, 0))
    axes.axis("off")


def _show(axes: Any, picture: Any) -> None:
    axes.imshow(picture, interpolation="lanczos")
    axes.axis("off")

"""Heat over a crop; sheets of it, and an explanation as a page of its own or a piece of another page: no script, no
request, readable without colour. And the papers' figures for a model of one's own: guesses and attention (AGA, figures
4 and 6), masks (AGA, figure 5), entropy by layer (ITSELF, figure 7)."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from pickout.explain.explanation import MEANING, ExplainedWord, Explanation
from pickout.explain.hidden_words import HiddenPiece, Masked, word_weights
from pickout.explain.pair import Array, Grid, Pair
from pickout.files import packaged_text
from pickout.pages import figure_bytes, new_figure, open_axes, picture_address, render, tile

_COLD, _HOT = np.array([255.0, 196.0, 40.0]), np.array([222.0, 12.0, 92.0])
_DENSEST, _PALE = 0.82, 0.25  # opacity of the hottest place; what a word's own full colour is at least, of all words'
_WORDS, _HEIGHT = 8, 288  # most words on a sheet, and the height of a panel in pixels
MOST = 80  # words that have a map of their own on a page; a caption has fewer
_FINE = 8  # pixels of a page's layer for each patch; the browser smooths the rest
_LARGEST, _LONG = 512, 160  # longest side of a page's crop in pixels; letters of a title
_BLUE, _ORANGE, _INK = "#0b6e99", "#c2571a", "#1f2933"


def heat_layer(heat: Array, grid: Grid, size: tuple[int, int], *, top: float | None = None) -> Image.Image:
    """Heat (rows, columns) above zero as a see-through picture of this width and height, from amber to crimson; what
    speaks against is left blank. `top` is the heat that gets the full colour; by default the map's own highest."""
    values = np.maximum(np.nan_to_num(heat), 0)
    peak = float(values.max()) if top is None else top
    share = values / peak if peak > 0 else np.zeros_like(values)
    covered = [(n - 1) * grid.stride + grid.patch for n in (grid.columns, grid.rows)]
    sides = zip(size, covered, (grid.width, grid.height), strict=True)
    inner = [max(1, round(length * part / full)) for length, part, full in sides]
    smooth = Image.fromarray(share.astype(np.float32)).resize((inner[0], inner[1]), Image.Resampling.BICUBIC)
    level = np.zeros((size[1], size[0]), np.float32)
    level[: inner[1], : inner[0]] = np.clip(np.asarray(smooth), 0, 1)[: size[1], : size[0]]
    colour = _COLD + (_HOT - _COLD) * level[..., None]
    return Image.fromarray(np.dstack([colour, 255 * _DENSEST * level]).round().astype(np.uint8), "RGBA")


def overlay(picture: Image.Image, heat: Array, grid: Grid, *, top: float | None = None) -> Image.Image:
    """The crop with heat over it; arguments as in `heat_layer`."""
    # A dimmed, paler crop lets the heat stand out and still shows what lies below it.
    pale = Image.blend(picture.convert("RGB"), picture.convert("L").convert("RGB"), 0.7)
    return Image.alpha_composite(pale.convert("RGBA"), heat_layer(heat, grid, picture.size, top=top)).convert("RGB")


def top_of(explanation: Explanation, word: ExplainedWord) -> float:
    """The heat at which a word's map has its full colour: its own highest, but at least a quarter of the highest of all
    words, so that a word on which little rests stays pale."""
    highest = [float(other.patches.max()) for other in explanation.words if other.patches is not None]
    return max(0.0 if word.patches is None else float(word.patches.max()), _PALE * max(highest, default=0.0))


def leading_words(explanation: Explanation, count: int) -> list[ExplainedWord]:
    """At most `count` words, those with the greatest weight that have a map, in the order of the sentence."""
    mapped = [word for word in explanation.words if word.patches is not None]
    leading = sorted(mapped, key=lambda word: -(word.weight or 0))[:count]
    return sorted(leading, key=lambda word: word.start)


def explanation_sheet(explanation: Explanation) -> Image.Image:
    """The crop, its heat, and the heat of the weightiest words, side by side with captions."""
    picture, grid = _enlarged(explanation.picture), explanation.grid
    panels = [(f"score {explanation.score:.3f}", picture)]
    if explanation.patches is not None:
        panels.append(("all words", overlay(picture, explanation.patches, grid)))
    for word in leading_words(explanation, _WORDS):
        if word.patches is not None:
            panels.append((word.text, overlay(picture, word.patches, grid, top=top_of(explanation, word))))
    return tile(panels)


def look_sheet(pair: Pair, word: str, looks: Mapping[int, Array]) -> Image.Image:
    """The crop, and where one word, looked for alone by `look_at`, looked in each fusion layer and on average."""
    picture, maps = _enlarged(pair.picture), {f"layer {number}": map_ for number, map_ in looks.items()}
    panels = [(word, picture)]
    for name, map_ in {"all layers": np.mean(list(looks.values()), axis=0), **maps}.items():
        panels.append((name, overlay(picture, map_[0].reshape(pair.grid.rows, pair.grid.columns), pair.grid)))
    return tile(panels)


def _enlarged(picture: Image.Image) -> Image.Image:
    return picture.resize((max(24, round(picture.width * _HEIGHT / picture.height)), _HEIGHT), Image.Resampling.LANCZOS)


def explanation_page(explanation: Explanation, *, image: str) -> str:
    """The page as HTML text, `image` being the crop's name; its policy forbids scripts and requests. A word is a label
    of a hidden radio button; the style sheet shows the layer of heat that belongs to the chosen one. So maps change on
    a click, or with the arrow keys."""
    title = f"Why {image}: {explanation.sentence[:_LONG]}"
    page = {"title": title, "image": image, "meaning": MEANING, "style": explanation_style(), "whole": True}
    return render("pickout.explain", "page.html", **page, **_facts(explanation, "why"), kept=_kept(explanation))


def explanation_style() -> str:
    """The style sheet that a page with pieces needs once."""
    style = packaged_text("pickout.explain", "piece.css")
    for place in range(MOST + 1):  # the chosen word's layer is shown, and the word is marked
        chosen = f".why>input.c{place}:checked~"
        style += f"{chosen}.stage .h{place}{{opacity:1}}{chosen}.told .w{place}{{outline:2px solid currentColor}}\n"
        style += f".why>input.c{place}:focus-visible~.told .w{place}{{outline:3px solid Highlight}}\n"
    return style


def explanation_piece(explanation: Explanation, *, name: str) -> str:
    """The crop with its heat, and the sentence in which a click on a word shows the word's heat: an HTML element that
    needs `explanation_style` in its page. `name`, of letters and digits, tells several pieces of a page apart."""
    return render("pickout.explain", "piece.html", whole=False, **_facts(explanation, name))


def _facts(explanation: Explanation, name: str) -> dict[str, Any]:
    """What `piece.html` shows."""
    mapped = [word for word in explanation.words if word.patches is not None][:MOST]
    places = {id(word): place for place, word in enumerate(mapped, start=1)}
    grid, heats = explanation.grid, [(places[id(w)], w.patches, top_of(explanation, w)) for w in mapped]
    size = (grid.columns * _FINE, grid.rows * _FINE)
    every = [(0, explanation.patches, None), *heats]
    layers = [(place, heat_layer(heat, grid, size, top=top)) for place, heat, top in every if heat is not None]
    told, done, cut = [], 0, False
    for word in explanation.words:
        if cut := word.state == "cut":  # what follows is beyond the context too
            break
        told.append((explanation.sentence[done : word.start], word, places.get(id(word))))
        done = word.stop
    return {
        "explanation": explanation,
        "name": name,
        "choices": [(0, "all words"), *((places[id(word)], word.text) for word in mapped)],
        "crop": _photo(explanation.picture, _LARGEST),
        "layers": [(place, picture_address(layer, "PNG", optimize=True)) for place, layer in layers],
        "told": told,
        "cut": cut,
        "rest": explanation.sentence[done:],
        "strongest": max((abs(word.weight) for word in explanation.words if word.weight is not None), default=0) or 1,
        "long": _LONG,
    }


def _photo(picture: Image.Image, longest: int) -> tuple[str, int, int]:
    """A picture's address, width and height."""
    shown = picture.copy()
    shown.thumbnail((longest, longest))
    return picture_address(shown, quality=88), shown.width, shown.height


def _kept(explanation: Explanation) -> tuple[str, int, int] | None:
    """The kept tokens of ITSELF: the crop with all other patches dark."""
    if explanation.bank is None:
        return None
    grid, kept = explanation.grid, {place for place, _ in explanation.bank.patches}
    dark = [0 if place in kept else 190 for place in range(grid.patches)]
    mask = Image.fromarray(np.array(dark, np.uint8).reshape(grid.rows, grid.columns))
    shown = explanation.picture.copy()
    shown.paste((0, 0, 0), (0, 0), mask.resize(shown.size, Image.Resampling.NEAREST))
    return _photo(shown, 256)


def guesses_figure(pair: Pair, pieces: Sequence[HiddenPiece], *, words: int = 5) -> bytes:
    """The crop, attention by word, and raw guesses at so many leading words, the original marked; `pieces` are those
    of `hidden_pieces`. A PNG file's bytes."""
    weights = word_weights(pieces)
    leading = list(weights)[:words]
    first = {piece.word: piece for piece in reversed(pieces)}
    likeliest = max([0.1, *(guess.probability for word in leading for guess in first[word].guesses)])
    figure = new_figure(1.9 * (len(leading) + 1), 4.6)
    above, below = figure.subfigures(2, 1, height_ratios=(1.6, 3.0))
    above.suptitle("attention of the class token (AGA, Eq. 8)", x=0.01, ha="left", fontsize=10, color=_INK)
    _by_word(above.subplots(), pair, [weights[word] for word in pair.told], _ORANGE)
    below.suptitle("what the model guesses where the word is hidden", x=0.01, ha="left", fontsize=10, color=_INK)
    panels = below.subplots(1, len(leading) + 1, squeeze=False)[0]
    _show(panels[0], pair.picture)
    for axes, word in zip(panels[1:], leading, strict=True):
        _bars(axes, pair.words[word].text, first[word], likeliest)
    return figure_bytes(figure)


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


def masks_figure(pair: Pair, found: Mapping[str, Masked], looks: Mapping[int, Array]) -> bytes:
    """Random and guided masks side by side: where the hidden words look, what each draw hides (dark), and how likely.
    `looks` tells where each told word looks while it is hidden, from `look_at`."""
    mean = np.mean(list(looks.values()), axis=0)
    draws = len(next(iter(found.values())).draws)
    likeliest = 1.05 * max(max(masked.probability) for masked in found.values())
    figure = new_figure(13, 2.6 + 0.25 * draws)
    for side, (rule, masked) in zip(figure.subfigures(1, len(found)), found.items(), strict=True):
        left, right = side.subfigures(1, 2, width_ratios=(1, 3.4))
        hidden = np.zeros((draws, len(pair.told)))
        for row, draw in zip(hidden, masked.draws, strict=True):
            row[list(draw)] = 1
        heat = (hidden.max(axis=0)[:, None] * (mean - mean.mean(axis=1, keepdims=True))).sum(axis=0)
        _show(left.subplots(), overlay(pair.picture, heat.reshape(pair.grid.rows, pair.grid.columns), pair.grid))
        above, below = right.subplots(2, 1, height_ratios=(draws, 4), sharex=True)
        above.imshow(hidden, cmap="Greys", vmin=0, vmax=1.2, aspect="auto")
        above.set(yticks=[], ylabel="hidden")
        _by_word(below, pair, masked.probability, _ORANGE if rule == "guided" else _BLUE)
        below.set(ylim=(0, likeliest), ylabel="probability")
        side.suptitle(f"{rule} masks", fontsize=12, fontweight="bold", color=_INK)
    return figure_bytes(figure)


def _by_word(axes: Any, pair: Pair, values: Sequence[float], colour: str) -> None:
    texts = [pair.words[word].text for word in pair.told]
    axes.bar(range(len(texts)), values, color=colour, width=0.7)
    axes.set_xticks(range(len(texts)), texts, rotation=60, ha="right", fontsize=7, parse_math=False)
    axes.tick_params(axis="y", labelsize=7)
    axes.spines[["top", "right"]].set_visible(False)


def entropy_figure(found: Mapping[str, Array], title: str) -> bytes:
    """Mean entropy over pairs by layer (from `attention_entropy`), and the middle half of the pairs as a band."""
    figure = new_figure(6.4, 3.8)
    axes = figure.add_subplot()
    for (kind, rows), colour in zip(found.items(), (_BLUE, _ORANGE), strict=True):
        layers = np.arange(1, rows.shape[1] + 1)
        axes.plot(layers, rows.mean(axis=0), "o-", color=colour, linewidth=1.8, markersize=4, label=kind)
        axes.fill_between(layers, *np.percentile(rows, (25, 75), axis=0), color=colour, alpha=0.15, linewidth=0)
    axes.set(xlabel="layer", ylabel="entropy of the class token's attention (nats)")
    axes.set_xticks(range(1, max(rows.shape[1] for rows in found.values()) + 1))
    axes.set_ylim(bottom=0)
    open_axes(axes)
    axes.legend(frameon=False, fontsize=9)
    axes.set_title(title, loc="left", fontsize=11, fontweight="bold", parse_math=False)
    return figure_bytes(figure)


def _show(axes: Any, picture: Any) -> None:
    axes.imshow(picture, interpolation="lanczos")
    axes.axis("off")

"""An explanation as a page of its own, or as a piece of another page: no script, no request, readable without colour.

A word is a label of a hidden radio button; the style sheet shows the layer of heat that belongs to the chosen one. So
maps change on a click, or with the arrow keys, and the page may forbid scripts altogether."""

from typing import Any

import numpy as np
from PIL import Image

from pickout.explain.explanation import MEANING, Explanation
from pickout.explain.figures import heat_layer, top_of
from pickout.files import packaged_text
from pickout.pages import picture_address, render

MOST = 80  # words that have a map of their own on a page; a caption has fewer
_FINE = 8  # pixels of a layer for each patch; the browser smooths the rest
_LARGEST, _LONG = 512, 160  # longest side of the crop in pixels; letters of a title


def explanation_page(explanation: Explanation, *, image: str) -> str:
    """The page as HTML text, `image` being the crop's name; its policy forbids scripts and requests."""
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

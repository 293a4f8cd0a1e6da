"""An explanation as a page of its own, or as a piece of another page: no script, no request, readable without colour.

A word is a label of a hidden radio button; the style sheet shows the layer of heat that belongs to the chosen one. So
maps change on a click, or with the arrow keys, and the page may forbid scripts altogether.
"""

import base64
import html
import io
from importlib import resources
from string import Template

import numpy as np
from PIL import Image

from pickout.errors import printable
from pickout.explain.explanation import MEANING, ExplainedWord, Explanation
from pickout.explain.figures import heat_layer, top_of
from pickout.explain.pair import Array

MOST = 80  # words that have a map of their own on a page; a caption has fewer
_FINE = 8  # pixels of a layer for each patch; the browser smooths the rest
_LARGEST, _LONG, _TAIL = (512, 160, 2000)  # longest side of the crop in pixels; letters of a title, and of what is cut
_LEGEND = (
    '<p class="legend"><span><i class="heat-key"></i>the score rests on this place</span><span><i class="for-key"></i>'
    'speaks for the match</span><span><i class="against-key"></i>speaks against it</span></p>'
)
_TARGETS = {"patches": "Heat of the crop", "words": "Weights of words", "word_patches": "Heat of a word"}


def explanation_page(explanation: Explanation, *, image: str) -> str:
    """The page as HTML text, `image` being the crop's name; its content security policy forbids scripts and
    requests."""
    template = resources.files("pickout.explain").joinpath("page.html").read_text(encoding="utf-8")
    return Template(template).substitute(
        title=_text(f"Why {image}: {explanation.sentence[:_LONG]}"),
        meaning=_text(MEANING),
        style=explanation_style(),
        score=_text(f"score {explanation.score:.3f}"),
        image=_text(image),
        source=_text(f"model {explanation.model} · {explanation.fingerprint}"),
        body=explanation_piece(explanation, name="why", below=_LEGEND + _table(explanation) + _bank(explanation)),
    )


def explanation_style() -> str:
    """The style sheet that a page with pieces needs once."""
    style = resources.files("pickout.explain").joinpath("piece.css").read_text(encoding="utf-8")
    for place in range(MOST + 1):  # the chosen word's layer is shown, and the word is marked
        chosen = f".why>input.c{place}:checked~"
        style += f"{chosen}.stage .h{place}{{opacity:1}}{chosen}.told .w{place}{{outline:2px solid currentColor}}\n"
        style += f".why>input.c{place}:focus-visible~.told .w{place}{{outline:3px solid Highlight}}\n"
    return style


def explanation_piece(explanation: Explanation, *, name: str, below: str = "") -> str:
    """The crop with its heat, and the sentence in which a click on a word shows the word's heat: an HTML element that
    needs `explanation_style` in its page. `name`, of letters and digits, tells several pieces of a page apart; `below`
    is HTML to stand beside the picture, under the sentence."""
    mapped = [word for word in explanation.words if word.patches is not None][:MOST]
    places = {id(word): place for place, word in enumerate(mapped, start=1)}
    choices = "".join(
        f'<input type="radio" name="{name}" id="{name}{place}" class="c{place}"'
        f'{" checked" if place == 0 else ""} aria-label="{_text(text)}">'
        for place, text in [(0, "all words"), *((places[id(word)], word.text) for word in mapped)]
    )
    choices += f'<input type="radio" name="{name}" id="{name}plain" class="plain" aria-label="the crop alone">'
    layers = "" if explanation.patches is None else _layer(explanation, explanation.patches, 0, None)
    for word in mapped:
        if word.patches is not None:
            layers += _layer(explanation, word.patches, places[id(word)], top_of(explanation, word))
    return (
        f'<div class="why">{choices}<div class="stage">{_photo(explanation.picture, "The crop")}{layers}</div>'
        f'<div class="told"><p class="pick"><label class="w0" for="{name}0">all words</label> '
        f'<label class="wplain" for="{name}plain">the crop alone</label></p>'
        f"{_sentence(explanation, places, name)}{_notes(explanation)}{below}</div></div>"
    )


def _photo(picture: Image.Image, about: str, longest: int = _LARGEST) -> str:
    shown = picture.copy()
    shown.thumbnail((longest, longest))
    return f'<img src="{_data(shown, "JPEG")}" width="{shown.width}" height="{shown.height}" alt="{about}">'


def _layer(explanation: Explanation, heat: Array, place: int, top: float | None) -> str:
    grid = explanation.grid
    layer = heat_layer(heat, grid, (grid.columns * _FINE, grid.rows * _FINE), top=top)
    return f'<img class="heat h{place}" src="{_data(layer, "PNG")}" alt="">'


def _sentence(explanation: Explanation, places: dict[int, int], name: str) -> str:
    strongest = max((abs(word.weight) for word in explanation.words if word.weight is not None), default=0) or 1
    sentence, pieces, done = explanation.sentence, "", 0
    for word in explanation.words:
        if word.state == "cut":  # what follows is beyond the context too
            shown = _text(sentence[done : done + _TAIL]) + (" ..." if len(sentence) > done + _TAIL else "")
            pieces += f'<s title="beyond what the model reads">{shown}</s>'
            done = len(sentence)
            break
        pieces += _text(sentence[done : word.start]) + _marked(word, places.get(id(word)), name, strongest)
        done = word.stop
    length = "long" if len(sentence) > _LONG else "short"
    return f'<p class="sentence {length}">{pieces}{_text(sentence[done:])}</p>'


def _marked(word: ExplainedWord, place: int | None, name: str, strongest: float) -> str:
    text = _text(word.text)
    if word.state == "mark":
        return text
    side, share, told = "", 0.0, "no weight shown"
    if word.weight is not None:
        side = " for" if word.weight >= 0 else " against"
        share, told = abs(word.weight) / strongest, f"{word.weight:+.4f}"
    style = f'class="w{place or "none"}{side}" style="--share:{share:.2f}" title="{told}"'
    return f"<span {style}>{text}</span>" if place is None else f'<label {style} for="{name}{place}">{text}</label>'


def _notes(explanation: Explanation) -> str:
    lines = ""
    for target, verdict in explanation.verdicts.items():
        state = "refused" if verdict.way is None else "measured" if verdict.measured else "unmeasured"
        way = "" if verdict.way is None else f"{verdict.way}: "
        lines += f'<li class="{state}"><b>{_TARGETS[target]}</b> {_text(way + verdict.note)}</li>'
    return f'<ul class="notes">{lines}</ul>'


def _table(explanation: Explanation) -> str:
    weighed = [word for word in explanation.words if word.weight is not None]
    rows = ""
    for word in sorted(weighed, key=lambda word: -(word.weight or 0)):
        place = "" if word.patches is None else explanation.grid.place_of(word.patches)
        rows += f"<tr><td>{_text(word.text)}</td><td>{word.weight:+.4f}</td><td>{place}</td></tr>"
    head = "<tr><th>word</th><th>weight</th><th>hottest patch</th></tr>"
    return f"<section><h2>Words by weight</h2><table>{head}{rows}</table></section>" if rows else ""


def _bank(explanation: Explanation) -> str:
    """The kept tokens of ITSELF: the crop with all other patches dark."""
    if explanation.bank is None:
        return ""
    grid, kept = explanation.grid, {place for place, _ in explanation.bank.patches}
    dark = [0 if place in kept else 190 for place in range(grid.patches)]
    mask = Image.fromarray(np.array(dark, np.uint8).reshape(grid.rows, grid.columns))
    shown = explanation.picture.copy()
    shown.paste((0, 0, 0), (0, 0), mask.resize(shown.size, Image.Resampling.NEAREST))
    return (
        f'<section class="bank"><h2>The bank of kept tokens</h2><p>Of {grid.patches} patches the model\'s local part '
        f"reads {len(kept)}, of the sentence's pieces {len(explanation.bank.pieces)}, chosen by attention. This tells "
        f"what was read, not what decided.</p>{_photo(shown, 'The crop; patches not kept are dark', 256)}</section>"
    )


def _data(image: Image.Image, kind: str) -> str:
    stream = io.BytesIO()
    image.save(stream, kind, quality=88) if kind == "JPEG" else image.save(stream, kind, optimize=True)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(stream.getvalue()).decode('ascii')}"


def _text(value: object) -> str:
    return html.escape(printable(value))

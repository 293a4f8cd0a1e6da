"""Results as one HTML file that needs nothing else: pictures inside, no request to anywhere."""

import base64
import html
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from string import Template

from PIL import Image

from pickout.gallery.answer import Answer
from pickout.gallery.hits import Hit
from pickout.gallery.printable import printable
from pickout.gallery.where import Where

NOTE = "Candidates, not identifications: a person must check each one."
"""Stands on every list of results."""
_ROW_HEIGHT = 320
"""Height of a picture on the page in CSS pixels, before rows are justified."""
_LONG = 160
"""Characters from which the sentence is set smaller."""
_NARROWEST, _WIDEST = 0.38, 2.2
"""Width over height of a picture's place; narrower and wider pictures get margins, so that captions have room."""


@dataclass(frozen=True, slots=True)
class Reasons:
    """Why candidates were chosen, as HTML that somebody who knows the model made; it must be safe as it stands.

    Args:
        style: a style sheet for all pieces.
        pieces: an element for each candidate, by the row's id; candidates without one have no reason shown.
    """

    style: str = ""
    pieces: Mapping[str, str] = field(default_factory=dict)


NO_REASONS = Reasons()


def result_sheet(
    answers: Sequence[Answer], *, gallery: str, model: str, crops: int, reasons: Reasons = NO_REASONS
) -> str:
    """The page: for each answer the sentence on top, then the candidates in a justified grid.

    Args:
        answers: at least one.
        gallery: the gallery's name.
        model: the model's name.
        crops: how many crops the gallery holds.
        reasons: what is shown when a candidate's "why" is clicked.

    Returns:
        HTML text. All names in it are escaped; its content security policy forbids scripts and requests.
    """
    template = resources.files("pickout.gallery").joinpath("sheet.html").read_text(encoding="utf-8")
    source = f"{gallery} · model {model}"
    return Template(template).substitute(
        title=_text(answers[0].query.words()),
        note=_text(NOTE),
        style=reasons.style,
        answers="\n".join(_section(answer, source, crops, reasons) for answer in answers),
    )


def _section(answer: Answer, source: str, crops: int, reasons: Reasons) -> str:
    length = "long" if len(answer.query.words()) > _LONG else "short"
    shown = f"{len(answer.hits)} of {crops:,} crops" if answer.hits else "no crop passes the filters"
    figures = "\n".join(_figure(hit, reasons.pieces.get(hit.id)) for hit in answer.hits)
    return (
        f'<section>\n<header><h1 class="{length}">{_text(answer.query.words())}</h1>\n'
        f'<p class="facts"><span>{_text(shown)}</span>{_filters(answer.where)}<span>{_text(source)}</span></p>\n'
        f'</header>\n<div class="grid">\n{figures}\n</div>\n</section>'
    )


def _filters(where: Where) -> str:
    return "".join(f'<span class="filter">{_text(words)}</span>' for words in where.words())


def _figure(hit: Hit, reason: str | None) -> str:
    with Image.open(io.BytesIO(hit.thumbnail)) as thumbnail:
        width, height = thumbnail.size
    shown = min(max(width / height, _NARROWEST), _WIDEST)
    picture = base64.b64encode(hit.thumbnail).decode("ascii")
    details = [("camera", hit.camera or ""), ("time", "" if hit.time is None else hit.time.isoformat(" "))]
    details += [(name, value) for name, value in hit.metadata.labels.items()]
    lines = "".join(f"<div><dt>{_text(name)}</dt><dd>{_text(value)}</dd></div>" for name, value in details if value)
    why = "" if reason is None else f"<details><summary>why</summary>{reason}</details>"
    return (
        f'<figure style="--ratio:{shown:.4f};--height:{_ROW_HEIGHT}px">'
        f'<img src="data:image/jpeg;base64,{picture}" width="{width}" height="{height}" '
        f'alt="Candidate {hit.rank}: {_text(hit.path)}">'
        f'<figcaption><div class="head"><b>{hit.rank}</b><span title="inner product of unit vectors">'
        f"{hit.score:.3f}</span></div><dl>{lines}</dl>"
        f'<p class="path" title="{_text(hit.file)}">{_text(hit.path)}</p>{why}</figcaption></figure>'
    )


def _text(value: object) -> str:
    return html.escape(printable(value), quote=True)

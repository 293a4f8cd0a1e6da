"""Results as one HTML file that needs nothing else: pictures inside, no script, no request to anywhere."""

import base64
import html
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from string import Template

from PIL import Image

from pickout.errors import ImageUnreadable, printable
from pickout.gallery.search.answer import Answer
from pickout.gallery.search.groups import Grouping
from pickout.gallery.search.hits import Hit
from pickout.gallery.search.query import Query

NOTE = "Candidates, not identifications: a person must check each one."
"""Stands on every list of results."""
_ROW_HEIGHT = 320
"""Height of a picture on the page in CSS pixels, before rows are justified."""
_LONG = 160
"""Characters from which the sentence is set smaller."""
_NARROWEST, _WIDEST = 0.38, 2.2
"""Width over height of a picture's place; narrower and wider pictures get margins, so that captions have room."""
_ASKED_SIDE = 160
"""Longer side of a query's picture in pixels."""
_GROUPED = {Grouping.TRACK: "track", Grouping.DUPLICATE: "alike"}
"""What the crops that stand behind a candidate are to it."""


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
    """The page: for each answer the query on top, then the candidates in a justified grid.

    Args:
        answers: at least one.
        gallery: the gallery's name.
        model: the model's name.
        crops: how many crops the gallery holds.
        reasons: what is shown when a candidate's "why" is clicked.

    Returns:
        HTML text. All names in it are escaped; its content security policy forbids scripts and requests.
    """
    template = resources.files("pickout.gallery.search").joinpath("sheet.html").read_text(encoding="utf-8")
    source = f"{gallery} · model {model}"
    return Template(template).substitute(
        title=_text(answers[0].query.words()),
        note=_text(NOTE),
        style=reasons.style,
        answers="\n".join(_section(answer, source, crops, reasons) for answer in answers),
    )


def _section(answer: Answer, source: str, crops: int, reasons: Reasons) -> str:
    figures = "\n".join(_figure(hit, answer.grouping, reasons.pieces.get(hit.id)) for hit in answer.hits)
    facts = f"<span>{_text(_count(answer, crops))}</span>{_filters(answer)}<span>{_text(source)}</span>"
    return (
        f'<section>\n<header>{_asked(answer.query)}\n<p class="facts">{facts}</p>\n{_told(answer)}</header>\n'
        f'<div class="grid">\n{figures}\n</div>\n</section>'
    )


def _asked(query: Query) -> str:
    """The query: its first sentence large, what belongs to it below, its pictures beside."""
    first = query.texts[0] if query.texts else "People like these" if len(query.images) > 1 else "People like this one"
    quoted = "quoted" if query.texts else "plain"
    length = "long" if len(first) > _LONG else "short"
    lines = [("also", text) for text in query.texts[1:]] + [("without", text) for text in query.without]
    lines += [("like the crop", name) for name in query.more_like]
    lines += [("unlike the crop", name) for name in query.less_like]
    parts = "".join(f"<li><span>{_text(kind)}</span> {_text(text)}</li>" for kind, text in lines)
    pictures = "".join(_asked_picture(picture) for picture in _pictures(query))
    return (
        f'<div class="asked">{pictures}<div><h1 class="{length} {quoted}">{_text(first)}</h1>'
        f"{f'<ul>{parts}</ul>' if parts else ''}</div></div>"
    )


def _pictures(query: Query) -> list[Image.Image]:
    try:
        return query.pictures()
    except ImageUnreadable:  # It was there a moment ago, for the search itself.
        return []


def _asked_picture(picture: Image.Image) -> str:
    small = picture.convert("RGB")
    small.thumbnail((_ASKED_SIDE, _ASKED_SIDE))
    stream = io.BytesIO()
    small.save(stream, "JPEG", quality=85)
    return (
        f'<img class="query" src="{_jpeg(stream.getvalue())}" width="{small.width}" height="{small.height}" '
        f'alt="The picture that was searched for">'
    )


def _count(answer: Answer, crops: int) -> str:
    if not answer.passed:
        return "no crop passes the filters"
    if not answer.hits:
        return f"page {answer.page} is behind the last candidate"
    ranks = f"{answer.hits[0].rank} to {answer.hits[-1].rank}" if answer.page > 1 else f"{len(answer.hits)}"
    searched = f"{answer.passed:,} that pass the filters, of {crops:,}" if answer.passed < crops else f"{crops:,}"
    return f"{ranks} of {searched} crops"


def _filters(answer: Answer) -> str:
    told = answer.where.words()
    if answer.grouping is not Grouping.NONE:
        told.append(f"one for each {'track' if answer.grouping is Grouping.TRACK else 'group of near-duplicates'}")
    return "".join(f'<span class="filter">{_text(words)}</span>' for words in told)


def _told(answer: Answer) -> str:
    """The verdict and the notes."""
    lines = ""
    if answer.verdict is not None:
        state = "good" if answer.verdict.is_good else "poor"
        lines = f'<p class="{state}">{_text(answer.verdict.words())}</p>'
    lines += "".join(f'<p class="poor">{_text(fault)}</p>' for fault in answer.faults)
    lines += "".join(f"<p>{_text(note)}</p>" for note in answer.notes)
    return f'<div class="told-notes">{lines}</div>\n' if lines else ""


def _figure(hit: Hit, grouping: Grouping, reason: str | None) -> str:
    width, height, source = _thumbnail(hit)
    shown = min(max(width / height, _NARROWEST), _WIDEST)
    why = "" if reason is None else f"<details><summary>why</summary>{reason}</details>"
    return (
        f'<figure style="--ratio:{shown:.4f};--height:{_ROW_HEIGHT}px">'
        f'<img src="{source}" width="{width}" height="{height}" '
        f'alt="Candidate {hit.rank}: {_text(hit.path)}">'
        f"<figcaption>{_scores(hit)}<dl>{_details(hit, grouping)}</dl>"
        f'<p class="path" title="{_text(hit.file)}">{_text(hit.path)}</p>{why}</figcaption></figure>'
    )


def _thumbnail(hit: Hit) -> tuple[int, int, str]:
    """Width, height and source of a candidate's picture; a damaged one is an empty place that says whose it is."""
    try:
        with Image.open(io.BytesIO(hit.thumbnail), formats=("JPEG",)) as thumbnail:
            return *thumbnail.size, _jpeg(hit.thumbnail)
    except Exception:  # Pillow's decoders raise almost any error on damaged data
        return max(hit.width, 1), max(hit.height, 1), "data:,"


def _scores(hit: Hit) -> str:
    """Rank, and the probability with a bar where there is one; else the raw score."""
    if hit.probability is None:
        return f'<div class="head"><b>{hit.rank}</b><span title="{_kind(hit)}">{_decisive(hit)}</span></div>'
    return (
        f'<div class="head"><b>{hit.rank}</b><span title="probability of a match">{hit.probability:.0%}</span></div>'
        f'<div class="bar" style="--part:{hit.probability:.4f}"></div>'
    )


def _kind(hit: Hit) -> str:
    return "inner product with the query" if hit.match is None else "matching score of the second look"


def _decisive(hit: Hit) -> str:
    return f"{hit.score if hit.match is None else hit.match:.3f}"


def _details(hit: Hit, grouping: Grouping) -> str:
    lines = [("score", _decisive(hit))] if hit.probability is not None else []
    lines += [("camera", hit.camera or ""), ("time", "" if hit.time is None else hit.time.isoformat(" "))]
    told = hit.metadata
    lines += [("track", told.track or ""), ("video", told.video or "")]
    lines += [("frame", "" if told.frame is None else str(told.frame)), *told.labels.items()]
    if hit.others:
        lines.append((_GROUPED.get(grouping, "alike"), f"{len(hit.others)} more"))
    return "".join(f"<div><dt>{_text(name)}</dt><dd>{_text(value)}</dd></div>" for name, value in lines if value)


def _jpeg(content: bytes) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(content).decode('ascii')}"


def _text(value: object) -> str:
    return html.escape(printable(value), quote=True)

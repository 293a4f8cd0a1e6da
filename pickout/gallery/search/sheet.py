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
from pickout.gallery.search.answer import Answer, Hit
from pickout.gallery.search.groups import Grouping
from pickout.gallery.search.query import Query

NOTE = "Candidates, not identifications: a person must check each one."
"""Stands on every list of results."""
_ROW_HEIGHT = 320  # height of a picture on the page in CSS pixels, before rows are justified
_LONG = 160  # characters from which the sentence is set smaller
_NARROWEST, _WIDEST = 0.38, 2.2
"""Width over height of a picture's place; narrower and wider pictures get margins, so that captions have room."""
_ASKED_SIDE = 160  # longer side of a query's picture in pixels


@dataclass(frozen=True, slots=True)
class Reasons:
    """Why candidates were chosen: a style sheet, and HTML by the row's id, which must be safe as it stands."""

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
    source = _text(f"{gallery} · model {model}")
    sections = []
    for answer in answers:
        figures = "\n".join(_figure(hit, answer.grouping, reasons.pieces.get(hit.id)) for hit in answer.hits)
        facts = f"{_facts(answer, crops)}<span>{source}</span>"
        header = f'{_asked(answer.query)}\n<p class="facts">{facts}</p>\n{_told(answer)}'
        sections.append(f'<section>\n<header>{header}</header>\n<div class="grid">\n{figures}\n</div>\n</section>')
    return Template(template).substitute(
        title=_text(answers[0].query.words()), note=_text(NOTE), style=reasons.style, answers="\n".join(sections)
    )


def _asked(query: Query) -> str:
    """The query: its first sentence large, what belongs to it below, its pictures beside."""
    first = query.texts[0] if query.texts else "People like these" if len(query.images) > 1 else "People like this one"
    look = f"{'long' if len(first) > _LONG else 'short'} {'quoted' if query.texts else 'plain'}"
    lines = [("also", text) for text in query.texts[1:]] + [("without", text) for text in query.without]
    lines += [("like the crop", name) for name in query.more_like]
    lines += [("unlike the crop", name) for name in query.less_like]
    parts = "".join(f"<li><span>{kind}</span> {_text(text)}</li>" for kind, text in lines)
    listed = f"<ul>{parts}</ul>" if parts else ""
    return f'<div class="asked">{_pictures(query)}<div><h1 class="{look}">{_text(first)}</h1>{listed}</div></div>'


def _pictures(query: Query) -> str:
    try:
        pictures = query.pictures()
    except ImageUnreadable:  # It was there a moment ago, for the search itself.
        return ""
    told = []
    for picture in pictures:
        small, stream = picture.convert("RGB"), io.BytesIO()
        small.thumbnail((_ASKED_SIDE, _ASKED_SIDE))
        small.save(stream, "JPEG", quality=85)
        told.append(
            f'<img class="query" src="{_jpeg(stream.getvalue())}" width="{small.width}" height="{small.height}" '
            f'alt="The picture that was searched for">'
        )
    return "".join(told)


def _facts(answer: Answer, crops: int) -> str:
    """How many crops, and the filters."""
    ranks = f"{answer.hits[0].rank} to {answer.hits[-1].rank}" if answer.page > 1 and answer.hits else len(answer.hits)
    searched = f"{answer.passed:,} that pass the filters, of {crops:,}" if answer.passed < crops else f"{crops:,}"
    count = f"{ranks} of {searched} crops" if answer.hits else f"page {answer.page} is behind the last candidate"
    told = answer.where.words()
    if answer.grouping is not Grouping.NONE:
        told.append(f"one for each {'track' if answer.grouping is Grouping.TRACK else 'group of near-duplicates'}")
    filters = "".join(f'<span class="filter">{_text(words)}</span>' for words in told)
    return f"<span>{count if answer.passed else 'no crop passes the filters'}</span>{filters}"


def _told(answer: Answer) -> str:
    """The verdict and the notes."""
    lines = [] if answer.verdict is None else [("good" if answer.verdict.is_good else "poor", answer.verdict.words())]
    lines += [("poor", fault) for fault in answer.faults] + [("", note) for note in answer.notes]
    told = "".join(f'<p class="{look}">{_text(line)}</p>' for look, line in lines)
    return f'<div class="told-notes">{told}</div>\n' if told else ""


def _figure(hit: Hit, grouping: Grouping, reason: str | None) -> str:
    try:
        with Image.open(io.BytesIO(hit.thumbnail), formats=("JPEG",)) as thumbnail:
            (width, height), source = thumbnail.size, _jpeg(hit.thumbnail)
    except Exception:  # Pillow's decoders raise almost any error on damaged data: an empty place that says whose it is
        width, height, source = max(hit.width, 1), max(hit.height, 1), "data:,"
    shown = min(max(width / height, _NARROWEST), _WIDEST)
    why = "" if reason is None else f"<details><summary>why</summary>{reason}</details>"
    return (
        f'<figure style="--ratio:{shown:.4f};--height:{_ROW_HEIGHT}px">'
        f'<img src="{source}" width="{width}" height="{height}" alt="Candidate {hit.rank}: {_text(hit.path)}">'
        f"<figcaption>{_details(hit, grouping)}"
        f'<p class="path" title="{_text(hit.file)}">{_text(hit.path)}</p>{why}</figcaption></figure>'
    )


def _details(hit: Hit, grouping: Grouping) -> str:
    """Rank, and the probability with a bar where there is one; else the raw score. Then all that is known."""
    score, bar = f"{hit.score if hit.match is None else hit.match:.3f}", ""
    kind = "inner product with the query" if hit.match is None else "matching score of the second look"
    value, told = score, hit.metadata
    if hit.probability is not None:
        kind, value = "probability of a match", f"{hit.probability:.0%}"
        bar = f'<div class="bar" style="--part:{hit.probability:.4f}"></div>'
    lines = [("score", "" if hit.probability is None else score), ("camera", hit.camera)]
    lines += [("time", hit.time.isoformat(" ") if hit.time else ""), ("track", told.track), ("video", told.video)]
    lines += [("frame", "" if told.frame is None else str(told.frame)), *told.labels.items()]
    if hit.others:
        lines.append(("track" if grouping is Grouping.TRACK else "alike", f"{len(hit.others)} more"))
    listed = "".join(f"<div><dt>{_text(name)}</dt><dd>{_text(text)}</dd></div>" for name, text in lines if text)
    return f'<div class="head"><b>{hit.rank}</b><span title="{kind}">{value}</span></div>{bar}<dl>{listed}</dl>'


def _jpeg(content: bytes) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(content).decode('ascii')}"


def _text(value: object) -> str:
    return html.escape(printable(value), quote=True)

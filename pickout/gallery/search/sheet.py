"""Results as one HTML file that needs nothing else: pictures inside, no script, no request to anywhere."""

import io
from collections.abc import Mapping, Sequence

from PIL import Image

from pickout.errors import ImageUnreadable
from pickout.gallery.search.query import Query
from pickout.gallery.search.ranking import Grouping
from pickout.gallery.search.search import Answer, Hit
from pickout.pages import bytes_address, picture_address, render

NOTE = "Candidates, not identifications: a person must check each one."  # stands on every list of results
_LONG = 160  # characters from which the sentence is set smaller
_NARROWEST, _WIDEST = 0.38, 2.2  # width over height of a picture's place; others get margins, so captions have room
_PARTS = (("without", "without"), ("like the crop", "more_like"), ("unlike the crop", "less_like"))
_GROUPS = {Grouping.TRACK: ["one for each track"], Grouping.DUPLICATE: ["one for each group of near-duplicates"]}
_ASKED_SIDE = 160  # longer side of a query's picture in pixels


def result_sheet(
    answers: Sequence[Answer], *, gallery: str, model: str, crops: int, style: str = "", reasons: Mapping[str, str] = {}
) -> str:
    """The page: for each answer, of at least one, the query on top, then the candidates in a justified grid; `crops` is
    how many the gallery holds, `reasons` the HTML that a candidate's "why" shows, by the row's id, and `style` its
    style sheet, both safe as they stand. All names are escaped; a security policy forbids scripts and requests."""
    sections = [
        {
            "query": answer.query,
            "pictures": _pictures(answer.query),
            "lines": [(kind, text) for kind, name in _PARTS for text in getattr(answer.query, name)],
            "count": _count(answer, crops),
            "filters": answer.where.words() + _GROUPS.get(answer.grouping, []),
            "answer": answer,
            "figures": [_figure(hit, answer.grouping) for hit in answer.hits],
        }
        for answer in answers
    ]
    facts = {"note": NOTE, "reasons": reasons, "style": style, "long": _LONG, "source": f"{gallery} · model {model}"}
    return render("pickout.gallery.search", "sheet.html", sections=sections, **facts)


def _pictures(query: Query) -> list[tuple[str, int, int]]:
    """Each of the query's pictures, made small: its address, width and height."""
    try:
        pictures = [picture.convert("RGB") for picture in query.pictures()]
    except ImageUnreadable:  # It was there a moment ago, for the search itself.
        return []
    for picture in pictures:
        picture.thumbnail((_ASKED_SIDE, _ASKED_SIDE))
    return [(picture_address(picture, quality=85), *picture.size) for picture in pictures]


def _count(answer: Answer, crops: int) -> str:
    if not answer.passed:
        return "no crop passes the filters"
    if not answer.hits:
        return f"page {answer.page} is behind the last candidate"
    ranks = f"{answer.hits[0].rank} to {answer.hits[-1].rank}" if answer.page > 1 else len(answer.hits)
    searched = f"{answer.passed:,} that pass the filters, of {crops:,}" if answer.passed < crops else f"{crops:,}"
    return f"{ranks} of {searched} crops"


def _figure(hit: Hit, grouping: Grouping) -> dict[str, object]:
    """A candidate's picture, and the lines below it: all that is known."""
    try:
        with Image.open(io.BytesIO(hit.thumbnail), formats=("JPEG",)) as thumbnail:
            (width, height), source = thumbnail.size, bytes_address(hit.thumbnail)
    except Exception:  # Pillow's decoders raise almost any error on damaged data: an empty place that says whose it is
        width, height, source = max(hit.width, 1), max(hit.height, 1), "data:,"
    told = hit.metadata
    lines: list[tuple[str, object]] = [("camera", told.camera), ("time", told.time)]
    lines += [("track", told.track), ("video", told.video), ("frame", told.frame), *told.labels.items()]
    lines += [("track" if grouping is Grouping.TRACK else "alike", f"{len(hit.others)} more")] if hit.others else []
    ratio = f"{min(max(width / height, _NARROWEST), _WIDEST):.4f}"
    return {"hit": hit, "source": source, "width": width, "height": height, "ratio": ratio, "lines": lines}

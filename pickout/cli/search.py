"""`pickout search`: rank a gallery's crops for a sentence, a picture or both."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pickout.gallery.search.groups import Grouping

if TYPE_CHECKING:
    from pickout.gallery.gallery import Gallery
    from pickout.gallery.search.answer import Answer
    from pickout.gallery.search.filters import Where
    from pickout.gallery.search.query import Query

_Texts = list[str] | None


def search(
    gallery: Annotated[Path, typer.Argument(help="A gallery made by pickout index.")],
    sentence: Annotated[str | None, typer.Argument(help="A description of a person, in quotes.")] = None,
    also: Annotated[_Texts, typer.Option(help="Another description of the same person; several times.")] = None,
    image: Annotated[list[Path] | None, typer.Option(help="A picture of the person; several times.")] = None,
    without: Annotated[_Texts, typer.Option(help="What the person does not wear or carry; several times.")] = None,
    like: Annotated[_Texts, typer.Option(help="More like this crop: its id or path; several times.")] = None,
    unlike: Annotated[_Texts, typer.Option(help="Less like this crop; several times.")] = None,
    top: Annotated[int, typer.Option(help="How many candidates on a page.")] = 20,
    page: Annotated[int, typer.Option(help="Which page of candidates.")] = 1,
    group: Annotated[Grouping, typer.Option(help="Show crops of a track, or near-duplicates, as one.")] = Grouping.NONE,
    camera: Annotated[_Texts, typer.Option(help="Only this camera; may be given several times.")] = None,
    not_camera: Annotated[_Texts, typer.Option(help="Not this camera; several times.")] = None,
    track: Annotated[_Texts, typer.Option(help="Only this track; several times.")] = None,
    video: Annotated[_Texts, typer.Option(help="Only this source video; several times.")] = None,
    label: Annotated[_Texts, typer.Option(help="NAME=VALUE: only with this label; several times.")] = None,
    not_label: Annotated[_Texts, typer.Option(help="NAME=VALUE: not with this label; several times.")] = None,
    after: Annotated[str | None, typer.Option(help="Only at this time or later, as 2026-03-01T14:30.")] = None,
    before: Annotated[str | None, typer.Option(help="Only earlier than this time.")] = None,
    during: Annotated[_Texts, typer.Option(help="Only in this range, START/END; several: in any of them.")] = None,
    save: Annotated[str | None, typer.Option(help="Keep this search under a name.")] = None,
    saved: Annotated[str | None, typer.Option(help="Run the search that was kept under this name.")] = None,
    set_: Annotated[_Texts, typer.Option("--set", metavar="KEY=VALUE", help="For example error=0.01.")] = None,
    model: Annotated[str | None, typer.Option(help="Where the gallery's model is, if it is not where it was.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:0.")] = "auto",
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object a candidate, then one answer.")] = False,
    html: Annotated[Path | None, typer.Option(help="Also write a page with the pictures to this file.")] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Show on the page why each crop was chosen.")] = False,
) -> None:
    """Rank a gallery's crops by how well they fit a sentence, a picture, or both.

    Results are candidates, not identifications: a person must check each one. Every search is recorded in the
    gallery's audit.jsonl.
    """
    from pickout.cli.answers import show_answer, write_page
    from pickout.cli.model import load_model, remembered_model
    from pickout.config import apply_overrides, parse_settings
    from pickout.errors import NothingFound
    from pickout.gallery.gallery import Gallery
    from pickout.gallery.search.ranking import SearchSettings

    settings = parse_settings(SearchSettings, apply_overrides({}, set_ or []), source="--set")
    opened = Gallery.open(gallery)
    texts = [sentence] if sentence is not None else []
    if saved is None:
        query = _query([*texts, *(also or [])], image, without, like, unlike)
        where = _where(camera, not_camera, track, video, label, not_label, after, before, during)
    else:
        filters = (camera, not_camera, track, video, label, not_label, after, before, during)
        _refuse_beside_saved(sentence, also, image, without, like, unlike, *filters, group is not Grouping.NONE)
        query, where, group = opened.saved.get(saved).parts()
    _check_reasons(query, html, explain=explain)
    query = opened.check(query, top=top, page=page, where=where)  # a wrong word is told before a model is loaded
    loaded = load_model(model or remembered_model(gallery, opened.manifest), device)
    opened.use(loaded)
    answer = opened.ask(query, top=top, page=page, where=where, grouping=group, settings=settings)
    if save is not None:
        opened.saved.save(save, query, where, group)
    if html is not None:
        write_page(html, opened, [answer], loaded if explain else None)
    show_answer(answer, html, json=json)
    if not answer.hits:
        raise NothingFound(_nothing(opened, answer))


def _refuse_beside_saved(*given: object) -> None:
    from pickout.errors import UsageError

    if any(given):
        raise UsageError(
            "--saved runs a search as it was kept; give no sentence, picture, filter or grouping beside it"
        )


def _check_reasons(query: "Query", html: Path | None, *, explain: bool) -> None:
    from pickout.errors import UsageError

    if explain and (html is None or not query.texts):
        raise UsageError("--explain explains a sentence's candidates on a page; give a sentence and --html FILE")


def _query(texts: list[str], image: list[Path] | None, *others: _Texts) -> "Query":
    from pickout.gallery.search.query import Query

    without, like, unlike = others
    return Query(texts, image or (), without or (), like or (), unlike or ())


def _where(
    camera: _Texts,
    not_camera: _Texts,
    track: _Texts,
    video: _Texts,
    label: _Texts,
    not_label: _Texts,
    after: str | None,
    before: str | None,
    during: _Texts,
) -> "Where":
    from pickout.gallery.search.filters import Where, parse_labels, parse_range
    from pickout.gallery.storage.rows import parse_time

    return Where(
        cameras=camera or (),
        not_cameras=not_camera or (),
        tracks=track or (),
        videos=video or (),
        labels=parse_labels(label or ()),
        not_labels=parse_labels(not_label or ()),
        after=None if after is None else parse_time(after),
        before=None if before is None else parse_time(before),
        during=[parse_range(text) for text in during or ()],
    )


def _nothing(gallery: "Gallery", answer: "Answer") -> str:
    if answer.passed:
        return f"{gallery.path}: page {answer.page} is behind the last of {answer.passed} crops"
    return f"{gallery.path}: no crop passes the filters" if gallery.count() else f"{gallery.path}: holds no crops"

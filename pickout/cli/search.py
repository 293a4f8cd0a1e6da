"""`pickout search`: rank a gallery's crops for a sentence, a picture or both."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pickout.cli.options import Device, GalleryPath, Json, Model, Texts, filtered, settings_of
from pickout.gallery.search.groups import Grouping

if TYPE_CHECKING:
    from pickout.gallery.gallery import Gallery
    from pickout.gallery.search.answer import Answer
    from pickout.gallery.search.filters import Where


@filtered
def search(
    gallery: GalleryPath,
    where: "Where",
    sentence: Annotated[str | None, typer.Argument(help="A description of a person, in quotes.")] = None,
    also: Annotated[Texts, typer.Option(help="Another description of the same person; several times.")] = None,
    image: Annotated[list[Path] | None, typer.Option(help="A picture of the person; several times.")] = None,
    without: Annotated[Texts, typer.Option(help="What the person does not wear or carry; several times.")] = None,
    like: Annotated[Texts, typer.Option(help="More like this crop: its id or path; several times.")] = None,
    unlike: Annotated[Texts, typer.Option(help="Less like this crop; several times.")] = None,
    top: Annotated[int, typer.Option(help="How many candidates on a page.")] = 20,
    page: Annotated[int, typer.Option(help="Which page of candidates.")] = 1,
    group: Annotated[Grouping, typer.Option(help="Show crops of a track, or near-duplicates, as one.")] = Grouping.NONE,
    parse: Annotated[bool, typer.Option("--parse", help="Read the sentence for cameras and times.")] = False,
    purpose: Annotated[str | None, typer.Option(help="What for; kept in the audit.")] = None,
    save: Annotated[str | None, typer.Option(help="Keep this search under a name.")] = None,
    saved: Annotated[str | None, typer.Option(help="Run the search that was kept under this name.")] = None,
    set_: Annotated[Texts, typer.Option("--set", metavar="KEY=VALUE", help="For example error=0.01.")] = None,
    model: Model = None,
    device: Device = "auto",
    json: Json = False,
    html: Annotated[Path | None, typer.Option(help="Also write a page with the pictures to this file.")] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Show on the page why each crop was chosen.")] = False,
) -> None:
    """Rank a gallery's crops by how well they fit a sentence, a picture, or both.

    Results are candidates, not identifications: a person must check each one. Every search is recorded in the
    gallery's audit.jsonl.
    """
    from pickout.cli.answers import check_page, show_answer, write_page
    from pickout.cli.model import load_model, remembered_model
    from pickout.errors import GalleryDamaged, NothingFound, UsageError
    from pickout.gallery.audit.log import Acting, acting, user_name
    from pickout.gallery.gallery import Gallery
    from pickout.gallery.search.filters import ANYWHERE
    from pickout.gallery.search.query import Query
    from pickout.gallery.search.ranking import SearchSettings

    settings = settings_of(SearchSettings, set_)
    opened = Gallery.open(gallery)
    if html is not None:
        check_page(html)
    if saved is None:
        if parse and sentence is not None:
            sentence, where = _parsed(opened, sentence, where, json=json)
        texts = [*([] if sentence is None else [sentence]), *(also or [])]
        query = Query(texts, image or (), without or (), like or (), unlike or ())
    else:
        _refuse_beside(sentence, also, image, without, like, unlike, where != ANYWHERE, group is not Grouping.NONE)
        query, where, group = opened.saved.get(saved).parts()
    if explain and (html is None or not query.texts):
        raise UsageError("--explain explains a sentence's candidates on a page; give a sentence and --html FILE")
    query = opened.check(query, top=top, page=page, where=where)  # a wrong word is told before a model is loaded
    loaded = load_model(model or remembered_model(gallery, opened.manifest), device)
    opened.use(loaded)
    with acting(Acting(user_name(), "command line", purpose)):
        answer = opened.ask(query, top=top, page=page, where=where, grouping=group, settings=settings)
    if save is not None:
        opened.saved.save(save, query, where, group)
    if html is not None:
        write_page(html, opened, [answer], loaded if explain else None)
    show_answer(answer, html, json=json)
    if answer.faults:
        raise GalleryDamaged(f"{gallery}: {'; '.join(answer.faults)}; pickout gallery verify names every fault")
    if not answer.hits:
        raise NothingFound(_nothing(opened, answer))


def _refuse_beside(*given: object) -> None:
    from pickout.errors import UsageError

    if any(given):
        raise UsageError(
            "--saved runs a search as it was kept; give no sentence, picture, filter or grouping beside it"
        )


def _parsed(gallery: "Gallery", sentence: str, where: "Where", *, json: bool) -> "tuple[str, Where]":
    """The description in a sentence, and its filters beside those that were given."""
    import json as json_text
    from datetime import datetime

    from pickout.errors import printable
    from pickout.gallery.search.sentence_filters import read_filters

    found = read_filters(sentence, gallery.cameras(), datetime.now())
    if json:
        typer.echo(json_text.dumps({"parse": found.as_json()}))
    else:
        for text, meaning in found.read:
            typer.echo(f"'{printable(text)}' is read as: {printable(meaning)}")
    return found.description, found.where.beside(where)


def _nothing(gallery: "Gallery", answer: "Answer") -> str:
    if answer.passed:
        return f"{gallery.path}: page {answer.page} is behind the last of {answer.passed} crops"
    return f"{gallery.path}: no crop passes the filters" if gallery.count() else f"{gallery.path}: holds no crops"

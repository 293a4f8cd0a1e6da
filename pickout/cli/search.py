"""`pickout search`: rank a gallery's crops for a sentence or a picture; `pickout saved`: searches that it keeps."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from pickout.cli import model as loading
from pickout.cli.options import Device, GalleryPath, Json, Model, Runtime, Texts, filtered, setting, settings_of
from pickout.cli.terminal import check_place, say, say_table, tell, write
from pickout.data.images import open_image
from pickout.errors import GalleryDamaged, ImageUnreadable, NothingFound, UsageError
from pickout.gallery.audit.log import Acting, acting, record_event, user_name
from pickout.gallery.gallery import Gallery
from pickout.gallery.search.filters import ANYWHERE, Where
from pickout.gallery.search.query import Query
from pickout.gallery.search.ranking import Grouping, SearchSettings
from pickout.gallery.search.search import Answer
from pickout.gallery.search.sentence_filters import read_filters
from pickout.gallery.search.sheet import NOTE, result_sheet


@filtered
def search(
    gallery: GalleryPath,
    where: Where,
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
    set_: Annotated[Texts, setting("error=0.01")] = None,
    model: Model = None,
    device: Device = "auto",
    runtime: Runtime = "torch",
    json: Json = False,
    html: Annotated[Path | None, typer.Option(help="Also write a page with the pictures to this file.")] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Show on the page why each crop was chosen.")] = False,
) -> None:
    """Rank a gallery's crops by how well they fit a sentence, a picture, or both.

    Results are candidates, not identifications: a person must check each one. Every search is recorded in the
    gallery's audit.jsonl."""
    settings = settings_of(SearchSettings, set_)
    opened = Gallery.open(gallery)
    check_place(html, "--html")
    if saved is not None:
        if any((sentence, also, image, without, like, unlike, where != ANYWHERE, group is not Grouping.NONE)):
            raise UsageError("--saved runs a search as it was kept; leave out sentence, picture, filter and grouping")
        query, where, group = opened.saved.get(saved).parts()
    else:
        if parse and sentence is not None:
            sentence, where = _parsed(opened, sentence, where, json=json)
        texts = [*([] if sentence is None else [sentence]), *(also or [])]
        query = Query(texts, image or (), without or (), like or (), unlike or ())
    if explain and (html is None or not query.texts):
        raise UsageError("--explain explains a sentence's candidates on a page; give a sentence and --html FILE")
    query = opened.check(query, top=top, page=page, where=where)  # a wrong word is told before a model is loaded
    model = model or loading.remembered_model(gallery, opened.manifest)
    loaded = loading.load_model(model, device, runtime) if explain else None
    opened.use(loaded or loading.load_encoder(model, device, runtime))
    with acting(Acting(user_name(), "command line", purpose)):
        answer = opened.ask(query, top=top, page=page, where=where, grouping=group, settings=settings)
    if save is not None:
        opened.saved.save(save, query, where, group)
    write(html, "--html", lambda: answers_page(opened, [answer], loaded), private=True)
    _show(answer, html, json=json)
    if answer.faults:
        raise GalleryDamaged(f"{gallery}: {'; '.join(answer.faults)}; pickout gallery verify names every fault")
    if not answer.hits:
        nothing = f"page {page} is behind the last of {answer.passed} crops" if answer.passed else "holds no crops"
        if opened.count() and not answer.passed:
            nothing = "no crop passes the filters"
        raise NothingFound(f"{gallery}: {nothing}")


def saved(
    gallery: GalleryPath,
    remove: Annotated[str | None, typer.Option(help="Forget the search of this name.")] = None,
    json: Json = False,
) -> None:
    """List the searches that were kept with pickout search --save, or forget one."""
    opened = Gallery.open(gallery)
    if remove is not None:
        opened.saved.remove(remove)
        record_event(gallery, "saved search deleted", name=remove)
    for kept in opened.saved.all():
        if json:
            tell(kept.as_json(), json=True)
        else:
            query, where, _ = kept.parts()
            say("; ".join([f"{kept.name}: {query.words()}", *where.words()]))


def answers_page(gallery: Gallery, answers: Sequence[Answer], model: "loading.LoadedModel | None" = None) -> str:
    """Answers as one self-contained page; with the gallery's model also why each candidate was chosen."""
    style, reasons = ("", {}) if model is None else _reasons(model, answers)
    told = {"gallery": gallery.path.name, "model": gallery.manifest.model.name, "style": style}
    return result_sheet(answers, **told, crops=gallery.count(), reasons=reasons)


def _parsed(gallery: Gallery, sentence: str, where: Where, *, json: bool) -> tuple[str, Where]:
    """The description in a sentence, and its filters beside those that were given."""
    found = read_filters(sentence, gallery.cameras(), datetime.now())
    if json:
        tell({"parse": found.as_json()}, json=True)
    else:
        for text, meaning in found.read:
            say(f"'{text}' is read as: {meaning}")
        for note in found.notes():
            say(note)
    return found.description, found.where.beside(where)


def _reasons(model: "loading.LoadedModel", answers: Sequence[Answer]) -> tuple[str, dict[str, str]]:
    """Why each candidate has its score for the first sentence of its query: a style sheet, and HTML by row."""
    from pickout.explain import explanation, figures, ways

    measurement = ways.read_measurement(explanation.measurement_file(model))
    pieces: dict[str, str] = {}
    for answer in answers:
        for hit in answer.hits:
            for source in (hit.file, hit.thumbnail):
                with suppress(ImageUnreadable):
                    picture = open_image(source)
                    # A crop that has moved or changed since it was indexed is explained by its thumbnail.
                    if source is hit.thumbnail or picture.size == (hit.width, hit.height):
                        found = explanation.explain(model, answer.query.texts[0], picture, measurement=measurement)
                        pieces[hit.id] = figures.explanation_piece(found, name=f"why{len(pieces)}x")
                        break
    return figures.explanation_style(), pieces


def _show(answer: Answer, page: Path | None, *, json: bool) -> None:
    if json:
        for hit in answer.hits:
            tell(hit.as_json(), json=True)
        if answer.hits:
            tell({"answer": answer.as_json()}, json=True)
        return
    rows = [
        {
            "rank": str(hit.rank),
            "probability": "" if hit.probability is None else f"{hit.probability:.2f}",
            "match": "" if hit.match is None else f"{hit.match:.3f}",
            "score": f"{hit.score:.3f}",
            "camera": hit.camera or "",
            "time": "" if hit.time is None else hit.time.isoformat(" "),
            "others": f"+{len(hit.others)}" if hit.others else "",
            "crop": hit.path,
        }
        for hit in answer.hits
    ]
    filled = [name for name in (rows or [{}])[0] if any(row[name] for row in rows)]
    if rows:
        numbers = ("rank", "score", "match", "probability", "others")
        say_table(filled, [[row[name] for name in filled] for row in rows], right=numbers)
    for words in (*((answer.verdict.words(),) if answer.verdict else ()), *answer.notes, *((NOTE,) if rows else ())):
        say(words)
    if answer.more:
        say(f"More: --page {answer.page + 1}")
    if rows and page is not None:
        say(f"pictures: {page}")

"""Options that several commands take."""

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

if TYPE_CHECKING:
    from pickout.config import Settings
    from pickout.gallery.gallery import Gallery
    from pickout.gallery.search.filters import Where

Schema = TypeVar("Schema", bound="Settings")

Texts = list[str] | None
GalleryPath = Annotated[Path, typer.Argument(help="A gallery made by pickout index.")]
Model = Annotated[str | None, typer.Option(help="Where the gallery's model is, if it is not where it was.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:0.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of words.")]
Crops = Annotated[Texts, typer.Option("--crop", help="This crop: its id or path, * for any; several times.")]

_FILTERS: dict[str, Any] = {
    "camera": Annotated[Texts, typer.Option(help="Only this camera; several times.")],
    "not_camera": Annotated[Texts, typer.Option(help="Not this camera; several times.")],
    "track": Annotated[Texts, typer.Option(help="Only this track; several times.")],
    "video": Annotated[Texts, typer.Option(help="Only this source video; several times.")],
    "label": Annotated[Texts, typer.Option(help="NAME=VALUE: only with this label; several times.")],
    "not_label": Annotated[Texts, typer.Option(help="NAME=VALUE: not with this label; several times.")],
    "after": Annotated[str | None, typer.Option(help="Only at this time or later, as 2026-03-01T14:30.")],
    "before": Annotated[str | None, typer.Option(help="Only earlier than this time.")],
    "during": Annotated[Texts, typer.Option(help="Only in this range, START/END; several: in any of them.")],
}


def filtered(command: Callable[..., None]) -> Callable[..., None]:
    """`command` with options for every filter, in the place of its parameter `where`."""
    own = inspect.signature(command).parameters

    @functools.wraps(command)
    def with_filters(**given: Any) -> None:
        words = {name: given.pop(name) for name in _FILTERS}
        command(where=_where(**words), **given)

    parameters: list[inspect.Parameter] = []
    for name, parameter in own.items():
        parameters += [parameter] if name != "where" else _filter_parameters()
    # Typer reads a command's options from these two.
    with_filters.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    with_filters.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return with_filters


def _filter_parameters() -> list[inspect.Parameter]:
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    return [inspect.Parameter(name, kind, default=None, annotation=each) for name, each in _FILTERS.items()]


def _where(**words: Any) -> "Where":
    """Filters from the options' words.

    Raises:
        UsageError: a time, a range or a label that is none.
    """
    from pickout.gallery.search.filters import Where, parse_labels, parse_range
    from pickout.gallery.storage.rows import parse_time

    after, before = (None if words[name] is None else parse_time(words[name]) for name in ("after", "before"))
    return Where(
        cameras=words["camera"] or (),
        not_cameras=words["not_camera"] or (),
        tracks=words["track"] or (),
        videos=words["video"] or (),
        labels=parse_labels(words["label"] or ()),
        not_labels=parse_labels(words["not_label"] or ()),
        after=after,
        before=before,
        during=[parse_range(text) for text in words["during"] or ()],
    )


def settings_of(schema: type[Schema], pairs: Texts) -> Schema:
    """Settings as `--set` gives them.

    Raises:
        RecipeError: an unknown key, or a wrong value.
    """
    from pickout.config import apply_overrides, parse_settings

    return parse_settings(schema, apply_overrides({}, pairs or []), source="--set")


def open_gallery(gallery: Path) -> "Gallery":
    """Open a gallery; its model is not needed."""
    from pickout.gallery.gallery import Gallery

    return Gallery.open(gallery)


def chosen(gallery: Path, crops: Texts, where: "Where") -> tuple["Gallery", list[str]]:
    """A gallery, and the ids of its crops that are named and pass the filters.

    Raises:
        NothingFound: none.
        UsageError: none was named and no filter set, or something unknown was named.
    """
    from pickout.errors import NothingFound

    opened = open_gallery(gallery)
    ids = opened.choose(crops or (), where)
    if not ids:
        raise NothingFound(f"{gallery}: no crop passes the filters; nothing was changed")
    return opened, ids

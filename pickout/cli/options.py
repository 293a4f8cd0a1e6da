"""Options that several commands take."""

import functools
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import typer

from pickout.config import Settings, apply_overrides, parse_settings
from pickout.gallery.search.filters import Where, parse_labels

Schema = TypeVar("Schema", bound=Settings)


def setting(example: str) -> Any:
    """The option `--set`, with an example."""
    return typer.Option("--set", metavar="KEY=VALUE", help=f"A setting; several times. For example {example}.")


Texts = list[str] | None
GalleryPath = Annotated[Path, typer.Argument(help="A gallery made by pickout index.")]
Model = Annotated[str | None, typer.Option(help="Where the gallery's model is, if it is not where it was.")]
Run = Annotated[str, typer.Argument(help="A run folder, a weight file that an importer knows, or pickout-small.")]
DataName = Annotated[str | None, typer.Argument(help="The data set's name; by default the run's own.")]
DataRoot = Annotated[Path | None, typer.Argument(help="Its folder; by default the run's own, else ./data.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:0.")]
Runtime = Annotated[
    Literal["torch", "openvino", "onnx", "auto"],
    typer.Option(help="What computes crops: torch, a pickout export, or auto for the fastest here."),
]
Engine = Annotated[Literal["local", "ray"], typer.Option(help="local, or ray: processes of a Ray cluster.")]
Workers = Annotated[int | None, typer.Option(help="How many; by default a core each, but one.", min=1)]
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

    @functools.wraps(command)
    def with_filters(**given: Any) -> None:
        told = {name if name in ("after", "before", "during") else f"{name}s": given.pop(name) for name in _FILTERS}
        told = {name: words for name, words in told.items() if words is not None}
        told |= {name: parse_labels(told[name]) for name in ("labels", "not_labels") if name in told}
        command(where=Where.from_json(told), **given)

    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    filters = [inspect.Parameter(name, kind, default=None, annotation=each) for name, each in _FILTERS.items()]
    parameters: list[inspect.Parameter] = []
    for name, parameter in inspect.signature(command).parameters.items():
        parameters += filters if name == "where" else [parameter]
    # Typer reads a command's options from these two.
    with_filters.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    with_filters.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return with_filters


def settings_of(schema: type[Schema], pairs: Texts, base: Mapping[str, Any] | None = None) -> Schema:
    """Settings as `--set` gives them, laid over `base`."""
    return parse_settings(schema, apply_overrides(base or {}, pairs or []), source="--set")

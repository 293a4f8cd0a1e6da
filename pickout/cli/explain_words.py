"""`pickout explain word` and `pickout explain enrich`: what a fusion model does with single words."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from pickout.explain.pair import Pair

_Run = Annotated[str, typer.Argument(help="A run of fusion or aga, or a weight file with their word head.")]
_Image = Annotated[Path, typer.Argument(help="The crop.")]
_Caption = Annotated[str, typer.Argument(help="A description of a person, in quotes.")]
_Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:0.")]
_Json = Annotated[bool, typer.Option("--json", help="Print one line of JSON.")]


def word(
    run: _Run,
    image: _Image,
    caption: _Caption,
    word: Annotated[str, typer.Argument(help="A word of the caption.")],
    visible: Annotated[bool, typer.Option("--visible", help="Leave the word in place, do not hide it.")] = False,
    out: Annotated[Path | None, typer.Option(help="Write a picture, layer by layer, to this PNG file.")] = None,
    device: _Device = "auto",
    json: _Json = False,
) -> None:
    """Where a word looks in a crop: cross-attention of the fusion layers (AGA, figures 3 and 5)."""
    import json as json_text

    from pickout.explain.explanation import measurement_file
    from pickout.explain.looking import fusion_model, look_at
    from pickout.explain.overlay import look_sheet
    from pickout.explain.verdict import judge, read_measurement

    loaded = _load(run, device)
    fusion_model(loaded)
    pair = _pair(loaded, image, caption)
    chosen = _find(pair, word)
    look = look_at(loaded, pair, [chosen], hide=not visible)
    way = "cross_attention" if visible else "cross_attention_hidden"
    verdict = judge(read_measurement(measurement_file(loaded)), loaded.fingerprint, way)["looks"]
    if out is not None:
        _write_png(out, look_sheet(pair, pair.words[chosen].text, look))
    shape = (pair.grid.rows, pair.grid.columns)
    told: dict[str, Any] = {
        "word": pair.words[chosen].text,
        "hidden": not visible,
        "note": verdict.note,
        "layers": {layer: map_[0].reshape(shape).round(6).tolist() for layer, map_ in look.layers.items()},
    }
    if json:
        typer.echo(json_text.dumps(told))
        return
    for layer, map_ in look.layers.items():
        row, column = divmod(int(map_[0].argmax()), pair.grid.columns)
        share = float(map_[0].max() / map_[0].sum())
        place = f"row {row + 1} of {shape[0]}, column {column + 1} of {shape[1]}"
        typer.echo(f"layer {layer}: most at {place}, {share:.0%} of its attention to patches")
    typer.echo(f"as a reason for the match: {verdict.note}. It tells where the word looked, not what decided.")
    if out is not None:
        typer.echo(f"picture: {out}")


def enrich(run: _Run, image: _Image, caption: _Caption, device: _Device = "auto", json: _Json = False) -> None:
    """What masking would hide of a caption, and what enrichment would put there (AGA, figures 4 and 6).

    A run keeps no momentum twin; where training asks it, the run's own word head answers here.
    """
    import json as json_text
    from dataclasses import asdict

    from pickout.explain.looking import fusion_model, hidden_pieces

    loaded = _load(run, device)
    fusion_model(loaded)
    pair = _pair(loaded, image, caption)
    pieces = hidden_pieces(loaded, pair)
    if json:
        typer.echo(
            json_text.dumps({"caption": caption, "head": "online", "pieces": [asdict(piece) for piece in pieces]})
        )
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from pickout.errors import printable

    table = Table(box=box.SIMPLE_HEAD)
    for name in ("word", "piece", "hidden", "would be replaced by"):
        table.add_column(name, justify="right" if name == "hidden" else "left")
    before = -1
    for piece in pieces:
        shown = pair.words[piece.word].text if piece.word != before else ""
        others = ", ".join(f"{found.text or '(blank)'} {found.probability:.2f}" for found in piece.candidates)
        table.add_row(Text(printable(shown)), Text(piece.text), f"{piece.probability:.3f}", Text(others))
        before = piece.word
    console = Console()
    console.print(table)
    mean = sum(piece.probability for piece in pieces) / len(pieces)
    console.print(f"{mean:.1%} of the pieces are hidden on average.", highlight=False)
    console.print(
        "Each word is hidden by itself, and the run's own word head answers, since a run keeps no momentum twin.",
        highlight=False,
        soft_wrap=True,
    )


def _load(run: str, device: str) -> Any:
    from pickout.cli.model import load_model

    return load_model(run, device)


def _pair(loaded: Any, image: Path, caption: str) -> "Pair":
    from pickout.data.images import open_image
    from pickout.explain.pair import make_pair

    return make_pair(loaded, caption, open_image(image))


def _find(pair: "Pair", word: str) -> int:
    """Position of the first told word of that spelling.

    Raises:
        UsageError: the model reads no such word.
    """
    from pickout.errors import UsageError, printable

    for number in pair.told:
        if pair.words[number].text.lower() == word.lower():
            return number
    read = " ".join(pair.words[number].text for number in pair.told)
    raise UsageError(f"'{printable(word)}': no word that the model reads of this caption; it reads: {printable(read)}")


def _write_png(path: Path, picture: Any) -> None:
    import io

    from pickout.errors import UsageError
    from pickout.files import write_atomically

    stream = io.BytesIO()
    picture.save(stream, "PNG", optimize=True)
    try:
        write_atomically(path, stream.getvalue())
    except (IsADirectoryError, NotADirectoryError, FileExistsError, PermissionError) as error:
        raise UsageError(f"--out {path}: cannot be written ({error.strerror})") from None

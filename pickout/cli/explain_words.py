"""`pickout explain word`, `enrich`, `masks` and `vacuous`: what a fusion model does with single words."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from pickout.explain.masks import HiddenPiece
    from pickout.explain.pair import Pair

_Run = Annotated[str, typer.Argument(help="A run of fusion or aga, or a weight file with their word head.")]
_Image = Annotated[Path, typer.Argument(help="The crop.")]
_Caption = Annotated[str, typer.Argument(help="A description of a person, in quotes.")]
_Picture = Annotated[Path | None, typer.Option(help="Write a picture to this PNG file.")]
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

    from pickout.cli.explain_files import png, write
    from pickout.explain.attention import look_at
    from pickout.explain.explanation import measurement_file
    from pickout.explain.overlay import look_sheet
    from pickout.explain.verdict import judge, read_measurement

    loaded, pair = _open(run, device, image, caption)
    chosen = _find(pair, word)
    look = look_at(loaded, pair, [chosen], hide=not visible)
    way = "cross_attention" if visible else "cross_attention_hidden"
    verdict = judge(read_measurement(measurement_file(loaded)), loaded.fingerprint, way)["looks"]
    write(out, "--out", lambda: png(look_sheet(pair, pair.words[chosen].text, look)))
    if json:
        shape = (pair.grid.rows, pair.grid.columns)
        layers = {layer: map_[0].reshape(shape).round(6).tolist() for layer, map_ in look.layers.items()}
        told = {"word": pair.words[chosen].text, "hidden": not visible, "note": verdict.note, "layers": layers}
        typer.echo(json_text.dumps(told))
        return
    for layer, map_ in look.layers.items():
        share = float(map_[0].max() / map_[0].sum())
        typer.echo(f"layer {layer}: most at {pair.grid.place_of(map_[0])}, {share:.0%} of its attention to patches")
    typer.echo(f"as a reason for the match: {verdict.note}. It tells where the word looked, not what decided.")
    if out is not None:
        typer.echo(f"picture: {out}")


def enrich(
    run: _Run, image: _Image, caption: _Caption, out: _Picture = None, device: _Device = "auto", json: _Json = False
) -> None:
    """What masking would hide of a caption, what the model guesses there, and what enrichment makes of it (AGA, figures
    4 and 6).

    A run keeps no momentum twin; where training asks it, the run's own word head answers here.
    """
    import json as json_text
    from dataclasses import asdict

    from pickout.cli.explain_files import write
    from pickout.explain.figures import guesses_figure
    from pickout.explain.masks import hidden_pieces, word_weights

    loaded, pair = _open(run, device, image, caption)
    pieces = hidden_pieces(loaded, pair)
    leading = [pair.words[word].text for word in word_weights(pieces)][:5]
    write(out, "--out", lambda: guesses_figure(pair, pieces))
    if json:
        told = [asdict(piece) for piece in pieces]
        typer.echo(json_text.dumps({"caption": caption, "head": "online", "attention": leading, "pieces": told}))
        return
    _print_pieces(pair, pieces, leading)
    if out is not None:
        typer.echo(f"picture: {out}")


def _print_pieces(pair: "Pair", pieces: "list[HiddenPiece]", leading: list[str]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from pickout.errors import printable

    table = Table(box=box.SIMPLE_HEAD)
    for name in ("word", "attention", "hidden", "the model guesses", "would be replaced by"):
        table.add_column(name, justify="right" if name in ("attention", "hidden") else "left")
    for piece in pieces:
        whole = pair.words[piece.word]
        shown = whole.text if len(whole.positions) == 1 else f"{whole.text}: {piece.text}"
        guesses, others = (
            ", ".join(f"{'*' * guess.original}{guess.text or '(no word)'} {guess.probability:.2f}" for guess in row)
            for row in (piece.guesses, piece.candidates)
        )
        cells = (shown, f"{piece.attention:.3f}", f"{piece.probability:.3f}", guesses, others)
        table.add_row(*(Text(printable(cell)) for cell in cells))
    console = Console()
    console.print(table)
    mean = sum(piece.probability for piece in pieces) / len(pieces)
    for line in (
        f"attention is highest on: {printable(', '.join(leading))}",
        f"{mean:.1%} of the pieces are hidden on average.",
        "Each word is hidden by itself; * is the word that stands there. The run's own word head answers, since a run "
        "keeps no momentum twin.",
    ):
        console.print(line, highlight=False, soft_wrap=True)


def masks(
    run: _Run,
    image: _Image,
    caption: _Caption,
    draws: Annotated[int, typer.Option(min=1, max=20, help="Masks of each kind.")] = 4,
    seed: Annotated[int, typer.Option(min=0, help="Draws the masks, both kinds from equal numbers.")] = 0,
    out: _Picture = None,
    device: _Device = "auto",
    json: _Json = False,
) -> None:
    """Random masks beside attention-guided ones: what each hides of a caption (AGA, figure 5)."""
    import json as json_text

    from pickout.cli.explain_files import write
    from pickout.errors import printable
    from pickout.explain.attention import look_at
    from pickout.explain.figures import masks_figure
    from pickout.explain.masks import compare_masks

    loaded, pair = _open(run, device, image, caption)
    found = compare_masks(loaded, pair, draws=draws, seed=seed)
    write(out, "--out", lambda: masks_figure(pair, found, look_at(loaded, pair, pair.told).mean))
    words = [pair.words[word].text for word in pair.told]
    if json:
        rules = {
            rule: {
                "probability": [round(p, 6) for p in masked.probability],
                "hidden": [[words[told] for told in draw] for draw in masked.draws],
            }
            for rule, masked in found.items()
        }
        typer.echo(json_text.dumps({"caption": caption, "words": words, **rules}))
        return
    for rule, masked in found.items():
        typer.echo(f"{rule} masks:")
        for draw in masked.draws:
            shown = ("_" * len(text) if told in draw else text for told, text in enumerate(words))
            typer.echo("  " + printable(" ".join(shown)))
    if out is not None:
        typer.echo(f"picture: {out}")


def vacuous(
    run: _Run,
    data: Annotated[str | None, typer.Argument(help="The data set's name; by default the run's own.")] = None,
    root: Annotated[Path | None, typer.Argument(help="Its folder; by default the run's own, else ./data.")] = None,
    split: Annotated[str, typer.Option(help="The split whose first sentences are read.")] = "test",
    sentences: Annotated[int, typer.Option(min=1, help="How many; the paper reads 100.")] = 100,
    seed: Annotated[int, typer.Option(min=0, help="Of the masks that are counted.")] = 0,
    device: _Device = "auto",
    json: _Json = False,
) -> None:
    """The share of empty words among the masked ones, for random and for guided masks (AGA, table I, Ratio_v)."""
    import json as json_text
    from dataclasses import asdict
    from itertools import islice

    from pickout.cli.explain_files import open_split
    from pickout.cli.model import load_model
    from pickout.explain.attention import fusion_model
    from pickout.explain.masks import empty_shares

    loaded = load_model(run, device)
    fusion_model(loaded)
    opened = open_split(loaded, run, data, root, split)
    captions = [pair.caption for pair in islice(opened.pairs(), sentences)]
    found = empty_shares(loaded, captions, seed=seed)
    if json:
        shares = {rule: asdict(share) for rule, share in found.items()}
        typer.echo(json_text.dumps({"data": opened.data, "split": split, "sentences": len(captions), **shares}))
        return
    for rule, share in found.items():
        typer.echo(
            f"{rule}: {share.counted:.1%} of the masked pieces are empty words ({share.expected:.1%} expected); "
            f"{share.hidden:.1%} of all pieces were masked"
        )
    typer.echo(f"the first {len(captions)} sentences of {opened.data}, {split}; one mask each, seed {seed}")


def _open(run: str, device: str, image: Path, caption: str) -> "tuple[Any, Pair]":
    """The model, which fuses words and images, and the pair.

    Raises:
        UsageError: the model has no cross-attention.
    """
    from pickout.cli.model import load_model
    from pickout.data.images import open_image
    from pickout.explain.attention import fusion_model
    from pickout.explain.pair import make_pair

    loaded = load_model(run, device)
    fusion_model(loaded)
    return loaded, make_pair(loaded, caption, open_image(image))


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

"""`pickout explain word`, `enrich`, `masks` and `vacuous`: what a fusion model does with single words."""

from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pickout.cli import model as loading
from pickout.cli.options import DataName, DataRoot, Device, Json
from pickout.cli.terminal import png, say, say_table, tell, write
from pickout.data.images import open_image
from pickout.errors import UsageError

if TYPE_CHECKING:
    from pickout.checkpoints.loaded_model import LoadedModel
    from pickout.explain.guesses import HiddenPiece
    from pickout.explain.pair import Pair

_Run = Annotated[str, typer.Argument(help="A run of fusion or aga, or a weight file with their word head.")]
_Image = Annotated[Path, typer.Argument(help="The crop.")]
_Caption = Annotated[str, typer.Argument(help="A description of a person, in quotes.")]
_Picture = Annotated[Path | None, typer.Option(help="Write a picture to this PNG file.")]


def word(
    run: _Run,
    image: _Image,
    caption: _Caption,
    word: Annotated[str, typer.Argument(help="A word of the caption.")],
    visible: Annotated[bool, typer.Option("--visible", help="Leave the word in place, do not hide it.")] = False,
    out: _Picture = None,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Where a word looks in a crop: cross-attention of the fusion layers (AGA, figures 3 and 5)."""
    from pickout.explain.cross_attention import look_at
    from pickout.explain.explanation import measurement_file
    from pickout.explain.overlay import look_sheet
    from pickout.explain.verdict import judge, read_measurement

    loaded, pair = _open(run, device, image, caption)
    chosen = next((each for each in pair.told if pair.words[each].text.lower() == word.lower()), None)
    if chosen is None:
        read = " ".join(pair.words[each].text for each in pair.told)
        raise UsageError(f"'{word}': no word that the model reads of this caption; it reads: {read}")
    look = look_at(loaded, pair, [chosen], hide=not visible)
    way = "cross_attention" if visible else "cross_attention_hidden"
    verdict = judge(read_measurement(measurement_file(loaded)), loaded.fingerprint, way)["looks"]
    write(out, "--out", lambda: png(look_sheet(pair, pair.words[chosen].text, look)))
    if json:
        shape = (pair.grid.rows, pair.grid.columns)
        layers = {layer: map_[0].reshape(shape).round(6).tolist() for layer, map_ in look.layers.items()}
        told = {"word": pair.words[chosen].text, "hidden": not visible, "note": verdict.note}
        tell({**told, "layers": layers}, json=True)
        return
    for layer, map_ in look.layers.items():
        share = float(map_[0].max() / map_[0].sum())
        say(f"layer {layer}: most at {pair.grid.place_of(map_[0])}, {share:.0%} of its attention to patches")
    say(f"as a reason for the match: {verdict.note}. It tells where the word looked, not what decided.")
    _say_where(out)


def enrich(
    run: _Run, image: _Image, caption: _Caption, out: _Picture = None, device: Device = "auto", json: Json = False
) -> None:
    """What masking would hide of a caption, what the model guesses there, and what enrichment makes of it (AGA, figures
    4 and 6).

    A run keeps no momentum twin; where training asks it, the run's own word head answers here.
    """
    from pickout.explain.figures import guesses_figure
    from pickout.explain.guesses import hidden_pieces, word_weights

    loaded, pair = _open(run, device, image, caption)
    pieces = hidden_pieces(loaded, pair)
    leading = [pair.words[word].text for word in word_weights(pieces)][:5]
    write(out, "--out", lambda: guesses_figure(pair, pieces))
    if json:
        told = [asdict(piece) for piece in pieces]
        tell({"caption": caption, "head": "online", "attention": leading, "pieces": told}, json=True)
        return
    columns = ("word", "attention", "hidden", "the model guesses", "would be replaced by")
    say_table(columns, [_cells(pair, piece) for piece in pieces], right=("attention", "hidden"))
    say(f"attention is highest on: {', '.join(leading)}")
    say(f"{sum(piece.probability for piece in pieces) / len(pieces):.1%} of the pieces are hidden on average.")
    say(
        "Each word is hidden by itself; * is the word that stands there. The run's own word head answers, since a run "
        "keeps no momentum twin."
    )
    _say_where(out)


def _cells(pair: "Pair", piece: "HiddenPiece") -> tuple[str, ...]:
    whole = pair.words[piece.word]
    shown = whole.text if len(whole.positions) == 1 else f"{whole.text}: {piece.text}"
    guesses, others = (
        ", ".join(f"{'*' * guess.original}{guess.text or '(no word)'} {guess.probability:.2f}" for guess in row)
        for row in (piece.guesses, piece.candidates)
    )
    return shown, f"{piece.attention:.3f}", f"{piece.probability:.3f}", guesses, others


def masks(
    run: _Run,
    image: _Image,
    caption: _Caption,
    draws: Annotated[int, typer.Option(min=1, max=20, help="Masks of each kind.")] = 4,
    seed: Annotated[int, typer.Option(min=0, help="Draws the masks, both kinds from equal numbers.")] = 0,
    out: _Picture = None,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Random masks beside attention-guided ones: what each hides of a caption (AGA, figure 5)."""
    from pickout.explain.cross_attention import look_at
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
        tell({"caption": caption, "words": words, **rules}, json=True)
        return
    for rule, masked in found.items():
        say(f"{rule} masks:")
        for draw in masked.draws:
            shown = ("_" * len(text) if told in draw else text for told, text in enumerate(words))
            say("  " + " ".join(shown))
    _say_where(out)


def vacuous(
    run: _Run,
    data: DataName = None,
    root: DataRoot = None,
    split: Annotated[str, typer.Option(help="The split whose first sentences are read.")] = "test",
    sentences: Annotated[int, typer.Option(min=1, help="How many; the paper reads 100.")] = 100,
    seed: Annotated[int, typer.Option(min=0, help="Of the masks that are counted.")] = 0,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """The share of empty words among the masked ones, for random and for guided masks (AGA, table I, Ratio_v)."""
    from pickout.data.training_pairs import with_captions
    from pickout.evaluate.protocol import run_folder
    from pickout.explain.masks import empty_shares

    loaded = _fusing(run, device)
    opened = with_captions(loading.split_of(loading.open_run_data(run, run_folder(loaded), data, root), split))
    captions = [pair.caption for pair in islice(opened.pairs(), sentences)]
    found = empty_shares(loaded, captions, seed=seed)
    if json:
        shares = {rule: asdict(share) for rule, share in found.items()}
        tell({"data": opened.data, "split": split, "sentences": len(captions), **shares}, json=True)
        return
    for rule, share in found.items():
        say(
            f"{rule}: {share.counted:.1%} of the masked pieces are empty words ({share.expected:.1%} expected); "
            f"{share.hidden:.1%} of all pieces were masked"
        )
    say(f"the first {len(captions)} sentences of {opened.data}, {split}; one mask each, seed {seed}")


def _fusing(run: str, device: str) -> "LoadedModel":
    """A model that fuses words and images; another is refused."""
    from pickout.explain.cross_attention import fusion_model

    loaded = loading.load_model(run, device)
    fusion_model(loaded)
    return loaded


def _open(run: str, device: str, image: Path, caption: str) -> "tuple[LoadedModel, Pair]":
    from pickout.explain.pair import make_pair

    loaded = _fusing(run, device)
    return loaded, make_pair(loaded, caption, open_image(image))


def _say_where(picture: Path | None) -> None:
    if picture is not None:
        say(f"picture: {picture}")

"""`pickout explain`: why a crop has its score, whether such reasons hold, what a fusion model does with words."""

import io
import json as json_text
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from pickout.cli import model as loading
from pickout.cli.options import DataName, DataRoot, Device, Json, Run, Texts, setting, settings_of
from pickout.cli.terminal import progress, say, say_table, tell, write
from pickout.data.data_set import Split
from pickout.data.images import open_image
from pickout.errors import UsageError

if TYPE_CHECKING:
    from pickout.explain.pair import Pair

_Crop = Annotated[Path, typer.Argument(help="The crop.")]
_Sentence = Annotated[str, typer.Argument(help="A description of a person, in quotes.")]
_Fusing = Annotated[str, typer.Argument(help="A run of fusion, aga or union, or a weight file with their word head.")]
_Picture = Annotated[Path | None, typer.Option(help="Write a picture to this PNG file.")]


class _WithDefault(TyperGroup):
    """A group whose first word may also be a model: `pickout explain MODEL ...` is `pickout explain show MODEL ...`."""

    default = "show"

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        named = not args or args[0] in (*self.commands, "--help", "-h")
        return super().parse_args(ctx, args if named else [self.default, *args])


_HELP = "Why a crop has its score: pickout explain MODEL IMAGE 'a man in a red jacket' (short for explain show)."
app = typer.Typer(cls=_WithDefault, no_args_is_help=True, help=_HELP)


@app.command("show")
def show(
    model: Run,
    image: _Crop,
    sentence: _Sentence,
    way: Annotated[str | None, typer.Option(help="Show this way instead of the best one that held.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for overlay pictures, arrays and JSON.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write a page that needs nothing else to this file.")] = None,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Words and places on which a crop's score rests, as far as that was measured to be true of the model."""
    import numpy as np

    from pickout.explain import explanation, figures, ways

    picture = open_image(image)
    loaded = loading.load_model(model, device)
    measurement = ways.read_measurement(explanation.measurement_file(loaded))
    found = explanation.explain(loaded, sentence, picture, measurement=measurement, way=way)
    if out is not None:
        arrays, heat = io.BytesIO(), found.patches
        np.savez(arrays, **found.arrays())  # type: ignore[arg-type]  # numpy's stub takes a keyword for allow_pickle
        write(out / "explanation.json", "--out", lambda: json_text.dumps(found.as_json(), indent=1))
        write(out / "arrays.npz", "--out", arrays.getvalue)
        write(out / "sheet.png", "--out", lambda: figures.explanation_sheet(found))
        if heat is not None:
            write(out / "overlay.png", "--out", lambda: figures.overlay(found.picture, heat, found.grid))
    write(html, "--html", lambda: figures.explanation_page(found, image=image.name), private=True)
    if json:
        tell(found.as_json(), json=True)
        return
    say(f"score {found.score:.4f}")
    rows = []
    for read in found.words:
        weight = "" if read.weight is None else f"{read.weight:+.4f}"
        place = "" if read.patches is None else found.grid.place_of(read.patches)
        rows += [(read.text, weight, place)] if read.state == "read" else []
    say_table(("word", "weight", "hottest place"), rows, right=("weight",))
    if cut := sum(each.state == "cut" for each in found.words):
        say(f"{cut} words lie beyond what the model reads")
    for target, verdict in found.verdicts.items():
        named = "" if verdict.way is None else f"{verdict.way}, "
        say(f"{target.replace('_', ' x ')}: {named}{verdict.note}")
    say(explanation.MEANING)


@app.command("measure")
def measure(
    model: Run,
    data: DataName = None,
    root: DataRoot = None,
    split: Annotated[str, typer.Option(help="The split; only val decides what is shown.")] = "val",
    out: Annotated[Path | None, typer.Option(help="Another file than RUN/explain.json.")] = None,
    set_: Annotated[Texts, setting("people=50")] = None,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Hold every way to explain a model against random maps, and on a drawn street against the garments' masks.

    The best way of each kind that is better than chance is what `pickout explain` shows from then on."""
    from pickout.evaluate.protocol import run_folder
    from pickout.explain import explanation, faithfulness

    settings = settings_of(faithfulness.MeasureSettings, set_)
    loaded = loading.load_model(model, device)
    opened = loading.open_run_data(model, run_folder(loaded), data, root)
    with progress("people", quiet=json) as on_progress:
        found = faithfulness.measure(loaded, opened, split, settings, on_progress)
    file = out or explanation.measurement_file(loaded)
    if out is None and split != "val":
        file = file.with_name(file.name.replace(".json", f"-{split}.json"))
    write(file, "--out", lambda: json_text.dumps(found.as_json(), indent=1) + "\n")
    if json:
        tell(found.as_json(), json=True)
        return
    for target, ways in found.findings.items():
        best, rows = found.best(target), []
        for way, finding in ways.items():
            numbers = (str(each or "") for each in (finding.deletion, finding.insertion, finding.ratio))
            rows.append((way, *numbers, "shown" if way == best else "" if finding.holds else "refused"))
        columns = ("way", "deletion gain", "insertion gain", "garment ratio", "")
        say_table(columns, rows, title=target.replace("_", " x "))
    say(f"{found.facts['people']} people of {found.facts['data']} {split}; 95 % intervals over people")
    say(f"written: {file}")


@app.command("entropy")
def entropy(
    model: Run,
    data: DataName = None,
    root: DataRoot = None,
    split: Annotated[str, typer.Option(help="The split whose first pairs are read.")] = "val",
    pairs: Annotated[int, typer.Option(min=1, help="How many images with a sentence each.")] = 100,
    out: _Picture = None,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """How widely each layer's class token looks: the entropy of its attention (ITSELF, figure 7, left)."""
    from pickout.explain.figures import entropy_figure
    from pickout.explain.pair import attention_entropy

    loaded = loading.load_model(model, device)
    opened = _captioned(loaded, model, data, root, split)
    sample = [(record.image, record.captions[0]) for record in opened.images[:pairs]]
    with progress("pairs", quiet=json) as on_progress:
        found = attention_entropy(loaded, sample, on_progress)
    title = f"{loaded.name} on {opened.data}, {split}"
    write(out, "--out", lambda: entropy_figure(found, title))
    means = {kind: rows.mean(axis=0).round(4).tolist() for kind, rows in found.items()}
    if json:
        tell({"data": opened.data, "split": split, "pairs": len(sample), **means}, json=True)
        return
    for kind, by_layer in means.items():
        say(f"{kind}: " + "  ".join(f"{layer}: {mean:.2f}" for layer, mean in enumerate(by_layer, start=1)))
    say(f"nats by layer, mean of {len(sample)} pairs: {title}")


@app.command("word")
def word(
    run: _Fusing,
    image: _Crop,
    caption: _Sentence,
    word: Annotated[str, typer.Argument(help="A word of the caption.")],
    visible: Annotated[bool, typer.Option("--visible", help="Leave the word in place, do not hide it.")] = False,
    out: _Picture = None,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Where a word looks in a crop: cross-attention of the fusion layers (AGA, figures 3 and 5)."""
    from pickout.explain import explanation, figures, ways
    from pickout.explain.pair import look_at

    loaded, pair = _open(run, device, image, caption)
    read = [pair.words[each].text for each in pair.told]
    place = next((place for place, text in enumerate(read) if text.lower() == word.lower()), None)
    if place is None:
        raise UsageError(f"'{word}': no word that the model reads of this caption; it reads: {' '.join(read)}")
    look, text = look_at(loaded, pair, [pair.told[place]], hide=not visible), read[place]
    way = "cross_attention" if visible else "cross_attention_hidden"
    measurement = ways.read_measurement(explanation.measurement_file(loaded))
    note = ways.judge(measurement, loaded.fingerprint, way)["looks"].note
    write(out, "--out", lambda: figures.look_sheet(pair, text, look))
    if json:
        shape = (pair.grid.rows, pair.grid.columns)
        layers = {layer: map_[0].reshape(shape).round(6).tolist() for layer, map_ in look.items()}
        tell({"word": text, "hidden": not visible, "note": note, "layers": layers}, json=True)
        return
    for layer, map_ in look.items():
        share = float(map_[0].max() / map_[0].sum())
        say(f"layer {layer}: most at {pair.grid.place_of(map_[0])}, {share:.0%} of its attention to patches")
    say(f"as a reason for the match: {note}. It tells where the word looked, not what decided.")


@app.command("enrich")
def enrich(
    run: _Fusing, image: _Crop, caption: _Sentence, out: _Picture = None, device: Device = "auto", json: Json = False
) -> None:
    """What masking would hide of a caption, what the model guesses there, and what enrichment makes of it (AGA, figures
    4 and 6).

    A run keeps no momentum twin; where training asks it, the run's own word head answers here."""
    from pickout.explain.figures import guesses_figure
    from pickout.explain.hidden_words import hidden_pieces, word_weights

    loaded, pair = _open(run, device, image, caption)
    pieces = hidden_pieces(loaded, pair)
    leading = [pair.words[word].text for word in word_weights(pieces)][:5]
    write(out, "--out", lambda: guesses_figure(pair, pieces))
    if json:
        told = [asdict(piece) for piece in pieces]
        tell({"caption": caption, "head": "online", "attention": leading, "pieces": told}, json=True)
        return
    columns = ("word", "attention", "hidden", "the model guesses", "would be replaced by")
    rows = []
    for piece in pieces:
        whole = pair.words[piece.word]
        lists: list[str] = []
        for row in (piece.guesses, piece.candidates):
            shown = (f"{'*' * each.original}{each.text or '(no word)'} {each.probability:.2f}" for each in row)
            lists.append(", ".join(shown))
        text = whole.text if len(whole.positions) == 1 else f"{whole.text}: {piece.text}"
        rows.append((text, f"{piece.attention:.3f}", f"{piece.probability:.3f}", *lists))
    say_table(columns, rows, right=columns[1:3])
    say(f"attention is highest on: {', '.join(leading)}")
    say(f"{sum(piece.probability for piece in pieces) / len(pieces):.1%} of the pieces are hidden on average.")
    say("Each word is hidden by itself; * is what stands there. The run's own word head answers: no momentum twin.")


@app.command("masks")
def masks(
    run: _Fusing,
    image: _Crop,
    caption: _Sentence,
    draws: Annotated[int, typer.Option(min=1, max=20, help="Masks of each kind.")] = 4,
    seed: Annotated[int, typer.Option(min=0, help="Draws the masks, both kinds from equal numbers.")] = 0,
    out: _Picture = None,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Random masks beside attention-guided ones: what each hides of a caption (AGA, figure 5)."""
    from pickout.explain.figures import masks_figure
    from pickout.explain.hidden_words import compare_masks
    from pickout.explain.pair import look_at

    loaded, pair = _open(run, device, image, caption)
    found = compare_masks(loaded, pair, draws=draws, seed=seed)
    write(out, "--out", lambda: masks_figure(pair, found, look_at(loaded, pair, pair.told)))
    words, rules = [pair.words[word].text for word in pair.told], {}
    for rule, masked in found.items():
        hidden = [[words[told] for told in draw] for draw in masked.draws]
        rules[rule] = {"probability": [round(p, 6) for p in masked.probability], "hidden": hidden}
        if not json:
            say(f"{rule} masks:")
            for draw in masked.draws:
                say("  " + " ".join("_" * len(text) if told in draw else text for told, text in enumerate(words)))
    if json:
        tell({"caption": caption, "words": words, **rules}, json=True)


@app.command("vacuous")
def vacuous(
    run: _Fusing,
    data: DataName = None,
    root: DataRoot = None,
    split: Annotated[str, typer.Option(help="The split whose first sentences are read.")] = "test",
    sentences: Annotated[int, typer.Option(min=1, help="How many; the paper reads 100.")] = 100,
    seed: Annotated[int, typer.Option(min=0, help="Of the masks that are counted.")] = 0,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """The share of empty words among the masked ones, for random and for guided masks (AGA, table I, Ratio_v)."""
    from pickout.explain.hidden_words import empty_shares

    loaded = loading.load_model(run, device)
    opened = _captioned(loaded, run, data, root, split)
    captions = [pair.caption for pair in islice(opened.pairs(), sentences)]
    found = empty_shares(loaded, captions, seed=seed)
    if json:
        tell({"data": opened.data, "split": split, "sentences": len(captions), **found}, json=True)
        return
    for rule, share in found.items():
        told = f"{share['counted']:.1%} of the masked pieces are empty words ({share['expected']:.1%} expected)"
        say(f"{rule}: {told}; {share['hidden']:.1%} of all pieces were masked")
    say(f"the first {len(captions)} sentences of {opened.data}, {split}; one mask each, seed {seed}")


def _captioned(loaded: "loading.LoadedModel", run: str, data: str | None, root: Path | None, split: str) -> Split:
    from pickout.data.training_pairs import with_captions
    from pickout.evaluate.protocol import run_folder

    return with_captions(loading.split_of(loading.open_run_data(run, run_folder(loaded), data, root), split))


def _open(run: str, device: str, image: Path, caption: str) -> "tuple[loading.LoadedModel, Pair]":
    """A model that fuses words and images, another is refused; and what it reads."""
    from pickout.explain.pair import fusion_model, make_pair

    loaded = loading.load_model(run, device)
    fusion_model(loaded)
    return loaded, make_pair(loaded, caption, open_image(image))

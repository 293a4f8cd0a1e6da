"""Do the words that AGM hides carry more meaning than random ones, and does TEM keep a caption true?

    python benchmarks/hidden_words.py runs/aga [--people 100]

On people of the run's drawn validation split, one image and one caption each. Each word is hidden by itself, and its
numbers are weighed by how likely training would hide it, at random and by attention (AGA, Eq. 9):

* `empty`: the share of empty words among the hidden ones (AGA, table I, Ratio_v).
* `loss`: what the model pays for the hidden words in front of the right picture, and `by_picture` how much more it pays
  in front of another person's: what only the picture tells.
* `enrichment`: the words that TEM would draw (AGA, Eq. 10), by probability: how many name a colour or a garment, and of
  these how many name one that the drawn person wears; the words that stand in the captions are the measure beside it.

Prints JSON. The run's own word head answers, since a run keeps no momentum twin."""

import argparse
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

import pickout
from pickout.checkpoints.loaded_model import LoadedModel
from pickout.data.images import open_image
from pickout.data.registry import open_data
from pickout.evaluate.evaluation_report import read_training
from pickout.explain.faithfulness import MeasureSettings, draw_samples, read_attributes
from pickout.explain.hidden_words import hidden_pieces, mask_probabilities
from pickout.explain.pair import Pair, fuse_rows, fusion_model, hidden_rows, make_pair, text_batch
from pickout.synthetic.habits import LEXICON

KINDS = ("colours", "kinds")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--people", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    model = pickout.load(given.run, precision="fp32")
    training = read_training(given.run)
    data = open_data(training.data, training.root)
    attributes = read_attributes(training.root)
    samples = list(draw_samples(data.splits["val"], MeasureSettings(people=given.people, seed=given.seed)))
    pairs = [make_pair(model, caption, open_image(record.image)) for record, caption in samples]
    rows, told = [], defaultdict(float)
    for number, (pair, (record, _)) in enumerate(zip(pairs, samples, strict=True)):
        rows += list(losses(model, pair, pairs[(number + 1) % len(pairs)]))
        for key, mass in truth(model, pair, worn(attributes[str(record.image)])).items():
            told[key] += mass
    table = np.array(rows)  # random, guided, empty, loss, loss before another picture
    found: dict[str, Any] = {"people": len(pairs), "pieces": len(table)}
    for column, rule in enumerate(("random", "guided")):
        weight = table[:, column] / table[:, column].sum()
        empty, loss, other = (float(weight @ table[:, n]) for n in (2, 3, 4))
        found[rule] = {"empty": round(empty, 4), "loss": round(loss, 4), "by_picture": round(other - loss, 4)}
    for source in ("caption", "enrichment"):
        total = told[source, "all"]
        found[source] = {
            kind: {
                "share": round(told[source, kind] / total, 4),
                "true": round(told[source, kind, "true"] / max(told[source, kind], 1e-9), 4),
            }
            for kind in KINDS
        }
    print(json.dumps(found, indent=1))


@torch.no_grad()
def losses(model: LoadedModel, pair: Pair, other: Pair) -> Iterator[tuple[float, ...]]:
    """For each piece: how likely it is hidden by either rule, whether it is an empty word, and its loss before the
    pair's picture and before another's."""
    method, texts = fusion_model(model), text_batch(model, [pair.ids])
    likely = {rule: each[0].tolist() for rule, each in mask_probabilities(method, texts).items()}
    empty = method.vacuous_positions(texts.ids, method.text.content(texts))[0].tolist()
    hidden = hidden_rows(pair, pair.told, model.tokenizer.special.mask)
    states = [fuse_rows(model, seen, hidden).tokens for seen in (pair, other)]
    words = method.text.embeddings.words.weight
    for row, word in enumerate(pair.told):
        for place in pair.words[word].positions:
            paid = [
                float(torch.nn.functional.cross_entropy(method.word_head(each[row, place], words), pair.ids[place]))
                for each in states
            ]
            yield likely["random"][place], likely["guided"][place], float(empty[place]), *paid


def worn(record: Mapping[str, Any]) -> dict[str, set[str]]:
    """The colours and kinds of what a drawn person wears and carries, hair included, by their names in the lexicon."""
    found: dict[str, set[str]] = {kind: set() for kind in KINDS}

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            if "name" in value and "rgb" in value:
                found["colours"].add(value["name"])
            if "kind" in value:
                found["kinds"].add(value["kind"])
            for each in value.values():
                walk(each)

    walk(record["person"])
    walk(record["view"].get("carried"))
    return found


def truth(model: LoadedModel, pair: Pair, wears: Mapping[str, set[str]]) -> dict[tuple[str, ...], float]:
    """Probability by what a word is: a colour, a kind of thing, one that the person wears; of the caption's own words
    and of those that enrichment draws in their place."""
    masses: dict[tuple[str, ...], float] = defaultdict(float)
    for piece in hidden_pieces(model, pair):
        drawn = {each.text: each.probability for each in piece.candidates}
        for source, words in (("caption", {piece.text: 1.0} if drawn else {}), ("enrichment", drawn)):
            for text, probability in words.items():
                masses[source, "all"] += piece.probability * probability
                for kind in KINDS:
                    named = NAMES[kind].get(text, set())
                    masses[source, kind] += piece.probability * probability * bool(named)
                    masses[source, kind, "true"] += piece.probability * probability * bool(named & wears[kind])
    return masses


def _names(kind: str) -> dict[str, set[str]]:
    """What each single word may name; "dark", of "dark brown" too, names no colour."""
    found: dict[str, set[str]] = defaultdict(set)
    for name, options in LEXICON[kind].items():
        for option in options:
            if " " not in option:
                found[option].add(name)
    return found


NAMES = {kind: _names(kind) for kind in KINDS}

if __name__ == "__main__":
    main()

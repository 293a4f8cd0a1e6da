"""How the parts of a query are best weighed, on drawn people: what docs/queries.md rests on.

    pickout data draw people --set identities=1200 --set val_identities=600 --set images=3 --set seed=77
    python benchmarks/queries.py RUN people [--split val]

Choose on the validation split alone. Each line gives how often the person meant is the best candidate (R@1) and among
the best ten (R@10); a crop that was part of the query does not count.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import pickout
from pickout.data.images import open_image
from pickout.data.registry import open_data

Array = NDArray[np.float64]
GARMENTS = ("red", "blue", "white", "black", "green", "yellow")
THINGS = ("backpack", "handbag", "shoulder bag", "suitcase")
SEARCHES = 1000


class Drawn:
    """Scores of every sentence and image of a split, and who is who."""

    def __init__(self, run: str, root: Path, split: str) -> None:
        images = open_data("street", root).splits[split].images
        self.model = pickout.load(run)
        self.vectors = self.model.encode_images([open_image(each.image) for each in images]).astype(np.float64)
        told = [(place, caption) for place, each in enumerate(images) for caption in each.captions]
        queries = self.model.encode_texts([caption for _, caption in told]).astype(np.float64)
        self.people = np.array([each.identity for each in images])
        self.meant = self.people[[place for place, _ in told]]
        self.sentences = queries @ self.vectors.T
        self.pictures = self.vectors @ self.vectors.T
        files = {str(each.image.relative_to((root / "imgs").resolve())): place for place, each in enumerate(images)}
        self.persons: list[dict[str, Any]] = [{}] * len(images)
        for line in (root / "attributes.jsonl").read_text().splitlines():
            record = json.loads(line)
            if record["file_path"] in files:
                self.persons[files[record["file_path"]]] = record["person"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("root", type=Path)
    parser.add_argument("--split", default="val")
    options = parser.parse_args()
    drawn = Drawn(options.run, options.root, options.split)
    for part in (witnesses, picture_and_sentence, without, less_like):
        print(f"\n{part.__doc__}")
        part(drawn, np.random.default_rng(0))


def witnesses(drawn: Drawn, generator: np.random.Generator) -> None:
    """Three sentences about one person."""
    rules: dict[str, Callable[[Array], Array]] = {
        "mean of scores": lambda s: s.mean(0),
        "mean of standardised": lambda s: standard(s).mean(0),
        "worst of standardised": lambda s: standard(s).min(0),
        "best score": lambda s: s.max(0),
        "mean of probabilities": lambda s: np.exp(s / 0.05 - np.log(np.exp(s / 0.05).sum(1, keepdims=True))).mean(0),
    }
    people = generator.choice(np.unique(drawn.meant), SEARCHES)
    sets = [generator.permutation(np.flatnonzero(drawn.meant == person))[:3] for person in people]
    for name, rule in rules.items():
        tell(
            name,
            [rank(rule(drawn.sentences[some]), drawn.people == who) for some, who in zip(sets, people, strict=True)],
        )


def picture_and_sentence(drawn: Drawn, generator: np.random.Generator) -> None:
    """A picture and a sentence, by the weight of the picture."""
    places = generator.choice(len(drawn.people), SEARCHES)
    texts = [int(generator.choice(np.flatnonzero(drawn.meant == drawn.people[place]))) for place in places]
    for weight in (0.0, 0.25, 0.4, 0.5, 0.6, 0.75, 1.0):
        found = []
        for place, text in zip(places, texts, strict=True):
            score = (1 - weight) * drawn.sentences[text] + weight * drawn.pictures[place]
            right = drawn.people == drawn.people[place]
            score[place], right[place] = -np.inf, False
            found.append(rank(score, right))
        tell(f"weight {weight}", found)


def without(drawn: Drawn, generator: np.random.Generator) -> None:
    """A sentence, and a colour of top that the person does not wear: share of the ten best who wear it."""
    unwanted = drawn.model.encode_texts([f"a {colour} top" for colour in GARMENTS]).astype(np.float64) @ drawn.vectors.T
    worn_on_top = [(each["outer"] or each["upper"])["colour"]["name"] for each in drawn.persons]
    wears = np.array([[worn == colour for worn in worn_on_top] for colour in GARMENTS])
    one = standard(unwanted)
    for colour, likeness, wearing in zip(GARMENTS, unwanted, wears, strict=True):
        print(f"  'a {colour} top' told from the rest: area under the curve {area(likeness, wearing):.2f}")
    carried = np.array([each["bag"]["kind"] if each["bag"] else "" for each in drawn.persons])
    for thing in THINGS:
        likeness = drawn.model.encode_texts([f"a {thing}"])[0].astype(np.float64) @ drawn.vectors.T
        print(f"  'a {thing}' told from the rest: area under the curve {area(likeness, carried == thing):.2f}")
    rules: dict[str, Callable[[Array, int], Array]] = {"nothing taken off": lambda s, _: s}
    for weight in (0.1, 0.25, 0.5):
        rules[f"{weight} z"] = lambda s, c, w=weight: s - w * s.std() * one[c]  # type: ignore[misc]
    for weight in (0.25, 0.5, 1.0, 2.0):
        rules[f"{weight} max(0, z)"] = lambda s, c, w=weight: s - w * s.std() * np.maximum(one[c], 0)  # type: ignore[misc]
    places = generator.choice(len(drawn.meant), SEARCHES // 4)
    for name, rule in rules.items():
        found, worn = [], []
        for place in places:
            right = drawn.people == drawn.meant[place]
            for colour in np.flatnonzero(~wears[:, right].any(1)):
                score = rule(drawn.sentences[place], int(colour))
                found.append(rank(score, right))
                worn.append(wears[colour, np.argsort(-score)[:10]].mean())
        tell(name, found, f"  unwanted {np.mean(worn):.3f}")


def less_like(drawn: Drawn, generator: np.random.Generator) -> None:
    """A sentence, and up to three wrong crops of the best five: how many more crops of theirs are among 20."""
    likeness = standard(drawn.pictures)
    rules: dict[str, Callable[[Array, list[int]], Array]] = {"nothing taken off": lambda s, _: s}
    for weight in (0.05, 0.15, 0.3):
        rules[f"{weight} score (Rocchio)"] = lambda s, b, w=weight: s - w * drawn.pictures[b].mean(0)  # type: ignore[misc]
    for beyond in (0.0, 2.0):
        for weight in (0.25, 0.5, 1.0):
            rules[f"{weight} max(0, z - {beyond})"] = (  # type: ignore[misc]
                lambda s, b, w=weight, f=beyond: s - w * s.std() * np.maximum(likeness[b] - f, 0).mean(0)
            )
    places = generator.choice(len(drawn.meant), SEARCHES)
    for name, rule in rules.items():
        found, others = [], []
        for place in places:
            right = drawn.people == drawn.meant[place]
            best = np.argsort(-drawn.sentences[place])[:5]
            bad = [int(row) for row in best if not right[row]][:3]
            score = rule(drawn.sentences[place], bad).copy()
            score[bad] = -np.inf
            found.append(rank(score, right))
            others.append(np.isin(drawn.people[np.argsort(-score)[:20]], drawn.people[bad]).sum())
        tell(name, found, f"  of the disliked {np.mean(others):.2f}")


def standard(scores: Array) -> Array:
    """Each row in standard deviations from its mean."""
    return np.asarray((scores - scores.mean(1, keepdims=True)) / scores.std(1, keepdims=True))


def area(likeness: Array, having: NDArray[np.bool_]) -> float:
    """How often a crop that has the thing is more like it than one that has not."""
    place = likeness.argsort().argsort()
    return float((place[having].mean() - (having.sum() - 1) / 2) / (~having).sum())


def rank(score: Array, right: NDArray[np.bool_]) -> int:
    """Place of the best right crop, from 1; ties count against it."""
    return int((score >= score[right].max()).sum())


def tell(name: str, ranks: list[int], more: str = "") -> None:
    found = np.array(ranks)
    print(f"  {name:26} R@1 {np.mean(found <= 1):.3f}  R@10 {np.mean(found <= 10):.3f}{more}")


if __name__ == "__main__":
    main()

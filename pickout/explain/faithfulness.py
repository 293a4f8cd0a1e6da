"""Whether a way to explain a model is better than chance on that model.

A heat map claims an order: what it calls hot carries the score. So the hot patches are hidden first and the area under
the falling score is held against that of random maps (deletion), and shown first into an empty picture (insertion); the
same for words. The heat of a word is held against the part of the score that this word adds. On a drawn street, whose
part masks are known, a garment word's heat should also lie on that garment."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field, model_validator

from pickout.checkpoints.loaded_model import LoadedModel
from pickout.config import Settings
from pickout.data.data_set import DataSet, ImageRecord, Split
from pickout.data.image_changes import read_parts
from pickout.data.images import open_image
from pickout.errors import DataError, UsageError
from pickout.evaluate.metrics import BootstrapSettings, bootstrap
from pickout.explain.evidence import Evidence, drop_words, hide_patches
from pickout.explain.pair import Array, Grid, Pair, Tell, make_pair, match_scores
from pickout.explain.ways import TARGETS, WAYS, Finding, Measurement, Number, Reading, Target
from pickout.saliency.vacuous_words import VACUOUS_WORDS
from pickout.synthetic.habits import LEXICON
from pickout.synthetic.surfaces import Part

GARMENT_TARGETS: tuple[Target, ...] = ("word_patches", "looks")
"""What has heat for each word, which can lie on the garment that the word names."""
CENTRE = "centre"  # a control: heat that falls with the distance from the picture's middle, whatever the sentence says

Heats = Mapping[str, Array]
Score = Callable[[NDArray[np.bool_]], Array]


class MeasureSettings(Settings):
    """How faithfulness is measured."""

    people: int = Field(default=100, ge=2)
    """People of the split that take part, with one image and one sentence each; all where there are fewer."""
    seed: int = Field(default=0, ge=0)  # draws the people, images, sentences, words and random maps
    random_maps: int = Field(default=4, ge=1)  # random maps that each way is held against, on every pair
    bootstrap: BootstrapSettings = BootstrapSettings()  # how intervals are drawn

    @model_validator(mode="after")
    def _draw_intervals(self) -> Self:
        if not self.bootstrap.resamples:
            raise ValueError("bootstrap.resamples = 0: the intervals tell which way is shown; give 1 or more")
        return self


class Tally:
    """Numbers by target, way and measure, each with the person it is about."""

    def __init__(self, settings: MeasureSettings) -> None:
        self.settings = settings
        self.kept: dict[tuple[str, str, str], list[tuple[float, int]]] = defaultdict(list)

    def number(self, target: str, way: str, measure: str) -> Number | None:
        """Mean and interval; None where nothing was kept."""
        kept = self.kept.get((target, way, measure))
        if not kept:
            return None
        values, people = np.array(kept).T
        (low,), (high,) = bootstrap(values[:, None], people.astype(np.int64), self.settings.bootstrap)
        return Number(*(round(float(x), 6) for x in (values.mean(), low, high)))

    def add(
        self, model: LoadedModel, image: ImageRecord, caption: str, drawn: Mapping[str, Any] | None, place: int
    ) -> None:
        """Hold every way against chance on one picture and sentence; `drawn` tells what the picture was made of."""
        pair = make_pair(model, caption, open_image(image.image))
        evidence = Evidence(model, pair, seed=self.settings.seed)
        generator = np.random.default_rng((self.settings.seed, place))
        readings = {name: way(evidence) for name, way in WAYS.items()} | {CENTRE: _centre(evidence)}
        text = evidence.effects("words", "left_out")
        telling = [n for n, at in enumerate(pair.told) if pair.words[at].text.lower() not in VACUOUS_WORDS]
        word = int(generator.choice(telling)) if telling else 0

        def matched(kept: NDArray[np.bool_]) -> Array:
            """What the word adds to the matching head's logit."""
            without = drop_words(pair, [pair.told[word]], model.tokenizer.special.padding)
            pixels = hide_patches(pair, kept, own=True)
            return match_scores(model, pixels, pair.ids) - match_scores(model, pixels, without)

        # Another filling than the maps are made with, so that none is its own judge.
        scores: dict[Target, Score] = {
            "patches": lambda kept: evidence.show(kept, own=True) @ text.whole,
            "words": lambda kept: evidence.tell(kept) @ evidence.image,
            "word_patches": lambda kept: evidence.show(kept, own=True) @ text.each[word],
            "looks": matched,
        }
        for target, score in scores.items():
            heats = {name: heat for name, each in readings.items() if (heat := getattr(each, target)) is not None}
            one = {name: heat[word] for name, heat in heats.items()} if target in GARMENT_TARGETS else heats
            if target == "looks" and not model.method.candidates:
                one = {}
            for name, (deleting, inserting) in gains(score, one, self.settings.random_maps, generator).items():
                self.kept[target, name, "deletion"].append((deleting, image.identity))
                self.kept[target, name, "insertion"].append((inserting, image.identity))
            if drawn is not None and target in GARMENT_TARGETS and (mask := read_parts(image.image)) is not None:
                for name, kind, ratio in ratios(named_parts(pair, drawn["person"]), mask, pair.grid, heats):
                    self.kept[target, name, kind].append((ratio, image.identity))


def measure(
    model: LoadedModel, data: DataSet, split: str, settings: MeasureSettings, tell: Tell | None = None
) -> Measurement:
    """Hold every way against chance; a data set that was drawn also tells where garments are. `tell` is called after
    each person with how many are done and how many there are. `UsageError`: the data set has no such split;
    `DataError`: the split has fewer than two people with captions, or no sentence fits the model; `ImageUnreadable`: a
    picture is missing or damaged."""
    if split not in data.splits:
        raise UsageError(f"{data.name} has no split '{split}'; it has {', '.join(data.splits)}")
    samples = list(draw_samples(data.splits[split], settings))
    if len(samples) < 2:
        raise DataError(f"{data.root}, {split}: fewer than two people with captions; nothing can be measured")
    attributes, tally = read_attributes(data.root), Tally(settings)
    for place, (image, caption) in enumerate(samples):
        tally.add(model, image, caption, attributes.get(str(image.image)), place)
        if tell is not None:
            tell(place + 1, len(samples))
    findings: dict[Target, dict[str, Finding]] = {target: {} for target in TARGETS}
    for target in TARGETS:
        for way in WAYS:
            gain = [tally.number(target, way, measure) for measure in ("deletion", "insertion", "ratio")]
            if gain[0] is not None and gain[1] is not None:
                findings[target][way] = Finding(gain[0], gain[1], gain[2])
    controls = {}  # how the middle of the picture does, and where the heat of other garments' words falls
    for about, way, kind in tally.kept:
        number = tally.number(about, way, kind) if way == CENTRE or kind == "other" else None
        if number is not None:
            name = f"other_words_{way}" if kind == "other" else f"{CENTRE}_{about}_{kind}"
            controls[name] = [number.mean, number.low, number.high]
    facts = {
        "model": model.name,
        "method": type(model.method).__name__.lower(),
        "data": data.name,
        "split": split,
        "people": len(samples),
        "garment_words": len(tally.kept["word_patches", CENTRE, "ratio"]),
        "date": date.today().isoformat(),
        "settings": settings.model_dump(mode="json"),
        "controls": controls,
    }
    return Measurement(model.fingerprint, findings, facts)


def draw_samples(split: Split, settings: MeasureSettings) -> Iterator[tuple[ImageRecord, str]]:
    """One image and one of its sentences for each of the drawn people."""
    generator = np.random.default_rng(settings.seed)
    by_person: dict[int, list[ImageRecord]] = {}
    for record in split.images:
        if any(caption.strip() for caption in record.captions):
            by_person.setdefault(record.identity, []).append(record)
    for identity in generator.permutation(sorted(by_person))[: settings.people].tolist():
        record = by_person[identity][generator.integers(len(by_person[identity]))]
        captions = [caption for caption in record.captions if caption.strip()]
        yield record, captions[generator.integers(len(captions))]


def ratios(
    named: list[tuple[int, int]], mask: NDArray[np.uint8], grid: Grid, by_word: Heats
) -> Iterator[tuple[str, Literal["ratio", "other"], float]]:
    """Pointing ratios of each part that words name (`named_parts`): of the heat of its word, and of words that name
    other parts. `mask` tells the part at each pixel, `by_word` the heat of each told word by way, (told, patches)."""
    for told, part in named:
        shares, covered = part_shares(mask, part, grid)
        if covered < SMALLEST:
            continue
        others = [other for other, names in named if names != part]
        for name, heat in by_word.items():
            yield name, "ratio", pointing_ratio(heat[told], shares, covered)
            if others:
                yield name, "other", float(np.mean([pointing_ratio(heat[n], shares, covered) for n in others]))


def gains(score: Score, heats: Heats, random_maps: int, chance: np.random.Generator) -> dict[str, tuple[float, float]]:
    """For each map (players,) how much better than random orders it deletes and inserts; above 0 is better. `score`
    makes scores (versions,) of what is kept (versions, players)."""
    if not heats:
        return {}
    players = len(next(iter(heats.values())))
    # By falling heat; the lowest position first among equals.
    orders = [np.argsort(-heat, kind="stable") for heat in heats.values()]
    orders += [chance.permutation(players) for _ in range(random_maps)]
    deleting = np.stack([kept_while_deleting(order) for order in orders])
    kept = np.stack([deleting, ~deleting], axis=1)
    areas = area(score(kept.reshape(-1, players)).reshape(kept.shape[:3]))
    deletion, insertion = areas[len(heats) :].mean(axis=0)
    own = zip(heats, areas.tolist(), strict=False)
    return {name: (float(deletion) - gone, back - float(insertion)) for name, (gone, back) in own}


def kept_while_deleting(order: NDArray[np.int64], steps: int = 16) -> NDArray[np.bool_]:
    """What is still there (steps + 1, players) while players go in this order, from everything to nothing, in at most
    so many equal steps. Its opposite is what is there while they are inserted (RISE; Petsiuk, Das and Saenko, 2018)."""
    edges = np.linspace(0, len(order), min(len(order), steps) + 1).round().astype(np.int64)
    kept = np.ones((len(edges), len(order)), np.bool_)
    for row, gone in zip(kept, edges, strict=True):
        row[order[:gone]] = False
    return kept


def area(scores: Array) -> Array:
    """The area under curves (..., steps + 1) over shares from 0 to 1, by trapezia. Shape: (...)."""
    return np.asarray(((scores[..., 1:] + scores[..., :-1]) / 2).mean(axis=-1))


def _centre(evidence: Evidence) -> Reading:
    grid = evidence.pair.grid
    down, across = (np.linspace(-1, 1, n) if n > 1 else np.zeros(1) for n in (grid.rows, grid.columns))
    heat = (2 - down[:, None] ** 2 - across[None, :] ** 2).ravel().astype(np.float32)
    return Reading(heat, None, np.tile(heat, (evidence.told, 1)))


_WORN = (Part.HEADWEAR, Part.UPPER, Part.OUTER, Part.LOWER, Part.SHOES, Part.BAG)  # or carried, by everybody alike
SMALLEST = 0.01  # parts that cover a smaller share of the picture are not asked about: a patch is larger


def read_attributes(root: Path) -> dict[str, dict[str, Any]]:
    """What was drawn, by image file; empty for a data set that was not drawn."""
    file = root / "attributes.jsonl"
    records = map(json.loads, file.read_text(encoding="utf-8").splitlines() if file.is_file() else ())
    return {str(root / "imgs" / record["file_path"]): record for record in records}


def named_parts(pair: Pair, person: Mapping[str, Any]) -> list[tuple[int, int]]:
    """The words of the sentence that name something the person, of these attributes, wears: positions in `pair.told`,
    each with the part's number in the mask. Each word of "polo shirt" counts. A phrase that fits two things at once
    ("jacket" with a blazer under a coat) names neither."""
    worn: dict[tuple[str, ...], set[Part]] = {}
    for part in _WORN:
        item = person.get(part.name.lower())
        for name in LEXICON["kinds"].get(item["kind"], ()) if isinstance(item, dict) else ():
            # In words as `Tokenizer.words` cuts them; "hooded sweatshirt" is there and "sweatshirt with a hood" is not.
            if not {"with", "a"} & set(name.split()):
                worn.setdefault(tuple(name.replace("-", " ").split()), set()).add(part)
    texts = [pair.words[n].text.lower() for n in pair.told]
    found, place = [], 0
    while place < len(texts):
        fitting = (phrase for n in (4, 3, 2, 1) if (phrase := tuple(texts[place : place + n])) in worn)
        phrase = next(fitting, ())
        parts = worn.get(phrase, set())
        if len(parts) == 1:
            found += [(place + n, int(next(iter(parts)))) for n in range(len(phrase))]
        place += max(1, len(phrase))
    return found


def part_shares(mask: NDArray[np.uint8], part: int, grid: Grid) -> tuple[Array, float]:
    """The share of each patch (patches,), and of the whole picture, that shows a part of the mask."""
    shows = Image.fromarray((mask == part).astype(np.uint8) * 255)
    small = np.asarray(shows.resize((grid.width, grid.height), Image.Resampling.BOX), np.float32) / 255
    cover = grid.cover().reshape(grid.patches, -1).astype(np.float32)
    shares: Array = cover @ small.ravel() / cover.sum(axis=1)
    return shares, float((mask == part).mean())


def pointing_ratio(heat: Array, shares: Array, area: float) -> float:
    """The share of a map's heat (patches,) that falls on a part, over the part's share of the picture, `area`; 1 is
    chance. `shares` tells how much of each patch the part fills. Only heat above zero counts; a map without gets 1."""
    hot = np.maximum(heat, 0)
    return float(hot @ shares) / float(hot.sum()) / area if hot.any() else 1.0

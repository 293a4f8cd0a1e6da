"""Whether a way to explain a model is better than chance on that model.

A heat map claims an order: what it calls hot carries the score. So the hot patches are hidden first and the area under
the falling score is held against that of random maps (deletion), and shown first into an empty picture (insertion); the
same for words. The heat of a word is held against the part of the score that this word adds. On a drawn street, whose
part masks are known, a garment word's heat should also lie on that garment.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pickout.checkpoints.loaded_model import LoadedModel
from pickout.config import Settings
from pickout.data.images import open_image
from pickout.data.records import DataSet, Split
from pickout.errors import DataError, UsageError
from pickout.evaluate.bootstrap import BootstrapSettings, bootstrap
from pickout.explain.curves import area, kept_while_deleting, kept_while_inserting, order_of
from pickout.explain.effects import Embed, image_versions
from pickout.explain.evidence import Evidence
from pickout.explain.garments import SMALLEST, Named, named_parts, part_shares, pointing_ratio, read_attributes
from pickout.explain.garments import read_mask as read_part_mask
from pickout.explain.hiding import Fill, drop_words, hide_patches
from pickout.explain.pair import Array, Pair, make_pair, match_scores
from pickout.explain.verdict import BAR, TARGETS, Finding, Measurement, Number, Target
from pickout.explain.ways import WAYS, Reading
from pickout.saliency.words import VACUOUS_WORDS

CENTRE = "centre"
"""A control: heat that falls with the distance from the picture's middle, whatever the sentence says."""

Heats = Mapping[str, Array]
Score = Callable[[NDArray[np.bool_]], Array]
Tell = Callable[[int, int], None]


class MeasureSettings(Settings):
    """How faithfulness is measured."""

    people: int = Field(default=100, ge=2)
    """People of the split that take part, with one image and one sentence each; all where there are fewer."""
    seed: int = Field(default=0, ge=0)
    """Draws the people, images, sentences, words and random maps."""
    random_maps: int = Field(default=4, ge=1)
    """Random maps that each way is held against, on every pair."""
    fill: Fill = "own"
    """What stands where a patch is hidden; another than the maps are made with, so that none is its own judge."""
    bootstrap: BootstrapSettings = BootstrapSettings()
    """How intervals are drawn."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One image and one sentence of a person."""

    image: Path
    caption: str
    identity: int


class Tally:
    """Numbers by target, way and measure, each with the person it is about."""

    def __init__(self) -> None:
        self._values: dict[tuple[str, str, str], list[tuple[float, int]]] = {}

    def add(self, target: str, way: str, measure: str, value: float, identity: int) -> None:
        """Keep a number."""
        self._values.setdefault((target, way, measure), []).append((value, identity))

    def number(self, target: str, way: str, measure: str, settings: BootstrapSettings) -> Number | None:
        """Mean and interval; None where nothing was kept."""
        kept = self._values.get((target, way, measure))
        if not kept:
            return None
        values = np.array([value for value, _ in kept])[:, None]
        ends = bootstrap(values, np.array([identity for _, identity in kept]), settings)
        return Number(*(round(float(x), 6) for x in (values.mean(), ends.low[0], ends.high[0])))

    def count(self, target: str, way: str, measure: str) -> int:
        """How many numbers were kept."""
        return len(self._values.get((target, way, measure), ()))


def measure(
    model: LoadedModel,
    data: DataSet,
    split: str = "val",
    settings: MeasureSettings | None = None,
    tell: Tell | None = None,
) -> Measurement:
    """Hold every way against chance.

    Args:
        model: from `pickout.load`.
        data: a data set; one that was drawn also tells where garments are.
        split: which people.
        settings: how many, and how.
        tell: called after each person with how many are done and how many there are.

    Raises:
        UsageError: the data set has no such split.
        DataError: the split has fewer than two people with captions, or no sentence fits the model.
        ImageUnreadable: a picture is missing or damaged.
    """
    settings = settings or MeasureSettings()
    if split not in data.splits:
        raise UsageError(f"{data.name} has no split '{split}'; it has {', '.join(data.splits)}")
    samples = list(draw_samples(data.splits[split], settings))
    if len(samples) < 2:
        raise DataError(f"{data.root}, {split}: fewer than two people with captions; nothing can be measured")
    attributes = read_attributes(data.root)
    tally = Tally()
    for number, sample in enumerate(samples):
        _measure_pair(model, sample, attributes, tally, settings, number)
        if tell is not None:
            tell(number + 1, len(samples))
    facts = {
        "model": model.name,
        "method": type(model.method).__name__.lower(),
        "data": data.name,
        "split": split,
        "people": len(samples),
        "garment_words": tally.count("word_patches", CENTRE, "ratio"),
        "date": date.today().isoformat(),
        "settings": settings.model_dump(mode="json"),
        "controls": _controls(tally, settings),
    }
    return Measurement(model.fingerprint, _findings(tally, settings), facts)


def draw_samples(split: Split, settings: MeasureSettings) -> Iterator[Sample]:
    """One image and one of its sentences for each of the drawn people."""
    generator = np.random.default_rng(settings.seed)
    by_person: dict[int, list[int]] = {}
    for position, record in enumerate(split.images):
        if any(caption.strip() for caption in record.captions):
            by_person.setdefault(record.identity, []).append(position)
    people = generator.permutation(sorted(by_person))[: settings.people]
    for identity in people.tolist():
        record = split.images[by_person[identity][generator.integers(len(by_person[identity]))]]
        captions = [caption for caption in record.captions if caption.strip()]
        yield Sample(record.image, captions[generator.integers(len(captions))], identity)


def _measure_pair(
    model: LoadedModel,
    sample: Sample,
    attributes: Mapping[str, Mapping[str, Any]],
    tally: Tally,
    settings: MeasureSettings,
    number: int,
) -> None:
    pair = make_pair(model, sample.caption, open_image(sample.image))
    evidence = Evidence(model, pair, seed=settings.seed)
    generator = np.random.default_rng((settings.seed, number))
    readings = {name: way(evidence) for name, way in WAYS.items()} | {CENTRE: _centre(evidence)}
    show = image_versions(model, pair, fill=settings.fill)
    image, text = evidence.patches_left_out, evidence.words_left_out
    telling = [n for n, at in enumerate(pair.told) if pair.words[at].text.lower() not in VACUOUS_WORDS]
    word = int(generator.choice(telling)) if telling else 0

    def contest(target: Target, score: Score, heats: Heats) -> None:
        for name, (deletion, insertion) in gains(score, heats, settings.random_maps, generator).items():
            tally.add(target, name, "deletion", deletion, sample.identity)
            tally.add(target, name, "insertion", insertion, sample.identity)

    contest("patches", along(show, text.whole), _given(readings, "patches"))
    contest("words", along(evidence.tell, image.whole), _given(readings, "words"))
    by_word = _given(readings, "word_patches")
    contest("word_patches", along(show, text.each[word]), {name: heat[word] for name, heat in by_word.items()})
    looks = _given(readings, "looks") if model.method.candidates else {}
    contest("looks", _matched(model, pair, word, settings.fill), {name: heat[word] for name, heat in looks.items()})
    record = attributes.get(str(sample.image))
    if record is not None:
        mask = read_part_mask(sample.image.parents[2], record)
        garments = named_parts(pair, record["person"])
        for target, heats in (("word_patches", by_word), ("looks", looks)):
            _point(evidence, garments, mask, target, heats, tally, sample.identity)


def _given(readings: Mapping[str, Reading], target: Target) -> dict[str, Array]:
    """What the ways give at a target; those that give nothing are left out."""
    found = {name: getattr(reading, target) for name, reading in readings.items()}
    return {name: heat for name, heat in found.items() if heat is not None}


def _point(
    evidence: Evidence,
    named: list[Named],
    mask: NDArray[np.uint8],
    target: str,
    by_word: Heats,
    tally: Tally,
    identity: int,
) -> None:
    """Ratios of each named part: of the heat of its word, and for comparison of words that name other parts."""
    for garment in named:
        shares, covered = part_shares(mask, garment.part, evidence.pair.grid)
        if covered < SMALLEST:
            continue
        others = [other.told for other in named if other.part != garment.part]
        for name, heat in by_word.items():
            ratio = pointing_ratio(heat[garment.told], shares, covered)
            tally.add(target, name, "ratio", ratio, identity)
            if others:
                strange = float(np.mean([pointing_ratio(heat[other], shares, covered) for other in others]))
                tally.add(target, name, "other", strange, identity)


def along(embed: Embed, direction: Array) -> Score:
    """The score of what is kept: the inner product of its embedding with a direction. Shape of that: (dimension,)."""
    return lambda kept: embed(kept) @ direction


def _matched(model: LoadedModel, pair: Pair, word: int, fill: Fill) -> Score:
    """What a told word adds to the matching head's logit."""
    without = drop_words(pair, [pair.told[word]], model.tokenizer.special.padding)

    def score(kept: NDArray[np.bool_]) -> Array:
        pixels = hide_patches(pair, kept, fill=fill)
        return match_scores(model, pixels, pair.ids) - match_scores(model, pixels, without)

    return score


def gains(
    score: Score, heats: Heats, random_maps: int, generator: np.random.Generator
) -> dict[str, tuple[float, float]]:
    """For each map how much better than random it deletes and inserts; above 0 is better.

    Args:
        score: from what is kept (versions, players) to scores (versions,).
        heats: maps by name. Shape of each: (players,).
        random_maps: how many random orders they are held against.
        generator: draws those.
    """
    if not heats:
        return {}
    players = len(next(iter(heats.values())))
    orders = [order_of(heat) for heat in heats.values()] + [generator.permutation(players) for _ in range(random_maps)]
    kept = np.stack([[kept_while_deleting(order), kept_while_inserting(order)] for order in orders])
    scores = score(kept.reshape(-1, players)).reshape(kept.shape[:3])
    areas = np.array([[area(curve) for curve in both] for both in scores])
    deletion, insertion = areas[len(heats) :].mean(axis=0)
    return {name: (deletion - own[0], own[1] - insertion) for name, own in zip(heats, areas, strict=False)}


def _centre(evidence: Evidence) -> Reading:
    grid = evidence.pair.grid
    down, across = (np.linspace(-1, 1, n) if n > 1 else np.zeros(1) for n in (grid.rows, grid.columns))
    heat = (2 - down[:, None] ** 2 - across[None, :] ** 2).ravel().astype(np.float32)
    return Reading(heat, None, np.tile(heat, (evidence.told, 1)))


def _findings(tally: Tally, settings: MeasureSettings) -> dict[Target, dict[str, Finding]]:
    findings: dict[Target, dict[str, Finding]] = {}
    for target in TARGETS:
        found = {name: _finding(tally, target, name, settings) for name in WAYS}
        findings[target] = {name: finding for name, finding in found.items() if finding is not None}
    return findings


def _finding(tally: Tally, target: Target, way: str, settings: MeasureSettings) -> Finding | None:
    number = tally.number(target, way, "deletion", settings.bootstrap)
    if number is None:
        return None
    insertion = cast(Number, tally.number(target, way, "insertion", settings.bootstrap))
    return Finding(number, insertion, tally.number(target, way, "ratio", settings.bootstrap))


def _controls(tally: Tally, settings: MeasureSettings) -> dict[str, Any]:
    """For the reader: how the middle of the picture does, and where the heat of other garments' words falls."""
    middle = {
        f"{CENTRE}_{target}_{measure}": tally.number(target, CENTRE, measure, settings.bootstrap)
        for target in ("patches", "word_patches")
        for measure in ("deletion", "insertion", "ratio")
    }
    others = {
        f"other_words_{way}": tally.number(target, way, "other", settings.bootstrap)
        for target in ("word_patches", "looks")
        for way in WAYS
        if tally.count(target, way, "other")
    }
    told = {name: number for name, number in (middle | others).items() if number is not None}
    return {"bar": BAR, **{name: [number.mean, number.low, number.high] for name, number in told.items()}}

"""Ways to read a model: each gives a heat map of the crop, one for each word, a weight for each word, or some of these.

Which way may be shown is not a matter of taste: `pickout.explain.faithfulness` measures all of them on a model. A run
keeps the measurement of its validation split as `explain.json`: it decides, for each target, by the ways that did
better than chance, and the best of them."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from pydantic import TypeAdapter
from torch import Tensor, nn
from torch.nn import functional as F

from pickout.errors import CheckpointError, UsageError
from pickout.explain.evidence import Evidence, Game
from pickout.explain.pair import Array, look_at, text_batch
from pickout.methods.fusion_model import FusionModel
from pickout.methods.itself import Itself
from pickout.saliency.aggregation import layer_mean, point_at, rollout_row
from pickout.shapes import AttentionTrace


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """What one way says of a pair; a large number means that the score rests on it. What a way cannot say is None."""

    patches: Array | None = None  # heat over the crop, row by row; shape (patches,)
    words: Array | None = None  # weight of each told word; shape (told,)
    word_patches: Array | None = None  # heat of each told word over the crop; shape (told, patches)
    looks: Array | None = None  # cross-attention of each told word in the matching part; shape (told, patches)


def by_effects(evidence: Evidence, game: Game, phrases: bool = False) -> Reading:
    """What patches and words do to the embeddings; the products give what a patch and a word do only together.
    `shapley` shares the score out among pairs of both, exactly; `left_out` takes a patch, a word or both away
    (occlusion; Zeiler and Fergus, 2014); `kept_alone` leaves one patch or word and nothing else. With `phrases` only
    what dropping each word's phrase changes."""
    image = evidence.effects("patches", game)
    if phrases:
        return Reading(word_patches=evidence.phrases @ image.each.T)
    text = evidence.effects("words", game)
    return Reading(image.each @ text.whole, text.each @ image.whole, text.each @ image.each.T)


def by_gradient(evidence: Evidence, last: bool, phrases: bool = False) -> Reading:
    """Gradient times token where tokens enter the towers, or before the last layer's attention (Grad-CAM; Selvaraju et
    al., 2017); with `phrases` only of what dropping each word's phrase changes."""
    method: Any = evidence.encoder.method
    # BERT cut in two is no stack of layers that gradients can be taken in.
    if not all(isinstance(getattr(tower, "transformer", None), nn.Module) for tower in (method.vision, method.text)):
        return Reading()
    if phrases:
        return Reading(word_patches=evidence.gradients("patches", evidence.phrases, last=last)[:, 1:])
    directions = np.vstack([evidence.text[None], evidence.effects("words", "left_out").each])
    maps = evidence.gradients("patches", directions, last=last)[:, 1:]
    words = evidence.over_words(evidence.gradients("words", evidence.image[None], last=last)[0])
    return Reading(maps[0], words, maps[1:])


@torch.no_grad()
def token_similarity(evidence: Evidence) -> Reading:
    """Cosines of patch tokens with the caption and with the tokens of a word; of word tokens with the image."""
    encoder, pair = evidence.encoder, evidence.pair
    image = encoder.method.encode_images(pair.pixels[None].to(encoder.device))
    text = encoder.method.encode_texts(text_batch(encoder, [pair.ids]))
    widths = {image.tokens.shape[-1], text.tokens.shape[-1]}
    patches = pair.grid.rows * pair.grid.columns  # `union` keeps fewer
    if "global" not in text.parts or widths != {text.parts["global"].shape[-1]} or image.tokens.shape[1] != 1 + patches:
        return Reading()
    looked, tokens, whole, seen = (
        F.normalize(part.float(), dim=-1)
        for part in (image.tokens[0, 1:], text.tokens[0], text.parts["global"][0], image.parts["global"][0])
    )
    words = torch.stack([tokens[list(pair.words[n].positions)].mean(dim=0) for n in pair.told])
    return Reading(_array(looked @ whole), _array(words @ seen), _array(words @ looked.T))


def by_attention(evidence: Evidence, read: Callable[[AttentionTrace], Tensor]) -> Reading:
    """What `read` makes of the attention of the class token and of the end-of-text token."""
    image, text = (_array(read(trace)[0]) for trace in evidence.traces)
    return Reading(image[1:], evidence.over_words(text))


def mars(evidence: Evidence) -> Reading:
    """The multi-layer attention by which ITSELF chose tokens in training, with the model's own layers and discarded
    share (ITSELF, Eq. 1 and 2); nothing for a method without that selection."""
    method = evidence.encoder.method
    if not isinstance(method, Itself) or method.image_selection.training.statistic != "mars":
        return Reading()
    rules = method.image_selection.training, method.text_selection.training
    image, text = (_array(rule.scores(trace)[0]) for rule, trace in zip(rules, evidence.traces, strict=True))
    return Reading(image[1:], evidence.over_words(text))


def by_looking(evidence: Evidence, hide: bool) -> Reading:
    """Cross-attention of the words, mean over fusion layers: as they stand (AGA, figure 3), or each while it is hidden
    (AGA, figure 5)."""
    if not isinstance(evidence.encoder.method, FusionModel):
        return Reading()
    looks = look_at(evidence.encoder, evidence.pair, evidence.pair.told, hide=hide)
    return Reading(looks=np.mean(list(looks.values()), axis=0))


def _rolled(trace: AttentionTrace) -> Tensor:
    """Rolled out through all layers (Abnar and Zuidema, 2020)."""
    maps = [trace.maps[layer] for layer in sorted(trace.maps)]
    return rollout_row(maps, point_at(trace.query, trace.content.shape[1]), 0.0)


def _array(tensor: Tensor) -> Array:
    return np.asarray(tensor.float().cpu().numpy())


WAYS: Mapping[str, Callable[[Evidence], Reading]] = {
    "shapley": partial(by_effects, game="shapley"),
    "shapley_phrases": partial(by_effects, game="shapley", phrases=True),
    "left_out": partial(by_effects, game="left_out"),
    "left_out_phrases": partial(by_effects, game="left_out", phrases=True),
    "kept_alone": partial(by_effects, game="kept_alone"),
    "gradient": partial(by_gradient, last=False),
    "late_gradient": partial(by_gradient, last=True),
    "late_gradient_phrases": partial(by_gradient, last=True, phrases=True),
    "token_similarity": token_similarity,
    "class_row": partial(by_attention, read=lambda trace: trace.rows[max(trace.rows)]),
    "mean_row": partial(by_attention, read=lambda trace: layer_mean(list(trace.rows.values()))),
    "rollout": partial(by_attention, read=_rolled),
    "mars": mars,
    "cross_attention": partial(by_looking, hide=False),
    "cross_attention_hidden": partial(by_looking, hide=True),
}  # every way by name


SCHEMA, FILE = "pickout.explain/1", "explain.json"  # of a measurement, and its name in a run folder

Target = Literal["patches", "words", "word_patches", "looks"]
"""Heat over the crop, weights of the words, heat of each word over the crop, and where each word of a matching head
looks. The first three are about the score of the embeddings, the last about that of the matching head."""
TARGETS: tuple[Target, ...] = get_args(Target)
UNMEASURED: Mapping[Target, str] = {
    "patches": "shapley",
    "words": "shapley",
    "word_patches": "shapley_phrases",
    "looks": "cross_attention_hidden",
}  # what is shown, and said to be unmeasured, for a model without a measurement


@dataclass(frozen=True, slots=True)
class Number:
    """A mean over pairs with its 95 % interval (bootstrap over people)."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True, slots=True)
class Finding:
    """How one way did at one target."""

    deletion: Number  # area under the deletion curve of random maps less that of the way; above 0 is better than random
    insertion: Number  # area under the insertion curve of the way less that of random maps; likewise
    ratio: Number | None = None  # of garment words' heat on a drawn street: share on the garment over its share of all

    @property
    def holds(self) -> bool:
        """Whether it is better than chance beyond the interval in everything that was measured."""
        better = self.deletion.low > 0 and self.insertion.low > 0
        return better and (self.ratio is None or self.ratio.low > 1)

    @property
    def merit(self) -> float:
        """By which the best way is chosen: the ratio where it was measured, else the two gains together."""
        return self.deletion.mean + self.insertion.mean if self.ratio is None else self.ratio.mean


@dataclass(frozen=True, slots=True)
class Verdict:
    """What may be shown at one target: by which way, or None; whether that rests on a measurement of this model; and
    the same in a sentence."""

    way: str | None
    measured: bool
    note: str


Findings = Mapping[Target, Mapping[str, Finding]]
_FINDINGS: TypeAdapter[Findings] = TypeAdapter(Findings)


@dataclass(frozen=True, slots=True)
class Measurement:
    """What `pickout explain measure` found of a model, by target and way; `facts` are data, split, pairs, seed and the
    like, for the reader."""

    fingerprint: str
    findings: Findings
    facts: Mapping[str, Any]

    def best(self, target: Target) -> str | None:
        """The way with the greatest merit among those that hold."""
        ways = self.findings.get(target, {})
        holding = [name for name, found in ways.items() if found.holds and name in WAYS]
        return max(holding, key=lambda name: ways[name].merit, default=None)

    def as_json(self) -> dict[str, Any]:
        """The file's content."""
        found = {
            target: {name: asdict(finding) | {"holds": finding.holds} for name, finding in ways.items()}
            for target, ways in self.findings.items()
        }
        shown = {target: self.best(target) for target in TARGETS}
        return {"schema": SCHEMA, "fingerprint": self.fingerprint, "shown": shown, **self.facts, "findings": found}


def read_measurement(file: Path) -> Measurement | None:
    """The measurement in a file; None where there is none, and `CheckpointError` where it is something else."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        if content.pop("schema") != SCHEMA:
            raise CheckpointError(f"{file}: not a measurement of this Pickout ({SCHEMA}); measure again or delete it")
        findings = _FINDINGS.validate_python(content.pop("findings"))
        content.pop("shown")
        return Measurement(content.pop("fingerprint"), findings, content)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OSError) as error:
        raise CheckpointError(f"{file}: a damaged measurement ({error}); measure again or delete it") from None


def judge(measurement: Measurement | None, fingerprint: str, wanted: str | None = None) -> dict[Target, Verdict]:
    """What may be shown of a model with this fingerprint at each target, by its measurement, or by the way that is
    `wanted` instead of the best. A measurement of another model counts as none; `UsageError` for an unknown way."""
    if wanted is not None and wanted not in WAYS:
        raise UsageError(f"unknown way '{wanted}'; known are {', '.join(WAYS)}")
    if measurement is None or measurement.fingerprint != fingerprint:
        return {each: Verdict(wanted or UNMEASURED[each], False, "not measured for this model") for each in TARGETS}
    return {target: _judge(target, measurement, wanted) for target in TARGETS}


def _judge(target: Target, measurement: Measurement, wanted: str | None) -> Verdict:
    way = wanted or measurement.best(target)
    if way is None:
        return Verdict(None, True, "not shown: no way did better than chance on this model")
    finding = measurement.findings.get(target, {}).get(way)
    if finding is None:
        return Verdict(None, True, f"not shown: '{way}' gives none")
    if not finding.holds:
        return Verdict(None, True, f"not shown: '{way}' did no better than chance on this model")
    told = "measured on this model: deletion and insertion better than random"
    if finding.ratio is not None:
        told += f"; {finding.ratio.mean:.1f} times as much heat on a named garment as chance"
    return Verdict(way, True, told)

"""The explanation of one score, as far as it was shown to be true of the model."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image

from pickout.checkpoints.loaded_model import LoadedModel
from pickout.explain.evidence import Evidence
from pickout.explain.pair import Array, Grid, Pair, make_pair, text_batch
from pickout.explain.ways import FILE, WAYS, Measurement, Target, Verdict, judge
from pickout.files import beside
from pickout.methods.itself import Itself, Selection
from pickout.shapes import Mask

MEANING = "An explanation says what the score rests on. It does not say that the score, or the match, is right."
"""Stands on every explanation."""
SHOWN: tuple[Target, ...] = ("patches", "words", "word_patches")
"""What an explanation of a score shows; where words of a matching head look is asked for apart."""
_DIGITS = 6
Kept = tuple[int, float]  # a position, and what it was chosen by: attention of the class or end-of-text token


@dataclass(frozen=True, slots=True)
class KeptTokens:
    """The tokens that ITSELF's local features are made of (GRAB), best first: patches row by row, and pieces by their
    position in the row of ids. Fillers of a short sentence are left out."""

    patches: tuple[Kept, ...]
    pieces: tuple[Kept, ...]


@dataclass(frozen=True, slots=True, eq=False)
class ExplainedWord:
    """A word, or a run of punctuation, of the sentence."""

    text: str  # as the sentence spells it
    start: int  # first character in the sentence, and one behind the last
    stop: int
    state: Literal["read", "mark", "cut"]  # by the model; of punctuation; off by the model's context
    weight: float | None = None  # what the score rests on it; None where it is not read or nothing may be shown
    patches: Array | None = None  # where in the crop that lies; likewise; shape (rows, columns)

    def as_json(self) -> dict[str, Any]:
        """As JSON values."""
        weight = None if self.weight is None else round(self.weight, _DIGITS)
        return {**asdict(self), "weight": weight, "patches": _listed(self.patches)}


@dataclass(frozen=True, slots=True, eq=False)
class Explanation:
    """Why a crop has its score for a sentence."""

    sentence: str
    score: float  # the model's, an inner product of unit vectors
    words: tuple[ExplainedWord, ...]  # every word of the sentence in order
    patches: Array | None  # heat over the crop; None when nothing may be shown; shape (rows, columns)
    grid: Grid  # where the patches lie
    picture: Image.Image  # the crop
    bank: KeptTokens | None  # the kept tokens of ITSELF; None for other methods
    verdicts: Mapping[Target, Verdict]  # what is shown by which way, and why
    model: str
    fingerprint: str  # the model's

    def as_json(self) -> dict[str, Any]:
        """Everything but the picture, as JSON values; heat is row by row from the top."""
        bank = self.bank and {
            "patches": [[*divmod(n, self.grid.columns), round(score, _DIGITS)] for n, score in self.bank.patches],
            "pieces": [[n, round(score, _DIGITS)] for n, score in self.bank.pieces],
        }
        return {
            "schema": "pickout.explanation/1",
            "meaning": MEANING,
            "model": self.model,
            "fingerprint": self.fingerprint,
            "sentence": self.sentence,
            "score": round(self.score, _DIGITS),
            "shown": {target: asdict(verdict) for target, verdict in self.verdicts.items()},
            "grid": [self.grid.rows, self.grid.columns],
            "patches": _listed(self.patches),
            "words": [word.as_json() for word in self.words],
            "bank": bank,
        }

    def arrays(self) -> dict[str, Array]:
        """What may be shown as arrays: `patches` (rows, columns), `words` (words,) with NaN for words that are not
        read, and `word_patches` (words, rows, columns), likewise."""
        nothing = np.full((self.grid.rows, self.grid.columns), np.nan, np.float32)
        weights = np.array([np.nan if word.weight is None else word.weight for word in self.words], np.float32)
        maps = np.stack([nothing if word.patches is None else word.patches for word in self.words])
        found = {"patches": nothing if self.patches is None else self.patches, "words": weights, "word_patches": maps}
        return {name: values for name, values in found.items() if not np.isnan(values).all()}


def explain(
    model: LoadedModel,
    sentence: str,
    picture: Image.Image,
    *,
    measurement: Measurement | None = None,
    way: str | None = None,
    seed: int = 0,
) -> Explanation:
    """Explain the score of a crop, of any size and mode, for a sentence, by what was measured to be faithful.

    `measurement` is that of the model (`measurement_file`, `read_measurement`); None, or one of another model, shows
    the usual ways and says that they are not measured. `way` is shown instead of the best; where it failed its
    measurement it is refused. `seed` is that of the orders that Shapley values are sampled with. `UsageError`: the
    sentence holds no word, or an unknown way; `CheckpointError`: the model gives numbers that are not finite."""
    judged = judge(measurement, model.fingerprint, way)
    pair = make_pair(model, sentence, picture)
    evidence, shape = Evidence(model, pair, seed), (pair.grid.rows, pair.grid.columns)
    verdicts, shown = {target: judged[target] for target in SHOWN}, list[Array | None]()
    readings = {name: WAYS[name](evidence) for name in {verdict.way for verdict in verdicts.values()} if name}
    for target, verdict in verdicts.items():
        shown.append(getattr(readings[verdict.way], target) if verdict.way else None)
        if verdict.way and shown[-1] is None:  # an unmeasured way
            verdicts[target] = Verdict(None, verdict.measured, f"not shown: '{verdict.way}' gives none")
    patches, weights, maps = shown
    words = [ExplainedWord(word.text, word.start, word.stop, "cut" if word.spoken else "mark") for word in pair.words]
    for told, number in enumerate(pair.told):
        weight = None if weights is None else float(weights[told])
        heat = None if maps is None else maps[told].reshape(shape)
        words[number] = replace(words[number], state="read", weight=weight, patches=heat)
    return Explanation(
        sentence=sentence,
        score=float(evidence.image @ evidence.text),
        words=tuple(words),
        patches=None if patches is None else patches.reshape(shape),
        grid=pair.grid,
        picture=pair.picture,
        bank=kept_tokens(model, pair),
        verdicts=verdicts,
        model=model.name,
        fingerprint=model.fingerprint,
    )


def measurement_file(model: LoadedModel) -> Path:
    """Where the model's measurement is kept: in its folder, or beside its file."""
    return beside(Path(model.report.source), FILE)


def _listed(heat: Array | None) -> list[list[float]] | None:
    return None if heat is None else [[round(float(x), _DIGITS) for x in row] for row in heat]


@torch.no_grad()
def kept_tokens(encoder: LoadedModel, pair: Pair) -> KeptTokens | None:
    """The bank as the method fills it when it scores the pair; None for a method without one."""
    method = encoder.method
    if not isinstance(method, Itself):
        return None
    pixels, texts = pair.pixels[None].to(encoder.device), text_batch(encoder, [pair.ids])
    patches = _kept(method.vision, method.image_selection, pixels, None)
    pieces = _kept(method.text, method.text_selection, texts, ~texts.mask)
    return KeptTokens(tuple((place - 1, score) for place, score in patches), pieces)  # behind the class token


def _kept(tower: Any, selection: Selection, given: Any, padding: Mask | None) -> tuple[Kept, ...]:
    out = tower(given, selection.evaluation.request)
    bank, scores = selection.bank(out, padding), selection.evaluation.scores(out.trace)
    places: list[int] = bank.index[0, : int(bank.length[0])].tolist()
    return tuple((place, float(scores[0, place])) for place in places if bool(out.trace.content[0, place]))

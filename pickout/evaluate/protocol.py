"""A model against a split: encode everything once, rank both ways, say how sure the numbers are."""

import math
import platform
import time
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch.nn.functional import normalize

import pickout
from pickout.checkpoints.loaded_model import LoadedModel, Precision
from pickout.checkpoints.saved_model import SETTINGS_FILE
from pickout.config import Settings
from pickout.data.data_set import DataSet, Split
from pickout.data.registry import open_data
from pickout.data.transforms import ImageSettings
from pickout.evaluate import evaluation_report as reports
from pickout.evaluate import metrics
from pickout.evaluate.candidates import IMAGES, Tail, Tell, find_candidates, match_candidates, rerank
from pickout.evaluate.embeddings import Encoded, Encoder, check_split, find_split
from pickout.evaluate.processes import current_share
from pickout.methods.base import Method
from pickout.text.tokenizer import Tokenizer

GLOBAL_WEIGHTS = (0.0, 0.1, 0.2, 0.3, 0.32, 0.4, 0.5, 0.6, 0.68, 0.7, 0.8, 0.9, 1.0)
"""Weights of the global similarity that the released evaluation tries (ITSELF, section on inference fusion)."""

_SWEPT = ("global", "local")


class EvaluationSettings(Settings):
    """How an evaluation is computed and reported. Neither `batch` nor `chunk` is part of the measures' definition."""

    precision: Precision = "fp32"  # in which the command line loads the model: `fp32`, `bf16` or `auto`
    batch: int = Field(default=64, ge=1)  # images or captions encoded at a time
    chunk: int = Field(default=1024, ge=1)
    """Queries scored at a time; memory grows with it, the result does not depend on it."""
    cmc_ranks: int = Field(default=50, ge=1)  # length of the curve of recall at 1, 2, 3 ...
    bootstrap: metrics.BootstrapSettings = metrics.BootstrapSettings()  # how intervals are drawn
    candidates: int | None = Field(default=None, ge=0)
    """Best images by embedding that a matching head looks at again; none: as many as the method says; 0: no look."""
    tail: Tail = "embedding"
    """Order below the candidates: by embedding, or `constant`, all tied, as RaSa's released program leaves them."""

    def looks(self, method: Method) -> int:
        """How many candidates of each caption the method looks at again."""
        return method.candidates if method.candidates == 0 or self.candidates is None else self.candidates


def evaluate(
    model: LoadedModel,
    data: DataSet | str,
    split: str | None = None,
    *,
    root: Path | str = "data",
    protocol: reports.ProtocolName = "standard",
    settings: EvaluationSettings | None = None,
    tell: Tell | None = None,
) -> reports.Report:
    """Measure how well a model finds people from sentences, and sentences from people.

    `data` is a data set, or a name in the registry with the folder `root` of its files. The split is `val` when not
    given, `test` under the protocol `paper`, which also sweeps the weight of the global similarity on that split, as
    the published numbers do; its numbers are reported apart and labelled so. `tell` is called after each batch.

    Under a launcher all processes must call this, and all get the whole report. A model that came from a run folder has
    each evaluation on `test` noted in the folder's `evaluations.jsonl`. `DataError`: the split does not exist, or has
    no images or captions, or images are missing or unreadable; `CheckpointError`: the embeddings are not finite."""
    settings = settings or EvaluationSettings()
    opened = open_data(data, Path(root)) if isinstance(data, str) else data
    chosen = find_split(opened, split or ("test" if protocol == "paper" else "val"))
    parts, autocast = _SWEPT if protocol == "paper" else (), torch.bfloat16 if model.precision == "bf16" else None
    encoder = Encoder(model.method, model.tokenizer, model.settings.image, parts=parts, autocast=autocast, tell=tell)
    began = time.monotonic()
    ranking = _encode(encoder, chosen, settings)
    encoded = time.monotonic()
    found = _directions(ranking)
    sweep = _sweep(ranking, f"selected on {chosen.name}") if protocol == "paper" else None
    seconds = {"encoding": round(encoded - began, 3), "ranking": round(time.monotonic() - encoded, 3)}
    run = run_folder(model)
    training = reports.read_training(run)
    subject = {
        "model": model.name,
        "fingerprint": model.fingerprint,
        "method": type(model.method).__name__,
        "trained_on": training.data,
        "epoch_selected_on": training.selected_on,
        "data": opened.name,
        "root": str(opened.root),
        "split": chosen.name,
        "images": len(chosen.images),
        "captions": sum(len(record.captions) for record in chosen.images),
        "identities": chosen.identities,
    }
    report = reports.Report(
        subject,
        protocol,
        _notes(opened, chosen, protocol, sweep, training),
        **found,
        sweep=sweep,
        bootstrap=settings.bootstrap,
        circumstances=_circumstances(ranking, seconds),
    )
    if run is not None and chosen.name == "test" and ranking.encoder.share.index == 0:
        reports.log_look(run, report)
    return report


def answers_about(
    model: LoadedModel, data: str, split: str, root: Path
) -> tuple[metrics.QueryScores, metrics.QueryScores, NDArray[np.int64]]:
    """Each caption of a split as a query for its images: its measures, those before a second look, which are the same
    where there is none, and whom it is about (captions,). Arguments and errors as of `evaluate`."""
    encoder = Encoder(model.method, model.tokenizer, model.settings.image)
    ranking = _encode(encoder, find_split(open_data(data, root), split), EvaluationSettings())
    scores = [metrics.score_queries(ranks) for ranks in _text_to_image(ranking)]
    return scores[0], scores[-1], ranking.captions.identity


def validate(
    method: Method, split: Split, tokenizer: Tokenizer, image: ImageSettings, *, autocast: torch.dtype | None = None
) -> dict[str, float]:
    """Text-to-image measures of a method in training, by their short names; its modes are put back as they were. A
    method with a second score has its candidates looked at again; the measures before that end in `by embedding`. When
    a process group is running, all processes must call this: they share the work and get equal numbers. Raises what
    `evaluate` raises."""
    encoder = Encoder(method, tokenizer, image, autocast=autocast)
    every = _text_to_image(_encode(encoder, split, EvaluationSettings()))
    measures, *before = (metrics.average(metrics.score_queries(ranks)).named() for ranks in every)
    return measures | {f"{name} by embedding": value for named in before for name, value in named.items()}


def run_folder(model: LoadedModel) -> Path | None:
    """The run folder that a model was loaded from, or None for an imported file."""
    source = Path(model.report.source)
    return source if (source / SETTINGS_FILE).is_file() else None


@dataclass(frozen=True, slots=True)
class _Ranking:
    """Both sides of a search, and how to score them."""

    images: Encoded
    captions: Encoded
    encoder: Encoder
    settings: EvaluationSettings


def _encode(encoder: Encoder, split: Split, settings: EvaluationSettings) -> _Ranking:
    """Encode every image and caption; under a launcher the processes share the work."""
    check_split(split)
    looks = settings.looks(encoder.method) > 0
    encoder = replace(encoder, batch=settings.batch, keep_tokens=looks, share=current_share())
    with encoder.evaluating():
        return _Ranking(encoder.images(split), encoder.captions(split), encoder, settings)


def _text_to_image(ranking: _Ranking) -> list[metrics.RelevantRanks]:
    """Ranks of images by the method's score and, where that is a second one, by embedding; lets go of the tokens."""
    images, captions, encoder, settings = ranking.images, ranking.captions, ranking.encoder, ranking.settings
    relevance = metrics.find_relevant(captions.identity, images.identity, captions.image, images.image)
    vectors, chunk, share = (captions.embedding, images.embedding), settings.chunk, encoder.share
    pairs = metrics.rank_mixtures([vectors], [(1.0,)], relevance, chunk=chunk, share=share)[0]
    ranks = metrics.collect_ranks(pairs, relevance)
    if images.tokens is None or captions.tokens is None:
        return [ranks]
    candidates = find_candidates(*vectors, settings.looks(encoder.method), chunk=chunk, share=share)
    with closing(images.tokens), closing(captions.tokens), encoder.evaluating():
        how: dict[str, Any] = {"block": math.gcd(encoder.batch, IMAGES), "share": share, "tell": encoder.tell}
        stores = (images.tokens, captions.tokens)
        scores = match_candidates(encoder.method, *stores, candidates, first=images.first, **how)
    return [rerank(pairs, relevance, candidates, scores, settings.tail), ranks]


def _directions(ranking: _Ranking) -> dict[str, Any]:
    """Every direction of a report by its field; None where nothing can be scored."""
    images, captions, settings = ranking.images, ranking.captions, ranking.settings
    text, *by_embedding = _text_to_image(ranking)
    relevance = metrics.find_relevant(images.identity, captions.identity, images.image, captions.image)
    vectors, share = (images.embedding, captions.embedding), ranking.encoder.share
    image = metrics.rank(*vectors, relevance, chunk=settings.chunk, share=share)
    every = {
        "text_to_image": (text, captions.identity),
        "text_to_image_without_own": (text.without_own(), captions.identity),
        "image_to_text": (image, images.identity),
        "image_to_text_without_own": (image.without_own(), images.identity),
    }
    if by_embedding:
        every["text_to_image_by_embedding"] = by_embedding[0], captions.identity
    drawn, length = settings.bootstrap, settings.cmc_ranks
    return {name: reports.summarise(*ranked, drawn, cmc_ranks=length) for name, ranked in every.items()}


def _sweep(ranking: _Ranking, label: str) -> reports.Sweep | None:
    """Text to image under each weight l of S = l cos(global) + (1 - l) cos(local) (ITSELF, Eq. 8)."""
    images, captions = ranking.images, ranking.captions
    if not all(name in side.parts for name in _SWEPT for side in (images, captions)):
        return None
    parts = [(normalize(captions.parts[name], dim=1), normalize(images.parts[name], dim=1)) for name in _SWEPT]
    relevance = metrics.find_relevant(captions.identity, images.identity, captions.image, images.image)
    mixtures = [(weight, 1.0 - weight) for weight in GLOBAL_WEIGHTS]
    ranked = metrics.rank_mixtures(
        parts, mixtures, relevance, chunk=ranking.settings.chunk, share=ranking.encoder.share
    )
    measured = (metrics.average(metrics.score_queries(metrics.collect_ranks(ranks, relevance))) for ranks in ranked)
    rows = dict(zip(GLOBAL_WEIGHTS, measured, strict=True))
    return reports.Sweep(rows, max(rows, key=lambda weight: rows[weight].recall_at_1), label)


def _notes(
    data: DataSet, split: Split, protocol: reports.ProtocolName, sweep: reports.Sweep | None, training: reports.Training
) -> tuple[str, ...]:
    notes = []
    if training.data is not None and training.data != data.name:
        notes.append(f"across data sets: the model was trained on {training.data}")
    elif split.name == "train":
        notes.append("the model may have been trained on these people")
    if training.selected_on == "test":
        notes.append("the epoch was selected on the test split of the training data; such numbers are too good")
    if protocol == "paper" and sweep is None:
        notes.append("paper protocol: this model has no global and local part, so there was no weight to select")
    elif protocol == "paper":
        notes.append(
            f"paper protocol: the best weight of the sweep was selected on {split.name}, the split it is reported on; "
            "such numbers are too good and serve only for comparison with published ones"
        )
    return tuple(notes)


def _circumstances(ranking: _Ranking, seconds: dict[str, float]) -> dict[str, Any]:
    encoder, looks = ranking.encoder, ranking.settings.looks(ranking.encoder.method)
    second = {"second_look": {"candidates": looks, "tail": ranking.settings.tail}} if looks else {}
    versions = {"pickout": pickout.__version__, "torch": torch.__version__, "numpy": np.__version__}
    return {
        "score": "inner product of the embeddings, exact, rounded once to float32",
        **second,
        "tie_rule": metrics.TIE_RULE,
        "rsum": "R@1 + R@5 + R@10 of one direction",
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "device": str(encoder.device),
        "autocast": None if encoder.autocast is None else str(encoder.autocast).removeprefix("torch."),
        "batch": ranking.settings.batch,
        "processes": encoder.share.count,
        "seconds": seconds,
        "versions": {**versions, "python": platform.python_version()},
    }

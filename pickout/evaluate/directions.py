"""A split encoded and ranked both ways, with the second look where the method has one."""

import math
from dataclasses import dataclass
from typing import Any

from pydantic import Field

from pickout.checkpoints.device import Precision
from pickout.config import Settings
from pickout.data.data_set import Split
from pickout.evaluate.bootstrap import BootstrapSettings
from pickout.evaluate.candidates import IMAGES, Tail, Tell, find_candidates, match_candidates, rerank
from pickout.evaluate.encoding import Encoded, Encoder
from pickout.evaluate.evaluation_report import summarise
from pickout.evaluate.processes import Share, current_share
from pickout.evaluate.relevant_ranks import RelevantRanks, collect_ranks, find_relevant, rank, rank_mixtures
from pickout.methods.base import Method


class EvaluationSettings(Settings):
    """How an evaluation is computed and reported. Neither `batch` nor `chunk` is part of the measures' definition."""

    precision: Precision = "fp32"
    """In which the command line loads the model: `fp32`, `bf16` or `auto`."""
    batch: int = Field(default=64, ge=1)
    """Images or captions encoded at a time."""
    chunk: int = Field(default=1024, ge=1)
    """Queries scored at a time; memory grows with it, the result does not depend on it."""
    cmc_ranks: int = Field(default=50, ge=1)
    """Length of the curve of recall at 1, 2, 3 ..."""
    bootstrap: BootstrapSettings = BootstrapSettings()
    """How intervals are drawn."""
    candidates: int | None = Field(default=None, ge=0)
    """Best images by embedding that a matching head looks at again; none: as many as the method says; 0: no look."""
    tail: Tail = "embedding"
    """Order below the candidates: by embedding, or `constant`, all tied, as RaSa's released program leaves them."""

    def looks(self, method: Method) -> int:
        """How many candidates of each caption the method looks at again."""
        return method.candidates if method.candidates == 0 or self.candidates is None else self.candidates


@dataclass(frozen=True, slots=True)
class Ranking:
    """What scoring needs beside the embeddings."""

    images: Encoded
    captions: Encoded
    settings: EvaluationSettings
    share: Share


def encode_split(encoder: Encoder, split: Split, settings: EvaluationSettings, tell: Tell | None) -> Ranking:
    """Encode every image and caption; under a launcher the processes share the work."""
    share = current_share()
    with encoder.evaluating():
        images = encoder.images(split, share=share, tell=tell)
        captions = encoder.captions(split, share=share, tell=tell)
    return Ranking(images, captions, settings, share)


def text_to_image(ranking: Ranking, encoder: Encoder, tell: Tell | None) -> tuple[RelevantRanks, RelevantRanks | None]:
    """Rank the images for each caption; the tokens of `ranking` are let go of.

    Returns:
        Ranks by the method's score and, where that is a second one, by embedding alone.

    Raises:
        CheckpointError: the method's second scores are not finite.
    """
    images, captions, settings, share = ranking.images, ranking.captions, ranking.settings, ranking.share
    relevance = find_relevant(captions.identity, images.identity, captions.image, images.image)
    vectors = captions.embedding, images.embedding
    pairs = rank_mixtures([vectors], [(1.0,)], relevance, chunk=settings.chunk, share=share)[0]
    ranks = collect_ranks(pairs, relevance)
    if images.tokens is None or captions.tokens is None:
        return ranks, None
    candidates = find_candidates(*vectors, settings.looks(encoder.method), chunk=settings.chunk, share=share)
    with images.tokens, captions.tokens, encoder.evaluating():
        scores = match_candidates(
            encoder.method,
            images.tokens,
            captions.tokens,
            candidates,
            first=images.first,
            block=math.gcd(encoder.batch, IMAGES),
            share=share,
            tell=tell,
        )
    return rerank(pairs, relevance, candidates, scores, settings.tail), ranks


def directions(ranking: Ranking, encoder: Encoder, tell: Tell | None) -> dict[str, Any]:
    """Every direction of a report by its field; None where nothing can be scored."""
    images, captions, settings = ranking.images, ranking.captions, ranking.settings
    text, by_embedding = text_to_image(ranking, encoder, tell)
    relevance = find_relevant(images.identity, captions.identity, images.image, captions.image)
    image = rank(images.embedding, captions.embedding, relevance, chunk=settings.chunk, share=ranking.share)
    every = {
        "text_to_image": (text, captions),
        "text_to_image_without_own": (text.without_own(), captions),
        "text_to_image_by_embedding": (by_embedding, captions),
        "image_to_text": (image, images),
        "image_to_text_without_own": (image.without_own(), images),
    }
    drawn, length = settings.bootstrap, settings.cmc_ranks
    return {
        name: None if ranks is None else summarise(ranks, queries.identity, drawn, cmc_ranks=length)
        for name, (ranks, queries) in every.items()
    }

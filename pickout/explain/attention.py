"""Where a model attends: words of a fusion model in a crop (AGA, figures 3 and 5), and how widely each layer's class
token looks (ITSELF, figure 7, left)."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pickout.checkpoints.loaded_model import LoadedModel
from pickout.data.images import open_image
from pickout.errors import UsageError
from pickout.explain.pair import Array, Pair, make_pair, text_batch
from pickout.methods.fusion_plan import PlanningModel
from pickout.nn.fusion_encoder import Fused
from pickout.shapes import NO_ATTENTION, AttentionRequest, AttentionTrace, Int

Traces = tuple[AttentionTrace, AttentionTrace]


def fusion_model(encoder: LoadedModel) -> PlanningModel:
    """The method, if it fuses words and images; else a `UsageError`."""
    if isinstance(encoder.method, PlanningModel):
        return encoder.method
    name = type(encoder.method).__name__.lower()
    lacks = "has no cross-attention and proposes no words"
    raise UsageError(f"the method '{name}' {lacks}; give a run of fusion or aga")


def hidden_rows(pair: Pair, words: Sequence[int], mask: int) -> list[Int[Tensor, " tokens"]]:
    """For each of these `pair.words` the ids with that word hidden behind the id `mask`."""
    return [pair.ids.index_fill(0, torch.tensor(pair.words[word].positions), mask) for word in words]


def fuse_rows(
    encoder: LoadedModel, pair: Pair, rows: Sequence[Int[Tensor, " tokens"]], request: AttentionRequest = NO_ATTENTION
) -> Fused:
    """Versions of the sentence, as ids, after they looked at the crop."""
    method, texts = fusion_model(encoder), text_batch(encoder, rows)
    memory = method.remember(method.vision(pair.pixels[None].to(encoder.device)).tokens)
    image = torch.zeros(len(rows), dtype=torch.int64, device=encoder.device)
    return method.text.fuse(method.text(texts).tokens, texts.mask, memory, image, request=request)


@torch.no_grad()
def look_at(encoder: LoadedModel, pair: Pair, words: Sequence[int], *, hide: bool = True) -> dict[int, Array]:
    """Cross-attention of some of the `Pair.words` that a fusion model reads over the crop; each of them hidden while it
    looks (AGA, figures 3 and 5), or standing in the sentence; heads and the word's pieces averaged. By fusion layer,
    from 1: attention of each word to each patch (words, patches). `UsageError` for a method without."""
    rows = hidden_rows(pair, words, encoder.tokenizer.special.mask) if hide else [pair.ids]
    maps = fuse_rows(encoder, pair, rows, AttentionRequest(maps="all")).look_maps
    places = [(n if hide else 0, list(pair.words[word].positions)) for n, word in enumerate(words)]
    return {
        layer: torch.stack([map_RTN[row, at, 1:].mean(dim=0) for row, at in places]).cpu().numpy()
        for layer, map_RTN in maps.items()
    }


@torch.no_grad()
def attention_of(encoder: LoadedModel, pair: Pair, request: AttentionRequest) -> Traces:
    """Attention of both towers for a pair, straight from them: a method's own trace holds rows alone."""
    method: Any = encoder.method
    image = method.vision(pair.pixels[None].to(encoder.device), request)
    return image.trace, method.text(text_batch(encoder, [pair.ids]), request).trace


def row_entropies(trace: AttentionTrace) -> Array:
    """-sum_j a_j ln a_j of the class (end-of-text) token's row of each layer, heads averaged, in nats. Shape: (samples,
    layers), earliest layer first. The row is over all tokens of the sample, itself included: at most ln(tokens)."""
    rows_LBN = torch.stack([trace.rows[layer].float() for layer in sorted(trace.rows)])
    return np.asarray(torch.special.entr(rows_LBN).sum(dim=-1).T.cpu().numpy())


def attention_entropy(
    model: LoadedModel, pairs: Sequence[tuple[Path, str]], tell: Callable[[int, int], None] | None = None
) -> Mapping[str, Array]:
    """The entropy of every layer of both towers over files of crops with a sentence each: `images` and `captions`, each
    of shape (pairs, layers). `tell` is called after each pair with how many are done and how many there are.
    `UsageError` for a sentence without words, `ImageUnreadable` for a picture that is missing or damaged."""
    found: dict[str, list[Array]] = {"images": [], "captions": []}
    for number, (file, sentence) in enumerate(pairs, start=1):
        traces = attention_of(model, make_pair(model, sentence, open_image(file)), AttentionRequest(rows="all"))
        for rows, trace in zip(found.values(), traces, strict=True):
            rows.append(row_entropies(trace))
        if tell is not None:
            tell(number, len(pairs))
    return {kind: np.concatenate(rows) for kind, rows in found.items()}

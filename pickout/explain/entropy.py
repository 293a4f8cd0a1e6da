"""How widely each layer's class token looks: the entropy of its attention (ITSELF, figure 7, left)."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from pickout.checkpoints.loaded_model import LoadedModel
from pickout.data.images import open_image
from pickout.explain.evidence import attention_of
from pickout.explain.pair import Array, make_pair
from pickout.shapes import AttentionRequest, AttentionTrace


def row_entropies(trace: AttentionTrace) -> Array:
    """-sum_j a_j ln a_j of the class (end-of-text) token's row of each layer, heads averaged, in nats.

    The row is over all tokens of the sample, itself included, and sums to 1; its entropy is at most ln(tokens) (5.26
    for the 193 tokens of a 384 x 128 image). A single place that takes all attention has entropy 0.

    Args:
        trace: with the rows of all layers.

    Returns:
        Shape: (samples, layers), earliest layer first.
    """
    rows_LBN = torch.stack([trace.rows[layer].float() for layer in sorted(trace.rows)])
    found: Array = torch.special.entr(rows_LBN).sum(dim=-1).T.cpu().numpy()
    return found


def attention_entropy(
    model: LoadedModel, pairs: Sequence[tuple[Path, str]], tell: Callable[[int, int], None] | None = None
) -> Mapping[str, Array]:
    """The entropy of every layer of both towers over some pairs.

    Args:
        model: from `pickout.load`.
        pairs: files of crops, and a sentence for each.
        tell: called after each pair with how many are done and how many there are.

    Returns:
        `images` and `captions`, each of shape (pairs, layers).

    Raises:
        UsageError: a sentence holds no word, or the method has no towers to look into.
        ImageUnreadable: a picture is missing or damaged.
    """
    found: dict[str, list[Array]] = {"images": [], "captions": []}
    for number, (file, sentence) in enumerate(pairs, start=1):
        image, text = attention_of(model, make_pair(model, sentence, open_image(file)), AttentionRequest(rows="all"))
        found["images"].append(row_entropies(image))
        found["captions"].append(row_entropies(text))
        if tell is not None:
            tell(number, len(pairs))
    return {kind: np.concatenate(rows) for kind, rows in found.items()}

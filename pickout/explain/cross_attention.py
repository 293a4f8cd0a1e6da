"""Where the words of a fusion model look in a crop (AGA, figures 3 and 5)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pickout.checkpoints.loaded_model import LoadedModel
from pickout.errors import UsageError
from pickout.explain.pair import Array, Pair, text_batch
from pickout.methods.fusion_plan import PlanningModel
from pickout.nn.fusion_encoder import Fused
from pickout.shapes import NO_ATTENTION, AttentionRequest, Int


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """Where words looked.

    Args:
        layers: by fusion layer, from 1: attention of each word to each patch, the class token left out; heads and the
            word's pieces averaged. Shape of each: (words, patches).
    """

    layers: dict[int, Array]

    @property
    def mean(self) -> Array:
        """The mean over layers. Shape: (words, patches)."""
        mean: Array = np.mean(list(self.layers.values()), axis=0)
        return mean


def fusion_model(encoder: LoadedModel) -> PlanningModel:
    """The method, if it fuses words and images.

    Raises:
        UsageError: it does not.
    """
    method = encoder.method
    if not isinstance(method, PlanningModel):
        raise UsageError(
            f"the method '{type(method).__name__.lower()}' has no cross-attention and proposes no words; "
            "give a run of fusion or aga"
        )
    return method


def hidden_rows(pair: Pair, words: Sequence[int], mask: int) -> list[Int[Tensor, " tokens"]]:
    """For each of the words the ids with that word hidden.

    Args:
        pair: whose sentence.
        words: positions in `Pair.words`.
        mask: the id that stands for a hidden piece.
    """
    places = [torch.tensor(pair.words[word].positions, dtype=torch.int64) for word in words]
    return [pair.ids.index_fill(0, place, mask) for place in places]


def fuse_rows(
    encoder: LoadedModel, pair: Pair, rows: Sequence[Int[Tensor, " tokens"]], request: AttentionRequest = NO_ATTENTION
) -> Fused:
    """Versions of the sentence after they looked at the crop.

    Args:
        encoder: a fusion model.
        pair: the crop.
        rows: ids of each version.
        request: which fusion layers' cross-attention to expose.
    """
    method, texts = fusion_model(encoder), text_batch(encoder, rows)
    memory = method.remember(method.vision(pair.pixels[None].to(encoder.device)).tokens)
    image = torch.zeros(len(rows), dtype=torch.int64, device=encoder.device)
    return method.text.fuse(method.text(texts).tokens, texts.mask, memory, image, request=request)


@torch.no_grad()
def look_at(encoder: LoadedModel, pair: Pair, words: Sequence[int], *, hide: bool = True) -> Look:
    """Cross-attention of words over the crop.

    Args:
        encoder: a fusion model.
        pair: the sentence and the crop.
        words: positions in `Pair.words`, of words that the model reads.
        hide: whether each word is hidden while it looks (AGA, figures 3 and 5), or stands in the sentence.

    Raises:
        UsageError: the method has no cross-attention.
    """
    fusion_model(encoder)
    rows = hidden_rows(pair, words, encoder.tokenizer.special.mask) if hide else [pair.ids]
    maps = fuse_rows(encoder, pair, rows, AttentionRequest(maps="all")).look_maps
    places = [(n if hide else 0, list(pair.words[word].positions)) for n, word in enumerate(words)]
    taken = {
        layer: torch.stack([map_RTN[row, at, 1:].mean(dim=0) for row, at in places]) for layer, map_RTN in maps.items()
    }
    return Look({layer: heat.cpu().numpy() for layer, heat in taken.items()})

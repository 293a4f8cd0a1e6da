"""Random changes of training captions, on token ids. No torch."""

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from pickout.config import Settings
from pickout.text.vocabulary import SpecialTokens


class CaptionAugmentationSettings(Settings):
    """How the tokens of training captions vary (RDE; ITSELF trains with it)."""

    mask: float = Field(default=0.12, ge=0, le=1)
    """Probability that a token is hidden."""
    random: float = Field(default=0.04, ge=0, le=1)
    """Probability that a token becomes a random one."""
    delete: float = Field(default=0.04, ge=0, le=1)
    """Probability that a token is left out."""

    @model_validator(mode="after")
    def _at_most_one(self) -> "CaptionAugmentationSettings":
        if self.mask + self.random + self.delete > 1:
            raise ValueError("mask, random and delete together must not exceed 1")
        return self


def augment_tokens(
    ids: NDArray[np.int64],
    special: SpecialTokens,
    vocabulary_size: int,
    settings: CaptionAugmentationSettings,
    generator: np.random.Generator,
) -> NDArray[np.int64]:
    """Hide, replace or delete tokens at random; special tokens stay."""
    if settings.mask + settings.random + settings.delete == 0:
        return ids.copy()
    draws = generator.random(len(ids))
    ranks = generator.integers(0, vocabulary_size - len(special.ids()), size=len(ids))
    return change_tokens(ids, special, settings, draws, ordinary_ids(ranks, special))


def change_tokens(
    ids: NDArray[np.int64],
    special: SpecialTokens,
    settings: CaptionAugmentationSettings,
    draws: NDArray[np.float64],
    replacements: NDArray[np.int64],
) -> NDArray[np.int64]:
    """`augment_tokens` with its draws given (ITSELF, released program)."""
    free = ~np.isin(ids, special.ids())
    hidden = settings.mask
    replaced = hidden + settings.random
    deleted = replaced + settings.delete
    changed = np.where(free & (draws < hidden), special.mask, ids)
    changed = np.where(free & (draws >= hidden) & (draws < replaced), replacements, changed)
    kept = changed[~(free & (draws >= replaced) & (draws < deleted))]
    row = np.full_like(ids, special.padding)
    row[: len(kept)] = kept
    return row


def ordinary_ids(ranks: NDArray[np.int64], special: SpecialTokens) -> NDArray[np.int64]:
    """The ids of rank 0, 1, ... among those that are not special; for CLIP rank 0 is id 1 and the last is 49404."""
    ids = ranks.copy()
    for reserved in special.ids():
        ids += ids >= reserved
    return ids

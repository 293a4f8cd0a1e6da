"""What each patch and each word does to the embedding, by taking it away: patches are filled, words leave the row of
ids.

The score is the inner product of an image embedding f and a caption embedding g. So an effect is kept as a vector: with
the effect a_p of patch p on f and the effect b_w of word w on g,

    a_p . g    is what patch p adds to the score,
    f . b_w    is what word w adds to it,
    a_p . b_w  is what the two add only together: the part of the word's share that falls on this patch.

One set of changed crops and one of changed sentences therefore gives every map of every word.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pickout.checkpoints.loaded_model import LoadedModel
from pickout.explain.pair import Array, Pair, embed_images, embed_texts
from pickout.shapes import Float, Int

Embed = Callable[[NDArray[np.bool_]], Array]
"""From what is kept (versions, players) to embeddings (versions, dimension)."""
Fill = Literal["grey", "own"]
"""What stands where a patch was: the average colour of all images, which is 0 after normalising, or the crop's own."""


@dataclass(frozen=True, slots=True, eq=False)
class Effects:
    """The embedding (dimension,) with all players, patches or words, and the effect of each (players, dimension)."""

    whole: Array
    each: Array


def hide_patches(
    pair: Pair, kept: NDArray[np.bool_], *, fill: Fill = "grey"
) -> Float[Tensor, "versions 3 height width"]:
    """Versions of the crop in which the kept patches (versions, patches) stay; a pixel is hidden if any hidden patch
    covers it."""
    grid, pixels = pair.grid, pair.pixels
    cover = grid.cover().reshape(grid.patches, -1).astype(np.float32)
    hidden = ((~kept).astype(np.float32) @ cover > 0).reshape(len(kept), 1, grid.height, grid.width)
    colour = torch.zeros(3, 1, 1) if fill == "grey" else pixels.mean(dim=(1, 2), keepdim=True)
    return torch.where(torch.from_numpy(hidden), colour, pixels)


def drop_words(pair: Pair, dropped: Iterable[int], padding: int) -> Int[Tensor, " tokens"]:
    """The sentence's ids without some of `pair.words`; what follows moves up and padding fills the row."""
    gone = [place for number in dropped for place in pair.words[number].positions]
    stays = torch.ones(len(pair.ids), dtype=torch.bool)
    stays[gone] = False
    rest = pair.ids[stays]
    return torch.cat([rest, rest.new_full((len(gone),), padding)])


def image_versions(encoder: LoadedModel, pair: Pair, *, fill: Fill = "grey") -> Embed:
    """Embeds the crop with only some of its patches."""
    return lambda kept: embed_images(encoder, hide_patches(pair, kept, fill=fill))


def text_versions(encoder: LoadedModel, pair: Pair) -> Embed:
    """Embeds the sentence with only some of its told words."""
    told, padding = np.array(pair.told), encoder.tokenizer.special.padding
    return lambda kept: embed_texts(encoder, [drop_words(pair, told[~row].tolist(), padding) for row in kept])


def leave_one_out(embed: Embed, players: int) -> Effects:
    """The embedding less the embedding without the player: exact for what hiding it alone changes."""
    embedded = embed(np.vstack([np.ones(players, np.bool_), ~np.eye(players, dtype=np.bool_)]))
    return Effects(embedded[0], embedded[0] - embedded[1:])


def keep_one_in(embed: Embed, players: int) -> Effects:
    """The embedding of the player alone less that of nothing."""
    kept = np.vstack([np.ones(players, np.bool_), np.zeros(players, np.bool_), np.eye(players, dtype=np.bool_)])
    embedded = embed(kept)
    return Effects(embedded[0], embedded[2:] - embedded[1])


def shapley(
    embed: Embed, players: int, generator: np.random.Generator, *, orders: int = 16, steps: int = 32
) -> Effects:
    """Shapley values by sampled orders: the mean change when the player joins those before it (Shapley, 1953; sampled
    as Castro, Gomez and Tejada, 2009). Each of the orders, an even number, is used forwards and backwards.

    The effects of all players add up to the embedding with all less that with none, whatever the draws. With more
    players than steps those that join in one step share its change equally.
    """
    groups = min(players, steps)
    walks = [generator.permutation(players) for _ in range((orders + 1) // 2)]
    walks += [walk[::-1] for walk in walks]
    step = np.arange(players) * groups // players
    kept = np.zeros((len(walks), groups + 1, players), np.bool_)
    for row, walk in zip(kept, walks, strict=True):
        row[:, walk] = step[None, :] < np.arange(groups + 1)[:, None]
    embedded = embed(kept.reshape(-1, players)).reshape(len(walks), groups + 1, -1)
    each = np.zeros((players, embedded.shape[2]), np.float64)
    for changes, walk in zip(np.diff(embedded, axis=1), walks, strict=True):
        each[walk] += changes[step] / np.bincount(step)[step][:, None]
    return Effects(embedded[0, -1], (each / len(walks)).astype(np.float32))


def kept_while_deleting(order: NDArray[np.int64], steps: int = 16) -> NDArray[np.bool_]:
    """What is still there (steps + 1, players) while players go in this order, from everything to nothing, in at most
    so many equal steps. Its opposite is what is there while they are inserted (RISE; Petsiuk, Das and Saenko, 2018)."""
    players = len(order)
    edges = np.linspace(0, players, min(players, steps) + 1).round().astype(np.int64)
    kept = np.ones((len(edges), players), np.bool_)
    for row, gone in zip(kept, edges, strict=True):
        row[order[:gone]] = False
    return kept


def area(scores: Array) -> Array:
    """The area under curves (..., steps + 1) over shares from 0 to 1, by trapezia. Shape: (...)."""
    return np.asarray(((scores[..., 1:] + scores[..., :-1]) / 2).mean(axis=-1))

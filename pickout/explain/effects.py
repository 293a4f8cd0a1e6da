"""What each patch and each word does to the embedding, by taking it away.

The score is the inner product of an image embedding f and a caption embedding g. So an effect is kept as a vector: with
the effect a_p of patch p on f and the effect b_w of word w on g,

    a_p . g    is what patch p adds to the score,
    f . b_w    is what word w adds to it,
    a_p . b_w  is what the two add only together: the part of the word's share that falls on this patch.

One set of changed crops and one of changed sentences therefore gives every map of every word.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pickout.checkpoints.loaded_model import LoadedModel
from pickout.explain.occlusion import Fill, drop_words, hide_patches
from pickout.explain.pair import Array, Pair, embed_images, embed_texts

Embed = Callable[[NDArray[np.bool_]], Array]
"""From what is kept (versions, players) to embeddings (versions, dimension)."""


@dataclass(frozen=True, slots=True, eq=False)
class Effects:
    """What the players, patches or words, do to an embedding.

    Args:
        whole: the embedding with all of them. Shape: (dimension,).
        each: the effect of each. Shape: (players, dimension).
    """

    whole: Array
    each: Array


def image_versions(encoder: LoadedModel, pair: Pair, *, fill: Fill = "grey") -> Embed:
    """Embeds the crop with only some of its patches."""
    return lambda kept: embed_images(encoder, hide_patches(pair, kept, fill=fill))


def text_versions(encoder: LoadedModel, pair: Pair) -> Embed:
    """Embeds the sentence with only some of its told words."""
    told, padding = np.array(pair.told), encoder.tokenizer.special.padding
    return lambda kept: embed_texts(encoder, [drop_words(pair, told[~row].tolist(), padding) for row in kept])


def leave_one_out(embed: Embed, players: int) -> Effects:
    """The embedding less the embedding without the player: exact for what hiding it alone changes.

    Args:
        embed: the game.
        players: how many take part.
    """
    kept = np.ones((players + 1, players), np.bool_)
    kept[np.arange(1, players + 1), np.arange(players)] = False
    embedded = embed(kept)
    return Effects(embedded[0], embedded[0] - embedded[1:])


def keep_one_in(embed: Embed, players: int) -> Effects:
    """The embedding of the player alone less that of nothing.

    Args:
        embed: the game.
        players: how many take part.
    """
    kept = np.vstack([np.ones(players, np.bool_), np.zeros(players, np.bool_), np.eye(players, dtype=np.bool_)])
    embedded = embed(kept)
    return Effects(embedded[0], embedded[2:] - embedded[1])


def shapley(
    embed: Embed, players: int, generator: np.random.Generator, *, orders: int = 16, steps: int = 32
) -> Effects:
    """Shapley values by sampled orders: the mean change when the player joins those before it (Shapley, 1953;
    sampled as Castro, Gomez and Tejada, 2009). Each order is used forwards and backwards.

    The effects of all players add up to the embedding with all less that with none, whatever the draws. With more
    players than steps those that join in one step share its change equally.

    Args:
        embed: the game.
        players: how many take part.
        generator: draws the orders.
        orders: how many; even, since each is also walked backwards.
        steps: in how many steps the players of an order join at most.
    """
    groups = min(players, steps)
    walks = [generator.permutation(players) for _ in range((orders + 1) // 2)]
    walks += [walk[::-1] for walk in walks]
    joined = np.array([np.arange(players) * groups // players for _ in walks])
    kept = np.zeros((len(walks), groups + 1, players), np.bool_)
    for row, walk, step in zip(kept, walks, joined, strict=True):
        row[:, walk] = step[None, :] < np.arange(groups + 1)[:, None]
    embedded = embed(kept.reshape(-1, players)).reshape(len(walks), groups + 1, -1)
    each = np.zeros((players, embedded.shape[2]), np.float64)
    for changes, walk, step in zip(np.diff(embedded, axis=1), walks, joined, strict=True):
        each[walk] += changes[step] / np.bincount(step)[step][:, None]
    return Effects(embedded[0, -1], (each / len(walks)).astype(np.float32))

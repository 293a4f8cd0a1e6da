"""What patches and words do to the embeddings of a pair: by taking them away, by gradients, by attention.

The score is the inner product of an image embedding f and a caption embedding g. So an effect is kept as a vector: with
the effect a_p of patch p on f and b_w of word w on g, a_p . g is what the patch adds to the score, f . b_w what the
word adds, and a_p . b_w what the two add only together. One set of changed crops and one of changed sentences therefore
gives every map of every word."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pickout.checkpoints.loaded_model import LoadedModel
from pickout.explain.pair import Array, Pair, attention_of, embed_images, embed_texts, text_batch
from pickout.saliency.vacuous_words import VACUOUS_WORDS
from pickout.shapes import AttentionRequest, AttentionTrace, Float, Int, TokenBatch

Side = Literal["patches", "words"]
Game = Literal["left_out", "kept_alone", "shapley"]
"""How the effect of a patch or word is found: `leave_one_out`, `keep_one_in` or `shapley`."""
Embed = Callable[[NDArray[np.bool_]], Array]  # from those kept (versions, players) to embeddings (versions, dimension)
REACH = 2  # words to each side that may belong to a word's phrase


@dataclass(frozen=True, slots=True, eq=False)
class Effects:
    """The embedding (dimension,) with all players, patches or words, and the effect of each (players, dimension)."""

    whole: Array
    each: Array


def hide_patches(pair: Pair, kept: NDArray[np.bool_], *, own: bool = False) -> Float[Tensor, "versions 3 height width"]:
    """Versions of the crop in which the kept patches (versions, patches) stay; a pixel is hidden if any hidden patch
    covers it, by the average colour of all images, which is 0 after normalising, or by the crop's `own`."""
    grid, pixels = pair.grid, pair.pixels
    cover = grid.cover().reshape(grid.patches, -1).astype(np.float32)
    hidden = ((~kept).astype(np.float32) @ cover > 0).reshape(len(kept), 1, grid.height, grid.width)
    colour = pixels.mean(dim=(1, 2), keepdim=True) if own else torch.zeros(3, 1, 1)
    return torch.where(torch.from_numpy(hidden), colour, pixels)


def drop_words(pair: Pair, dropped: Iterable[int], padding: int) -> Int[Tensor, " tokens"]:
    """The sentence's ids without some of `pair.words`; what follows moves up and padding fills the row."""
    gone = [place for number in dropped for place in pair.words[number].positions]
    rest = np.delete(pair.ids.numpy(), gone)
    return torch.from_numpy(np.pad(rest, (0, len(gone)), constant_values=padding))


def leave_one_out(embed: Embed, players: int) -> Effects:
    """The embedding less the embedding without the player: exact for what hiding it alone changes."""
    embedded = embed(np.vstack([np.ones(players, np.bool_), ~np.eye(players, dtype=np.bool_)]))
    return Effects(embedded[0], embedded[0] - embedded[1:])


def keep_one_in(embed: Embed, players: int) -> Effects:
    """The embedding of the player alone less that of nothing."""
    kept = np.vstack([np.ones(players, np.bool_), np.zeros(players, np.bool_), np.eye(players, dtype=np.bool_)])
    embedded = embed(kept)
    return Effects(embedded[0], embedded[2:] - embedded[1])


def shapley(embed: Embed, players: int, chance: np.random.Generator, *, orders: int = 16, steps: int = 32) -> Effects:
    """Shapley values by sampled orders: the mean change when the player joins those before it (Shapley, 1953; sampled
    as Castro, Gomez and Tejada, 2009). Each of the orders, an even number, is used forwards and backwards. The effects
    of all players add up to the embedding with all less that with none, whatever the draws. With more players than
    steps those that join in one step share its change equally."""
    groups = min(players, steps)
    walks = [chance.permutation(players) for _ in range((orders + 1) // 2)]
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


class Evidence:
    """Effects, gradients and attention of one pair, each computed when it is first asked for; `seed` is that of the
    orders in which `shapley` adds patches and words."""

    def __init__(self, encoder: LoadedModel, pair: Pair, seed: int = 0) -> None:
        self.encoder, self.pair, self.seed = encoder, pair, seed
        self.patches, self.told = pair.grid.patches, len(pair.told)
        self._effects: dict[tuple[Side, Game], Effects] = {}

    def show(self, kept: NDArray[np.bool_], own: bool = False) -> Array:
        """Embed the crop with only some of its patches, as `Embed`; what is hidden is filled as by `hide_patches`."""
        return embed_images(self.encoder, hide_patches(self.pair, kept, own=own))

    def tell(self, kept: NDArray[np.bool_]) -> Array:
        """Embed the sentence with only some of its told words, as `Embed`."""
        told, padding = np.array(self.pair.told), self.encoder.tokenizer.special.padding
        return embed_texts(self.encoder, [drop_words(self.pair, told[~row].tolist(), padding) for row in kept])

    def effects(self, side: Side, game: Game) -> Effects:
        """What each patch does to the crop's embedding, or each told word to the sentence's."""
        if (side, game) not in self._effects:
            embed, players = (self.show, self.patches) if side == "patches" else (self.tell, self.told)
            if game == "shapley":
                found = shapley(embed, players, np.random.default_rng(self.seed))
            else:
                found = (leave_one_out if game == "left_out" else keep_one_in)(embed, players)
            self._effects[side, game] = found
        return self._effects[side, game]

    @property
    def image(self) -> Array:
        """The crop's embedding. Shape: (dimension,)."""
        return self.effects("patches", "left_out").whole

    @property
    def text(self) -> Array:
        """The sentence's embedding. Shape: (dimension,)."""
        return self.effects("words", "left_out").whole

    @cached_property
    def phrases(self) -> Array:
        """What dropping each word together with its phrase changes. Shape: (told, dimension)."""
        kept = np.ones((self.told + 1, self.told), np.bool_)
        for number in range(self.told):
            kept[number + 1, list(phrase_of(self.pair, number))] = False
        embedded = self.tell(kept)
        return np.asarray(embedded[0] - embedded[1:])

    def gradients(self, side: Side, directions: Array, *, last: bool) -> Array:
        """How a score would change if a token were scaled away, to first order: for each direction v (directions,
        dimension) the sum over channels of activation times gradient of e . v, e being the embedding.

        Tokens are taken where they enter the tower's stack, or its last layer's attention, the normed ones that keys
        and values are made of, where Grad-CAM of vision transformers usually looks. Shape: (directions, tokens)."""
        method: Any = self.encoder.method
        given: Tensor | TokenBatch
        if side == "patches":
            tower, encode, given = method.vision, method.encode_images, self.pair.pixels[None].to(self.encoder.device)
        else:
            tower, encode, given = method.text, method.encode_texts, text_batch(self.encoder, [self.pair.ids])
        seen: list[Tensor] = []

        def cut(_: torch.nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
            """What enters the module becomes a leaf that gradients reach."""
            seen.append(arguments[0].detach().requires_grad_())
            return (seen[-1], *arguments[1:])

        place = tower.transformer.layers[-1].attention if last else tower.transformer
        with place.register_forward_pre_hook(cut), torch.enable_grad():
            embedding = encode(given).embedding.float()[0]
            scores = embedding @ torch.from_numpy(directions).to(embedding.device).T
            gradients = [torch.autograd.grad(score, seen[0], retain_graph=True)[0] for score in scores]
        return np.array([(gradient * seen[0]).detach().sum(dim=-1)[0].cpu().numpy() for gradient in gradients])

    def over_words(self, tokens: Array) -> Array:
        """The sum of numbers (tokens,) over each told word's pieces."""
        pair = self.pair
        return np.array([tokens[list(pair.words[n].positions)].sum() for n in pair.told], np.float32)

    @cached_property
    def traces(self) -> tuple[AttentionTrace, ...]:
        """Attention rows and maps of all layers of both towers."""
        return attention_of(self.encoder, self.pair, AttentionRequest(rows="all", maps="all"))


def phrase_of(pair: Pair, told: int) -> range:
    """The told words that stand in one phrase with a told word, itself included: "a pale blue blouse" is one thing to a
    model, so its words share what it adds. A phrase is a run of telling words without punctuation, cut-off or empty
    words ("a", "with", "wearing") between them, at most `REACH` to each side. An empty word is its own phrase. All
    numbers are positions in `pair.told`."""

    def joins(n: int) -> bool:
        """Whether the words n and n + 1 both tell, and nothing stands between them but perhaps a hyphen."""
        one, other = pair.told[n], pair.told[n + 1]
        empty = any(pair.words[place].text.lower() in VACUOUS_WORDS for place in (one, other))
        return not empty and all(word.text == "-" for word in pair.words[one + 1 : other])

    first = last = told
    while first > max(0, told - REACH) and joins(first - 1):
        first -= 1
    while last < min(len(pair.told) - 1, told + REACH) and joins(last):
        last += 1
    return range(first, last + 1)

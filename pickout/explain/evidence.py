"""What was found out about a pair, computed once however many ways read it."""

from collections.abc import Callable
from functools import cached_property, partial
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from pickout.checkpoints.loaded_model import LoadedModel
from pickout.explain.effects import Effects, Embed, image_versions, keep_one_in, leave_one_out, shapley, text_versions
from pickout.explain.gradients import gradient_times_token
from pickout.explain.pair import Array, Pair, text_batch
from pickout.explain.phrases import phrase_of
from pickout.shapes import AttentionRequest, AttentionTrace

Traces = tuple[AttentionTrace, AttentionTrace]
Side = Literal["patches", "words"]
Game = Literal["left_out", "kept_alone", "shapley"]
"""How the effect of a patch or word is found: `leave_one_out`, `keep_one_in` or `shapley` of `explain.effects`."""


class Evidence:
    """Effects, gradients and attention of one pair, each computed when it is first asked for.

    Args:
        encoder: the model.
        pair: the sentence and the crop.
        seed: of the orders in which `shapley` adds patches and words.
    """

    def __init__(self, encoder: LoadedModel, pair: Pair, seed: int = 0) -> None:
        self.encoder, self.pair, self.seed = encoder, pair, seed
        self.show, self.tell = image_versions(encoder, pair), text_versions(encoder, pair)
        self.patches, self.told = pair.grid.patches, len(pair.told)
        self._effects: dict[tuple[Side, Game], Effects] = {}

    def effects(self, side: Side, game: Game) -> Effects:
        """What each patch does to the crop's embedding, or each told word to the sentence's."""
        if (side, game) not in self._effects:
            embed, players = (self.show, self.patches) if side == "patches" else (self.tell, self.told)
            rules: dict[Game, Callable[[Embed, int], Effects]] = {
                "left_out": leave_one_out,
                "kept_alone": keep_one_in,
                "shapley": partial(shapley, generator=np.random.default_rng(self.seed)),
            }
            self._effects[side, game] = rules[game](embed, players)
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

    def patch_gradients(self, directions: Array, *, last: bool) -> Array:
        """Gradient times token of each patch for each direction, at the last layer or where tokens enter.

        Args:
            directions: caption embeddings, or what a word adds to one. Shape: (directions, dimension).
            last: at the last layer's attention instead of the tower's entry.
        """
        method: Any = self.encoder.method
        pixels = self.pair.pixels[None].to(self.encoder.device)
        place = _place(method.vision, last=last)
        rows = gradient_times_token(place, lambda: method.encode_images(pixels).embedding, torch.from_numpy(directions))
        return np.asarray(rows[:, 1:], np.float32)

    def word_gradients(self, *, last: bool) -> Array:
        """Gradient times token of each told word with the crop's embedding as direction. Shape: (told,)."""
        method: Any = self.encoder.method
        texts = text_batch(self.encoder, [self.pair.ids])
        place = _place(method.text, last=last)
        direction = torch.from_numpy(self.image)[None]
        rows = gradient_times_token(place, lambda: method.encode_texts(texts).embedding, direction)
        return self.over_words(rows[0].numpy())

    def over_words(self, tokens: Array) -> Array:
        """The sum over each told word's pieces.

        Args:
            tokens: a number for each token. Shape: (tokens,).
        """
        pair = self.pair
        return np.array([tokens[list(pair.words[n].positions)].sum() for n in pair.told], np.float32)

    @cached_property
    def rows(self) -> Traces:
        """Attention rows of all layers of both towers."""
        return attention_of(self.encoder, self.pair, AttentionRequest(rows="all"))

    @cached_property
    def maps(self) -> Traces:
        """Whole attention maps of all layers of both towers."""
        return attention_of(self.encoder, self.pair, AttentionRequest(maps="all"))


def _place(tower: Any, *, last: bool) -> nn.Module:
    """The stack of layers, which takes the tokens with their positions; or the last layer's attention, which takes the
    normed tokens that its keys and values are made of, where Grad-CAM of vision transformers usually looks."""
    place: nn.Module = tower.transformer.layers[-1].attention if last else tower.transformer
    return place


@torch.no_grad()
def attention_of(encoder: LoadedModel, pair: Pair, request: AttentionRequest) -> Traces:
    """Attention of both towers for a pair, straight from them: a method's own trace holds rows alone."""
    method: Any = encoder.method
    image = method.vision(pair.pixels[None].to(encoder.device), request)
    text = method.text(text_batch(encoder, [pair.ids]), request)
    return image.trace, text.trace

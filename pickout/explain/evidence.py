"""What was found out about a pair, computed once however many ways read it."""

from functools import cached_property
from typing import Any

import numpy as np
import torch

from pickout.explain.effects import Effects, image_versions, keep_one_in, leave_one_out, shapley, text_versions
from pickout.explain.gradients import image_gradients, text_gradients
from pickout.explain.pair import Array, Encoder, Pair, text_batch
from pickout.explain.phrases import phrase_of
from pickout.shapes import AttentionRequest, AttentionTrace

Traces = tuple[AttentionTrace, AttentionTrace]


class Evidence:
    """Effects, gradients and attention of one pair, each computed when it is first asked for.

    Args:
        encoder: the model.
        pair: the sentence and the crop.
        seed: of the orders in which `shapley` adds patches and words.
    """

    def __init__(self, encoder: Encoder, pair: Pair, seed: int = 0) -> None:
        self.encoder, self.pair, self.seed = encoder, pair, seed
        self.show = image_versions(encoder, pair)
        self.tell = text_versions(encoder, pair)

    @property
    def patches(self) -> int:
        """How many patches the crop has."""
        return self.pair.grid.patches

    @property
    def told(self) -> int:
        """How many words the model reads."""
        return len(self.pair.told)

    @cached_property
    def patches_left_out(self) -> Effects:
        """What hiding each patch changes."""
        return leave_one_out(self.show, self.patches)

    @cached_property
    def words_left_out(self) -> Effects:
        """What dropping each word changes."""
        return leave_one_out(self.tell, self.told)

    @cached_property
    def phrases_left_out(self) -> Effects:
        """What dropping each word together with its phrase changes."""
        kept = np.ones((self.told + 1, self.told), np.bool_)
        for number in range(self.told):
            kept[number + 1, list(phrase_of(self.pair, number))] = False
        embedded = self.tell(kept)
        return Effects(embedded[0], embedded[0] - embedded[1:])

    @cached_property
    def patches_alone(self) -> Effects:
        """What each patch alone is above nothing."""
        return keep_one_in(self.show, self.patches)

    @cached_property
    def words_alone(self) -> Effects:
        """What each word alone is above nothing."""
        return keep_one_in(self.tell, self.told)

    @cached_property
    def patch_shares(self) -> Effects:
        """Shapley values of the patches."""
        return shapley(self.show, self.patches, np.random.default_rng(self.seed))

    @cached_property
    def word_shares(self) -> Effects:
        """Shapley values of the words."""
        return shapley(self.tell, self.told, np.random.default_rng(self.seed))

    def patch_gradients(self, directions: Array, *, last: bool) -> Array:
        """As `gradients.image_gradients`, in numpy."""
        rows: Array = image_gradients(self.encoder, self.pair, torch.from_numpy(directions), last=last).numpy()
        return rows

    def word_gradients(self, *, last: bool) -> Array:
        """Gradient times token of each told word with the crop's embedding as direction. Shape: (told,)."""
        direction = torch.from_numpy(self.patches_left_out.whole)
        return self.over_words(text_gradients(self.encoder, self.pair, direction, last=last).numpy())

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
        return self._traces(AttentionRequest(rows="all"))

    @cached_property
    def maps(self) -> Traces:
        """Whole attention maps of all layers of both towers."""
        return self._traces(AttentionRequest(maps="all"))

    @torch.no_grad()
    def _traces(self, request: AttentionRequest) -> Traces:
        """Straight from the towers: a method's own trace holds rows alone."""
        method: Any = self.encoder.method
        image = method.vision(self.pair.pixels[None].to(self.encoder.device), request)
        text = method.text(text_batch(self.encoder, [self.pair.ids]), request)
        return image.trace, text.trace

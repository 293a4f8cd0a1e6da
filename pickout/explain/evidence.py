"""What was found out about a pair, computed once however many ways read it."""

from collections.abc import Callable
from functools import cached_property, partial
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from pickout.checkpoints.loaded_model import LoadedModel
from pickout.explain.attention import Traces, attention_of
from pickout.explain.effects import Effects, Embed, image_versions, keep_one_in, leave_one_out, shapley, text_versions
from pickout.explain.pair import Array, Pair, text_batch
from pickout.saliency.vacuous_words import VACUOUS_WORDS
from pickout.shapes import AttentionRequest, Float

Side = Literal["patches", "words"]
Game = Literal["left_out", "kept_alone", "shapley"]
"""How the effect of a patch or word is found: `leave_one_out`, `keep_one_in` or `shapley` of `explain.effects`."""
REACH = 2  # words to each side that may belong to a word's phrase


class Evidence:
    """Effects, gradients and attention of one pair, each computed when it is first asked for; `seed` is that of the
    orders in which `shapley` adds patches and words."""

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
        """Gradient times token of each patch for caption embeddings, or what words add to one, (directions, dimension);
        at the last layer's attention, or where tokens enter."""
        method: Any = self.encoder.method
        pixels = self.pair.pixels[None].to(self.encoder.device)
        place, ways = _place(method.vision, last=last), torch.from_numpy(directions)
        rows = gradient_times_token(place, lambda: method.encode_images(pixels).embedding, ways)
        return np.asarray(rows[:, 1:], np.float32)

    def word_gradients(self, *, last: bool) -> Array:
        """Gradient times token of each told word with the crop's embedding as direction. Shape: (told,)."""
        method: Any = self.encoder.method
        texts = text_batch(self.encoder, [self.pair.ids])
        place, way = _place(method.text, last=last), torch.from_numpy(self.image)[None]
        rows = gradient_times_token(place, lambda: method.encode_texts(texts).embedding, way)
        return self.over_words(rows[0].numpy())

    def over_words(self, tokens: Array) -> Array:
        """The sum of numbers (tokens,) over each told word's pieces."""
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


def gradient_times_token(
    place: nn.Module, embed: Callable[[], Tensor], directions: Float[Tensor, "directions dimension"]
) -> Float[Tensor, "directions tokens"]:
    """How a score would change if a token were scaled away, to first order: for each direction v the sum over channels
    of activation times gradient of e . v, at every token that enters `place`, where `embed` gives e (1, dimension)."""
    seen: list[Tensor] = []

    def cut(_module: nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        """What enters the module becomes a leaf that gradients reach."""
        seen.append(arguments[0].detach().requires_grad_())
        return (seen[-1], *arguments[1:])

    hook = place.register_forward_pre_hook(cut)
    try:
        with torch.enable_grad():
            scores = embed().float()[0] @ directions.to(next(place.parameters()).device).T
            gradients = [torch.autograd.grad(score, seen[0], retain_graph=True)[0] for score in scores]
    finally:
        hook.remove()
    return torch.stack([(gradient * seen[0]).detach().sum(dim=-1)[0] for gradient in gradients]).cpu()


def phrase_of(pair: Pair, told: int) -> range:
    """The told words that stand in one phrase with a told word, itself included: "a pale blue blouse" is one thing to a
    model, so its words share what it adds.

    A phrase is a run of telling words without punctuation, cut-off or empty words ("a", "with", "wearing") between
    them, at most `REACH` to each side. An empty word is its own phrase. All numbers are positions in `pair.told`.
    """
    if not _tells(pair, told):
        return range(told, told + 1)
    first = last = told
    while first > max(0, told - REACH) and _adjoin(pair, first - 1) and _tells(pair, first - 1):
        first -= 1
    while last < min(len(pair.told) - 1, told + REACH) and _adjoin(pair, last) and _tells(pair, last + 1):
        last += 1
    return range(first, last + 1)


def _tells(pair: Pair, told: int) -> bool:
    return pair.words[pair.told[told]].text.lower() not in VACUOUS_WORDS


def _adjoin(pair: Pair, told: int) -> bool:
    """Whether nothing stands between a told word and the next, but perhaps a hyphen."""
    here, there = pair.told[told], pair.told[told + 1]
    return all(pair.words[n].text == "-" for n in range(here + 1, there))

"""Everything that a training step of `fusion` and `aga` leaves to chance.

The numbers of the whole batch are made in every process, from the recipe's seed and the step alone, and each process
takes its own rows. So a step can be repeated, a resumed run sees what the first run saw, and one process chooses as two
with half a batch each.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pickout.draws import Drawn, categorical
from pickout.losses.replaced_words import sample_words
from pickout.methods.base import Progress
from pickout.methods.processes import Part, total
from pickout.saliency.hiding import apply_mask, choose_positions, ensure_chosen, random_words
from pickout.shapes import Bool, Float, Int

_LOGITS_AT_ONCE = 2**22
"""How many of the generator's logits exist at a time."""
_TOKEN_DRAWS = (
    *("choose", "kind", "word", "choose_replaced", "kind_replaced", "word_replaced"),
    *("sample", "enriched_word", "enriched_token"),
)
_ROW_DRAWS = ("image", "text", "enriched")


@dataclass(frozen=True, slots=True)
class Uniforms:
    """Uniform random numbers of this process's rows, each purpose its own.

    Args:
        tokens: by purpose. Shape of each: (rows, context).
        rows: by purpose. Shape of each: (rows,).
    """

    tokens: dict[str, Float[Tensor, "rows context"]]
    rows: dict[str, Float[Tensor, " rows"]]


def draw_uniforms(progress: Progress, part: Part, context: int, device: torch.device) -> Uniforms:
    """The numbers of one batch.

    Args:
        progress: its `seed`, `step` and `part` decide all numbers.
        part: which rows of the whole batch are this process's.
        context: longest caption of the tokenizer, so that the numbers do not depend on the batch's longest.
        device: where they are made.
    """
    seed = np.random.SeedSequence([progress.seed, progress.step, progress.part]).generate_state(2, np.uint32)
    generator = torch.Generator(device).manual_seed(int(seed[0]) << 31 | int(seed[1]) >> 1)
    own = slice(part.start, part.start + part.rows)
    tokens = torch.rand(len(_TOKEN_DRAWS), part.whole, context, generator=generator, device=device)[:, own]
    rows = torch.rand(len(_ROW_DRAWS), part.whole, generator=generator, device=device)[:, own]
    return Uniforms(
        dict(zip(_TOKEN_DRAWS, tokens.unbind(), strict=True)), dict(zip(_ROW_DRAWS, rows.unbind(), strict=True))
    )


@dataclass(frozen=True, slots=True)
class Hidden:
    """Captions with hidden words.

    Args:
        ids: what the model reads. Shape: (batch, tokens).
        chosen: where words were chosen, whatever stands there now. Shape: (batch, tokens).
    """

    ids: Int[Tensor, "batch tokens"]
    chosen: Bool[Tensor, "batch tokens"]


class Chooser:
    """Makes each choice of a step from its uniform numbers.

    Args:
        uniforms: of this process's rows.
        mask_id: stands for a hidden word.
        choices: ids that a hidden word may become.
    """

    def __init__(self, uniforms: Uniforms, mask_id: int, choices: Int[Tensor, " choices"]) -> None:
        self.uniforms, self.mask_id, self.choices = uniforms, mask_id, choices

    def hide(
        self,
        ids_BT: Int[Tensor, "batch tokens"],
        content_BT: Bool[Tensor, "batch tokens"],
        probability_BT: Float[Tensor, "batch tokens"],
        words_BT: Int[Tensor, "batch tokens"] | None = None,
    ) -> Hidden:
        """Hide words to be guessed: some 80 % of the chosen ones become the mask, 10 % a random word.

        Args:
            ids_BT: the captions.
            content_BT: True where a token is a word piece.
            probability_BT: that a token is chosen.
            words_BT: from `hiding.word_numbers`, to hide whole words; None: pieces.
        """
        uniform_BT = self.uniforms.tokens["choose"][:, : ids_BT.shape[1]]
        chosen_BT = choose_positions(probability_BT, uniform_BT, content_BT, words_BT=words_BT)
        nothing = total(chosen_BT.sum()) == 0
        chosen_BT = ensure_chosen(chosen_BT, probability_BT, content_BT, words_BT=words_BT, empty=nothing)
        return Hidden(self._masked(ids_BT, chosen_BT, ""), chosen_BT)

    def hide_from_generator(
        self,
        ids_BT: Int[Tensor, "batch tokens"],
        content_BT: Bool[Tensor, "batch tokens"],
        probability_BT: Float[Tensor, "batch tokens"],
    ) -> Int[Tensor, "batch tokens"]:
        """Hide words from the momentum model that proposes replacements; arguments as in `hide`."""
        uniform_BT = self.uniforms.tokens["choose_replaced"][:, : ids_BT.shape[1]]
        chosen_BT = choose_positions(probability_BT, uniform_BT, content_BT)
        return self._masked(ids_BT, chosen_BT, "_replaced")

    def _masked(self, ids_BT: Tensor, chosen_BT: Tensor, suffix: str) -> Tensor:
        length = ids_BT.shape[1]
        random_BT = random_words(self.uniforms.tokens[f"word{suffix}"][:, :length], self.choices)
        return apply_mask(ids_BT, chosen_BT, self.uniforms.tokens[f"kind{suffix}"][:, :length], random_BT, self.mask_id)

    def sample(
        self, logits: Callable[[Tensor], Tensor], tokens_BTD: Tensor, content_BT: Bool[Tensor, "batch tokens"]
    ) -> Int[Tensor, "batch tokens"]:
        """One word a place from the generator; 0 at tokens that are no content.

        The logits of a whole batch would be the step's largest tensor, so only some exist at a time.

        Args:
            logits: from tokens (n, width) to logits (n, vocabulary).
            tokens_BTD: the generator's fused tokens.
            content_BT: True where a token is a word piece.
        """
        tokens_nD = tokens_BTD[content_BT]
        uniform_n = self.uniforms.tokens["sample"][:, : content_BT.shape[1]][content_BT]
        drawn, start, step = torch.zeros_like(content_BT, dtype=torch.int64), 0, 1
        words = []
        while start < len(tokens_nD):
            found = logits(tokens_nD[start : start + step])
            words.append(sample_words(found, uniform_n[start : start + step]))
            start, step = start + step, max(1, _LOGITS_AT_ONCE // found.shape[1])
        return drawn.masked_scatter(content_BT, torch.cat(words)) if words else drawn

    def negatives(
        self, images_BW: Float[Tensor, "batch whole"], texts_BW: Float[Tensor, "batch whole"]
    ) -> tuple[Drawn, Drawn]:
        """A hard negative image for each caption, and a hard negative caption for each image.

        Args:
            images_BW: weights of the whole batch's images for each of this process's captions.
            texts_BW: weights of the whole batch's captions for each of this process's images.
        """
        return categorical(images_BW, self.uniforms.rows["image"]), categorical(texts_BW, self.uniforms.rows["text"])

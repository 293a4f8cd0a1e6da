"""Everything that a training step of `fusion` and `aga` leaves to chance.

The numbers of the whole batch are made in every process, from the recipe's seed and the step alone, and each process
takes its own rows. So a step can be repeated, a resumed run sees what the first run saw, and one process chooses as two
with half a batch each. Sums and draws go over the whole of a batch that is spread over processes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, distributed

from pickout.chance import Drawn, categorical
from pickout.methods.base import Progress
from pickout.nn.gather import gather, gather_with_gradient
from pickout.saliency.masking import apply_mask, choose_positions, ensure_chosen, random_words
from pickout.shapes import Float, Ids, Int, Mask, Scalar, Scores


@dataclass(frozen=True, slots=True)
class Part:
    """Where this process's rows stand in the whole batch."""

    start: int  # position of its first row
    rows: int  # how many rows it has
    whole: int  # how many rows all processes have
    processes: int
    length: int  # tokens of the longest caption of all processes
    strong: int  # tokens of the longest caption as drawn, weak ones left out

    @property
    def own(self) -> slice:
        """This process's rows of the whole batch."""
        return slice(self.start, self.start + self.rows)

    def share(self, count: Tensor) -> Scalar:
        """The number of terms of all processes divided by that of processes, for `mean_over_processes`."""
        return total(count) / self.processes


def find_part(strong_BT: Mask, weak_BT: Mask) -> Part:
    """Ask the other processes how many rows they have, and how long their captions are; False at padding."""
    longest = [mask_BT.sum(dim=1).amax() for mask_BT in (strong_BT, weak_BT)]
    sizes = gather(torch.stack([torch.full_like(longest[0], len(strong_BT)), *longest])[None]).tolist()
    rank = distributed.get_rank() if len(sizes) > 1 else 0
    counts, strong, weak = zip(*sizes, strict=True)
    return Part(sum(counts[:rank]), counts[rank], sum(counts), len(counts), max(1, *strong, *weak), max(1, *strong))


@torch.no_grad()
def total(numbers: Tensor) -> Tensor:
    """The sum of numbers over all processes, without gradient, float32."""
    return gather_with_gradient(numbers.float()[None]).sum(dim=0)


def mean_over_processes(loss: Scalar) -> Scalar:
    """A loss of this process's terms, their sum divided by `Part.share`, as the loss of all, equal in every process.
    Going back, each holds (processes) times its own terms' share, which averaging mends (`pickout.nn.gather`)."""
    return gather_with_gradient(loss.reshape(1)).mean()


@dataclass(frozen=True, slots=True)
class Partners:
    """Rows from which those of a draw over the whole batch are taken."""

    bank: Float[Tensor, "bank tokens width"]  # this process's rows alone, or those of all
    start: int  # position of this process's first row in the bank
    index: Int[Tensor, " drawn"]  # the drawn rows' positions in the bank; where nothing was drawn, any position
    everyone: bool  # whether the bank holds the rows of all processes


def find_partners(rows: Float[Tensor, "local tokens width"], drawn: Drawn, part: Part) -> Partners:
    """Bring in the rows of other processes, when any process has drawn one; a gradient flows back to them."""
    local = torch.where(drawn.valid, drawn.index - part.start, 0)
    away = (local < 0) | (local >= part.rows)
    if part.processes == 1 or not bool(gather(away.any().long().reshape(1)).any()):
        return Partners(rows, 0, local, everyone=False)
    return Partners(gather_with_gradient(rows), part.start, drawn.index, everyone=True)


_LOGITS_AT_ONCE = 2**22
"""How many of the generator's logits exist at a time; those of a whole batch would be the step's largest tensor."""
_TOKEN_DRAWS = (
    *("choose", "kind", "word", "choose_replaced", "kind_replaced", "word_replaced"),
    *("sample", "enriched_word", "enriched_token"),
)
_ROW_DRAWS = ("image", "text", "enriched")


class Uniforms(NamedTuple):
    """Uniform random numbers of this process's rows, each purpose its own."""

    tokens: dict[str, Float[Tensor, "rows context"]]
    rows: dict[str, Float[Tensor, " rows"]]


def draw_uniforms(progress: Progress, part: Part, context: int, device: torch.device) -> Uniforms:
    """The numbers of one batch, by `progress` alone, for captions of `context` tokens, whatever the batch's longest."""
    seed = np.random.SeedSequence([progress.seed, progress.step, progress.part]).generate_state(2, np.uint32)
    generator = torch.Generator(device).manual_seed(int(seed[0]) << 31 | int(seed[1]) >> 1)
    tokens = torch.rand(len(_TOKEN_DRAWS), part.whole, context, generator=generator, device=device)[:, part.own]
    rows = torch.rand(len(_ROW_DRAWS), part.whole, generator=generator, device=device)[:, part.own]
    return Uniforms(dict(zip(_TOKEN_DRAWS, tokens, strict=True)), dict(zip(_ROW_DRAWS, rows, strict=True)))


class Hidden(NamedTuple):
    """Captions with hidden words: what the model reads, and where words were chosen, whatever stands there now."""

    ids: Ids
    chosen: Mask


class Chooser:
    """Makes each choice of a step from its uniform numbers; `choices` are ids that a hidden word may become."""

    def __init__(self, uniforms: Uniforms, mask_id: int, choices: Int[Tensor, " choices"]) -> None:
        self.uniforms, self.mask_id, self.choices = uniforms, mask_id, choices

    def hide(
        self,
        ids_BT: Ids,
        content_BT: Mask,
        probability_BT: Scores,
        words_BT: Ids | None = None,
        *,
        from_generator: bool = False,
    ) -> Hidden:
        """Hide words to be guessed: some 80 % of the chosen ones become the mask, 10 % a random word. With `words_BT`,
        from `hiding.word_numbers`, whole words. From the generator of replacements there need not be any hidden."""
        end = "_replaced" if from_generator else ""
        uniform_BT = self.tokens(f"choose{end}", ids_BT)
        chosen_BT = choose_positions(probability_BT, uniform_BT, content_BT, words_BT=words_BT)
        if not from_generator:
            nothing = total(chosen_BT.sum()) == 0
            chosen_BT = ensure_chosen(chosen_BT, probability_BT, content_BT, words_BT=words_BT, empty=nothing)
        random_BT = random_words(self.tokens(f"word{end}", ids_BT), self.choices)
        kind_BT = self.tokens(f"kind{end}", ids_BT)
        return Hidden(apply_mask(ids_BT, chosen_BT, kind_BT, random_BT, self.mask_id), chosen_BT)

    def replace(
        self, ids_BT: Ids, content_BT: Mask, tokens_BTD: Tensor, logits: Callable[[Tensor], Tensor], size: int
    ) -> Ids:
        """Every word drawn anew from the generator; most equal the original (RaSa, MRTD). `logits` leads from the
        generator's fused tokens (n, width) to (n, `size`), the size of the vocabulary."""
        uniform_n, step = self.tokens("sample", ids_BT)[content_BT], max(1, _LOGITS_AT_ONCE // size)
        pieces = zip(torch.split(tokens_BTD[content_BT], step), torch.split(uniform_n, step), strict=True)
        words = [categorical(logits(tokens).float().softmax(dim=1), some_n).index for tokens, some_n in pieces]
        return ids_BT.masked_scatter(content_BT, torch.cat(words))

    def negatives(
        self, images_BW: Float[Tensor, "batch whole"], texts_BW: Float[Tensor, "batch whole"]
    ) -> tuple[Drawn, Drawn]:
        """A hard negative image for each caption, and caption for each image, by weights over the whole batch."""
        return categorical(images_BW, self.uniforms.rows["image"]), categorical(texts_BW, self.uniforms.rows["text"])

    def tokens(self, purpose: str, ids_BT: Tensor) -> Tensor:
        """The uniform numbers of this purpose, one for each token."""
        return self.uniforms.tokens[purpose][:, : ids_BT.shape[1]]

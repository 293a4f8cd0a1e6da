"""This process's part of a batch that is spread over processes, and sums and draws over the whole of it."""

from dataclasses import dataclass

import torch
from torch import Tensor, distributed

from pickout.draws import Drawn
from pickout.nn.gather import gather, gather_with_gradient
from pickout.shapes import Bool, Float, Int


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

    def share(self, count: Tensor) -> Float[Tensor, ""]:
        """The number of terms of all processes divided by that of processes, for `mean_over_processes`."""
        return total(count) / self.processes


def find_part(strong_BT: Bool[Tensor, "batch tokens"], weak_BT: Bool[Tensor, "batch tokens"]) -> Part:
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


def mean_over_processes(loss: Float[Tensor, ""]) -> Float[Tensor, ""]:
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

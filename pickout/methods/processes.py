"""This process's part of a batch that is spread over processes, and sums and draws over the whole of it."""

from dataclasses import dataclass

import torch
from torch import Tensor, distributed

from pickout.nn.gather import gather, gather_with_gradient
from pickout.saliency.hiding import MaskReport
from pickout.shapes import Bool, Float, Int


@dataclass(frozen=True, slots=True)
class Part:
    """Where this process's rows stand in the whole batch.

    Args:
        start: position of its first row.
        rows: how many rows it has.
        whole: how many rows all processes have.
        processes: how many processes there are.
        length: tokens of the longest caption of all processes.
        strong: tokens of the longest caption as drawn, weak ones left out.
    """

    start: int
    rows: int
    whole: int
    processes: int
    length: int
    strong: int

    def share(self, count: Tensor) -> Float[Tensor, ""]:
        """The number of terms of all processes divided by the number of processes.

        A sum over this process's terms divided by it is what `mean_over_processes` wants.
        """
        return total(count).float() / self.processes


def find_part(strong_BT: Bool[Tensor, "batch tokens"], weak_BT: Bool[Tensor, "batch tokens"]) -> Part:
    """Ask the other processes how many rows they have, and how long their captions are.

    Args:
        strong_BT: True where a token of this process's captions is not padding.
        weak_BT: the same of the captions that stand in for them.
    """
    own = torch.stack([strong_BT.new_tensor(len(strong_BT), dtype=torch.int64), _longest(strong_BT), _longest(weak_BT)])
    sizes = gather(own[None]).tolist()
    rank = distributed.get_rank() if len(sizes) > 1 else 0
    counts = [size[0] for size in sizes]
    strong, weak = (max(1, *(size[which] for size in sizes)) for which in (1, 2))
    return Part(sum(counts[:rank]), counts[rank], sum(counts), len(counts), max(strong, weak), strong)


def _longest(mask_BT: Tensor) -> Tensor:
    return mask_BT.sum(dim=1).amax()


def total(count: Tensor) -> Tensor:
    """The sum of a number over all processes, without gradient."""
    with torch.no_grad():
        return gather_with_gradient(count.detach().float().reshape(1)).sum()


def report_of_all(report: MaskReport) -> MaskReport:
    """What was hidden in the whole batch, from what was hidden in this process's part."""
    with torch.no_grad():
        own = torch.stack([report.tokens, report.chosen, report.vacuous, report.expected, report.largest])
        parts = gather_with_gradient(own[None])
    tokens, chosen, vacuous, expected = parts[:, :4].sum(dim=0).unbind()
    return MaskReport(tokens, chosen, vacuous, expected, parts[:, 4].amax())


def mean_over_processes(loss: Float[Tensor, ""]) -> Float[Tensor, ""]:
    """A loss of this process's terms, divided by `Part.share`, as the loss of all of them, equal in every process.

    Going back, each process holds (number of processes) times its own terms' share, which averaging mends; see
    `pickout.nn.gather`.
    """
    return gather_with_gradient(loss.reshape(1)).mean()


@dataclass(frozen=True, slots=True)
class Partners:
    """Rows from which those of a draw over the whole batch are taken.

    Args:
        bank: this process's rows alone, or those of all. Shape: (bank, tokens, width).
        start: position of this process's first row in the bank.
        index: the drawn rows' positions in the bank; where nothing was drawn, any position. Shape: (drawn,).
        everyone: whether the bank holds the rows of all processes.
    """

    bank: Float[Tensor, "bank tokens width"]
    start: int
    index: Int[Tensor, " drawn"]
    everyone: bool


def find_partners(
    rows: Float[Tensor, "local tokens width"], index: Int[Tensor, " drawn"], valid: Bool[Tensor, " drawn"], part: Part
) -> Partners:
    """Bring in the rows of other processes, when any process has drawn one; a gradient flows back to them.

    Args:
        rows: this process's.
        index: positions in the whole batch.
        valid: False where nothing was drawn.
        part: of this process.
    """
    local = torch.where(valid, index - part.start, 0)
    away = (local < 0) | (local >= part.rows)
    if part.processes == 1 or not bool(gather(away.any().long().reshape(1)).any()):
        return Partners(rows, 0, local, everyone=False)
    return Partners(gather_with_gradient(rows), part.start, index, everyone=True)

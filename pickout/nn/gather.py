"""Gather a batch that is spread over processes, so that losses over pairs see all of it.

Every process gathers the features of all, computes the loss of the whole batch (equal everywhere) and hands it to
`backward` unscaled. Going back, the gradients that all processes have for one process's features are summed, so each
process's tower holds (number of processes) times its own share of the whole gradient, and the heads behind the gather
hold the whole gradient everywhere. `DistributedDataParallel` then averages over processes, which makes both equal to
the gradient of one process with the whole batch."""

from typing import Any, cast

import torch
from torch import Tensor, distributed
from torch.nn import functional as F

from pickout.shapes import Float, Int


def gather_with_gradient(tensor: Float[Tensor, "local *axes"]) -> Float[Tensor, "whole *axes"]:
    """The tensors of all processes, in order of rank, along the first axis, where row counts may differ; a gradient
    flows back to each. Without a process group, or with one process, the tensor itself."""
    return cast(Tensor, _Gather.apply(tensor)) if _is_spread() else tensor  # type: ignore[no-untyped-call]


def gather(tensor: Int[Tensor, "local *axes"]) -> Int[Tensor, "whole *axes"]:
    """As `gather_with_gradient`, for labels and lengths, which have no gradient."""
    return _rows_of_all(tensor)[0] if _is_spread() else tensor


def _is_spread() -> bool:
    return distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1


def _rows_of_all(tensor: Tensor) -> tuple[Tensor, list[int]]:
    """The rows of all processes and how many each holds; shorter ones travel padded."""
    processes = distributed.get_world_size()
    count = torch.tensor([tensor.shape[0]], device=tensor.device)
    counts = [torch.empty_like(count) for _ in range(processes)]
    distributed.all_gather(counts, count)
    sizes = [int(size) for size in counts]
    padded = F.pad(tensor.detach(), [0, 0] * (tensor.dim() - 1) + [0, max(sizes) - tensor.shape[0]]).contiguous()
    parts = [torch.empty_like(padded) for _ in range(processes)]
    distributed.all_gather(parts, padded)
    return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)]), sizes


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        whole, sizes = _rows_of_all(tensor)
        rank = distributed.get_rank()
        ctx.start, ctx.stop = sum(sizes[:rank]), sum(sizes[: rank + 1])
        return whole

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        whole = gradients[0].contiguous().clone()
        distributed.all_reduce(whole)
        return whole[ctx.start : ctx.stop]

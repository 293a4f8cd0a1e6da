"""One process of the distributed test: its share of a batch, on the CPU, with copies of the weights or shards of them.

Arguments: method, rank, number of processes, rendezvous file, input file, output file, and `ddp` (copies)
or `fsdp` (shards, layer by layer). Rank -1 is one process alone.
"""

import os
import sys
from dataclasses import replace

import torch
from torch import Tensor, distributed, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel

from pickout.config import parse_settings
from pickout.data.batching import Batch
from pickout.methods import METHODS
from pickout.methods.base import Method, Progress
from pickout.shapes import TokenBatch
from tests.methods.conftest import FUSING, small_towers, small_vocabulary


class Losses(nn.Module):
    """The forward pass that training wraps."""

    def __init__(self, method: Method) -> None:
        super().__init__()
        self.method = method

    def forward(self, batch: Batch, progress: Progress) -> tuple[Tensor, dict[str, float]]:
        losses = self.method.losses(batch, progress)
        return losses.total, {name: term.item() for name, term in losses.terms.items()}


def whole(gradient: Tensor | None) -> Tensor | None:
    return gradient.full_tensor() if isinstance(gradient, DTensor) else gradient


def main(name: str, rank: int, processes: int, meeting: str, given: str, out: str, wrapper: str) -> None:
    torch.set_num_threads(1)
    stored = torch.load(given, weights_only=True)
    torch.manual_seed(0)
    settings = parse_settings(METHODS[name].settings, stored["settings"][name], source="test")
    module: nn.Module = Losses(METHODS[name].build(settings, *small_towers(name), 4, small_vocabulary()))
    method = module.method
    share = slice(None)
    if rank >= 0:
        distributed.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=processes)
        if wrapper == "fsdp":
            mesh = init_device_mesh("cpu", (processes,))
            for layer in [*method.get_submodule("vision.transformer.layers").children(), module]:
                fully_shard(layer, mesh=mesh)
        else:
            module = DistributedDataParallel(module)
        share = slice(rank * 2, rank * 2 + 2) if rank < processes - 1 else slice(rank * 2, None)  # the last holds more
    ids = stored["ids"][share]
    batch = Batch(stored["images"][share], TokenBatch(ids, ids != 0), stored["identity"][share])
    if name in FUSING:
        weak = stored["weak"][share]
        second, replaced = stored["second"][share], stored["replaced"][share]
        batch = replace(batch, second_images=second, weak_texts=TokenBatch(weak, weak != 0), replaced=replaced)
    total, terms = module(batch, Progress(3, 1, 10, 2))
    total.backward()
    gradients = {key: whole(parameter.grad) for key, parameter in method.named_parameters() if parameter.requires_grad}
    torch.save({"terms": terms, "gradients": gradients, "buffers": dict(method.named_buffers())}, out)
    if rank >= 0:
        distributed.barrier()
        del module
        distributed.destroy_process_group()


if __name__ == "__main__":
    name, rank, processes, meeting, given, out, wrapper = sys.argv[1:]
    main(name, int(rank), int(processes), meeting, given, out, wrapper)
    # What is tested is written. Gloo's threads sometimes outlive the interpreter and then abort the process.
    os._exit(0)

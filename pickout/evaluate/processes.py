"""Work shared by several processes of a launcher, with results equal to those of one."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import torch.distributed

from pickout.errors import DataError, PickoutError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Share:
    """One process's part of the work: which process this is, from 0, and how many there are."""

    index: int = 0
    count: int = 1

    def bounds(self, items: int, block: int) -> tuple[int, int]:
        """First and one-past-last item of this process, cut at multiples of `block`, so that batches stay the same."""
        blocks = -(-items // block)
        start, stop = (blocks * part // self.count for part in (self.index, self.index + 1))
        return min(start * block, items), min(stop * block, items)

    def gather(self, value: T) -> list[T]:
        """Everyone's value, in the order of the processes, on every process. All processes must call it."""
        if self.count == 1:
            return [value]
        values: list[Any] = [None] * self.count
        torch.distributed.all_gather_object(values, value)
        return values

    def run(self, work: Callable[[], T]) -> list[T]:
        """Do this process's part and return everyone's results, in the order of the processes. A `PickoutError` of one
        is raised in all: the others would else wait for its result without end."""
        try:
            outcome: tuple[list[T], str | None] = [work()], None
        except PickoutError as error:
            self.gather(([], str(error)))
            raise
        outcomes = self.gather(outcome)
        if failures := [message for _, message in outcomes if message is not None]:
            raise DataError(failures[0])
        return [value for values, _ in outcomes for value in values]


ALONE = Share()  # the whole work in this process


def current_share() -> Share:
    """This process's part where a process group is running, else the whole."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return Share(torch.distributed.get_rank(), torch.distributed.get_world_size())
    return ALONE


def join_launcher(device: str) -> Share:
    """Start the process group when a launcher (`torchrun`) began this process, which will compute on `device`."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        from accelerate import PartialState

        PartialState(cpu=device == "cpu")
    return current_share()

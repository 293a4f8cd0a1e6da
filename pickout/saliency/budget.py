"""How many tokens to keep: a fixed share, or one that shrinks while training goes on (ATS)."""

from dataclasses import dataclass
from typing import Literal

BudgetMode = Literal["off", "epoch", "step"]
CountedTokens = Literal["selectable", "all"]


def fixed_budget(tokens: int, ratio: float) -> int:
    """int(M * ratio), at least 1.

    Args:
        tokens: M, the tokens to choose from.
        ratio: the share to keep.
    """
    return max(1, int(tokens * ratio))


def annealed_budget(tokens: int, *, start: float, end: float, time: int, duration: int) -> int:
    """The adaptive token schedule: int(M * start * (end / start) ** (t / T)) (ITSELF, Eq. 4).

    It falls geometrically from `start` to `end` and stays there: from T on it is int(M * end) outright, since the power
    may end a rounding error below. Times below 1 count as 1. The count has no state of its own, so a resumed run goes
    on where it stopped.

    Args:
        tokens: M, the tokens to choose from.
        start: the share kept at first.
        end: the share kept from `duration` on.
        time: t, optimiser steps or epochs, from 1.
        duration: T, in the unit of `time`.
    """
    if time >= duration:
        return fixed_budget(tokens, end)
    return max(1, int(tokens * start * (end / start) ** (max(time, 1) / duration)))


@dataclass(frozen=True, slots=True)
class Budget:
    """How many tokens training keeps at a moment.

    Args:
        mode: `off` for a fixed share, `epoch` or `step` for the adaptive schedule counted in epochs or optimiser steps.
        ratio: the share without a schedule.
        start: the schedule's first share.
        end: its last share.
        duration: when it arrives: T.
        in_epochs: whether T is counted in epochs, not in optimiser steps; converted where `mode` counts the other.
        counted: whether the schedule's M is the tokens that can be selected, or all of them.
    """

    mode: BudgetMode
    ratio: float
    start: float
    end: float
    duration: int
    in_epochs: bool
    counted: CountedTokens

    def kept(self, selectable: int, tokens: int, *, step: int, epoch: int, steps_per_epoch: int) -> int:
        """Tokens to keep, between 1 and `selectable`.

        Args:
            selectable: tokens that can be kept: patches, or the context less its start and end.
            tokens: all tokens of a sample.
            step: the optimiser step about to be taken, from 1, over the whole run.
            epoch: the current epoch, from 1.
            steps_per_epoch: optimiser steps in one epoch.
        """
        if self.mode == "off":
            return min(selectable, fixed_budget(selectable, self.ratio))
        if self.mode == "step":
            time, duration = step, self.duration * (steps_per_epoch if self.in_epochs else 1)
        else:
            # ITSELF's 1450 steps are its ten epochs of RSTPReid, where the sampler yields 144 of the 145 batches.
            whole = max(1, round(self.duration / steps_per_epoch))
            time, duration = epoch, self.duration if self.in_epochs else whole
        counted = selectable if self.counted == "selectable" else tokens
        kept = annealed_budget(counted, start=self.start, end=self.end, time=time, duration=duration)
        return min(selectable, kept)

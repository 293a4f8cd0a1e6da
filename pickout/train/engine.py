"""The training loop over one epoch, the same from one CPU process to several GPUs."""

import ctypes
import math
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from functools import partial
from typing import Any

import torch
from accelerate import Accelerator, DataLoaderConfiguration
from accelerate.state import AcceleratorState, GradientState
from accelerate.utils import InitProcessGroupKwargs, gather_object
from torch import Tensor, nn
from torch.utils.data import DataLoader

from pickout.checkpoints.loaded_model import choose_device
from pickout.data.batching import Batch, EpochSampler
from pickout.data.training_pairs import REMEDY
from pickout.errors import ImageUnreadable, LossNotFinite, RecipeError
from pickout.methods.base import LossTerms, Method, Progress, SeparableMethod
from pickout.train.recipe import Recipe, build_optimiser, learning_rate, set_learning_rate
from pickout.train.run_folder import TrainingState, random_states, restore_random_states

_PATIENCE = timedelta(hours=2)  # how long processes wait for each other; one of them may be validating
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # names of the two settings in glibc's malloc.h
_NEVER, _LARGEST_OWN = 2**31 - 1, 32 * 2**20  # bytes to give back at, and glibc's own limit for fresh memory
_REMEDY = (
    "The last checkpoint stays as it is. A lower optim.learning_rate, a longer schedule.warm_up, "
    "optim.clip=1.0 or train.precision=fp32 may help; start in another folder"
)


def mean(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Mean `loss`, and means of equally named `terms` and `logs` where there are any: a journal line's fields."""
    line: dict[str, Any] = {"loss": sum(row["loss"] for row in rows) / len(rows)}
    for key in ("terms", "logs"):
        if names := rows[0].get(key):
            line[key] = {name: sum(row[key][name] for row in rows) / len(rows) for name in names}
    return line


def keep_freed_memory() -> bool:
    """Ask glibc to keep freed memory instead of returning it to the kernel; False where the C library is another. A
    training step frees and takes the same large buffers again and again; returned and taken anew, each page is cleared
    and mapped once more. `benchmarks/freed_memory.py` measures what that costs."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        set_option = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(set_option(_TRIM_THRESHOLD, _NEVER)) and bool(set_option(_MMAP_THRESHOLD, _LARGEST_OWN))


@contextmanager
def repeatable() -> Iterator[None]:
    """Inside the block, take only algorithms that add in a fixed order, with any fixed number of threads. Without it,
    threads that sum the gradients of repeated indices (`features[pairs]`) add them in the order they happen to come.
    Memory is not filled before use, as PyTorch would do besides; nothing here reads what it has not written."""
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    deterministic: Any = torch.utils.deterministic
    filled = deterministic.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True, warn_only=True)
    deterministic.fill_uninitialized_memory = False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        deterministic.fill_uninitialized_memory = filled


def leave_signals_to_parent(worker: int) -> None:  # noqa: ARG001
    """Make a data worker deaf to Ctrl-C, which reaches the whole group: its parent tells it when to end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


@contextmanager
def launch(device: str, precision: str, accumulate: int) -> Iterator[Accelerator]:
    """Join the launcher's processes, where `cuda` is each one's own GPU, or be the only one. `UsageError` where the
    device is not there, `RecipeError` where it cannot compute in this precision."""
    chosen = choose_device(device)
    on_cpu = chosen.type == "cpu"
    if precision == "fp16" and on_cpu:
        raise RecipeError("train.precision = 'fp16' needs a GPU; use --set train.precision=fp32 or bf16 on a CPU")
    if on_cpu:
        keep_freed_memory()
    elif chosen.index is not None and "LOCAL_RANK" not in os.environ:
        torch.cuda.set_device(chosen)  # Accelerate takes the current GPU where no launcher gives it one.
    accelerator = Accelerator(
        cpu=on_cpu,
        mixed_precision="no" if precision == "fp32" else precision,
        gradient_accumulation_steps=accumulate,
        dataloader_config=DataLoaderConfiguration(split_batches=True, even_batches=False, non_blocking=True),
        rng_types=[],
        kwargs_handlers=[InitProcessGroupKwargs(timeout=_PATIENCE)],
    )
    try:
        with repeatable() if on_cpu else nullcontext():
            yield accelerator
    finally:
        accelerator.free_memory()
        # Another run in this process may want another precision.
        GradientState._reset_state()
        AcceleratorState._reset_state(reset_partial_state=accelerator.num_processes == 1)


@contextmanager
def moved_early(optimiser: Any, method: nn.Module, at_once: int = 2**25) -> Iterator[None]:
    """Inside, weights move on the way back whenever gradients of `at_once` bytes are whole (so many hide what a call of
    the optimiser costs), so never all are held; the caller's own step moves the rest. The same step to the last bit,
    where nothing needs all gradients together, or reads a weight again on the way back."""
    waiting = 0

    def whole(parameter: Tensor) -> None:
        nonlocal waiting
        assert parameter.grad is not None
        waiting += parameter.grad.nbytes
        if waiting >= at_once:
            optimiser.step()
            optimiser.zero_grad()
            waiting = 0

    trained = [parameter for parameter in method.parameters() if parameter.requires_grad]
    hooks = [parameter.register_post_accumulate_grad_hook(whole) for parameter in trained]  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


class Engine:
    """A method, its optimiser and batches of `pairs` that `collate` puts together, ready to train as the recipe says.
    `RecipeError` where they cannot be drawn, or cut into equal parts for all processes, or where the method cannot be
    trained by `sampler.chunk`."""

    def __init__(
        self, accelerator: Accelerator, method: Method, pairs: Any, collate: Callable[..., Any], recipe: Recipe
    ) -> None:
        self.sampler, batch = EpochSampler(recipe.sampler, pairs.identities, recipe.seed), recipe.sampler.batch
        if batch % accelerator.num_processes:
            parts = f"{accelerator.num_processes} equal parts, one for each process"
            raise RecipeError(f"sampler.batch = {batch} cannot be cut into {parts}")
        loader = DataLoader[Any](
            pairs,
            batch_sampler=self.sampler,
            num_workers=recipe.data.workers,
            collate_fn=collate,
            worker_init_fn=leave_signals_to_parent,
            persistent_workers=recipe.data.workers > 0,
            pin_memory=accelerator.device.type == "cuda",
            generator=torch.Generator().manual_seed(recipe.seed),
        )
        # Optimisers are made after the move, so that they hold the parameters that are trained.
        self.accelerator, self.method = accelerator, method.to(accelerator.device)
        self.schedule, self.optim, chunk = recipe.schedule, recipe.optim, recipe.sampler.chunk
        losses, optimiser = _Losses(method, chunk), build_optimiser(method, self.optim)
        self._losses, self._optimiser, self._loader = accelerator.prepare(losses, optimiser, loader)
        alone = accelerator.num_processes == 1 and accelerator.scaler is None and chunk is None
        self._early = alone and self.optim.clip is None and self.optim.accumulate == 1

    def steps(self, epoch: int) -> int:
        """Optimiser steps in `epoch`."""
        self.sampler.epoch = epoch
        return math.ceil(len(self.sampler) / self.optim.accumulate)

    def run_epoch(self, epoch: int, step: int) -> Iterator[dict[str, Any]]:
        """Train one epoch, from 1, that begins after so many optimiser steps; tells what each was like: its `step` over
        the whole run, the `epoch`, the `learning_rate` of a group with scale 1, and the numbers of `mean`.
        `LossNotFinite`: a loss or a weight became NaN or infinite; `ImageUnreadable`: an image cannot be decoded."""
        steps = self.steps(epoch)
        self.method.train()
        parts: list[Mapping[str, Any]] = []
        for number, batch in enumerate(self._loader):
            taken = number // self.optim.accumulate + 1
            rate = partial(learning_rate, self.schedule, epoch=epoch, step=taken, steps=steps)
            set_learning_rate(self._optimiser, rate)
            part = number % self.optim.accumulate
            progress = Progress(step + taken, epoch, steps, self.schedule.epochs, part, self.sampler.seed)
            with moved_early(self._optimiser, self.method) if self._early else nullcontext():
                terms = self._batch(batch, progress)
            values = {name: value.item() for name, value in terms.terms.items()}
            parts.append({"loss": terms.total.item(), "terms": values, "logs": terms.logs})
            if self.accelerator.sync_gradients:
                told = {"step": step + taken, "epoch": epoch, "learning_rate": rate(self.optim.learning_rate)}
                yield told | mean(parts)
                parts.clear()
        # Nobody goes on from, and no checkpoint is written of, weights that the last step spoilt.
        for name, tensor in self.method.state_dict().items():
            if tensor.is_floating_point() and not torch.isfinite(tensor).all():
                raise LossNotFinite(f"epoch {epoch}: '{name}' is not finite after its last step. {_REMEDY}")

    def _batch(self, batch: Batch | ImageUnreadable, progress: Progress) -> LossTerms:
        """Add one batch's gradients; take a step when enough have come together."""
        if isinstance(batch, ImageUnreadable):
            raise ImageUnreadable(batch.path, f"{batch.reason}; {REMEDY}")
        with self.accelerator.accumulate(self._losses):
            terms: LossTerms = self._losses(batch, progress)
            total = terms.total
            if not torch.isfinite(total):
                values = ", ".join(f"{name} = {value.item():.6g}" for name, value in terms.terms.items())
                at = f"step {progress.step}, epoch {progress.epoch}"
                raise LossNotFinite(f"{at}: the loss is not finite ({values}). {_REMEDY}")
            self.accelerator.backward(total)
            if self.optim.clip is not None and self.accelerator.sync_gradients:
                self.accelerator.clip_grad_norm_(self.method.parameters(), self.optim.clip)
            self._optimiser.step()
            self._optimiser.zero_grad()
        return terms

    def state(self) -> dict[str, Any]:
        """What `restore` needs, named as in `TrainingState`. All processes must call it."""
        scaler = self.accelerator.scaler
        return {
            "method": self.method.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "scaler": None if scaler is None else scaler.state_dict(),
            "random": gather_object([random_states(self.accelerator.device)]),
        }

    def restore(self, state: TrainingState) -> None:
        """Put back what `state` saw, but for random states when the number of processes changed."""
        self.method.load_state_dict(state.method)
        self._optimiser.load_state_dict(state.optimiser)
        if state.scaler is not None and self.accelerator.scaler is not None:
            self.accelerator.scaler.load_state_dict(state.scaler)
        if len(state.random) == self.accelerator.num_processes:
            restore_random_states(state.random[self.accelerator.process_index], self.accelerator.device)


class _Losses(nn.Module):
    """A method whose forward pass is its losses, as distributed wrappers want it."""

    def __init__(self, method: Method, chunk: int | None) -> None:
        super().__init__()
        if chunk is not None and not isinstance(method, SeparableMethod):
            told = f"sampler.chunk = {chunk}: the losses of {type(method).__name__} depend on more"
            raise RecipeError(f"{told} than each pair by itself; leave it out")
        self.method, self.chunk = method, chunk

    def forward(self, batch: Batch, progress: Progress) -> LossTerms:
        if self.chunk is not None and isinstance(self.method, SeparableMethod):
            return self.method.losses(batch, progress, self.chunk)
        return self.method.losses(batch, progress)

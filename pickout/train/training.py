"""A whole training run: from a recipe to the weights of the best epoch, going on after any interruption."""

import json
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from torch.utils.data import Dataset

from pickout.checkpoints.loaded_model import choose_device, choose_precision
from pickout.checkpoints.saved_model import WEIGHTS_FILE, save_model
from pickout.checkpoints.starting_weights import initialise
from pickout.data.batching import collate
from pickout.data.data_set import Split
from pickout.errors import ResumeMismatch
from pickout.evaluate.protocol import validate
from pickout.files import write_atomically
from pickout.methods.model import build_model
from pickout.train.display import Display
from pickout.train.engine import Engine, launch, mean
from pickout.train.material import FrozenPairs, Material, gather
from pickout.train.recipe import Recipe
from pickout.train.run_folder import SUMMARY, Checkpoints, Journal, TrainingState, claim, read_summary, training_in

_AUTOCAST = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


def train(recipe: Recipe, folder: Path, *, device: str = "auto", display: Display | None = None) -> dict[str, Any]:
    """Train a model, or go on with a run that was interrupted; on a CPU it ends with bit-equal weights all the same.

    The run `folder` is made if it is not there. It gets `recipe.toml`, `tokenizer.json`, `model.toml`,
    `model.safetensors` (the chosen epoch), `checkpoints/`, `metrics.jsonl` and, at the end, `summary.json`, whose
    content is returned. `device` is as for `pickout.load`, and `display` shows what goes on. `RecipeError`: settings
    that do not fit the data, the device or each other; `DataError`: the data set cannot be used; `ResumeMismatch`: the
    folder holds a run of another recipe, or the data changed since; `TrainingError`: the folder is in use or no run
    folder; `LossNotFinite`, `StorageFull`: after these the last checkpoint stays."""
    # The run's folder remembers where its data lie, and will be asked from another place.
    recipe = recipe.model_copy(update={"data": recipe.data.model_copy(update={"root": recipe.data.root.absolute()})})
    if recipe.train.precision == "auto":
        # The run's folder remembers in which it was computed: on another machine it must not go on in the other.
        chosen = choose_precision("auto", choose_device(device))
        recipe = recipe.model_copy(update={"train": recipe.train.model_copy(update={"precision": chosen})})
    with launch(device, recipe.train.precision, recipe.optim.accumulate) as accelerator, ExitStack() as stack:
        shown = display if display is not None and accelerator.is_main_process else Display()
        stack.callback(shown.close)
        interruption = Interruption()
        stack.enter_context(interruption.listening())
        if accelerator.is_main_process:
            stack.enter_context(training_in(folder))
            claim(folder, recipe)
        accelerator.wait_for_everyone()
        if (finished := read_summary(folder)) is not None:
            shown.say(f"{folder}: this run is finished; remove the folder or give another --out to train again")
            shown.event("done", finished)
            return finished
        with accelerator.main_process_first():
            material = gather(recipe, folder, shown)
        run = _Run(recipe, folder, accelerator, material, shown)
        if run.journal is not None:
            stack.callback(run.journal.close)
        return run.go(interruption)


class Interruption:
    """Turns Ctrl-C and requests to terminate into `KeyboardInterrupt`, at once or, inside `deferred`, when `check` is
    called. A second signal is always heard at once. Outside the main thread nothing is changed."""

    def __init__(self) -> None:
        self._waits, self._asked = False, False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Hear the signals until the block ends."""
        with ExitStack() as stack:
            if threading.current_thread() is threading.main_thread():
                for number in (signal.SIGINT, signal.SIGTERM):
                    stack.callback(signal.signal, number, signal.signal(number, self._hear))
            yield

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Put the first signal off until `check`, or the end of the block."""
        self._waits = True
        try:
            yield
        finally:
            self._waits = False
        self.check()

    def check(self) -> None:
        """Stop here, with `KeyboardInterrupt`, if a signal came."""
        if self._asked:
            raise KeyboardInterrupt

    def _hear(self, *_: object) -> None:
        if self._asked or not self._waits:
            raise KeyboardInterrupt
        self._asked = True


class _Run:
    """The epochs of one run on one process."""

    def __init__(
        self, recipe: Recipe, folder: Path, accelerator: Accelerator, material: Material, display: Display
    ) -> None:
        self.recipe, self.folder, self.accelerator = recipe, folder, accelerator
        self.material, self.display = material, display
        self.selected_on = "last epoch" if material.selection is None else material.selection.name
        self.checkpoints = Checkpoints(folder, keep=recipe.train.keep, tell=display.say)
        self.data = material.pairs.fingerprint()
        state = self.checkpoints.newest()
        if state is None and (folder / WEIGHTS_FILE).exists():
            display.say(f"{folder}: no checkpoint is there to go on from: training begins anew and replaces the model")
        if state is not None and state.data != self.data:
            raise ResumeMismatch(f"{folder}: the training data changed meanwhile; put it back or give another --out")
        if recipe.train.precision == "bf16" and choose_precision("auto", accelerator.device) == "fp32":
            display.say("this CPU has no bf16 of its own, which is many times slower than --set train.precision=fp32")
        set_seed(recipe.seed)
        self.method = build_model(recipe.model, material.tokenizer, material.identities, source=recipe.name)
        if state is not None:  # what is frozen is asked for its features before the rest goes on
            self.method.load_state_dict(state.method)
        elif recipe.train.initial is not None:
            display.say(initialise(self.method, recipe.train.initial, recipe.train.initial_queues).summary())
        pairs: Dataset[Any] = material.pairs
        if recipe.data.copies:
            features = recipe.data.features or folder / "features"
            tell = lambda what, done, total: display.say(f"frozen part of {what}: {done} of {total}")  # noqa: E731
            pairs = FrozenPairs(material.pairs, self.method, features, recipe.data, tell)
        self.engine = Engine(accelerator, self.method, pairs, partial(collate, mask=material.tokenizer.mask), recipe)
        self.done, self.step, self.seconds = 0, 0, 0.0
        self.best: dict[str, Any] | None = None
        if state is not None:
            self.engine.restore(state)
            if len(state.random) != (processes := accelerator.num_processes):
                display.say(f"the run had {len(state.random)} processes, now {processes}: it goes on, not bit for bit")
            self.done, self.step, self.seconds, self.best = state.epoch, state.step, state.seconds, state.best
        elif material.selection is not None:
            # What fails in a validation fails before the first step.
            described = [record for record in material.selection.images if record.captions]
            self._validate(replace(material.selection, images=tuple(described[:2])))
        length = 0 if state is None else state.journal
        self.journal = Journal(folder, length=length) if accelerator.is_main_process else None
        self.began = time.monotonic()

    def go(self, interruption: Interruption) -> dict[str, Any]:
        """Train the epochs that are left and write the summary."""
        epochs = self.recipe.schedule.epochs
        try:
            self._begin(self.done + 1)
            for epoch in range(self.done + 1, epochs + 1):
                self._epoch(epoch, interruption)
        except KeyboardInterrupt:
            start = f"goes on after epoch {self.done}" if self.done else "starts again"
            self.display.say(f"stopped in epoch {min(self.done + 1, epochs)}; the same command {start}")
            raise
        summary = {
            "name": self.recipe.name,
            "epochs": epochs,
            "steps": self.step,
            "seconds": round(self._seconds(), 1),
            "parameters": sum(parameter.numel() for parameter in self.method.parameters()),
            "pairs": len(self.material.pairs),
            "identities": self.material.identities,
            "selected_on": self.selected_on,
            "best": self.best,
        }
        if self.accelerator.is_main_process:
            told = json.dumps(summary, indent=2, ensure_ascii=False) + "\n"
            write_atomically(self.folder / SUMMARY, told)
        self.accelerator.wait_for_everyone()
        self.display.event("done", summary)
        return summary

    def _begin(self, first: int) -> None:
        for wrong in self.material.quarantine:
            self._note("quarantine", image=str(wrong.path), reason=wrong.reason)
        pairs, people, epochs = len(self.material.pairs), self.material.identities, self.recipe.schedule.epochs
        count = self.accelerator.num_processes
        where = self.accelerator.device.type + (f", {count} processes" if count > 1 else "")
        if first == 1:
            self._note("start", pairs=pairs, identities=people, epochs=epochs)
            self.display.say(f"training on {pairs} pairs of {people} people on {where}")
        else:
            self._note("resume", epoch=first)
            self.display.say(f"going on after epoch {first - 1} of {epochs} on {where}")
        self.display.progress(self.step, self._expected(first), "training")

    def _expected(self, epoch: int) -> int:
        """Steps of the whole run, if all epochs from `epoch` on are as long as that one."""
        left = self.recipe.schedule.epochs - epoch + 1
        return self.step + (self.engine.steps(epoch) * left if left else 0)

    def _epoch(self, epoch: int, interruption: Interruption) -> None:
        rows, recent, expected = list[Any](), list[Any](), self._expected(epoch)
        last = self.step + self.engine.steps(epoch)
        with interruption.deferred():
            for told in self.engine.run_epoch(epoch, self.step):
                rows.append(told)
                recent.append(told)
                self.display.progress(told["step"], expected, f"epoch {epoch}  loss {told['loss']:.3f}")
                if told["step"] % self.recipe.train.log_every == 0 or told["step"] == last:
                    self._note("step", **told | mean(recent))
                    recent.clear()
                interruption.check()
            self.step = last
        means = mean(rows)
        self.display.progress(self.step, self._expected(epoch + 1), f"epoch {epoch}  loss {means['loss']:.3f}")
        self._end_epoch(epoch, means, interruption)

    def _end_epoch(self, epoch: int, means: dict[str, Any], interruption: Interruption) -> None:
        """Validate, keep the weights if they are the best so far, and write the checkpoint. In this order, so that a
        kill in between leads back to the start of the epoch."""
        recipe, selection = self.recipe, self.material.selection
        due = epoch == recipe.schedule.epochs or epoch % recipe.train.validate_every == 0
        metrics = self._validate(selection) if due and selection is not None else None
        name, best = recipe.train.metric, self.best
        better = metrics is not None and (best is None or metrics[name] > best["metrics"][name])
        chosen = selection is None or better
        if chosen:
            self.best = {"epoch": epoch, "metrics": metrics or {}}
        told = {} if metrics is None else {"metrics": metrics, "split": self.selected_on}
        self._note("epoch", epoch=epoch, step=self.step, **means, chosen=chosen, **told)
        state = self.engine.state()
        if self.journal is not None:
            if chosen:
                tokenizer, people = self.material.tokenizer, self.material.identities
                save_model(self.folder, self.method, tokenizer, recipe.model, identities=people, name=recipe.name)
            state |= {"best": self.best, "journal": self.journal.sync(), "data": self.data, "seconds": self._seconds()}
            with interruption.deferred():  # whoever is told where the run goes on is told the truth
                self.checkpoints.save(TrainingState(epoch, self.step, **state))
                self.done = epoch
        self.accelerator.wait_for_everyone()

    def _validate(self, split: Split) -> dict[str, float]:
        """Measures on a split; all processes share the work and get equal numbers."""
        autocast, tokenizer = _AUTOCAST[self.recipe.train.precision], self.material.tokenizer
        return validate(self.method, split, tokenizer, self.recipe.model.image, autocast=autocast)

    def _note(self, event: str, **fields: Any) -> None:
        if self.journal is not None:
            fields["seconds"] = round(self._seconds(), 3)
            self.journal.write(event, **fields)
        if event != "step":
            self.display.event(event, fields)

    def _seconds(self) -> float:
        return self.seconds + time.monotonic() - self.began

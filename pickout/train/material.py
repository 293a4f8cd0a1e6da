"""From a recipe to what training works on: splits, tokenizer, training pairs, and features of these (`data.copies`).

A few changed copies of each image go through a frozen tower once, before training, and each caption where the text
tower has a frozen part too; what they become lies in memory-mapped files, which runs can share; writing goes on after a
stop."""

import fcntl
import json
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.utils.data import Dataset

from pickout.checkpoints.loaded_model import choose_precision, digest_of
from pickout.checkpoints.named_weights import PACKAGES
from pickout.checkpoints.saved_model import SETTINGS_FILE, TOKENIZER_FILE, read_tokenizer
from pickout.checkpoints.source import find_tokenizer, resolve
from pickout.data.batching import Draw, Example, token_batch
from pickout.data.data_set import DataSet, Split
from pickout.data.registry import open_data
from pickout.data.training_pairs import REMEDY, DataSettings, TrainingPairs, readable, require_files, with_captions
from pickout.data.transforms import augment
from pickout.errors import ImageUnreadable, RecipeError, ResumeMismatch
from pickout.evaluate.candidates import Tell
from pickout.evaluate.embeddings import check_split, find_split
from pickout.files import atomic_path, beside, read_text, write_atomically
from pickout.methods import METHODS
from pickout.methods.base import Method
from pickout.methods.model import method_settings
from pickout.nn.frozen import KEPT_IMAGE, KEPT_TEXT, MultiStageTower, SentenceTower
from pickout.shapes import TokenBatch
from pickout.text.build import build_tokenizer
from pickout.text.familiarity import LEARNT, learnt_words
from pickout.text.tokenizer import Tokenizer
from pickout.train.display import Display
from pickout.train.recipe import Recipe

_THREADS = min(8, os.cpu_count() or 1)
BATCH = 64  # images or captions that go through a frozen tower at a time
SAMPLE = 900  # changed images, and captions, from which the reductions take their statistics
_STREAM = 3  # keeps the copies' random streams apart from those of sampler and items


@dataclass(frozen=True, slots=True)
class Material:
    """What a run trains on."""

    tokenizer: Tokenizer
    pairs: TrainingPairs
    identities: int  # people that the training split shows, those with unreadable images included
    selection: Split | None  # chooses the best epoch; None where the last epoch counts
    quarantine: list[ImageUnreadable]  # images that were left out, when the recipe allows that


def gather(recipe: Recipe, folder: Path, display: Display) -> Material:
    """Read the data set, make the tokenizer or read that in the run's folder, and check the images. `DataError`: they
    cannot be used; `RecipeError`: the tokenizer cannot be made."""
    data, skip = open_data(recipe.data.name, recipe.data.root), recipe.data.skip_unreadable
    for note in data.notes:
        display.say(f"{data.root}: {note}")
    chooser = data if recipe.data.validation is None else open_data(recipe.data.name, recipe.data.validation)
    train, selection = find_split(data, "train"), _selection(recipe, chooser, display)
    tokenizer, identities = _tokenizer(recipe, folder, train), train.identities
    _list_words(recipe, folder, train)
    train = with_captions(train)
    quarantine: list[ImageUnreadable] = []
    if skip:
        display.say(f"opening {len(train.images)} training images to leave out those that cannot be read")
        train, quarantine = readable(train, threads=_THREADS)
    else:
        require_files(train, REMEDY)
    if selection is not None:
        selection, wrong = _readable_selection(selection, display, skip=skip)
        quarantine += wrong
    if skip:
        display.say(f"{len(quarantine)} images left out{'; the journal names them' if quarantine else ''}")
    name, method = method_settings(recipe.model, source=recipe.name, prefix="model.method")
    augmentation = recipe.augmentation, recipe.caption_augmentation
    pairing = METHODS[name].pairing(method)
    pairs = TrainingPairs(train, tokenizer, recipe.model.image, augmentation, recipe.seed, pairing)
    if recipe.data.cache:
        display.say(f"reading {len(train.images)} training images into memory")
        pairs.fill_cache(threads=_THREADS)
    return Material(tokenizer, pairs, identities, selection, quarantine)


def _readable_selection(split: Split, display: Display, *, skip: bool) -> tuple[Split, list[ImageUnreadable]]:
    """The validation split, all of its images opened: what is wrong with it would else be told after an epoch."""
    if not skip:
        check_split(split)
    display.say(f"opening {len(split.images)} images of split '{split.name}' to make sure that they can be read")
    kept, wrong = readable(split, threads=_THREADS)
    if wrong and not skip:
        count = f"{len(wrong)} of {len(split.images)} images of split '{split.name}'"
        reason = f"{wrong[0].reason}; {count}, which chooses the epoch, cannot be read; {REMEDY}"
        raise ImageUnreadable(wrong[0].path, reason)
    check_split(kept)
    return kept, wrong


def _selection(recipe: Recipe, data: DataSet, display: Display) -> Split | None:
    select = recipe.train.select
    if select == "last":
        return None
    if select == "val" and "val" not in data.splits:
        display.say(f"{data.name} has no validation split: the last epoch will be kept, not the best")
        return None
    if select == "test":
        display.say("the epoch is chosen on the test split, as published numbers are; its numbers there flatter")
    return find_split(data, select)


def _tokenizer(recipe: Recipe, folder: Path, train: Split) -> Tokenizer:
    """The run's own; else that of the pretrained towers; else what the recipe says."""
    file = folder / TOKENIZER_FILE
    if file.exists():
        return read_tokenizer(folder)
    settings, given = recipe.model.tokenizer, recipe.train.initial
    sources = [resolve(one) for one in ((given,) if isinstance(given, str) else given or ())]
    if sources and all((sources[0] / name).exists() for name in (TOKENIZER_FILE, SETTINGS_FILE)):
        tokenizer = read_tokenizer(sources[0])
    elif sources and settings.kind != "trained" and settings.file is None:
        tokenizer = find_tokenizer(sources, settings)
    else:
        tokenizer = build_tokenizer(settings, (caption for record in train.images for caption in record.captions))
    write_atomically(file, tokenizer.to_json())
    return tokenizer


def _list_words(recipe: Recipe, folder: Path, train: Split) -> None:
    """The list of the words that the captions teach; none where the starting weights may have been taught others."""
    initial = recipe.train.initial
    words = set(learnt_words(caption for record in train.images for caption in record.captions))
    for one in (initial,) if isinstance(initial, str) else initial or ():
        # What comes as a package has seen pictures or sentences, but never what a word looks like.
        if one not in PACKAGES:
            before = beside(resolve(one), LEARNT)
            if not before.exists():
                return
            words |= set(read_text(before).split())
    write_atomically(folder / LEARNT, "\n".join(sorted(words)) + "\n")


class FrozenPairs(Dataset[Example | ImageUnreadable]):
    """The pairs of `pairs` as the frozen parts of `method` see them, in so many changed `copies` of each image. The
    features lie in `folder`, or come to be there; the method's reductions are set, or read from it. An example lacks a
    share `forget` of image tokens and of words: they are at the mean of all, which is zero. `RecipeError`: no frozen
    image tower, or words to forget and no frozen text tower; `ResumeMismatch`: the folder holds other features."""

    def __init__(self, pairs: TrainingPairs, method: Method, folder: Path, data: DataSettings, tell: Tell) -> None:
        copies, forget = self.copies, self.forget = data.copies, data.forget
        self.pairs, self.identities = pairs, pairs.identities
        vision, text = method.get_submodule("vision"), method.get_submodule("text")
        if not isinstance(vision, MultiStageTower):
            remedy = "set data.copies = 0, or model.vision.kind = 'lite0' or 'lite0_vit'"
            raise RecipeError(f"data.copies = {copies}: no part of this image tower is frozen; {remedy}")
        if forget and not isinstance(text, SentenceTower):
            raise RecipeError(f"data.forget = {forget}: words are forgotten behind model.text.kind = 'sentence' alone")
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / ".lock").open("w") as lock:
            # Runs that share the folder and begin together wait here for the first, which fills it.
            with suppress(OSError):  # of a file system without locks
                fcntl.flock(lock, fcntl.LOCK_EX)
            self._fill(folder, vision, text, tell)

    def _fill(self, folder: Path, vision: MultiStageTower, text: nn.Module, tell: Tell) -> None:
        self._claim(folder, vision, text)
        # bfloat16 changes a token by less than any of the image changes does; where the CPU has it, in half the time.
        native = choose_precision("auto", torch.device("cpu")) == "bf16"
        with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=native):
            self._fit(folder, vision, text)
            pairs = self.pairs
            shape = (len(pairs.files), vision.grid[0] * vision.grid[1], KEPT_IMAGE)
            order = np.arange(len(pairs.files))
            self._images = []
            for copy in range(self.copies):
                see = lambda places, copy=copy: vision.frozen(self._views(places, copy))  # noqa: E731
                self._images.append(_filled(folder / f"images-{copy}.npy", shape, order, see, tell))
            self._captions: NDArray[np.float16] | None = None
            if isinstance(text, SentenceTower):
                # Batches of captions of like length.
                order = np.argsort(pairs.mask(pairs.ids.astype(np.int64)).sum(axis=1), kind="stable")
                shape, read = (len(pairs), text.context, KEPT_TEXT), lambda items: text.frozen(self._texts(items))
                self._captions = _filled(folder / "captions.npy", shape, order, read, tell)

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, draw: Draw) -> Example | ImageUnreadable:
        chance = np.random.default_rng([_STREAM, self.pairs.seed, draw.epoch, draw.place])
        if self._captions is None:
            return self.pairs.example(draw.item, lambda: torch.from_numpy(self._seen(draw.item, chance)), chance)
        seen, states = self._seen(draw.item, chance), self._captions[draw.item].astype(np.float32)
        seen[chance.random(len(seen)) < self.forget] = 0.0
        states[1:][chance.random(len(states) - 1) < self.forget] = 0.0
        ids, identity = self.pairs.ids_of(draw.item), self.identities[draw.item]
        return Example(torch.from_numpy(seen), ids, identity, states=torch.from_numpy(states))

    def _seen(self, item: int, chance: np.random.Generator) -> NDArray[np.float32]:
        """One copy of a pair's image, drawn by `chance`. Shape: (tokens, kept)."""
        copy = int(chance.integers(self.copies))
        seen: NDArray[np.float32] = self._images[copy][self.pairs.image_of[item]].astype(np.float32)
        return seen

    def _claim(self, folder: Path, vision: MultiStageTower, text: nn.Module) -> None:
        """Mark the folder as holding these features, or find that it does."""
        trunks = vision.trunk.state_dict() | (text.trunk.state_dict() if isinstance(text, SentenceTower) else {})
        wanted = {
            "data": self.pairs.fingerprint(captions=isinstance(text, SentenceTower)),
            "image": self.pairs.image.model_dump(mode="json"),
            "augmentation": self.pairs.augmentation.model_dump(mode="json"),
            "weights": digest_of(trunks),
        }
        file = folder / "features.json"
        if not file.exists():
            write_atomically(file, json.dumps(wanted, indent=1))
        found = json.loads(file.read_text(encoding="utf-8"))
        if wrong := [key for key, value in wanted.items() if found.get(key) != value]:
            raise ResumeMismatch(f"{folder}: holds features of other {' and '.join(wrong)}; give another data.features")

    def _fit(self, folder: Path, vision: MultiStageTower, text: nn.Module) -> None:
        file = folder / "reductions.safetensors"
        reductions = nn.ModuleDict({"vision": vision.reduction})
        if isinstance(text, SentenceTower):
            reductions["text"] = text.reduction
        if not file.exists():
            places = np.random.default_rng(_STREAM).permutation(len(self.pairs.files))[:SAMPLE]
            stages = [vision.stages(self._views(some, 0)) for some in _batches(places)]
            vision.reduction.fit(torch.cat(stages).flatten(0, 1))
            if isinstance(text, SentenceTower):
                items = np.random.default_rng(_STREAM).permutation(len(self.pairs))[:SAMPLE]
                texts = [self._texts(some) for some in _batches(items)]
                text.reduction.fit(torch.cat([text.states(some)[some.mask] for some in texts]))
            with atomic_path(file) as temporary:
                save_file(reductions.state_dict(), temporary)
        reductions.load_state_dict(load_file(file))

    def _views(self, places: NDArray[np.int64], copy: int) -> Tensor:
        """Images, changed: a function of place and copy alone, so that runs of other seeds share it."""
        views = []
        for place in places.tolist():
            chance = np.random.default_rng([_STREAM, copy, place])
            changed = self.pairs.changed(place, chance)
            views.append(augment(changed, self.pairs.image, self.pairs.augmentation, chance))
        return torch.stack(views)

    def _texts(self, items: NDArray[np.int64]) -> TokenBatch:
        return token_batch([self.pairs.ids_of(int(item)) for item in items], self.pairs.mask)


def _batches(places: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    return [places[start : start + BATCH] for start in range(0, len(places), BATCH)]


def _filled(
    file: Path, shape: tuple[int, ...], order: NDArray[np.int64], compute: Callable[..., Tensor], tell: Tell
) -> NDArray[np.float16]:
    """A memory-mapped array of `compute`'s rows, made in `order`; goes on where an earlier call was stopped."""
    part, done = file.with_suffix(".part"), file.with_suffix(".done")
    if not file.exists():
        begun = int(done.read_text()) if part.exists() and done.exists() else 0
        rows = np.lib.format.open_memmap(part, "r+" if begun else "w+", np.float16, None if begun else shape)
        for places in _batches(order[begun:]):
            rows[places] = compute(places).half().numpy()
            begun += len(places)
            if begun == shape[0] or begun // BATCH % 20 == 0:
                rows.flush()
                write_atomically(done, str(begun), durable=False)
                tell(file.stem, begun, shape[0])
        part.replace(file)
        done.unlink(missing_ok=True)
    held: NDArray[np.float16] = np.load(file, mmap_mode="r")
    return held

"""From a recipe to what training works on: splits, tokenizer, training pairs."""

import os
from dataclasses import dataclass
from pathlib import Path

from pickout.checkpoints.run_folder import SETTINGS_FILE, TOKENIZER_FILE, read_tokenizer
from pickout.checkpoints.source import resolve
from pickout.checkpoints.tokenizer_files import find_tokenizer
from pickout.data.records import DataSet, Split
from pickout.data.registry import open_data
from pickout.data.training import Augmentation, TrainingPairs, readable, require_files, with_captions
from pickout.errors import DataError, ImageUnreadable
from pickout.files import write_atomically
from pickout.methods import METHODS
from pickout.methods.model import method_settings
from pickout.text.build import build_tokenizer
from pickout.text.tokenizer import Tokenizer
from pickout.train.display import Display
from pickout.train.recipe import Recipe

_THREADS = min(8, os.cpu_count() or 1)


@dataclass(frozen=True, slots=True)
class Material:
    """What a run trains on.

    Args:
        tokenizer: the run's own.
        pairs: the training items.
        identities: how many people the training split shows, those with unreadable images included.
        selection: the split that chooses the best epoch, or None where the last epoch counts.
        quarantine: images that were left out, when the recipe allows that.
    """

    tokenizer: Tokenizer
    pairs: TrainingPairs
    identities: int
    selection: Split | None
    quarantine: list[ImageUnreadable]


def gather(recipe: Recipe, folder: Path, display: Display) -> Material:
    """Read the data set, make the tokenizer or read the run's, and check the images.

    Args:
        recipe: what to train.
        folder: the run folder; its tokenizer is used, or made there.
        display: told what takes time.

    Raises:
        DataError: the data set cannot be used; images are missing or cannot be read.
        RecipeError: the tokenizer cannot be made.
    """
    data = open_data(recipe.data.name, recipe.data.root)
    train, selection = _split(data, "train"), _selection(recipe, data, display)
    quarantine: list[ImageUnreadable] = []
    tokenizer = _tokenizer(recipe, folder, train)
    identities = train.identities
    train = with_captions(train)
    if recipe.data.skip_unreadable:
        display.say(f"opening {len(train.images)} training images to leave out those that cannot be read")
        train, wrong = readable(train, threads=_THREADS)
        quarantine += wrong
        if selection is not None:
            selection, wrong = readable(selection, threads=_THREADS)
            quarantine += wrong
        display.say(f"{len(quarantine)} images left out; the journal names them")
    else:
        for split in filter(None, (train, selection)):
            require_files(split)
    augmentation = Augmentation(recipe.augmentation, recipe.caption_augmentation)
    name, method = method_settings(recipe.model, source=recipe.name, prefix="model.method")
    pairing = METHODS[name].pairing(method)
    pairs = TrainingPairs(train, tokenizer, recipe.model.image, augmentation, recipe.seed, pairing)
    if recipe.data.cache:
        display.say(f"reading {len(train.images)} training images into memory")
        pairs.fill_cache(threads=_THREADS)
    return Material(tokenizer, pairs, identities, selection, quarantine)


def _split(data: DataSet, name: str) -> Split:
    if name not in data.splits:
        raise DataError(
            f"{data.root}: {data.name} has no split '{name}' here (it has {', '.join(sorted(data.splits))})"
        )
    return data.splits[name]


def _selection(recipe: Recipe, data: DataSet, display: Display) -> Split | None:
    if recipe.train.select == "last":
        return None
    if recipe.train.select == "val" and "val" not in data.splits:
        display.say(f"{data.name} has no validation split: the last epoch will be kept, not the best")
        return None
    if recipe.train.select == "test":
        display.say("the epoch is chosen on the test split, as published numbers are; its numbers there flatter")
    return _split(data, recipe.train.select)


def _tokenizer(recipe: Recipe, folder: Path, train: Split) -> Tokenizer:
    """The run's own; else that of the pretrained towers; else what the recipe says."""
    file = folder / TOKENIZER_FILE
    if file.exists():
        return read_tokenizer(folder)
    settings, given = recipe.model.tokenizer, recipe.train.initial
    sources = [resolve(one) for one in ((given,) if isinstance(given, str) else given or ())]
    initial = sources[0] if sources else None
    if initial is not None and (initial / TOKENIZER_FILE).exists() and (initial / SETTINGS_FILE).exists():
        tokenizer = read_tokenizer(initial)
    elif initial is not None and settings.kind != "trained" and settings.file is None:
        tokenizer = find_tokenizer(sources, settings)
    else:
        captions = (caption for record in train.images for caption in record.captions)
        tokenizer = build_tokenizer(settings, captions)
    write_atomically(file, tokenizer.to_json())
    return tokenizer

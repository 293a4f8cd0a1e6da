"""From a recipe to what training works on: splits, tokenizer, training pairs."""

import os
from dataclasses import dataclass
from pathlib import Path

from pickout.checkpoints.named_weights import PACKAGES
from pickout.checkpoints.saved_model import SETTINGS_FILE, TOKENIZER_FILE, read_tokenizer
from pickout.checkpoints.source import find_tokenizer, resolve
from pickout.data.data_set import DataSet, Split
from pickout.data.registry import open_data
from pickout.data.training_pairs import REMEDY, TrainingPairs, readable, require_files, with_captions
from pickout.errors import ImageUnreadable
from pickout.evaluate.encoding import check_split, find_split
from pickout.files import beside, read_text, write_atomically
from pickout.methods import METHODS
from pickout.methods.model import method_settings
from pickout.text.build import build_tokenizer
from pickout.text.familiarity import LEARNT, learnt_words
from pickout.text.tokenizer import Tokenizer
from pickout.train.display import Display
from pickout.train.recipe import Recipe

_THREADS = min(8, os.cpu_count() or 1)


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

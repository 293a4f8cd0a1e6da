"""Whole runs of aga: its twin and queues go on after a stop, and its starting weights come from the release's files."""

import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from pickout.checkpoints.source import load
from pickout.errors import CheckpointError
from pickout.train.display import Display
from pickout.train.engine import Engine
from pickout.train.recipe import find_recipe, load_recipe
from pickout.train.training import train

sys.path.insert(0, str(Path(__file__).parents[1] / "checkpoints"))

from tiny_albef import FEED_FORWARD, JOINT, POSITIONS, QUEUE, TEXT, VISION, WORDS, albef_state

SMALL = (
    *("model.image.height=32", "model.image.width=16", "sampler.batch=16", "data.cache=true"),
    *("model.vision.layers=2", "model.vision.heads=2", f"model.vision.width={VISION}"),
    *("model.text.layers=2", "model.text.heads=1", f"model.text.width={TEXT}", "model.text.fusion_layers=2"),
    *(f"model.text.feed_forward={FEED_FORWARD}", f"model.text.positions={POSITIONS}", "model.tokenizer.context=32"),
    *(f"model.vision.embedding={JOINT}", f"model.text.embedding={JOINT}", f"model.method.queue={QUEUE}"),
    *("model.tokenizer.vocabulary_size=400", "model.method.candidates=4", "train.log_every=1"),
)


class Listening(Display):
    def __init__(self):
        self.said = []

    def say(self, message):
        self.said.append(message)


@pytest.fixture
def recipe(street):
    """Makes a small aga over the coloured street, with further `--set` values."""

    def make(*more):
        return load_recipe(find_recipe("aga-demo"), [f"data.root={street}", *SMALL, "schedule.epochs=2", *more])

    return make


@pytest.fixture
def albef(tmp_path):
    """ALBEF's pre-training file with random weights, and the tokenizer that belongs to it."""
    folder = tmp_path / "albef"
    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join(WORDS))
    torch.save({"model": albef_state(), "optimizer": {}, "epoch": 29}, folder / "ALBEF.pth")
    return folder / "ALBEF.pth"


def state_of(folder, epoch):
    return torch.load(folder / "checkpoints" / f"epoch-{epoch:04d}.pt", weights_only=True)["method"]


def same(one, two):
    assert one.keys() == two.keys()
    return all(torch.equal(one[name], two[name]) for name in one)


def test_an_interrupted_aga_goes_on_bit_for_bit_with_its_twin_and_queues(recipe, tmp_path, monkeypatch):
    settings = recipe("schedule.epochs=3")
    train(settings, tmp_path / "whole", device="cpu")
    real = Engine._batch

    def stop(engine, batch, progress):
        if progress.epoch == 2 and progress.step % progress.steps_per_epoch == 1:
            raise KeyboardInterrupt
        return real(engine, batch, progress)

    with monkeypatch.context() as patch:
        patch.setattr(Engine, "_batch", stop)
        with pytest.raises(KeyboardInterrupt):
            train(settings, tmp_path / "cut", device="cpu")
    train(settings, tmp_path / "cut", device="cpu")
    whole, cut = state_of(tmp_path / "whole", 3), state_of(tmp_path / "cut", 3)
    assert same(whole, cut)
    assert {"image_queue", "queue_pointer", "momentum.text.embeddings.words.weight", "replaced_head.bias"} <= set(whole)
    saved = [load_file(tmp_path / name / "model.safetensors") for name in ("whole", "cut")]
    assert same(*saved) and not any(key.startswith(("momentum.", "image_queue", "relation_head.")) for key in saved[0])


def test_an_aga_starts_from_albef_and_ends_as_a_run_that_looks_again(recipe, tmp_path, albef):
    settings = recipe("model.tokenizer.kind=wordpiece", f"train.initial={albef}", "schedule.epochs=1")
    told, run = Listening(), tmp_path / "run"
    train(settings, run, device="cpu", display=told)
    assert any(line.startswith("ALBEF: ") and "resized from 4x4 to 4x2 patches (bicubic)" in line for line in told.said)
    loaded = load(run, precision="fp32")
    loaded.report.require_complete()
    assert loaded.candidates == 4 and loaded.tokenizer.vocabulary_size == len(WORDS)
    assert loaded.tokenizer.special.end is None
    # One epoch has moved little: the weights are still near those of the file.
    words = albef_state()["text_encoder.bert.embeddings.word_embeddings.weight"]
    assert (loaded.method.state_dict()["text.embeddings.words.weight"] - words).abs().max() < 0.05
    again = recipe("model.tokenizer.kind=wordpiece", f"train.initial={run}", "schedule.epochs=1")
    train(again, tmp_path / "again", device="cpu", display=told)
    assert any(line.startswith("a run of Pickout: ") and "copied from the trained part" in line for line in told.said)


def test_a_vocabulary_that_is_nowhere_stops_before_training(recipe, tmp_path, albef, monkeypatch):
    monkeypatch.setenv("PICKOUT_WEIGHTS", str(tmp_path / "weights"))
    (albef.parent / "vocab.txt").unlink()
    with pytest.raises(CheckpointError, match=r"vocab\.txt is not beside it.*weights get bert-base-uncased"):
        train(recipe("model.tokenizer.kind=wordpiece", f"train.initial={albef}"), tmp_path / "run", device="cpu")

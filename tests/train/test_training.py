import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

import pickout.train.training as run_module
from pickout.checkpoints.saved_model import load_run
from pickout.checkpoints.source import load
from pickout.config import read_toml
from pickout.data.images import open_image
from pickout.errors import (
    CheckpointError,
    DataError,
    DataMissing,
    ImageUnreadable,
    LossNotFinite,
    RecipeError,
    ResumeMismatch,
    StorageFull,
    TrainingError,
)
from pickout.evaluate.evaluation_report import read_training
from pickout.train.display import Display
from pickout.train.engine import Engine
from pickout.train.run_folder import read_journal
from pickout.train.training import train


class Listening(Display):
    def __init__(self):
        self.said, self.events = [], []

    def say(self, message):
        self.said.append(message)

    def event(self, event, fields):
        self.events.append((event, dict(fields)))


def _weights(folder):
    return load_file(folder / "model.safetensors")


def _last_state(folder):
    newest = max((folder / "checkpoints").iterdir())
    return torch.load(newest, weights_only=True)


def _assert_equal(one, two):
    assert one.keys() == two.keys()
    for name in one:
        assert torch.equal(one[name], two[name]), name


def _stop_after(monkeypatch, epoch):
    """Ctrl-C in the middle of the epoch after `epoch`."""
    real = Engine._batch

    def interrupt(engine, batch, progress):
        if progress.epoch == epoch + 1 and progress.step % progress.steps_per_epoch == 0:
            raise KeyboardInterrupt
        return real(engine, batch, progress)

    monkeypatch.setattr(Engine, "_batch", interrupt)


def test_a_run_folder_holds_the_recipe_the_model_the_journal_and_the_summary(recipe, tmp_path):
    out = tmp_path / "run"
    summary = train(recipe(), out, device="cpu")
    names = {path.name for path in out.iterdir()}
    assert {
        "recipe.toml",
        "model.toml",
        "tokenizer.json",
        "model.safetensors",
        "metrics.jsonl",
        "summary.json",
    } <= names
    assert [path.name for path in sorted((out / "checkpoints").iterdir())] == ["epoch-0002.pt", "epoch-0003.pt"]
    assert summary == json.loads((out / "summary.json").read_text())
    lines = list(read_journal(out / "metrics.jsonl"))
    assert [line["event"] for line in lines if line["event"] != "step"] == ["start", "epoch", "epoch", "epoch"]
    steps = [line["step"] for line in lines if line["event"] == "step"]
    assert steps == list(range(1, summary["steps"] + 1))
    assert (summary["pairs"], summary["identities"], summary["epochs"]) == (48, 12, 3)


def test_the_last_step_of_an_epoch_has_a_line_however_few_have(recipe, tmp_path):
    summary = train(recipe("schedule.epochs=2", "train.log_every=1000"), tmp_path / "run", device="cpu")
    lines = list(read_journal(tmp_path / "run" / "metrics.jsonl"))
    steps, epochs = ([line for line in lines if line["event"] == event] for event in ("step", "epoch"))
    assert [(line["epoch"], line["step"]) for line in steps] == [(line["epoch"], line["step"]) for line in epochs]
    assert [line["loss"] for line in steps] == [line["loss"] for line in epochs]
    assert steps[-1]["step"] == summary["steps"]


def test_a_run_lists_the_words_that_it_learnt(recipe, tmp_path):
    settings = recipe("schedule.epochs=1")
    train(settings, tmp_path / "run", device="cpu")
    assert load_run(tmp_path / "run").familiarity("a tattoo with black").unknown == ("tattoo",)
    (tmp_path / "run" / "words.txt").write_text("tattoo\n")
    train(recipe("schedule.epochs=1", f"train.initial={tmp_path / 'run'}"), tmp_path / "next", device="cpu")
    assert load_run(tmp_path / "next").familiarity("a tattoo with black").unknown == ()
    (tmp_path / "run" / "words.txt").unlink()  # nothing tells what these weights learnt
    train(recipe("schedule.epochs=1", f"train.initial={tmp_path / 'run'}"), tmp_path / "third", device="cpu")
    assert load_run(tmp_path / "third").learnt is None


def test_the_model_in_the_folder_is_that_of_the_best_validated_epoch(recipe, tmp_path):
    settings = recipe("schedule.epochs=5", "optim.learning_rate=0.01", "train.keep=5")
    summary = train(settings, tmp_path / "run", device="cpu")
    epochs = [line for line in read_journal(tmp_path / "run" / "metrics.jsonl") if line["event"] == "epoch"]
    scores = [line["metrics"]["R@1"] for line in epochs]
    best = scores.index(max(scores)) + 1
    assert summary["best"]["epoch"] == best
    assert summary["selected_on"] == "val"
    state = torch.load(tmp_path / "run" / "checkpoints" / f"epoch-{best:04d}.pt", weights_only=True)
    _assert_equal(_weights(tmp_path / "run"), state["method"])
    image = open_image(settings.data.root / "imgs" / "cam_0" / "0001.png")
    loaded = load(tmp_path / "run", precision="fp32")
    assert loaded.encode_images([image]).shape == (1, loaded.dimension)


def test_training_learns_to_find_the_right_people(recipe, tmp_path):
    settings = recipe("schedule.epochs=40", "optim.learning_rate=0.003", "sampler.batch=24", "optim.epsilon=1e-8")
    summary = train(settings, tmp_path / "run", device="cpu")
    lines = [line for line in read_journal(tmp_path / "run" / "metrics.jsonl") if line["event"] == "epoch"]
    assert lines[-1]["loss"] < 0.5 * lines[0]["loss"]
    assert summary["best"]["metrics"]["R@1"] >= 50.0, "chance is 17"


@pytest.mark.parametrize("workers", [0, 2])
def test_an_interrupted_run_goes_on_bit_for_bit(recipe, tmp_path, monkeypatch, workers):
    settings = recipe("schedule.epochs=4", f"data.workers={workers}", "data.cache=false")
    train(settings, tmp_path / "whole", device="cpu")
    with monkeypatch.context() as patch:
        _stop_after(patch, 2)
        with pytest.raises(KeyboardInterrupt):
            train(settings, tmp_path / "cut", device="cpu")
    told = Listening()
    train(settings, tmp_path / "cut", device="cpu", display=told)
    assert any("going on after epoch 2 of 4" in message for message in told.said)
    _assert_equal(_weights(tmp_path / "cut"), _weights(tmp_path / "whole"))
    whole, cut = _last_state(tmp_path / "whole"), _last_state(tmp_path / "cut")
    _assert_equal(cut["method"], whole["method"])
    for number, moments in whole["optimiser"]["state"].items():
        _assert_equal(cut["optimiser"]["state"][number], moments)
    journals = [list(read_journal(tmp_path / name / "metrics.jsonl")) for name in ("whole", "cut")]
    plain = [[_without_time(line) for line in lines if line["event"] in ("step", "epoch")] for lines in journals]
    assert plain[0] == plain[1]


def _without_time(line):
    return {key: value for key, value in line.items() if key != "seconds"}


def test_a_truncated_newest_checkpoint_costs_one_epoch_and_nothing_else(recipe, tmp_path, monkeypatch):
    settings = recipe("schedule.epochs=4")
    train(settings, tmp_path / "whole", device="cpu")
    with monkeypatch.context() as patch:
        _stop_after(patch, 3)
        with pytest.raises(KeyboardInterrupt):
            train(settings, tmp_path / "cut", device="cpu")
    newest = tmp_path / "cut" / "checkpoints" / "epoch-0003.pt"
    newest.write_bytes(newest.read_bytes()[:-1000])
    told = Listening()
    train(settings, tmp_path / "cut", device="cpu", display=told)
    assert any("epoch-0003.pt: damaged" in message for message in told.said)
    assert any("going on after epoch 2" in message for message in told.said)
    _assert_equal(_last_state(tmp_path / "cut")["method"], _last_state(tmp_path / "whole")["method"])
    _assert_equal(_weights(tmp_path / "cut"), _weights(tmp_path / "whole"))
    steps = [line["step"] for line in read_journal(tmp_path / "cut" / "metrics.jsonl") if line["event"] == "step"]
    assert steps == sorted(set(steps))


def test_a_finished_run_says_so_and_is_left_alone(recipe, tmp_path):
    first = train(recipe(), tmp_path / "run", device="cpu")
    before = (tmp_path / "run" / "model.safetensors").stat().st_mtime_ns
    told = Listening()
    assert train(recipe(), tmp_path / "run", device="cpu", display=told) == first
    assert "this run is finished" in told.said[0]
    assert (tmp_path / "run" / "model.safetensors").stat().st_mtime_ns == before


@pytest.mark.parametrize("end", [b"garbled", b"\xff", b"[]", b'{"x": 1}', b"{}", b"null", b""])
def test_a_garbled_end_of_a_run_is_told_and_made_again_once_it_is_deleted(recipe, tmp_path, end):
    first = train(recipe(), tmp_path / "run", device="cpu")
    (tmp_path / "run" / "summary.json").write_bytes(end)
    with pytest.raises(TrainingError, match=r"summary.json: garbled; delete it, and the run goes on"):
        train(recipe(), tmp_path / "run", device="cpu")
    (tmp_path / "run" / "summary.json").unlink()
    assert train(recipe(), tmp_path / "run", device="cpu") | {"seconds": 0} == first | {"seconds": 0}


@pytest.mark.parametrize("lost", ["model.toml", "tokenizer.json", "model.safetensors"])
def test_a_finished_run_without_its_model_is_not_called_finished(recipe, tmp_path, lost):
    train(recipe(), tmp_path / "run", device="cpu")
    (tmp_path / "run" / lost).unlink()
    with pytest.raises(TrainingError, match=f"this run is finished, but its {lost} is gone; put it back"):
        train(recipe(), tmp_path / "run", device="cpu")


def test_a_run_that_lost_its_checkpoints_says_that_it_begins_anew(recipe, tmp_path):
    train(recipe(), tmp_path / "run", device="cpu")
    shutil.rmtree(tmp_path / "run" / "checkpoints")
    (tmp_path / "run" / "summary.json").unlink()
    told = Listening()
    train(recipe(), tmp_path / "run", device="cpu", display=told)
    assert any("training begins anew and replaces the model" in line for line in told.said)


def test_a_run_without_weights_yet_tells_how_it_goes_on(recipe, tmp_path):
    train(recipe(), tmp_path / "run", device="cpu")
    (tmp_path / "run" / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="give pickout train the same --out to go on"):
        load_run(tmp_path / "run")


def test_another_recipe_in_the_same_folder_is_refused_with_the_keys_that_differ(recipe, tmp_path):
    train(recipe(), tmp_path / "run", device="cpu")
    with pytest.raises(ResumeMismatch) as caught:
        train(recipe("optim.learning_rate=0.5", "model.method.discard=0.1"), tmp_path / "run", device="cpu")
    assert "optim.learning_rate: 0.001 -> 0.5" in str(caught.value)
    assert "model.method.discard: None -> 0.1" in str(caught.value)
    assert "give another --out" in str(caught.value)


def test_where_the_data_lies_and_how_it_is_read_may_change_when_a_run_goes_on(recipe, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        _stop_after(patch, 1)
        with pytest.raises(KeyboardInterrupt):
            train(recipe(), tmp_path / "run", device="cpu")
    moved = shutil.move(tmp_path / "street", tmp_path / "moved")
    again = recipe(f"data.root={moved}", "data.cache=false", "data.workers=1", "train.keep=1")
    assert train(again, tmp_path / "run", device="cpu")["epochs"] == 3


def test_changed_training_data_stop_a_run_that_goes_on(recipe, tmp_path, monkeypatch, street):
    with monkeypatch.context() as patch:
        _stop_after(patch, 1)
        with pytest.raises(KeyboardInterrupt):
            train(recipe(), tmp_path / "run", device="cpu")
    rows = json.loads((street / "reid_raw.json").read_text())
    rows[0]["captions"][0] = "a person in a green coat"
    (street / "reid_raw.json").write_text(json.dumps(rows))
    with pytest.raises(ResumeMismatch, match="training data changed"):
        train(recipe(), tmp_path / "run", device="cpu")


def test_a_folder_with_something_else_in_it_is_not_taken(recipe, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "holiday.jpg").write_bytes(b"x")
    with pytest.raises(TrainingError, match=r"holds holiday\.jpg but no recipe\.toml"):
        train(recipe(), tmp_path / "photos", device="cpu")


def test_a_file_in_place_of_the_folder_is_said_so(recipe, tmp_path):
    (tmp_path / "run").write_text("")
    with pytest.raises(TrainingError, match="cannot be used as a run folder"):
        train(recipe(), tmp_path / "run", device="cpu")


def test_two_processes_cannot_train_in_one_folder(recipe, tmp_path):
    program = (
        "import sys; from pathlib import Path; from pickout.train.run_folder import training_in\n"
        "with training_in(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "run")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(TrainingError, match="another process is training here"):
            train(recipe(), tmp_path / "run", device="cpu")
        other.kill()
        other.communicate()
    assert train(recipe(), tmp_path / "run", device="cpu")["epochs"] == 3


def test_a_run_without_a_finished_epoch_gives_way_to_another_recipe(recipe, tmp_path):
    with pytest.raises(RecipeError, match="wants 32 people"):
        train(recipe("sampler.batch=64"), tmp_path / "run", device="cpu")
    small = recipe("model.tokenizer.vocabulary_size=280")
    assert train(small, tmp_path / "run", device="cpu")["epochs"] == 3
    assert read_toml(tmp_path / "run" / "recipe.toml")["sampler"]["batch"] == 16
    assert load_run(tmp_path / "run").tokenizer.vocabulary_size <= 280


def test_without_a_validation_split_the_last_epoch_is_kept_and_this_is_said(recipe, tmp_path, street):
    rows = json.loads((street / "reid_raw.json").read_text())
    (street / "reid_raw.json").write_text(json.dumps([row for row in rows if row["split"] == "train"]))
    told = Listening()
    summary = train(recipe(), tmp_path / "run", device="cpu", display=told)
    assert any("no validation split: the last epoch will be kept" in message for message in told.said)
    assert (summary["selected_on"], summary["best"]) == ("last epoch", {"epoch": 3, "metrics": {}})
    _assert_equal(_weights(tmp_path / "run"), _last_state(tmp_path / "run")["method"])


def test_a_choice_on_the_test_split_is_labelled(recipe, tmp_path, street):
    rows = json.loads((street / "reid_raw.json").read_text())
    for row in rows:
        row["split"] = {"val": "test"}.get(row["split"], row["split"])
    (street / "reid_raw.json").write_text(json.dumps(rows))
    told = Listening()
    summary = train(recipe("train.select=test"), tmp_path / "run", device="cpu", display=told)
    assert summary["selected_on"] == "test"
    assert any("its numbers there flatter" in message for message in told.said)


def test_validation_can_be_rarer_but_the_last_epoch_always_has_one(recipe, tmp_path):
    train(recipe("train.validate_every=2"), tmp_path / "run", device="cpu")
    epochs = [line for line in read_journal(tmp_path / "run" / "metrics.jsonl") if line["event"] == "epoch"]
    assert ["metrics" in line for line in epochs] == [False, True, True]


def test_a_missing_image_stops_before_training_and_is_named(recipe, tmp_path, street):
    (street / "imgs" / "cam_1" / "0003.png").unlink()
    with pytest.raises(DataMissing, match=r"cam_1/0003\.png: no such image; 1 of 24 images"):
        train(recipe(), tmp_path / "run", device="cpu")
    assert not (tmp_path / "run" / "metrics.jsonl").exists()


@pytest.mark.parametrize("cache", ["true", "false"])
def test_an_unreadable_image_stops_with_its_name_and_the_remedy(recipe, tmp_path, street, cache):
    (street / "imgs" / "cam_1" / "0003.png").write_bytes(b"no image")
    with pytest.raises(ImageUnreadable, match=r"cam_1/0003\.png.*data\.skip_unreadable=true"):
        train(recipe(f"data.cache={cache}", "sampler.kind=shuffle"), tmp_path / "run", device="cpu")


def test_unreadable_and_missing_images_are_left_out_when_asked_and_the_journal_names_them(recipe, tmp_path, street):
    (street / "imgs" / "cam_1" / "0003.png").write_bytes(b"no image")
    (street / "imgs" / "cam_0" / "0015.png").unlink()
    summary = train(recipe("data.skip_unreadable=true"), tmp_path / "run", device="cpu")
    lines = [line for line in read_journal(tmp_path / "run" / "metrics.jsonl") if line["event"] == "quarantine"]
    assert sorted(line["image"][-14:] for line in lines) == ["cam_0/0015.png", "cam_1/0003.png"]
    assert all(line["reason"] for line in lines)
    assert (summary["pairs"], summary["identities"]) == (46, 12)


def test_the_journal_is_not_said_to_name_images_when_none_was_left_out(recipe, tmp_path):
    told = Listening()
    train(recipe("data.skip_unreadable=true"), tmp_path / "run", device="cpu", display=told)
    assert "0 images left out" in told.said


def test_images_that_a_resumed_run_leaves_out_are_named_again(recipe, tmp_path, street, monkeypatch):
    settings = recipe("data.skip_unreadable=true")
    with monkeypatch.context() as patch:
        _stop_after(patch, 1)
        with pytest.raises(KeyboardInterrupt):
            train(settings, tmp_path / "run", device="cpu")
    (street / "imgs" / "cam_0" / "0015.png").unlink()
    train(settings, tmp_path / "run", device="cpu")
    lines = [line for line in read_journal(tmp_path / "run" / "metrics.jsonl") if line["event"] == "quarantine"]
    assert [line["image"][-14:] for line in lines] == ["cam_0/0015.png"]


def _spoil(street, how):
    rows = json.loads((street / "reid_raw.json").read_text())
    if how == "no captions":
        rows = [{**row, "captions": []} if row["split"] == "val" else row for row in rows]
    elif how == "missing":
        (street / "imgs" / "cam_0" / "0015.png").unlink()
    elif how == "truncated":
        file = street / "imgs" / "cam_0" / "0015.png"
        file.write_bytes(file.read_bytes()[:-60])
    (street / "reid_raw.json").write_text(json.dumps(rows))


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("no captions", r"split 'val' .* has no captions"),
        ("missing", r"cam_0/0015\.png: no such image; 1 of 12 images of split 'val'"),
        ("truncated", r"cam_0/0015\.png: .*1 of 12 images of split 'val', which chooses the epoch, .*skip_unreadable"),
    ],
)
def test_a_broken_validation_split_is_told_before_the_first_step(recipe, tmp_path, street, how, told):
    _spoil(street, how)
    with pytest.raises(DataError, match=told):
        train(recipe(), tmp_path / "run", device="cpu")
    assert not (tmp_path / "run" / "metrics.jsonl").exists()


def test_what_validation_cannot_do_is_told_before_the_first_step(recipe, tmp_path, monkeypatch):
    def fail(*arguments, **options):
        raise StorageFull("no space left for the tokens")

    monkeypatch.setattr(run_module, "validate", fail)
    with pytest.raises(StorageFull, match="for the tokens"):
        train(recipe(), tmp_path / "run", device="cpu")
    assert not (tmp_path / "run" / "metrics.jsonl").exists()


def test_a_run_remembers_where_its_data_lie_wherever_it_is_asked(recipe, tmp_path, street, monkeypatch):
    monkeypatch.chdir(street.parent)
    train(recipe(f"data.root={street.name}"), Path("run"), device="cpu")
    monkeypatch.chdir("/")
    assert read_training(tmp_path / "run").root == street


def test_a_note_of_the_reader_is_said(recipe, tmp_path, street):
    rows = json.loads((street / "reid_raw.json").read_text())
    head, *lines = (
        "file_name,caption,person_id",
        *(f"imgs/{row['file_path']},{caption},{row['id']}" for row in rows for caption in row["captions"]),
    )
    (street / "table.csv").write_text("\n".join([head, *lines]))
    told = Listening()
    train(recipe("data.name=table", "train.select=last"), tmp_path / "run", device="cpu", display=told)
    assert any("'person_id' is read as identity" in message for message in told.said)
    assert any("no split column" in message for message in told.said)


def test_a_refused_folder_is_left_as_it_was(recipe, tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(TrainingError, match=r"holds .* so it is no run"):
        train(recipe(), tmp_path, device="cpu")
    assert not (tmp_path / ".lock").exists()


def test_only_the_owner_of_a_run_may_lock_it(recipe, tmp_path):
    train(recipe(), tmp_path / "run", device="cpu")
    assert (tmp_path / "run" / ".lock").stat().st_mode & 0o777 == 0o600


def test_a_cache_gives_the_same_weights_as_reading_from_disk(recipe, tmp_path, street):
    for path in (street / "imgs").rglob("*.png"):
        Image.open(path).resize((23, 41)).save(path)
    train(recipe("data.cache=true"), tmp_path / "cached", device="cpu")
    train(recipe("data.cache=false"), tmp_path / "read", device="cpu")
    _assert_equal(_weights(tmp_path / "cached"), _weights(tmp_path / "read"))


def test_a_diverging_run_keeps_its_last_checkpoint(recipe, tmp_path, monkeypatch):
    real = Engine._batch

    def spoil(engine, batch, progress):
        if progress.epoch == 3:
            engine.method.vision.positions.data.fill_(float("nan"))
        return real(engine, batch, progress)

    monkeypatch.setattr(Engine, "_batch", spoil)
    with pytest.raises(LossNotFinite, match=r"step 5, epoch 3: .*tal_global = nan"):
        train(recipe(), tmp_path / "run", device="cpu")
    assert _last_state(tmp_path / "run")["epoch"] == 2
    assert all(torch.isfinite(tensor).all() for tensor in _weights(tmp_path / "run").values())
    lines = (tmp_path / "run" / "metrics.jsonl").read_text()
    assert "NaN" not in lines


@pytest.mark.parametrize("file", ["model.safetensors", "epoch-0002.pt"])
def test_a_disk_that_fills_up_leaves_a_run_that_goes_on_bit_for_bit(recipe, tmp_path, monkeypatch, file):
    real = os.fsync

    def full(handle):
        if (
            file in str(Path(f"/proc/self/fd/{handle}").readlink())
            and (tmp_path / "cut" / "checkpoints" / "epoch-0001.pt").exists()
        ):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(handle)

    settings = recipe("train.select=last")
    train(settings, tmp_path / "whole", device="cpu")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(StorageFull, match="no space left"):
            train(settings, tmp_path / "cut", device="cpu")
    assert _last_state(tmp_path / "cut")["epoch"] == 1
    assert not list((tmp_path / "cut").rglob("*.pickout.part"))
    load_run(tmp_path / "cut")
    train(settings, tmp_path / "cut", device="cpu")
    _assert_equal(_weights(tmp_path / "cut"), _weights(tmp_path / "whole"))


def test_a_run_can_start_from_the_towers_of_another(recipe, tmp_path, monkeypatch):
    train(recipe(), tmp_path / "first", device="cpu")
    started = {}

    def watch(accelerator, method, *rest):
        started.update({name: tensor.clone() for name, tensor in method.state_dict().items()})
        return Engine(accelerator, method, *rest)

    monkeypatch.setattr(run_module, "Engine", watch)
    told = Listening()
    settings = recipe(f"train.initial={tmp_path / 'first'}", "model.image.height=48", "seed=9")
    train(settings, tmp_path / "second", device="cpu", display=told)
    assert any("tensors loaded" in message for message in told.said)
    first = _weights(tmp_path / "first")
    for name in (
        "text.tokens.weight",
        "vision.patches.weight",
        "vision.transformer.layers.0.feed_forward.widen.weight",
    ):
        assert torch.equal(started[name], first[name])
    assert started["vision.positions"].shape != first["vision.positions"].shape
    assert (tmp_path / "second" / "tokenizer.json").read_text() == (tmp_path / "first" / "tokenizer.json").read_text()


def test_a_batch_larger_than_the_data_is_a_recipe_error(recipe, tmp_path):
    with pytest.raises(RecipeError, match="wants 32 people"):
        train(recipe("sampler.batch=64"), tmp_path / "run", device="cpu")

"""How a step is computed: in which precision, in how many chunks, and when its weights move."""

from functools import partial

import pytest
from safetensors.torch import load_file

import pickout.train.training as run_module
from pickout.config import read_toml
from pickout.errors import RecipeError, ResumeMismatch
from pickout.train import engine
from pickout.train.engine import moved_early
from pickout.train.run_folder import read_journal
from pickout.train.training import train


def _losses(out):
    return [line["loss"] for line in read_journal(out / "metrics.jsonl") if line["event"] == "step"]


def _computing(monkeypatch, native):
    real = run_module.choose_precision
    monkeypatch.setattr(
        run_module, "choose_precision", lambda asked, at: native if asked == "auto" else real(asked, at)
    )


@pytest.mark.parametrize("native", ["bf16", "fp32"])
def test_auto_is_what_the_machine_computes_in_and_the_run_remembers_it(recipe, tmp_path, monkeypatch, native):
    _computing(monkeypatch, native)
    train(recipe("train.precision=auto", "schedule.epochs=1"), tmp_path / "auto", device="cpu")
    train(recipe(f"train.precision={native}", "schedule.epochs=1"), tmp_path / "named", device="cpu")
    assert read_toml(tmp_path / "auto" / "recipe.toml")["train"]["precision"] == native
    assert _losses(tmp_path / "auto") == _losses(tmp_path / "named")


def test_a_run_does_not_go_on_in_another_precision_on_another_machine(recipe, tmp_path, monkeypatch):
    _computing(monkeypatch, "bf16")
    train(recipe("train.precision=auto", "schedule.epochs=1"), tmp_path / "run", device="cpu")
    (tmp_path / "run" / "summary.json").unlink()
    _computing(monkeypatch, "fp32")
    with pytest.raises(ResumeMismatch, match=r"train\.precision: 'bf16' -> 'fp32'"):
        train(recipe("train.precision=auto", "schedule.epochs=1"), tmp_path / "run", device="cpu")


@pytest.mark.parametrize("method", ["dual", "itself"])
def test_a_run_in_chunks_equals_one_of_whole_batches(recipe, tmp_path, method):
    named = '{name = "dual"}' if method == "dual" else None
    changes = [f"model.method={named}"] if named else []
    for name, chunk in (("whole", []), ("chunks", ["sampler.chunk=5"])):
        train(recipe(*changes, *chunk), tmp_path / name, device="cpu")
    assert _losses(tmp_path / "chunks") == pytest.approx(_losses(tmp_path / "whole"), rel=1e-5)
    whole, chunks = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "chunks"))
    assert whole.keys() == chunks.keys()


_FUSING = (
    *("model.vision.kind=vit", "model.vision.activation=gelu", "model.text.kind=bert", "model.text.fusion_layers=2"),
    *("model.tokenizer.closing=false", "model.tokenizer.cleaning=albef"),
)


@pytest.mark.parametrize("chunk", [[], ["sampler.chunk=5"]])
@pytest.mark.parametrize("method", ["dual", "itself", "fusion", "aga", "union"])
def test_weights_that_move_on_the_way_back_spoil_no_gradient(recipe, tmp_path, monkeypatch, method, chunk):
    """Also those of chunks, whose weights are read again on the way back, so that they move at the end alone."""
    if chunk and method not in ("dual", "itself"):
        pytest.skip("cannot be trained in chunks")
    changes = [] if method == "itself" else [f'model.method={{name = "{method}"}}']
    if method in ("fusion", "aga", "union"):
        bank = ", bank = {selection_layers = [1, 2], local_dimension = 32, hidden = 16}" if method == "union" else ""
        changes = [f'model.method={{name = "{method}", queue = 12, candidates = 5{bank}}}', *_FUSING]
    for name, at_once in (("end", 2**40), ("early", 1)):
        monkeypatch.setattr(engine, "moved_early", partial(moved_early, at_once=at_once))
        train(recipe("schedule.epochs=2", *changes, *chunk), tmp_path / name, device="cpu")
    assert _losses(tmp_path / "early") == _losses(tmp_path / "end")


def test_chunks_are_refused_before_the_first_step_where_they_would_not_be_exact(recipe, tmp_path):
    asked = recipe('model.method={name = "aga", queue = 12, candidates = 5}', "sampler.chunk=4", *_FUSING)
    with pytest.raises(RecipeError, match=r"sampler\.chunk = 4: the losses of Aga depend on more"):
        train(asked, tmp_path / "run", device="cpu")

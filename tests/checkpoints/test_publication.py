"""A run goes to a hub and comes back."""

import json
from pathlib import Path

import pytest
from local_hub import Hub
from typer.testing import CliRunner

import pickout
from pickout.checkpoints.named_weights import fetch_named
from pickout.checkpoints.saved_model import load_run, model_card, publish, save_model
from pickout.cli.app import build
from pickout.errors import CheckpointError, DownloadFailed, UsageError
from pickout.methods.base import Method
from pickout.methods.model import ModelSettings
from pickout.text.tokenizer import Tokenizer

# The library's own upload of large files uses a spelling that its client has given up.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content:DeprecationWarning")


@pytest.fixture
def run(tmp_path: Path, method: Method, tokenizer: Tokenizer, settings: ModelSettings) -> Path:
    save_model(tmp_path / "run", method, tokenizer, settings, identities=5, name="A small\none")
    return tmp_path / "run"


@pytest.fixture
def writable(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> Hub:
    hub.token = "hf_secret"
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    # The double speaks Git LFS; the newer transfer needs a server of its own.
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    return hub


def test_a_run_comes_back_as_it_went(writable: Hub, run: Path) -> None:
    url = publish(run, "some/body", licence="mit", endpoint=writable.address)
    assert url == f"{writable.address}/some/body"
    assert [(made["name"], made["visibility"]) for made in writable.made] == [("body", "private")]
    files = {name.removeprefix("some/body/") for name in writable.files if name.startswith("some/body/")}
    assert files == {"README.md", "model.toml", "tokenizer.json", "model.safetensors"}
    fetch_named("some/body", endpoint=writable.address)
    assert pickout.load("some/body").fingerprint == pickout.load(run).fingerprint


def test_the_card_says_what_the_model_is_and_nothing_of_this_machine(run: Path, tmp_path: Path) -> None:
    (run / "evaluations" / "cuhk-pedes-test").mkdir(parents=True)
    found = {"text_to_image": {"R@1": 34.567, "R@5": 50, "R@10": 60.0, "mAP": 30.1}}
    (run / "evaluations" / "cuhk-pedes-test" / "report.json").write_text(json.dumps(found))
    (run / "evaluations" / "old").mkdir()
    (run / "evaluations" / "old" / "report.json").write_text("{}")
    model = load_run(run)
    card = model_card(model, run, "some/body", "apache-2.0")
    assert card.startswith("---\nlibrary_name: pickout\n") and "\nlicense: apache-2.0\n---\n# A small one\n" in card
    assert "| cuhk-pedes-test | 34.57 | 50.00 | 60.00 | 30.10 |" in card and "old" not in card
    assert model.fingerprint in card and "candidates, not identifications" in card
    assert "pickout weights get some/body" in card and 'name = "itself"' in card
    assert str(tmp_path) not in card
    assert "license" not in model_card(model, run, "some/body")


def test_what_may_not_be_uploaded_is_told(hub: Hub, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(DownloadFailed, match="the hub answered 401; set HF_TOKEN"):
        publish(run, "some/body", endpoint=hub.address)
    with pytest.raises(UsageError, match="expected OWNER/NAME"):
        publish(run, "body", endpoint=hub.address)
    with pytest.raises(UsageError, match="one word like mit"):
        publish(run, "some/body", licence="a: b", endpoint=hub.address)
    (run / "tokenizer.json").write_text("{}")
    with pytest.raises(CheckpointError):
        publish(run, "some/body", endpoint=hub.address)


def test_the_command_pushes_in_private_unless_told(writable: Hub, run: Path) -> None:
    words = ["weights", "push", str(run), "some/body", "--endpoint", writable.address]
    done = CliRunner().invoke(build(), words)
    assert done.exit_code == 0 and done.stdout == f"{writable.address}/some/body\n"
    CliRunner().invoke(build(), [*words, "--public"])
    assert [made["visibility"] for made in writable.made] == ["private", "public"]

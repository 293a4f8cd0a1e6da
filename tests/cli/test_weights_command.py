import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import pickout
from pickout.cli.app import main

sys.path.insert(0, str(Path(__file__).parents[1] / "checkpoints"))

from local_hub import Hub, local_hub
from safetensors.torch import save
from tiny_clip import MERGES, openai_state

NAME = "clip-vit-base-patch16"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setenv("PICKOUT_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    files = {
        "config.json": b'{"model_type": "clip"}',
        "merges.txt": "\n".join(["#version: 0.2", *MERGES]).encode(),
        "model.safetensors": save(openai_state()),
    }
    with local_hub({f"openai/{NAME}/{name}": content for name, content in files.items()}) as hub:
        yield hub


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as left:
        main(arguments)
    return int(left.value.code or 0)


def test_weights_are_fetched_by_name_and_loaded_by_name(
    hub: Hub, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run("weights", "get", NAME, "--endpoint", hub.address) == 0
    out, err = capfd.readouterr()
    assert "model.safetensors" in out and "checked" in out
    assert "1.2/1.2 MB" in err, "no progress was shown"
    pickout.load(NAME).report.require_complete()
    assert run("weights", "get", NAME, "--endpoint", hub.address) == 0
    assert capfd.readouterr().out.count("already here") == 3
    assert run("weights", "list", "--json") == 0
    rows = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [row["name"] for row in rows if row["here"]] == [NAME] and len(rows) > 1


def test_json_prints_one_object_a_file_and_nothing_else(
    hub: Hub, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run("weights", "get", NAME, "--to", str(tmp_path / "here"), "--endpoint", hub.address, "--json") == 0
    out, err = capfd.readouterr()
    rows = [json.loads(line) for line in out.splitlines()]
    assert [Path(row["file"]).name for row in rows] == ["config.json", "merges.txt", "model.safetensors"]
    assert rows[2]["checksum"].startswith("sha256:") and rows[2]["downloaded"] == rows[2]["bytes"] > 0
    assert err == ""


def test_an_unknown_name_is_a_usage_error(capfd: pytest.CaptureFixture[str]) -> None:
    assert run("weights", "get", "clip-vit-base-patch15") == 2
    assert "did you mean 'clip-vit-base-patch16'" in capfd.readouterr().err


def test_a_broken_download_is_one_line_and_bad_input(hub: Hub, capfd: pytest.CaptureFixture[str]) -> None:
    hub.altered[f"openai/{NAME}/model.safetensors"] = bytes(len(hub.files[f"openai/{NAME}/model.safetensors"]))
    assert run("weights", "get", NAME, "--endpoint", hub.address, "--json") == 3
    err = capfd.readouterr().err
    assert err.startswith("error: ") and "thrown away" in err and "Traceback" not in err


def test_the_table_names_every_weight(capfd: pytest.CaptureFixture[str], hub: Hub) -> None:
    assert run("weights", "list") == 0
    assert NAME in capfd.readouterr().out

"""`--engine ray` as it is typed: a cluster of its own on this machine, which ends with the command."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "gallery"))
from conftest import draw_crop

from pickout.cli.app import main

with_ray = pytest.mark.skipif(find_spec("ray") is None, reason="no ray here: pip install 'pickout[ray]'")


@with_ray
def test_index_by_workers_and_go_on_without(tmp_path):
    for place in range(20):
        draw_crop(tmp_path / "crops" / f"{place}.png", shade=place)
    (tmp_path / "crops" / "broken.jpg").write_bytes(b"\xff\xd8 no picture")
    command = [sys.executable, "-m", "pickout", "index", "crops", "--out", "people.gallery", "--json"]
    for more, encoded in (["--engine", "ray", "--workers", "2"], 20), ([], 0):
        done = subprocess.run([*command, *more], cwd=tmp_path, capture_output=True, text=True, check=True)
        told = json.loads(done.stdout)
        assert (told["rows"], told["encoded"], told["quarantined"]) == (20, encoded, 1)


@pytest.mark.parametrize(
    ("more", "installed", "told"),
    [
        (["--workers", "3"], True, "--workers 3: one process does the work"),
        (["--engine", "ray"], False, "pip install 'pickout[ray]'"),
        (["--engine", "spark"], True, "--engine"),
        (["--engine", "ray", "--workers", "0"], True, "--workers"),
    ],
)
@pytest.mark.parametrize("command", ["index", "serve"])
def test_wrong_words_are_told_before_a_model_is_loaded(tmp_path, monkeypatch, capsys, command, more, installed, told):
    draw_crop(tmp_path / "crops" / "a.png")
    monkeypatch.setattr("pickout.cli.model.find_spec", lambda _: installed or None)
    monkeypatch.setattr("pickout.cli.model.load_model", lambda *_: pytest.fail("a model was loaded"))
    place = [str(tmp_path / "crops"), "--out", str(tmp_path / "g")] if command == "index" else ["--port", "0", "g"]
    with pytest.raises(SystemExit) as stop:
        main([command, *place, *more])
    assert stop.value.code == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "g").exists()


@with_ray
@pytest.mark.parametrize("address", ["127.0.0.1:1", "127.0.0.1:99999999", "nowhere.invalid:6379"])
def test_an_address_without_a_cluster_is_told_at_once(tmp_path, address):
    draw_crop(tmp_path / "crops" / "a.png")
    command = [sys.executable, "-m", "pickout", "index", "crops", "--out", "g", "--engine", "ray"]
    told = {**os.environ, "RAY_ADDRESS": address}
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=told, timeout=60)
    assert done.returncode == 2
    assert f"RAY_ADDRESS = {address}" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "g").exists()

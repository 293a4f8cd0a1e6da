import json

import pytest
import torch
from colour_encoder import ColourEncoder
from PIL import Image

import pickout.cli.bench as command
from pickout.cli.bench import compare, take_turns


@pytest.fixture(autouse=True)
def fewer_vectors(monkeypatch):
    monkeypatch.setattr(command, "_FEWEST", 2000)
    monkeypatch.setattr(ColourEncoder, "precision", "fp32", raising=False)
    monkeypatch.setattr(ColourEncoder, "device", torch.device("cpu"), raising=False)


@pytest.fixture
def crops(tmp_path):
    folder = tmp_path / "crops"
    (folder / "deeper").mkdir(parents=True)
    for number in range(12):
        Image.new("RGB", (16, 32), (20 * number, 0, 0)).save(
            folder / ("deeper" if number % 2 else ".") / f"{number}.png"
        )
    return folder


def test_a_ratio_is_that_of_medians_and_the_spread_that_of_rounds():
    found = compare({"theirs": [(2.0, 4.0), (6.0, 3.0), (4.0, 8.0)], "ours": [(1.0, 1.0), (2.0, 2.0), (4.0, 4.0)]})
    assert found["theirs"]["seconds"] == 4.0 and found["theirs"]["seconds_ratio"] == 2.0
    assert found["theirs"]["seconds_spread"] == [1.0, 3.0] and found["theirs"]["processor_seconds_ratio"] == 2.0
    assert found["ours"]["seconds_ratio"] == 1.0 and found["ours"]["seconds_spread"] == [1.0, 1.0]


def test_sides_take_turns_whose_order_turns_and_the_first_turn_does_not_count():
    called = []
    taken = take_turns({"a": lambda: called.append("a"), "b": lambda: called.append("b")}, 2)
    assert called == ["b", "a", "a", "b", "b", "a"] and [len(each) for each in taken.values()] == [2, 2]


def test_bench_measures_every_work_and_changes_nothing(run, crops, tmp_path):
    code, out, _ = run("bench", "--model", "colours", "--crops", crops, "--number", 8, "--rounds", 2, "--json")
    found = json.loads(out)
    assert code == 0 and found["schema"] == "pickout.bench/1" and found["peak_memory_mb"] > 50
    assert list(found["work"]) == ["indexing 8 crops", "one query among 2000 vectors", "32 queries among 2000 vectors"]
    for sides in found["work"].values():
        assert list(sides.values())[-1]["seconds_ratio"] == 1.0
        assert all(each["seconds"] > 0 for each in sides.values())
    assert sorted(file.name for file in crops.rglob("*")) == sorted(["deeper", *(f"{n}.png" for n in range(12))])
    code, out, _ = run("bench", "--model", "colours", "--crops", crops, "--rounds", 2, "--out", tmp_path / "bench.json")
    assert code == 0 and "pickout index" in out
    assert json.loads((tmp_path / "bench.json").read_text())["work"].keys() >= {"indexing 12 crops"}


def test_both_ways_to_search_find_the_same_rows():
    for sides in command._searching(2000, 16).values():
        plain, ours = (side() for side in sides.values())
        assert [set(row.tolist()) for row in plain] == [set(row.tolist()) for row in ours]


def test_a_crop_that_cannot_be_read_is_told_by_its_own_name_and_left_out(run, crops):
    (crops / "00-broken.png").write_bytes(b"\x89PNG nothing")
    code, out, errors = run("bench", "--model", "colours", "--crops", crops, "--rounds", 2, "--json")
    assert code == 0 and "indexing 12 crops" in json.loads(out)["work"]
    assert f"left out: {crops / '00-broken.png'}" in errors


def test_a_gallery_says_its_model_and_how_many_vectors(run, crops, tmp_path):
    assert run("index", crops, "--out", tmp_path / "g", "--model", "colours")[0] == 0
    code, out, _ = run("bench", tmp_path / "g", "--crops", crops, "--rounds", 2, "--json")
    assert code == 0 and json.loads(out)["model"] == "colours"


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("--crops", "nowhere"), 3, "nowhere"),
        (("--crops", "."), 4, "holds no picture"),
        (("--rounds", 1), 2, "--rounds"),
        (("no.gallery",), 3, "no.gallery"),
    ],
)
def test_what_cannot_be_measured_is_told(run, tmp_path, monkeypatch, arguments, code, told):
    monkeypatch.chdir(tmp_path)
    found = run("bench", "--model", "colours", *arguments)
    assert found[0] == code and told in found[2]

"""AGA from a recipe to ranked crops, through the command line: train, evaluate, index, search, enrich."""

import json
from pathlib import Path
from typing import Any

import pytest

from pickout.cli.app import main
from pickout.synthetic.street import StreetSettings, draw_street

SMALL = {
    "model.image.height": "36",
    "model.image.width": "12",
    "model.vision": '{kind = "vit", patch = 6, stride = 6, width = 16, layers = 2, heads = 2, embedding = 8}',
    "model.text": '{kind = "bert", width = 16, layers = 1, fusion_layers = 2, heads = 2, embedding = 8}',
    "model.tokenizer.vocabulary_size": "400",
    "model.method.candidates": "5",
    "model.method.queue": "16",
    "sampler.batch": "8",
    "schedule.epochs": "2",
}


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("aga") / "street"
    people = StreetSettings(identities=10, val_identities=4, test_identities=4, images=2, height=72, width=24)
    draw_street(people, out, workers=1)
    return out


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Any:
    """run(*arguments) -> (exit code, standard output)."""

    def call(*arguments: object) -> tuple[int, str]:
        with pytest.raises(SystemExit) as stop:
            main([str(argument) for argument in arguments])
        return int(stop.value.code or 0), capsys.readouterr().out

    return call


def test_aga_goes_the_whole_way(run: Any, street: Path, tmp_path: Path) -> None:
    out, gallery = tmp_path / "run", tmp_path / "crops.gallery"
    sets = [word for key, value in SMALL.items() for word in ("--set", f"{key}={value}")]
    code, _ = run("train", "aga-demo", "--out", out, "--set", f"data.root={street}", *sets, "--device", "cpu")
    assert code == 0
    epochs = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    last = [line for line in epochs if line["event"] == "epoch"][-1]
    assert {"R@1", "R@1 by embedding"} <= last["metrics"].keys()
    assert {"hidden_share", "hidden_vacuous", "hiding_largest", "hiding_mean"} <= last["logs"].keys()

    code, text = run("evaluate", out, "--device", "cpu", "--json", "--set", "bootstrap.resamples=20")
    report = json.loads(text)
    assert code == 0 and report["second_look"] == {"candidates": 5, "tail": "embedding"}
    assert report["text_to_image"]["R@1"] == last["metrics"]["R@1"]
    assert report["text_to_image_by_embedding"]["R@1"] == last["metrics"]["R@1 by embedding"]

    code, _ = run("index", street / "imgs", "--model", out, "--out", gallery, "--device", "cpu", "--json")
    assert code == 0
    code, text = run("search", gallery, "a man in a red coat", "--top", "7", "--json", "--device", "cpu")
    *hits, _ = [json.loads(line) for line in text.splitlines()]
    assert code == 0 and len(hits) == 7
    looked = [hit["match"] for hit in hits if hit["match"] is not None]
    assert len(looked) == 5 and looked == sorted(looked, reverse=True)

    code, text = run("explain", "enrich", out, hits[0]["file"], "a man in a red coat", "--json", "--device", "cpu")
    assert code == 0 and "red" in text

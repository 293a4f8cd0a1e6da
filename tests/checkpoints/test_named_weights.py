"""Weights by name: picked by the files that a repository has, never by a guessed name."""

import json
from pathlib import Path

import pytest
from local_hub import Hub
from safetensors.torch import save
from test_release import itself_heads, trunk
from tiny_clip import MERGES
from typer.testing import CliRunner

import pickout
from pickout.checkpoints.named_weights import DATA_NOTE, NAMED_WEIGHTS, fetch_named, fetched, weights_home
from pickout.cli.app import build
from pickout.errors import DownloadFailed, UsageError

SMALL, LARGE = b'{"model_type": "clip"}', bytes(20_000)
CLIP, LINES = "openai/clip-vit-base-patch16", "\n".join(["#version: test", *MERGES]).encode()
ITSELF = save({**trunk(), **itself_heads()})


def test_named_weights_take_the_safetensors_file_or_else_the_pickle(hub: Hub, tmp_path: Path) -> None:
    files = {f"{CLIP}/{name}": SMALL for name in ("config.json", "merges.txt", "README.md", "tf_model.h5")}
    hub.files = files | {f"{CLIP}/pytorch_model.bin": LARGE}
    first = fetch_named("clip-vit-base-patch16", tmp_path, endpoint=hub.address)
    assert [file.path.name for file in first] == ["config.json", "merges.txt", "pytorch_model.bin"]
    hub.files[f"{CLIP}/model.safetensors"] = LARGE
    again = fetch_named("clip-vit-base-patch16", tmp_path, endpoint=hub.address)
    assert [file.downloaded for file in again] == [0, 0, 0]
    assert fetched("clip-vit-base-patch16") is None
    fresh = fetch_named("clip-vit-base-patch16", endpoint=hub.address)
    assert fresh[2].path == weights_home() / "clip-vit-base-patch16" / "model.safetensors"
    assert fetched("clip-vit-base-patch16") == weights_home() / "clip-vit-base-patch16"


def test_a_repository_without_merges_gives_its_tokenizer_json(hub: Hub) -> None:
    repository = NAMED_WEIGHTS["tinyclip-vit-8m-16"].repository
    hub.files = {f"{repository}/{name}": SMALL for name in ("config.json", "tokenizer.json", "model.safetensors")}
    names = [file.path.name for file in fetch_named("tinyclip-vit-8m-16", endpoint=hub.address)]
    assert names == ["config.json", "tokenizer.json", "model.safetensors"]


@pytest.mark.parametrize("files", [("config.json", "merges.txt"), (), ("a.pth", "b.pth"), ("flax_model.msgpack",)])
def test_a_repository_where_it_is_not_plain_what_is_meant_is_told(hub: Hub, files: tuple[str, ...]) -> None:
    hub.files = {f"{CLIP}/{name}": SMALL for name in (*files, "README.md")}
    with pytest.raises(DownloadFailed, match=rf"{CLIP}: has .*name one, as {CLIP}/"):
        fetch_named("clip-vit-base-patch16", endpoint=hub.address)


def test_one_file_of_many_is_taken_by_its_name(hub: Hub) -> None:
    hub.files = {f"some/body/{name}": LARGE for name in ("deep/a.pth", "b.pth")}
    (file,) = fetch_named("some/body/deep/a.pth", endpoint=hub.address)
    assert file.path == weights_home() / "some--body--deep--a.pth" / "a.pth"
    assert fetched("some/body/deep/a.pth") == file.path
    assert [path for method, path, _ in hub.log if method == "HEAD"] == ["/some/body/resolve/main/deep/a.pth"]


def organisation(hub: Hub, *files: str) -> None:
    hub.files = {f"GenAI4ELab/{file}": ITSELF for file in files} | {f"{CLIP}/merges.txt": LINES}


@pytest.mark.parametrize("file", ["ITSELF/CUHK-PEDES/best.pth", "ITSELF-cuhk-pedes/best.pth", "itself/itself_cuhk.pth"])
def test_an_organisations_file_is_found_by_the_data_set_in_its_path(hub: Hub, file: str) -> None:
    organisation(hub, file, "ITSELF/RSTPReid/best.pth", "ITSELF/cuhk.log", "other/README.md")
    weights, merges = fetch_named("itself-cuhk-pedes", endpoint=hub.address)
    assert weights.path.read_bytes() == ITSELF and merges.path.name == "merges.txt"
    model = pickout.load("itself-cuhk-pedes", precision="fp32")
    assert model.report.format == "ITSELF"
    assert model.encode_texts(["a red hat"]).shape == (1, model.dimension)


@pytest.mark.parametrize("files", [("a/cuhk1.pth", "b/cuhk2.pth"), ("a/rstp.pth",), ("a/readme.md",)])
def test_an_organisation_without_one_such_file_lists_what_is_there(hub: Hub, files: tuple[str, ...]) -> None:
    organisation(hub, *files)
    with pytest.raises(DownloadFailed, match=r"weight files of GenAI4ELab are of 'cuhk'; there are GenAI4ELab/a"):
        fetch_named("itself-cuhk-pedes", endpoint=hub.address)


def test_a_data_set_repository_is_asked_by_its_own_route(hub: Hub) -> None:
    repository = NAMED_WEIGHTS["nam-best1"].repository
    hub.files = {f"{repository}/best{number}.pth": LARGE for number in range(3)} | {f"{CLIP}/merges.txt": LINES}
    weights, _ = fetch_named("nam-best1", endpoint=hub.address)
    assert weights.path.name == "best1.pth"
    assert f"/datasets/{repository}/resolve/main/best1.pth" in [path for _, path, _ in hub.log]


@pytest.mark.parametrize("answer", [b"<html>", b"[]", b"{}", b'{"id": "a/b", "siblings": 3}', b"[" * 100_000, b"null"])
def test_an_answer_that_is_no_hubs_is_told(hub: Hub, answer: bytes) -> None:
    hub.api = answer
    with pytest.raises(DownloadFailed):
        fetch_named("clip-vit-base-patch32", endpoint=hub.address)


def test_names_that_are_none_are_told(hub: Hub) -> None:
    with pytest.raises(UsageError, match="did you mean 'itself-cuhk-pedes'"):
        fetch_named("itself-cuhk-pede", endpoint=hub.address)
    with pytest.raises(DownloadFailed, match="not there"):
        fetch_named("no/body", endpoint=hub.address)


def test_every_name_says_its_licence_and_those_of_people_warn() -> None:
    for name, weights in NAMED_WEIGHTS.items():
        assert weights.licence and weights.about, name
        assert (weights.note == DATA_NOTE) == name.startswith(("itself", "nam"))
    listed = CliRunner().invoke(build(), ["weights", "list", "--json"])
    rows = [json.loads(line) for line in listed.stdout.splitlines()]
    assert [row["name"] for row in rows] == list(NAMED_WEIGHTS)
    assert rows[0]["note"] == DATA_NOTE and rows[0]["bytes"] is None


def test_index_fetches_a_model_once_and_goes_on(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import Image

    organisation(hub, "itself/cuhk.pth")
    monkeypatch.setenv("HF_ENDPOINT", hub.address)
    crops = tmp_path / "crops"
    crops.mkdir()
    for number in range(3):
        Image.new("RGB", (32, 96), (number * 80, 0, 0)).save(crops / f"{number}.png")
    words = ["index", str(crops), "--out", str(tmp_path / "g"), "--model", "itself-cuhk-pedes"]
    first = CliRunner().invoke(build(), words)
    assert first.exit_code == 0, first.output
    assert f"fetching itself-cuhk-pedes once from the hub (licence MIT (of the code); {DATA_NOTE})" in first.stderr
    asked = len(hub.log)
    again = CliRunner().invoke(build(), words)
    assert again.exit_code == 0 and "fetching" not in again.stderr
    assert len(hub.log) == asked
    found = CliRunner().invoke(build(), ["search", str(tmp_path / "g"), "a red hat", "--json"])
    assert found.exit_code == 0 and len(found.stdout.splitlines()) >= 1

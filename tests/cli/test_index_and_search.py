"""`pickout index` and `pickout search`, with the colour encoder in the model's place."""

import json
import os
import sys
from pathlib import Path

import pytest
from PIL import Image

from pickout.cli.app import main
from pickout.errors import CheckpointUnknown

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "gallery"))

from colour_encoder import COLOURS, ColourEncoder


@pytest.fixture
def run(monkeypatch, capsys):
    """run(arguments...) -> (exit code, stdout, stderr); `--model` names a colour encoder."""
    loaded = []

    def load(model, device, runtime="torch"):
        loaded.append((model, device))
        if Path(model).name == "nonsense":
            raise CheckpointUnknown(f"{model}: no importer knows this file")
        return ColourEncoder(Path(model).name)

    for name in ("load_model", "load_encoder"):
        monkeypatch.setattr(f"pickout.cli.model.{name}", load)

    def run_command(*arguments):
        with pytest.raises(SystemExit) as stopped:
            main([str(argument) for argument in arguments])
        out, errors = capsys.readouterr()
        assert "Traceback" not in errors
        return stopped.value.code or 0, out, errors

    run_command.loaded = loaded
    return run_command


@pytest.fixture
def crops(tmp_path):
    root = tmp_path / "crops"
    for number, (camera, colour) in enumerate((("lobby", "teal"), ("lobby", "red"), ("yard", "olive"))):
        (root / camera).mkdir(parents=True, exist_ok=True)
        pixel = tuple(round(255 * part) for part in COLOURS[colour])
        Image.new("RGB", (20, 60), pixel).save(root / camera / f"{number}_[red]{colour}.png")
    return root


@pytest.fixture
def model(tmp_path):
    folder = tmp_path / "runs" / "colour"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def gallery(run, crops, model, tmp_path):
    out = tmp_path / "g"
    code, _, errors = run("index", crops, "--model", model, "--out", out, "--camera-from", "folder")
    assert code == 0, errors
    return out


def test_index_then_search_finds_the_person(run, gallery, model):
    code, out, _ = run("search", gallery, "a teal jacket", "--top", "2")
    assert code == 0
    lines = [line for line in out.splitlines() if ".png" in line]
    assert len(lines) == 2
    assert "0_[red]teal.png" in lines[0] and "lobby" in lines[0]
    assert "Candidates, not identifications" in out
    assert run.loaded[-1] == (str(model), "auto")


def test_files_that_are_gone_folders_that_are_gone_and_erased_crops_are_told_with_what_to_do(run, gallery, crops):
    (crops / "lobby/0_[red]teal.png").unlink()
    (crops / "yard").rename(crops / ".unmounted")
    code, out, _ = run("index", crops, "--out", gallery)
    assert code == 0 and "1 rows have lost their files and are kept; --prune removes them" in out
    assert f"1 rows are kept though none of their folder's files is there any more ({crops}/yard)" in out
    code, out, _ = run("index", crops, "--out", gallery, "--prune")
    assert code == 0 and "1 rows removed" in out and "--prune-folders removes them" in out
    code, out, _ = run("index", crops, "--out", gallery, "--prune-folders", "--json")
    told = json.loads(out)
    assert (told["rows"], told["pruned"], told["deserted"], told["folders"]) == (1, 1, 1, [f"{crops}/yard"])
    (crops / ".unmounted").rename(crops / "yard")
    assert run("gallery", "erase", gallery, "--camera", "lobby", "--yes")[0] == 0
    code, out, _ = run("index", crops, "--out", gallery)
    assert code == 0 and "1 crops were erased and stay so; --again takes them back" in out
    assert json.loads(run("index", crops, "--out", gallery, "--again", "--json")[1])["added"] == 1


def test_search_json_is_one_object_a_line(run, gallery, crops):
    code, out, _ = run("search", gallery, "a teal jacket", "--json")
    *hits, last = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert last["answer"]["passed"] == 3 and last["answer"]["no_good_match"] is None
    assert [hit["rank"] for hit in hits] == [1, 2, 3]
    assert hits[0]["file"] == str(crops / "lobby/0_[red]teal.png")
    wanted = "rank score match probability id file path width height camera time video frame box track labels others"
    assert sorted(hits[0]) == sorted(wanted.split(" "))


def test_search_filters_by_camera(run, gallery):
    code, out, _ = run("search", gallery, "a teal jacket", "--camera", "yard", "--json")
    assert code == 0
    assert [json.loads(line)["camera"] for line in out.splitlines()[:-1]] == ["yard"]
    code, out, _ = run("search", gallery, "a teal jacket", "--camera", "yard", "--camera", "lobby", "--json")
    assert len(out.splitlines()) == 4


def test_search_html_writes_a_page(run, gallery, tmp_path):
    code, out, _ = run("search", gallery, "a teal jacket", "--html", tmp_path / "out" / "sheet.html")
    assert code == 0
    page = (tmp_path / "out" / "sheet.html").read_text()
    assert page.count("<figure") == 3
    assert "sheet.html" in out
    code, _, errors = run("search", gallery, "a teal jacket", "--html", tmp_path)
    assert (code, "cannot be written" in errors) == (2, True)


def test_no_candidate_is_exit_code_4_with_nothing_on_stdout(run, gallery):
    code, out, errors = run("search", gallery, "a teal jacket", "--after", "2026-01-01", "--json")
    assert (code, out) == (4, "")
    assert "no crop passes the filters" in errors


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["  "], "the sentence is empty"),
        (["👩"], "holds no word"),
        (["teal", "--camera", "roof"], "unknown camera 'roof'; known cameras: lobby, yard"),
        (["teal", "--after", "2026-02-01", "--before", "2026-01-01"], "no time is after"),
        (["teal", "--after", "yesterday"], "'yesterday' is no date or time"),
        (["teal", "--top", "0"], "top = 0"),
    ],
)
def test_wrong_words_are_exit_code_2_and_load_no_model(run, gallery, arguments, problem):
    before = len(run.loaded)
    code, out, errors = run("search", gallery, *arguments)
    assert (code, out) == (2, "")
    assert errors.startswith("error: ") and problem in errors
    assert len(run.loaded) == before


def test_another_model_is_refused_and_the_remedy_named(run, gallery, crops, tmp_path, model):
    for arguments in (
        ("search", gallery, "teal", "--model", tmp_path / "itself"),
        ("index", crops, "--out", gallery, "--model", tmp_path / "itself"),
    ):
        code, _, errors = run(*arguments)
        assert code == 3
        assert "the gallery was built with run" in errors and f"--model {model}" in errors


def test_a_missing_or_damaged_gallery_is_exit_code_3(run, gallery, tmp_path):
    code, _, errors = run("search", tmp_path / "nowhere", "teal")
    assert (code, "no gallery there" in errors) == (3, True)
    (gallery / "gallery.json").write_text("{")
    code, _, errors = run("search", gallery, "teal")
    assert (code, "gallery.json" in errors) == (3, True)


def test_index_again_needs_no_model_and_sums_up_as_json(run, gallery, crops, tmp_path):
    (crops / "bad.jpg").write_bytes(b"")
    code, out, _ = run("index", crops, "--out", gallery, "--json")
    report = json.loads(out)
    assert code == 0
    assert (report["rows"], report["unchanged"], report["quarantined"], report["added"]) == (3, 3, 1, 0)
    code, out, _ = run("index", crops, "--out", gallery)
    assert "1 files could not be read" in out and "quarantine.jsonl" in out


def test_index_prunes_on_request(run, gallery, crops):
    next(crops.glob("lobby/*")).unlink()
    assert "1 rows have lost their files" in run("index", crops, "--out", gallery)[1]
    assert "1 rows removed" in run("index", crops, "--out", gallery, "--prune")[1]


def test_index_mistakes_are_told_before_a_model_is_loaded(run, crops, tmp_path, model):
    for arguments, code, problem in (
        ((tmp_path / "nowhere", "--out", tmp_path / "g", "--model", model), 3, "no such folder"),
        ((crops, "--out", tmp_path / "g", "--model", model, "--set", "bath=3"), 3, "did you mean 'batch'"),
        ((crops, "--out", tmp_path / "g", "--model", model, "--set", "batch=0"), 3, "'batch' = 0"),
    ):
        found, _, errors = run("index", *arguments)
        assert (found, problem in errors) == (code, True), errors
    assert run.loaded == []
    assert not (tmp_path / "g").exists()


def test_where_no_model_is_named_the_shipped_one_is_taken_and_remembered(run, crops, tmp_path):
    code, _, errors = run("index", crops, "--out", tmp_path / "g")
    assert (code, "no model named: pickout-small" in errors) == (0, True)
    assert run("search", tmp_path / "g", "red", "--json")[0] == 0
    assert [model for model, _ in run.loaded] == ["pickout-small", "pickout-small"]


def test_a_model_that_cannot_be_loaded_leaves_no_gallery(run, crops, tmp_path):
    code, _, errors = run("index", crops, "--out", tmp_path / "g", "--model", tmp_path / "nonsense")
    assert (code, "no importer knows" in errors) == (3, True)
    assert not (tmp_path / "g").exists()


def test_a_model_that_has_moved_is_told(run, gallery, model, crops):
    model.rmdir()
    code, _, errors = run("search", gallery, "teal")
    assert code == 3
    assert f"its model was at {model}, nothing is there now; pass --model" in errors
    assert run("search", gallery, "teal", "--model", "colour")[0] == 0


def test_hostile_names_do_not_reach_the_terminal_raw(run, tmp_path, model):
    root = tmp_path / "crops2"
    root.mkdir()
    Image.new("RGB", (20, 60)).save(root / os.fsdecode(b"\x1b[2Jcaf\xe9[bold].png"))
    run("index", root, "--out", tmp_path / "g2", "--model", model)
    code, out, _ = run("search", tmp_path / "g2", "black coat")
    assert code == 0
    assert "\x1b" not in out and "�[2Jcaf�[bold].png" in out
    odd = tmp_path / os.fsdecode(b"caf\xe9")
    code, _, errors = run("index", root, "--out", odd, "--model", model)
    assert (code, "caf�: the path of a gallery must be UTF-8 text" in errors) == (3, True)
    assert "sheet.html" in run("search", tmp_path / "g2", "black coat", "--html", odd / "sheet.html")[1]
    code, out, _ = run("search", tmp_path / "g2", "black coat", "--json")
    assert Path(json.loads(out.splitlines()[0])["file"]).is_file()


def test_what_was_passed_over_and_assumed_is_said(run, crops, model, tmp_path):
    for name in ("a.heic", "b.HEIC", "list.txt", "@eaDir/c.png", "0_mask.png"):
        (crops / name).parent.mkdir(exist_ok=True)
        (crops / name).write_bytes(b"x")
    (tmp_path / "table.csv").write_text("Path,Camera_ID\nlobby/0_[red]teal.png,3.0\n")
    arguments = ["index", crops, "--out", tmp_path / "g", "--model", model, "--exclude", "*_mask.png"]
    code, out, _ = run(*arguments, "--table", tmp_path / "table.csv")
    assert code == 0 and "3 crops (3 new" in out
    assert "passed over: 2 .heic, 1 .txt, 1 @eaDir/, 1 excluded by '*_mask.png'" in out
    assert "convert them to JPEG" in out
    assert "the table: column 'Path' is read as image" in out and "'Camera_ID' is read as camera" in out
    _, out, _ = run(*arguments, "--json")
    assert json.loads(out)["passed_over"] == {"excluded by '*_mask.png'": 1, "@eaDir/": 1, ".heic": 2, ".txt": 1}

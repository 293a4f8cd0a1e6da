"""`pickout data check` and `pickout data list` as a user meets them."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pickout.cli.app import main


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stop:
        main(["data", *arguments])
    out, err = capsys.readouterr()
    code = stop.value.code
    return (code if isinstance(code, int) else 0), out, err


def write_set(folder: Path, **changes: Any) -> Path:
    root = folder / "RSTPReid"
    (root / "imgs").mkdir(parents=True)
    records = []
    for number, split in enumerate(("train", "train", "val", "test")):
        name = f"000{number}_c{number}_0001.jpg"
        Image.new("RGB", (8, 16), "blue").save(root / "imgs" / name)
        records.append({"id": number, "img_path": name, "captions": [f"A man {number}.", "In blue."], "split": split})
    records[1].update(changes)
    (root / "data_captions.json").write_text(json.dumps(records))
    return root


def test_a_usable_set_is_shown_as_a_table_with_its_warnings(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, out, _ = run(capsys, "check", "rstpreid", str(write_set(tmp_path)))
    assert code == 0
    assert "train" in out and "warning 1 captions stand, word for word, at more than one identity" in out
    assert "3,701 identities" in out and "It can be used." in out and "NjtechCVLab" in out


def test_json_is_one_object_a_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, out, _ = run(capsys, "check", "rstpreid", str(write_set(tmp_path)), "--json")
    lines = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [line["type"] for line in lines] == ["finding"] * (len(lines) - 1) + ["result"]
    assert lines[-1]["usable"] is True
    assert lines[-1]["splits"]["train"] == {"identities": 2, "images": 2, "captions": 4}
    assert "repeated-captions" in {line.get("kind") for line in lines}


def test_captions_as_a_string_are_named_and_end_with_code_3(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    root = write_set(tmp_path, captions="A man in [red].")
    code, out, err = run(capsys, "check", "rstpreid", str(root))
    assert code == 3 and "Traceback" not in out + err
    assert "error data_captions.json: 1 records with a wrong field 'captions'" in out
    assert "record 1: the string 'A man in [red].'; expected a list of strings" in out
    assert "It cannot be used as it is." in out


def test_images_are_opened_when_asked(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    root = write_set(tmp_path)
    (root / "imgs" / "0001_c1_0001.jpg").write_bytes(b"\xff\xd8 broken")
    assert run(capsys, "check", "rstpreid", str(root))[0] == 0
    code, out, err = run(capsys, "check", "rstpreid", str(root), "--open")
    assert code == 3 and "1 images cannot be decoded" in out and "4/4" in err


def test_truncated_json_tells_the_place(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    root = write_set(tmp_path)
    file = root / "data_captions.json"
    file.write_text(file.read_text()[:-30])
    code, out, _ = run(capsys, "check", "rstpreid", str(root))
    assert code == 3 and "not valid JSON at line 1, column" in out


def test_a_missing_folder_tells_where_to_ask(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, out, _ = run(capsys, "check", "cuhk-pedes", str(tmp_path / "absent"))
    assert code == 3 and "no such folder" in out and "ShuangLI59" in out


def test_an_unknown_name_is_a_usage_error(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, _, err = run(capsys, "check", "rstp", str(tmp_path))
    assert code == 2 and "did you mean 'rstpreid'" in err


def test_odd_file_names_can_be_printed(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    root = tmp_path / "odd\udcff"
    code, out, _ = run(capsys, "check", "rstpreid", str(root))
    assert code == 3 and "odd�" in out


def test_the_known_sets_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "list")
    assert code == 0
    assert all(name in out for name in ("cuhk-pedes", "icfg-pedes", "rstpreid", "table", "street"))
    code, out, _ = run(capsys, "list", "--json")
    sets = {facts["name"]: facts for facts in map(json.loads, out.splitlines())}
    assert code == 0 and sets["cuhk-pedes"]["splits"]["test"]["captions"] == 6156
    assert "ICFG_PEDES.json" in sets["icfg-pedes"]["layout"]


def test_checking_loads_no_torch(tmp_path: Path) -> None:
    program = (
        "import sys\nfrom pickout.cli.app import main\n"
        f"try:\n    main(['data', 'check', 'rstpreid', {str(write_set(tmp_path))!r}, '--open'])\n"
        "except SystemExit as stop:\n    assert not stop.code\n"
        "assert 'torch' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_layout_of_a_set_that_is_not_there_has_its_lines(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["data", "check", "street", str(tmp_path / "nowhere")])
    assert stop.value.code == 3 and "\n  reid_raw.json" in capsys.readouterr().out

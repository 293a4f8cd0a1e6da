"""The wheel works without the checkout: from drawn crops to ranked people, as a user who never saw the sources."""

import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def installed(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `pickout` program of a fresh environment into which only the wheel was installed.

    The third-party packages come from this environment through a path file, so nothing is fetched; path files found
    behind it are not read, so an editable checkout stays invisible.
    """
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(repository)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = folder.glob("pickout-*.whl")
    with zipfile.ZipFile(wheel) as inside:
        assert "pickout/weights/pickout-small.safetensors.words.txt" in inside.namelist()
    venv.create(folder / "env", with_pip=False)
    site = next((folder / "env" / "lib").glob("python*/site-packages"))
    target = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--prefix", str(folder / "env"), str(wheel)]
    subprocess.run([*target, "--ignore-installed", "--no-warn-script-location"], check=True, capture_output=True)
    (site / "third_party.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    program = folder / "env" / "bin" / "pickout"
    lines = program.read_text().splitlines()
    program.write_text("\n".join([f"#!{folder / 'env' / 'bin' / 'python'}", *lines[1:]]) + "\n")
    return program


def _run(program: Path, folder: Path, *arguments: str) -> str:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_ENV"))}
    done = subprocess.run([program, *arguments], cwd=folder, env=clean, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_runs_from_its_own_files(installed: Path, tmp_path: Path) -> None:
    python = installed.with_name("python")
    where = subprocess.run([python, "-c", "import pickout; print(pickout.__file__)"], cwd=tmp_path, capture_output=True)
    assert str(installed.parent.parent) in where.stdout.decode()
    assert "Find people in images from a sentence" in _run(installed, tmp_path, "--help")


def test_draw_train_index_search(installed: Path, tmp_path: Path) -> None:
    _run(
        installed,
        tmp_path,
        "data",
        "draw",
        "street",
        "--set",
        "identities=16",
        "--set",
        "val_identities=6",
        "--set",
        "test_identities=6",
    )
    _run(installed, tmp_path, "train", "smoke", "--out", "run", "--set", "data.root=street")
    _run(installed, tmp_path, "index", "street/imgs", "--model", "run", "--out", "crops.gallery")
    answer = _run(installed, tmp_path, "search", "crops.gallery", "a woman in a red jacket", "--top", "3", "--json")
    hits = [json.loads(line) for line in answer.splitlines()][:-1]
    assert [hit["rank"] for hit in hits] == [1, 2, 3]
    assert hits[0]["score"] >= hits[1]["score"] >= hits[2]["score"]

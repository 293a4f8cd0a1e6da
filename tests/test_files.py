"""A file is whole or not there, whatever goes wrong while it is written."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pickout.errors import StorageFull
from pickout.files import atomic_path, half_written, write_atomically


def test_text_and_bytes_arrive(tmp_path: Path) -> None:
    write_atomically(tmp_path / "deep" / "a.txt", "grün")
    write_atomically(tmp_path / "b.bin", b"\x00\x01")
    assert (tmp_path / "deep" / "a.txt").read_text(encoding="utf-8") == "grün"
    assert (tmp_path / "b.bin").read_bytes() == b"\x00\x01"


def test_an_error_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    write_atomically(target, "old")
    with pytest.raises(ValueError, match="broke"), atomic_path(target) as temporary:
        temporary.write_text("half")
        raise ValueError("broke")
    assert target.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_a_full_disk_is_told_in_the_users_words(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    with pytest.raises(StorageFull, match=r"a\.txt: no space left"), atomic_path(target):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert list(tmp_path.iterdir()) == []


def test_other_errors_of_the_system_stay_what_they_are(tmp_path: Path) -> None:
    with pytest.raises(PermissionError), atomic_path(tmp_path / "a"):
        raise PermissionError(errno.EACCES, "no")


@pytest.mark.parametrize(("folder", "file"), [(0o755, 0o640), (0o700, 0o600), (0o750, 0o640), (0o777, 0o640)])
def test_permissions_follow_the_umask_and_the_folder(tmp_path: Path, folder: int, file: int) -> None:
    tmp_path.chmod(folder)
    code = "import os; os.umask(0o027)\nfrom pathlib import Path\nfrom pickout.files import write_atomically\n"
    subprocess.run([sys.executable, "-c", f"{code}write_atomically(Path({str(tmp_path / 'a')!r}), b'x')"], check=True)
    assert (tmp_path / "a").stat().st_mode & 0o777 == file


def test_names_of_any_length_are_written_and_half_written_ones_are_known(tmp_path: Path) -> None:
    for name in ("a" * 255, "ü" * 127, "a.txt", "a\nb"):
        with atomic_path(tmp_path / name) as temporary:
            assert half_written(tmp_path) == [temporary]
            temporary.write_text("x")
        assert (tmp_path / name).read_text() == "x"
    for other in (".film.part", ".film.mp4.part", "a.abcdefgh.pickout.part", ".a.abc.pickout.part", ".a.pickout.part"):
        (tmp_path / other).touch()
    assert half_written(tmp_path) == []


def test_a_kill_in_the_middle_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    write_atomically(target, "old")
    code = (
        "import os, signal\nfrom pathlib import Path\nfrom pickout.files import atomic_path, half_written\n"
        f"with atomic_path(Path({str(target)!r})) as t:\n"
        "    t.write_text('half')\n    os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    assert target.read_text() == "old"


def test_what_is_no_ordinary_file_is_refused_and_stays(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "pipe")
    before = sorted((entry.name, entry.lstat().st_mode) for entry in tmp_path.iterdir())
    for name, error in (("pipe", FileExistsError), ("link", FileExistsError), ("folder", IsADirectoryError)):
        with pytest.raises(error):
            write_atomically(tmp_path / name, "text")
    assert sorted((entry.name, entry.lstat().st_mode) for entry in tmp_path.iterdir()) == before


def test_a_link_stays_and_what_it_leads_to_is_replaced(tmp_path: Path) -> None:
    write_atomically(tmp_path / "elsewhere" / "a.txt", "old")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere" / "a.txt")
    write_atomically(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "elsewhere" / "a.txt").read_text() == "new"


def test_files_of_the_users_that_look_half_written_are_not_ours(tmp_path: Path) -> None:
    for name in (".film.mkv.part", ".x.abcdefgh.part", "film.part", ".pickout.parts"):
        (tmp_path / name).touch()
    with pytest.raises(ZeroDivisionError), atomic_path(tmp_path / "below" / "file") as temporary:
        assert half_written(tmp_path) == [temporary] and half_written(tmp_path, below=False) == []
        raise ZeroDivisionError
    assert half_written(tmp_path) == []

"""The audit: whole lines, the account that the system knows, and a file that lies in the gallery itself."""

import json
import os
import pwd
import subprocess
import sys

import pytest

from pickout.errors import GalleryError
from pickout.gallery.audit.log import AUDIT, user_name
from pickout.gallery.gallery import Gallery
from pickout.gallery.intake.report import IngestSettings
from pickout.gallery.portable.reader import import_gallery
from pickout.gallery.storage.rows import Metadata


def lines(gallery):
    return (gallery.path / "audit.jsonl").read_bytes().split(b"\n")


def test_a_line_that_was_cut_off_stays_a_line_of_its_own(gallery):
    gallery.search("teal jacket")
    audit = gallery.path / "audit.jsonl"
    audit.write_bytes(audit.read_bytes()[:-20])
    gallery.search("red coat")
    first, mended, second, end = lines(gallery)
    assert end == b"" and json.loads(second)["sentence"] == "red coat"
    assert json.loads(mended)["event"] == "mended"
    with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
        json.loads(first)


@pytest.mark.parametrize("room", [0, 1, 40])
def test_a_disk_that_fills_within_a_line_leaves_none_of_it_and_gives_no_results(gallery, room):
    gallery.search("teal jacket")
    before = (gallery.path / "audit.jsonl").read_bytes()
    # A limit on the size of files fills up as a disk does: what fits is written, the rest is not.
    code = (
        "import resource, signal, sys\nfrom pathlib import Path\n"
        "from pickout.gallery.audit.log import record_change\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({len(before) + room}, resource.RLIM_INFINITY))\n"
        f"record_change(Path({str(gallery.path)!r}), 'remove', 1)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ("no space left" if room else "nothing is done without a record") in ended.stderr
    assert ended.returncode == 1 and (gallery.path / "audit.jsonl").read_bytes() == before
    gallery.search("red coat")
    assert [json.loads(line)["sentence"] for line in lines(gallery)[:-1]] == ["teal jacket", "red coat"]


def test_no_variable_changes_who_it_was(gallery, monkeypatch):
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME", "SUDO_USER"):
        monkeypatch.setenv(name, "somebody else")
    gallery.search("teal jacket")
    told = json.loads(lines(gallery)[0])
    assert told["user"] == pwd.getpwuid(os.getuid()).pw_name == user_name()


def test_an_account_without_a_name_is_told_by_number(monkeypatch):
    monkeypatch.setattr(os, "getuid", lambda: 3_999_999_999)
    assert user_name() == "3999999999"


@pytest.mark.parametrize("kind", ["link", "dangling link", "pipe", "folder"])
def test_an_audit_that_is_no_file_of_its_own_stops_the_search(gallery, tmp_path, kind):
    audit, other = gallery.path / "audit.jsonl", tmp_path / "other.txt"
    if kind == "link":
        other.write_text("mine")
    if "link" in kind:
        audit.symlink_to(other)
    elif kind == "pipe":
        os.mkfifo(audit)
    else:
        audit.mkdir()
    with pytest.raises(GalleryError, match=r"audit\.jsonl: cannot be written to .*; nothing is done without a record"):
        gallery.search("teal jacket")
    assert other.read_text() == "mine" if kind == "link" else not other.exists()


def test_lines_of_many_processes_do_not_mix(gallery):
    code = (
        "from pathlib import Path\nfrom pickout.gallery.audit.log import record_change\n"
        f"gallery = Path({str(gallery.path)!r})\n"
        "for row in range(200):\n    record_change(gallery, 'remove' + 'x' * 500, row)"
    )
    processes = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]
    assert sorted(json.loads(line)["rows"] for line in lines(gallery)[:-1]) == sorted([*range(200)] * 3)


def test_indexing_importing_and_telling_more_leave_lines_of_what_was_changed(tmp_path, encoder, crops, draw):
    gallery = Gallery.create(tmp_path / "people.gallery", encoder)
    assert gallery.add(crops, settings=IngestSettings(commit=4)).added == 6
    gallery.export(tmp_path / "all.pickout")
    assert gallery.add(crops).unchanged == 6
    draw(crops / "0007.png", top="red", shade=9)
    (tmp_path / "table.csv").write_text("image,camera\n0006.png,lobby\n")
    assert gallery.add(crops, table=tmp_path / "table.csv").updated == 1
    gallery.update(gallery.choose(["000*.png"]), Metadata(camera="yard", labels={"hat": "red"}), forget=["track"])
    gallery.erase(gallery.choose(["0007.png"]))
    import_gallery(tmp_path / "all.pickout", gallery.path)
    import_gallery(tmp_path / "all.pickout", gallery.path, replace_rows=True)
    lines = [json.loads(line) for line in (gallery.path / AUDIT).read_text().splitlines()]
    changes = [(line["change"], line["rows"]) for line in lines if line["change"] == "index"]
    assert sum(rows for _, rows in changes) == 6 + 2 and len(changes) >= 2
    assert [(line["change"], line["rows"]) for line in lines if line["change"] != "index"] == [
        ("export", 6), ("update", 7), ("erase", 1), ("import", 6)
    ]  # fmt: skip
    assert [line["told"] for line in lines if "told" in line] == [["camera", "hat", "track"]]

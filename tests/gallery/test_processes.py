"""Killed processes, and two at once."""

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pickout.gallery.gallery import Gallery
from pickout.gallery.storage.store import Store
from pickout.gallery.storage.tables import MANIFEST

SCRIPT = Path(__file__).parent / "index_in_process.py"
CROPS = 120


@pytest.fixture
def many(tmp_path, draw):
    root = tmp_path / "many"
    for shade in range(CROPS):
        draw(root / f"{shade:03d}.png", top=("teal", "red", "olive")[shade % 3], shade=shade, size=(12, 36))
    (root / "bad.jpg").write_bytes(b"bad")
    return root


def start(gallery, crops, pause):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, str(SCRIPT), str(gallery), str(crops), str(pause)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert process.stdout.readline() == "ready\n"
    return process


def go(process):
    process.stdin.write("go\n")
    process.stdin.flush()


def finish(process):
    out, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    return [int(word) for word in out.splitlines()[-1].split()]


def facts(gallery):
    store = Store(gallery.path, gallery.manifest.model.dimension)
    rows = store.fetch(known.id for known in store.known())
    assert len(rows) == store.count()  # no id twice
    return {row.path: (row.id, row.content, row.vector.tobytes(), row.thumbnail) for row in rows.values()}


def test_kill_9_at_random_moments_loses_no_committed_row_and_makes_no_duplicate(tmp_path, many, encoder):
    whole = Gallery.create(tmp_path / "whole", encoder)
    whole.add(many)
    expected = facts(whole)
    path = tmp_path / "killed"
    generator = random.Random(20261121)
    before = {}
    for batches in (0, 2, 7, 9):
        process = start(path, many, pause=0.005)
        go(process)
        for _ in range(batches):
            assert process.stdout.readline() == "batch\n"
        time.sleep(generator.uniform(0, 0.03))
        process.kill()
        process.communicate()
        if not (path / MANIFEST).exists():
            continue
        after = facts(Gallery.open(path, encoder))
        assert before.items() <= after.items() <= expected.items()
        before = after
    process = start(path, many, pause=0)
    go(process)
    added, unchanged, quarantined = finish(process)
    assert (added + unchanged, quarantined) == (CROPS, 1)
    assert unchanged == len(before)
    assert 0 < unchanged < CROPS
    again = Gallery.open(path, encoder)
    assert facts(again) == expected
    assert [entry.file.name for entry in again.quarantined()] == ["bad.jpg"]


def test_two_processes_indexing_the_same_folder_at_once_leave_each_row_once(tmp_path, many, encoder):
    whole = Gallery.create(tmp_path / "whole", encoder)
    whole.add(many)
    path = tmp_path / "shared"
    both = [start(path, many, pause=0.01) for _ in range(2)]
    for process in both:
        go(process)
    for process in both:
        added, unchanged, quarantined = finish(process)
        assert (added + unchanged, quarantined) == (CROPS, 1)
    gallery = Gallery.open(path, encoder)
    assert facts(gallery) == facts(whole)
    assert len(gallery.quarantined()) == 1


def test_a_search_sees_what_another_process_has_added(tmp_path, many, draw, encoder):
    path = tmp_path / "shared"
    draw(tmp_path / "first" / "one.png", top="orange", shade=1)
    gallery = Gallery.create(path, encoder)
    gallery.add(tmp_path / "first")
    assert len(gallery.search("a teal jacket", top=500)) == 1
    process = start(path, many, pause=0)
    go(process)
    finish(process)
    assert len(gallery.search("a teal jacket", top=500)) == CROPS + 1

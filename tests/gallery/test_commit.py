"""Rows that are written in a thread of their own: order, errors, bounds, and runs that end early."""

import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import numpy as np
import pytest

from pickout.errors import GalleryDamaged, StorageFull
from pickout.gallery.gallery import Gallery
from pickout.gallery.intake.commit import Committer, Inventory
from pickout.gallery.intake.left_out import QUARANTINE, read_suppression
from pickout.gallery.intake.report import IngestReport, IngestSettings
from pickout.gallery.storage.lock import writing
from pickout.gallery.storage.rows import Metadata, Row
from pickout.gallery.storage.store import Store

PATIENCE = 20.0


class Gate:
    """Stands before `Store.put`: keeps it waiting, and remembers what came."""

    def __init__(self, monkeypatch, *, closed=True):
        self.open, self.reached, self.batches = threading.Event(), threading.Event(), []
        put = Store.put

        def gated(store, rows):
            self.batches.append([row.path for row in rows])
            self.reached.set()
            assert not closed or self.open.wait(PATIENCE)
            put(store, rows)

        monkeypatch.setattr(Store, "put", gated)


@pytest.fixture
def empty(tmp_path, encoder):
    return Gallery.create(tmp_path / "empty.gallery", encoder)


@pytest.fixture
def many(tmp_path, draw):
    root = tmp_path / "many"
    for shade in range(40):
        draw(root / f"{shade:03d}.png", shade=shade, size=(6, 18))
    return root


def made(gallery, **changed):
    report, inventory = IngestReport(), Inventory(())
    settings = IngestSettings(**{"commit": 2, "commit_seconds": 60.0, **changed})
    erased = read_suppression(gallery.path)
    return Committer(gallery.path, gallery._store, inventory, report, erased, settings, lambda _: ()), report, inventory


def row(number):
    vector = np.eye(10, dtype=np.float32)[number % 10]
    place = f"{number:032x}", f"{number:064x}", "/crops", f"{number}.png"
    return Row(*place, vector, 4, 8, Metadata(), b"", datetime(2026, 1, 1))


def commit_threads():
    return [thread for thread in threading.enumerate() if thread.name == "commit"]


def test_rows_are_known_and_counted_only_once_they_are_written(empty, monkeypatch):
    gate = Gate(monkeypatch)
    committer, report, inventory = made(empty)
    with committer:
        committer.add(row(1))
        committer.commit()
        assert gate.reached.wait(PATIENCE)
        assert (report.added, inventory.row_with(row(1).content), empty.count()) == (0, None, 0)
        assert committer.row_with(row(1).content).id == row(1).id
        committer.add(row(2))
        assert committer.row_with(row(2).content).id == row(2).id
        gate.open.set()
        committer.finish()
    assert (report.added, inventory.row_with(row(1).content), empty.count()) == (2, row(1).id, 2)
    assert committer.row_with(row(1).content) is None


def test_a_row_that_is_there_counts_as_updated(empty):
    committer, report, _ = made(empty, commit=1)
    with committer:
        for number in (1, 2, 1):
            committer.add(row(number))
            committer.commit_if_due()
        committer.finish()
    assert (report.added, report.updated, empty.count()) == (2, 1, 2)


def test_an_error_of_the_writing_thread_is_raised_as_it_is_and_earlier_rows_stay(empty, monkeypatch):
    error = StorageFull("no space left")
    committer, report, inventory = made(empty, commit=1)
    put = Store.put

    def full(store, rows):
        if rows[0].path == "2.png":
            raise error
        put(store, rows)

    monkeypatch.setattr(Store, "put", full)
    with pytest.raises(StorageFull) as caught, committer:
        for number in range(5):
            committer.add(row(number))
            committer.commit_if_due()
        committer.finish()
    assert caught.value is error
    assert (report.added, empty.count(), inventory.row_with(row(2).content)) == (2, 2, None)
    assert set(empty.rows(row(number).id for number in range(5))) == {row(0).id, row(1).id}
    assert not commit_threads()


def test_an_error_of_the_last_commit_and_of_the_list_is_raised_too(empty):
    (empty.path / QUARANTINE).write_text("")
    committer, report, _ = made(empty)
    (empty.path / QUARANTINE).write_text("{\n")
    with pytest.raises(GalleryDamaged, match="line 1 is garbled"), committer:
        committer.add(row(1))
        committer.refuse(row(2).file, "no image")
        committer.finish()
    assert (report.added, empty.count()) == (1, 1)  # the rows of that commit were written before its lines


def test_commits_keep_the_order_of_the_rows(empty, many, monkeypatch):
    gate = Gate(monkeypatch, closed=False)
    empty.add(many, settings=IngestSettings(batch=3, commit=5, threads=3))
    assert [path for batch in gate.batches for path in batch] == sorted(file.name for file in many.iterdir())
    assert len(gate.batches) > 5


def test_a_slow_disk_holds_the_model_up_instead_of_filling_memory(empty, many, encoder, monkeypatch):
    gate = Gate(monkeypatch)
    settings = IngestSettings(batch=4, commit=8, threads=2)
    run = threading.Thread(target=empty.add, args=(many,), kwargs={"settings": settings})
    run.start()
    assert gate.reached.wait(PATIENCE)
    began = time.monotonic()
    while encoder.encoded < 16 and time.monotonic() - began < PATIENCE:
        time.sleep(0.01)
    time.sleep(0.1)
    assert (encoder.encoded, len(gate.batches)) == (16, 1)  # one commit on its way, one gathered
    gate.open.set()
    run.join()
    assert (encoder.encoded, empty.count()) == (40, 40)


def test_equal_bytes_of_a_row_on_its_way_are_not_encoded_again(empty, tmp_path, draw, encoder, monkeypatch):
    gate = Gate(monkeypatch)
    root = tmp_path / "equal"
    draw(root / "0.png")
    for number in range(1, 4):
        shutil.copy(root / "0.png", root / f"{number}.png")

    def let_go(progress):
        if progress.done == 3:  # the first two rows are on their way, the third has just been made
            assert gate.reached.wait(PATIENCE) and empty.count() == 0
            gate.open.set()

    empty.add(root, settings=IngestSettings(batch=1, commit=2), on_progress=let_go)
    assert (encoder.encoded, empty.count()) == (1, 4)


def test_an_interrupted_run_waits_for_the_commit_that_is_being_written(empty, many, monkeypatch):
    gate = Gate(monkeypatch)

    def interrupt(progress):
        if progress.encoded >= 12:
            assert gate.reached.wait(PATIENCE)
            threading.Timer(0.1, gate.open.set).start()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        empty.add(many, settings=IngestSettings(batch=4, commit=8), on_progress=interrupt)
    assert not commit_threads()
    assert empty.count() == len(gate.batches[0]) == 8
    monkeypatch.undo()
    report = empty.add(many)
    assert (report.unchanged, report.added) == (8, 32)


def test_an_interrupted_run_neither_waits_for_another_writer_nor_writes_later(empty, many):
    def interrupt(progress):
        if progress.encoded >= 12:
            raise KeyboardInterrupt

    with writing(empty.path):
        with pytest.raises(KeyboardInterrupt):
            empty.add(many, settings=IngestSettings(batch=4, commit=8), on_progress=interrupt)
        (thread,) = commit_threads()
    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert empty.count() == 0


def test_rows_are_read_while_others_are_written(empty):
    """The searching and the writing thread share one table."""
    store = empty._store
    store.put([row(number) for number in range(50)])
    ids = [row(number).id for number in range(50)]

    def write():
        for start in range(50, 100, 2):
            store.put([row(start), row(start + 1)])
            if start % 20 == 0:
                store.compact()

    pool = ThreadPoolExecutor(1)
    work, seen = pool.submit(write), set()
    while not work.done():
        assert set(store.fetch(ids)) == set(ids)
        seen.add(store.count())
    work.result()
    assert store.count() == 100 and all(count % 2 == 0 for count in seen)

"""Writers that wait for each other."""

import threading
import time

import pytest

from pickout.errors import GalleryError
from pickout.gallery.storage import lock
from pickout.gallery.storage.lock import writing


def test_a_second_writer_waits_for_the_first(tmp_path):
    order = []

    def second():
        with writing(tmp_path):
            order.append("second")

    with writing(tmp_path):
        thread = threading.Thread(target=second)
        thread.start()
        time.sleep(0.05)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_a_writer_that_waited_too_long_says_so_and_was_told_before(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(lock, "_TOLD_AFTER", 0.02)
    monkeypatch.setattr(lock, "PATIENCE", 0.1)
    with (
        writing(tmp_path),
        pytest.raises(GalleryError, match=r"has been writing for 0\.1 s; try again later"),
        writing(tmp_path),
    ):
        raise AssertionError("two writers at once")
    assert [record.getMessage() for record in caplog.records] == [
        f"{tmp_path}: waiting for another process that is writing"
    ]


def test_a_folder_that_is_gone_is_an_error_of_ours(tmp_path):
    with pytest.raises(GalleryError, match="is not there any more"), writing(tmp_path / "gone"):
        pass

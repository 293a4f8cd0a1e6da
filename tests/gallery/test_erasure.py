"""Erasure is proven by reading every file of the gallery's folder."""

import errno
import json
import os
import shutil
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from colour_encoder import NoiseEncoder
from PIL import Image

from pickout.errors import GalleryDamaged, GalleryError, UsageError
from pickout.gallery.changes.edits import ERASING, erase_rows, finish_erasing, unfinished
from pickout.gallery.changes.verification import verify
from pickout.gallery.gallery import Gallery
from pickout.gallery.search.query import Query
from pickout.gallery.storage import memory, store
from pickout.gallery.storage.store import Store


def traces(folder: Path, row) -> list[str]:
    """Files that hold the row's id, digest, path, thumbnail or vector."""
    signs = {
        "id": row.id.encode(),
        "content": row.content.encode(),
        "path": os.fsencode(row.path),
        "thumbnail": row.thumbnail[-120:],
        "vector": np.asarray(row.vector, "<f4").tobytes(),
    }
    found = []
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            data = file.read_bytes()
            found += [f"{file.relative_to(folder)}: {name}" for name, sign in signs.items() if sign in data]
    return found


def rows_by_path(gallery):
    return {row.path: row for row in gallery.rows(known.id for known in gallery._store.known()).values()}


def test_an_erased_row_leaves_no_trace_and_the_others_stay(gallery, encoder):
    rows = rows_by_path(gallery)
    gone = rows.pop("cam_a/0001_c1.png")
    assert traces(gallery.path, gone)
    assert erase_rows(gallery.path, gallery._store, [gone.id, "0" * 32]) == (1, ())
    assert traces(gallery.path, gone) == []
    again = Gallery.open(gallery.path, encoder)
    assert {path: row.vector.tolist() for path, row in rows_by_path(again).items()} == {
        path: row.vector.tolist() for path, row in rows.items()
    }
    assert "cam_a/0001_c1.png" not in [hit.path for hit in again.search("teal", top=6)]
    assert [hit.path for hit in gallery.search("teal", top=6)] == [hit.path for hit in again.search("teal", top=6)]


def test_rows_that_were_only_removed_leave_traces_until_something_is_erased(gallery):
    gone = rows_by_path(gallery)["0006.png"]
    gallery._store.remove([gone.id])
    assert traces(gallery.path, gone)
    assert erase_rows(gallery.path, gallery._store, []) == (0, ())
    assert traces(gallery.path, gone) == []


def test_a_replaced_row_leaves_no_old_pixels_after_an_erasure(gallery, crops, draw):
    before = rows_by_path(gallery)["0006.png"]
    draw(crops / "0006.png", "red", "blue", "white", shade=99)
    gallery.add(crops)
    erase_rows(gallery.path, gallery._store, [])
    left = [trace for trace in traces(gallery.path, before) if not trace.endswith(("id", "path"))]
    assert left == []


@pytest.mark.parametrize("moment", ["before the table", "after the table"])
def test_an_interrupted_erasure_is_finished_by_the_next_writer(gallery, crops, encoder, monkeypatch, moment):
    gone = rows_by_path(gallery)["0006.png"]
    whole = Store.erase

    def killed(self, ids):
        if moment == "after the table":
            whole(self, ids)
        raise KeyboardInterrupt

    monkeypatch.setattr(Store, "erase", killed)
    with pytest.raises(KeyboardInterrupt):
        erase_rows(gallery.path, gallery._store, [gone.id])
    assert unfinished(gallery.path) == [gone.id]
    monkeypatch.setattr(Store, "erase", whole)
    (crops / "0006.png").unlink()
    Gallery.open(gallery.path, encoder).add(crops)
    assert not (gallery.path / ERASING).exists()
    assert traces(gallery.path, gone) == []


def test_a_crop_is_found_no_more_once_its_erasure_has_begun(gallery, encoder, monkeypatch):
    gone = rows_by_path(gallery)["0006.png"]
    gallery.search("green jacket")

    def killed(self, ids):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Store, "erase", killed)
        gallery.erase([gone.id])
    for opened in (gallery, Gallery.open(gallery.path, encoder)):
        hits = opened.search("green jacket and brown trousers", top=6)
        assert len(hits) == 5 and gone.id not in {hit.id for hit in hits}
        assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
        with pytest.raises(UsageError, match=r"no crop '0006\.png'"):
            opened.ask(Query(more_like=("0006.png",)))
    assert opened.choose(["0006.png"]) == [gone.id]  # so that saying it again finishes it
    opened.erase([gone.id])
    assert traces(gallery.path, gone) == []
    assert len(gallery.search("green jacket", top=6)) == 5


def left_by_kills(folder, row):
    """Half-written files as killed writers leave them, each with something of the row."""
    files = {
        ".erasing.json.abcd_123.pickout.part": row.id.encode(),
        ".quarantine.jsonl.abcd_123.pickout.part": os.fsencode(row.path),
        "crops.lance/data/.tmpAbCdEf": row.thumbnail,
        "crops.lance/_transactions/.tmpAbCdEf": row.id.encode(),
        "crops.lance/_versions/18446744073709551600.manifest#1": row.id.encode(),
    }
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return [folder / name for name in files]


def test_an_erased_row_leaves_no_trace_in_files_that_killed_writers_left(gallery):
    gone = rows_by_path(gallery)["0006.png"]
    files = left_by_kills(gallery.path, gone)
    erase_rows(gallery.path, gallery._store, [gone.id])
    assert traces(gallery.path, gone) == [] and not any(file.exists() for file in files)


def test_files_that_killed_writers_left_go_with_the_next_change_or_compaction(gallery):
    row = rows_by_path(gallery)["0006.png"]
    files = left_by_kills(gallery.path, row)
    gallery.remove([])
    assert list(verify(gallery.path)) == [] and not any(file.exists() for file in files[:2])
    gallery.compact()
    assert not any(file.exists() for file in files)
    assert rows_by_path(gallery)["0006.png"].seal == row.seal


@pytest.mark.parametrize(
    ("part", "name"),
    [
        *(("more_like", name) for name in ("{id}", "{file}", "cam_a/0001_c1.png", "../crops/cam_a/0001_c1.png")),
        ("less_like", "0001_c1.png"),
        ("images", "{file}"),
    ],
)
def test_a_saved_search_goes_with_the_crop_however_it_names_it(gallery, crops, part, name):
    gone, other = rows_by_path(gallery)["cam_a/0001_c1.png"], rows_by_path(gallery)["0006.png"]
    name = name.format(id=gone.id, file=gone.file)
    gallery.saved.save("him", Query(["a man"], **{part: [name]}))
    gallery.saved.save("her", Query(["a woman"], more_like=[other.id], images=[crops / "elsewhere.png"]))
    assert gallery.erase([gone.id]).searches == ("him",)
    assert [search.name for search in gallery.saved.all()] == ["her"]
    assert traces(gallery.path, gone) == []


def test_a_saved_search_that_names_a_row_removed_before_goes_with_the_next_erasure(gallery):
    gone, other = rows_by_path(gallery)["cam_a/0001_c1.png"], rows_by_path(gallery)["0006.png"]
    gallery.saved.save("him", Query(["a man"], more_like=[gone.id]))
    gallery.remove([gone.id])
    assert [search.name for search in gallery.saved.all()] == ["him"]
    assert gallery.erase([other.id]).searches == ("him",)
    assert traces(gallery.path, gone) == []


def test_an_open_reader_goes_on_after_an_erasure(gallery, encoder):
    reader = Gallery.open(gallery.path, encoder)
    assert reader.count() == 6
    erase_rows(gallery.path, gallery._store, [rows_by_path(gallery)["0006.png"].id])
    assert reader.count() == 5 and len(reader.search("teal", top=10)) == 5


AHEAD = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <time.h>
int clock_gettime(clockid_t clock, struct timespec *time) {
    int (*real)(clockid_t, struct timespec *) = dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(clock, time);
    if (clock == CLOCK_REALTIME) time->tv_sec += 86400;
    return result;
}
"""


@pytest.fixture
def indexed_ahead(tmp_path):
    """indexed_ahead(crops, *table): a gallery that a process has written whose clock is a day ahead."""
    if shutil.which("cc") is None:
        pytest.skip("needs a C compiler to set a process's clock ahead")
    (tmp_path / "ahead.c").write_text(AHEAD)
    library = tmp_path / "ahead.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, tmp_path / "ahead.c", "-ldl"], check=True)

    def index(crops, *table):
        script, folder = Path(__file__).parent / "index_in_process.py", tmp_path / "ahead.gallery"
        words = [sys.executable, script, folder, crops, "0", *table]
        subprocess.run(words, check=True, input=b"\n", env={**os.environ, "LD_PRELOAD": str(library)})
        return folder

    return index


def test_erasing_leaves_no_trace_when_the_clock_has_gone_back(indexed_ahead, crops, encoder):
    folder = indexed_ahead(crops)
    gallery = Gallery.open(folder, encoder)
    gone = rows_by_path(gallery)["0006.png"]
    assert gone.added > datetime.now() + timedelta(hours=12)
    assert traces(folder, gone)
    assert gallery.erase([gone.id]).rows == 1
    assert traces(folder, gone) == [] and not unfinished(folder)
    assert gallery.count() == 5 and list(verify(folder)) == []


def test_erasing_leaves_no_part_of_crops_that_look_like_no_other(tmp_path, indexed_ahead):
    """Noise, so that what is found of an erased crop is nobody else's: any part of its vector, in any of the formats
    that are written, of its thumbnail, and of what was told about it."""
    draws, crops = np.random.default_rng(11), tmp_path / "noise"
    crops.mkdir()
    names = [draws.bytes(12).hex() for _ in range(40)]
    for name in names:
        Image.fromarray(draws.integers(0, 256, (72, 24, 3), np.uint8)).save(crops / f"{name}.png")
    told = "".join(f"{name}.png,cam-{name},track-{name},label-{name}\n" for name in names)
    (tmp_path / "table.csv").write_text("image,camera,track,coat\n" + told)
    folder = indexed_ahead(crops, tmp_path / "table.csv")
    gallery = Gallery.open(folder, NoiseEncoder())
    shown, wanted = gallery.search("a man", top=2), [f"{name}.png" for name in names[:5]]
    gone = list(gallery.rows({*gallery.choose(wanted), *(hit.id for hit in shown)}).values())
    assert len(gone) >= 5

    def found():
        data = b"".join(file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file())
        return {sign for row in gone for sign, parts in signs(row).items() if any(part in data for part in parts)}

    def signs(row):
        single = np.asarray(row.vector, "<f4")
        vectors = single, single.astype("<f2"), (single.view("<u4") >> 16).astype("<u2")
        halves = [half.tobytes() for vector in vectors for half in np.split(vector, 2)]
        middle = len(row.thumbnail) // 2
        names = [row.id.encode(), row.content.encode(), Path(row.path).stem.encode()]
        return {"vector": halves, "thumbnail": [row.thumbnail[middle:][:60], row.thumbnail[-60:]], "names": names}

    assert found() == {"vector", "thumbnail", "names"}
    assert gallery.erase([row.id for row in gone]).rows == len(gone)
    assert found() == set() and list(verify(folder)) == [] and gallery.count() == len(names) - len(gone)


def test_files_dated_ahead_and_files_that_no_version_names_go_too(gallery):
    gone = rows_by_path(gallery)["0006.png"]
    table = gallery.path / "crops.lance"
    (table / "data" / "stray.lance").write_bytes(gone.thumbnail)
    (table / "deep" / "er").mkdir(parents=True)
    (table / "deep" / "er" / "copy").write_bytes(os.fsencode(gone.path))
    for file in table.rglob("*"):
        os.utime(file, (4e9, 4e9))
    gallery.erase([gone.id])
    assert traces(gallery.path, gone) == [] and gallery.count() == 5


@pytest.mark.parametrize("error", [errno.EACCES, errno.EIO, errno.ESTALE])
def test_an_erasure_whose_old_files_cannot_be_deleted_is_not_finished(gallery, monkeypatch, error):
    gone = rows_by_path(gallery)["0006.png"]
    unlink = Path.unlink

    def refusing(self, missing_ok=False):
        if self.parent.name == "data":
            raise OSError(error, os.strerror(error))
        unlink(self, missing_ok)

    with monkeypatch.context() as patch, pytest.raises(GalleryError, match="cannot be deleted"):
        patch.setattr(Path, "unlink", refusing)
        gallery.erase([gone.id])
    assert unfinished(gallery.path) == [gone.id]
    assert ["was interrupted" in fault.what for fault in verify(gallery.path)] == [True]
    gallery.remove([])  # any change goes on with it
    assert traces(gallery.path, gone) == [] and not unfinished(gallery.path)


READS = {
    "rows": lambda gallery: len(gallery.rows(gallery.kept)),
    "tokens": lambda gallery: gallery._store.fetch_tokens(gallery.kept) or 5,
    "resident": lambda gallery: len(gallery._store.resident().ids),
    "known": lambda gallery: len(list(gallery._store.known())),
    "files": lambda gallery: len(gallery.choose(["*"])),
    "search": lambda gallery: len(gallery.search("a teal jacket")),
}


@pytest.mark.parametrize("read", READS)
def test_a_read_that_an_erasure_takes_the_files_from_is_made_again(gallery, encoder, monkeypatch, read):
    """Between looking up the newest version and reading its files another process erases, as often as twice."""
    ids = sorted(known.id for known in gallery._store.known())
    gallery.kept, times = ids[1:], 0
    real = memory.batches

    def meanwhile(*given, **more):
        nonlocal times
        times += 1
        if times < 3:
            Store(gallery.path, encoder.dimension).erase(ids[:1])
        return real(*given, **more)

    monkeypatch.setattr(memory, "batches", meanwhile)
    monkeypatch.setattr(store, "batches", meanwhile)
    assert READS[read](gallery) == 5 and times >= 3


def test_a_damaged_table_is_still_told_at_once_and_no_erasure_is_awaited(gallery):
    data = next((gallery.path / "crops.lance" / "data").iterdir())
    data.unlink()
    with pytest.raises(GalleryDamaged, match="cannot be used"):
        gallery.search("a teal jacket")


def test_a_garbled_list_is_named(gallery):
    (gallery.path / ERASING).write_text("{}")
    with pytest.raises(GalleryDamaged, match=r"erasing\.json: .*garbled"):
        finish_erasing(gallery.path, gallery._store)
    (gallery.path / ERASING).write_text(json.dumps([]))
    finish_erasing(gallery.path, gallery._store)
    assert unfinished(gallery.path) == []


def test_crops_that_are_being_erased_are_compared_once_however_many_searches_there_are(gallery, monkeypatch):
    ids, compared, real = [row.id for row in rows_by_path(gallery).values()], [], np.isin
    monkeypatch.setattr(np, "isin", lambda *given: compared.append(1) or real(*given))
    found = lambda: {hit.id for hit in gallery.search("a teal jacket", top=10)}  # noqa: E731
    for begun, comparisons in (([], 0), (ids[:1], 1), (ids[:1], 0), (ids[:2], 1), ([], 0), (ids[1:2], 1)):
        (gallery.path / ERASING).write_text(json.dumps(begun))
        compared.clear()
        assert found() == found() == set(ids) - set(begun)
        assert len(compared) == comparisons

"""Data files that a disk or a hand changed: what is shown wrong is said, and one bad picture stops no page."""

import struct
from dataclasses import replace

import numpy as np
import pytest

from pickout.errors import GalleryDamaged, PickoutError
from pickout.gallery.changes.verification import verify
from pickout.gallery.gallery import Gallery
from pickout.gallery.search.sheet import result_sheet


@pytest.fixture
def rows(gallery, crops, tmp_path):
    """Rows by path, each with a camera of its own."""
    table = tmp_path / "t.csv"
    table.write_text("image,camera\n0006.png,entrance\n")
    gallery.add(crops, table=table)
    found = gallery.rows(known.id for known in gallery._store.known())
    return {row.path: row for row in found.values()}


def change(gallery, before, after):
    """Replace bytes in the data files; how often they were there."""
    count = 0
    for file in (gallery.path / "crops.lance" / "data").iterdir():
        data = file.read_bytes()
        count += data.count(before)
        file.write_bytes(data.replace(before, after))
    return count


def asked(gallery, encoder, **arguments):
    return Gallery.open(gallery.path, encoder).ask("green jacket and brown trousers", **arguments)


def test_a_whole_gallery_has_no_faults(gallery, encoder, rows):
    assert asked(gallery, encoder).faults == ()


@pytest.mark.parametrize("part", ["camera", "thumbnail", "content"])
def test_a_shown_row_that_was_changed_is_told(gallery, encoder, rows, part):
    row = rows["0006.png"]
    before = {"camera": b"entrance", "thumbnail": row.thumbnail[-60:-20], "content": row.content.encode()}[part]
    after = bytes([before[0] ^ 1]) + before[1:]
    assert change(gallery, before, after)
    answer = asked(gallery, encoder)
    (fault,) = answer.faults
    assert answer.hits[0].path == "0006.png" and len(answer.hits) == 6
    assert fault.startswith("candidate 1: the row is not as it was written")
    assert answer.as_json()["faults"] == [fault] and fault in result_sheet([answer], gallery="g", model="m", crops=6)


def test_a_row_with_tokens_is_held_against_its_seal_with_them(gallery, encoder, rows):
    row = rows["0006.png"]
    tokens = np.arange(12, dtype=np.uint16).reshape(3, 4) + 7777
    gallery._store.put([replace(row, tokens=tokens)])
    assert asked(gallery, encoder).faults == ()
    assert change(gallery, tokens[0].tobytes(), (tokens[0] + 1).tobytes())
    assert len(asked(gallery, encoder).faults) == 1


@pytest.mark.parametrize("number", [1e10, -1e10, float("nan"), float("inf"), 3.0])
def test_a_vector_that_none_can_be_is_told_wherever_it_ranks(gallery, encoder, rows, number):
    vector = rows["0006.png"].vector
    place = int(np.abs(vector).argmax())
    changed = vector.copy()
    changed[place] = number
    assert change(gallery, vector.tobytes(), changed.tobytes())
    answer = asked(gallery, encoder, top=1)
    assert "1 crops have damaged vectors" in answer.faults[-1]


def test_a_row_that_cannot_be_fetched_is_told_unless_another_process_removed_it(gallery, encoder, rows):
    opened = Gallery.open(gallery.path, encoder)
    assert len(opened.ask("green").hits) == 6
    lost = opened._store.fetch
    opened._store.fetch = lambda ids: {key: row for key, row in lost(ids).items() if row.path != "0006.png"}
    answer = opened.ask("green")
    assert len(answer.hits) == 5 and answer.faults == ("1 candidates are left out, since their rows cannot be read",)


def test_a_table_without_its_newest_version_is_refused_at_opening_and_while_open(gallery, encoder, rows):
    opened = Gallery.open(gallery.path, encoder)
    opened.search("green")
    gallery.remove([rows["0006.png"].id])
    newest = min((gallery.path / "crops.lance" / "_versions").glob("*.manifest"))  # they count downwards
    newest.unlink()
    with pytest.raises(GalleryDamaged, match=r"newest version are gone .* would be there again.*erase again"):
        asked(gallery, encoder)
    with pytest.raises(GalleryDamaged, match="newest version are gone"):
        opened.search("green")


@pytest.mark.parametrize("thumbnail", [b"", b"no picture", b"\xff\xd8\xff", b"BM" + struct.pack("<IHHI", 99, 0, 0, 54)])
def test_one_damaged_thumbnail_stops_no_page(gallery, encoder, rows, thumbnail):
    gallery._store.put([replace(rows["0006.png"], thumbnail=thumbnail)])
    answer = asked(gallery, encoder)
    page = result_sheet([answer], gallery="g", model="m", crops=6)
    assert page.count("<figure") == 6 and page.count('src="data:,"') == 1 and "Candidate 1: 0006.png" in page


def test_what_each_flipped_bit_does_is_an_error_or_told_or_nothing_that_is_shown_changed(gallery, encoder, rows):
    """Of all flips, none changes what a shown candidate says without a word. What it hides, only verify can find."""
    (file,) = [each for each in (gallery.path / "crops.lance" / "data").iterdir() if b"entrance" in each.read_bytes()]
    whole = file.read_bytes()
    right = {hit.id: hit.as_json() | {"thumbnail": hit.thumbnail} for hit in asked(gallery, encoder).hits}
    generator, silent = np.random.default_rng(3), []
    for place in generator.integers(0, len(whole), 40):
        data = bytearray(whole)
        data[place] ^= 1 << int(generator.integers(8))
        file.write_bytes(data)
        try:
            answer = asked(gallery, encoder)
        except PickoutError:
            continue
        for hit in answer.hits:
            told = hit.as_json() | {"thumbnail": hit.thumbnail}
            same = {name: told[name] == right.get(hit.id, {}).get(name) for name in told if name != "rank"}
            if not all(same.values()) and not answer.faults:
                silent.append((int(place), [name for name, fits in same.items() if not fits]))
    file.write_bytes(whole)
    assert silent == [] and list(verify(gallery.path)) == []

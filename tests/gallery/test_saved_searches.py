"""Saved searches: kept, listed, run again, removed; bad names and damaged files are told."""

import json

import pytest

from pickout.errors import GalleryDamaged, UsageError
from pickout.gallery.search.filters import ANYWHERE, Where
from pickout.gallery.search.query import Query
from pickout.gallery.search.ranking import Grouping


def test_a_saved_search_runs_again_as_it_was(gallery, crops, tmp_path):
    table = tmp_path / "t.csv"
    table.write_text("image,camera\n0006.png,x\ncam_a/0001_c1.png,x\n")
    gallery.add(crops, table=table)
    query = Query(["a coat"], images=[crops / "0006.png"], without=["teal jacket"])
    where = Where(cameras=["x"])
    gallery.saved.save("green coat", query, where, Grouping.DUPLICATE)
    kept, there, grouping = gallery.saved.get("green coat").parts()
    assert (there, grouping) == (where, Grouping.DUPLICATE)
    assert gallery.ask(kept, where=there).hits == gallery.ask(query, where=where).hits
    assert (gallery.path / "audit.jsonl").read_text().count('"sentence"') == 2


def test_searches_are_listed_by_name_and_removed(gallery):
    assert gallery.saved.all() == []
    for name in ("b", "a"):
        gallery.saved.save(name, Query(["a coat"]))
    assert [search.name for search in gallery.saved.all()] == ["a", "b"]
    for name in ("", "  ", ".", "..", "a\nb"):
        with pytest.raises(UsageError, match="printable characters, not dots alone"):
            gallery.saved.save(name, Query(["a coat"]))
    with pytest.raises(UsageError, match="there is a saved search 'a'"):
        gallery.saved.save("a", Query(["a hat"]))
    gallery.saved.remove("a")
    assert [search.name for search in gallery.saved.all()] == ["b"]
    with pytest.raises(UsageError, match="no saved search 'a'"):
        gallery.saved.remove("a")


def test_a_saved_search_for_a_picture_that_is_gone_says_so(gallery, tmp_path, draw):
    from pickout.errors import ImageUnreadable

    picture = draw(tmp_path / "gone.png")
    gallery.saved.save("gone", Query(images=[picture]))
    picture.unlink()
    with pytest.raises(ImageUnreadable, match=r"gone\.png"):
        gallery.ask(gallery.saved.get("gone").parts()[0])


@pytest.mark.parametrize("name", ["", "  ", "x" * 101, "two\nlines", "\x1b[2J"])
def test_names_that_cannot_be_shown_are_usage_errors(gallery, name):
    with pytest.raises(UsageError, match="name needs"):
        gallery.saved.save(name, Query(["a coat"]))


def test_a_picture_that_is_no_file_cannot_be_saved(gallery):
    from PIL import Image

    with pytest.raises(UsageError, match="no file cannot be saved"):
        gallery.saved.save("x", Query(images=[Image.new("RGB", (4, 4))]))


def test_files_changed_by_hand_are_told(gallery):
    gallery.saved.save("x", Query(["a coat"]), ANYWHERE)
    file = gallery.path / "searches.json"
    content = json.loads(file.read_text())
    for damage in ({"planet": 1}, {"group": 3}):
        file.write_text(json.dumps([{**content[0], **damage}]))
        with pytest.raises(GalleryDamaged, match=r"searches\.json"):
            gallery.saved.all()
    file.write_text(json.dumps([{**content[0], "group": "colour"}]))
    with pytest.raises(UsageError, match="unknown grouping"):
        gallery.saved.get("x").parts()
    file.write_text(json.dumps([{**content[0], "query": {"texts": ["  "]}}]))
    with pytest.raises(UsageError, match="is empty"):
        gallery.saved.get("x").parts()

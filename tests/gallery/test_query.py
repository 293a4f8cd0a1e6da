"""Queries of several parts: each part does what it says, by loops over rows, and bad parts are told."""

import json
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pickout.errors import GalleryError, ImageUnreadable, UsageError
from pickout.gallery.search.filters import Where
from pickout.gallery.search.query import MOST, Query
from pickout.gallery.search.ranking import AimSettings, SearchSettings
from pickout.gallery.vectors.exact import Aim, Penalty, exact_top


def scores_by_loops(gallery, encoder, query, weights=None):
    """Path to score, one row and one part at a time."""
    weights = weights or AimSettings()
    rows = list(gallery.rows(known.id for known in gallery._store.known()).values())
    by_name = {name: row for row in rows for name in (row.id, row.path, str(row.file))}
    texts = [encoder.encode_texts([text])[0].astype(float) for text in query.texts]
    pictures = [encoder.encode_images([picture])[0].astype(float) for picture in query.pictures()]
    pictures += [by_name[name].vector.astype(float) for name in query.more_like]
    parts = [(texts, 1 - weights.picture), (pictures, weights.picture)]
    parts = [(vectors, weight) for vectors, weight in parts if vectors]
    whole = sum(weight for _, weight in parts)
    base = {
        row.path: sum(
            weight / whole * sum(float(vector @ row.vector.astype(float)) for vector in vectors) / len(vectors)
            for vectors, weight in parts
        )
        for row in rows
    }
    spread = np.std(list(base.values()))
    told = dict(base)
    unwanted = [(encoder.encode_texts([text])[0], weights.without, 0.0) for text in query.without]
    unwanted += [
        (by_name[name].vector, weights.less_like / len(query.less_like), weights.less_like_from)
        for name in query.less_like
    ]
    for vector, weight, beyond in unwanted:
        likeness = {row.path: float(vector.astype(float) @ row.vector.astype(float)) for row in rows}
        mean, deviation = np.mean(list(likeness.values())), np.std(list(likeness.values()))
        for path, value in likeness.items():
            told[path] -= weight * spread * max(0.0, (value - mean) / deviation - beyond)
    return told


@pytest.fixture
def picture(tmp_path, draw):
    return draw(tmp_path / "asked" / "someone.png", "black", "orange", "grey", shade=99)


@pytest.mark.parametrize(
    "parts",
    [
        {"texts": ["a teal jacket", "black leggings"]},
        {"images": [None]},
        {"images": [None], "texts": ["a red coat"]},
        {"texts": ["black hair"], "without": ["a teal jacket"]},
        {"texts": ["blue jeans"], "more_like": ["cam_a/0002_c1.png"]},
        {"more_like": ["0006.png"]},
        {"texts": ["black hair"], "less_like": ["cam_a/0001_c1.png", "0006.png"], "without": ["white top"]},
    ],
    ids=["witnesses", "picture", "both", "without", "liked", "liked-alone", "disliked"],
)
def test_scores_of_every_kind_of_query_equal_the_loop_twin(gallery, encoder, picture, parts):
    query = Query(**{**parts, **({"images": [picture]} if "images" in parts else {})})
    settings = SearchSettings(aim=AimSettings(less_like_from=0.5, without=0.7))
    answer = gallery.ask(query, settings=settings)
    expected = scores_by_loops(gallery, encoder, query, settings.aim)
    assert {hit.path: pytest.approx(hit.score, abs=1e-6) for hit in answer.hits} == expected
    ordered = [hit.score for hit in answer.hits]
    assert ordered == sorted(ordered, reverse=True)


def test_a_filter_changes_no_score_of_a_query_with_penalties(gallery, crops, tmp_path):
    table = tmp_path / "t.csv"
    table.write_text("image,camera\n0006.png,x\ncam_a/0001_c1.png,x\n")
    gallery.add(crops, table=table)
    query = Query(["a teal jacket"], without=["green top"])
    every = {hit.path: hit.score for hit in gallery.ask(query).hits}
    for hit in gallery.ask(query, where=Where(cameras=["x"])).hits:
        assert hit.score == every[hit.path]


def test_a_picture_finds_the_one_who_looks_like_it(gallery, picture):
    assert gallery.search(Query(images=[picture]))[0].path == "cam_c/0005_c3.png"
    with Image.open(picture) as image:
        assert gallery.search(Query(images=[image.convert("RGB")]))[0].path == "cam_c/0005_c3.png"


def test_what_must_not_be_there_sinks(gallery):
    sentence = "black hair and black trousers"
    assert gallery.search(sentence)[0].path == "cam_b/0004_c2.png"
    assert gallery.search(Query([sentence], without=["a white top"]))[0].path == "cam_a/0001_c1.png"


def test_crops_are_named_by_id_path_or_absolute_path(gallery, crops):
    first = gallery.search("a teal jacket")[0]
    told = [gallery.search(Query(more_like=[name])) for name in (first.id, first.path, str(first.file))]
    assert told[0] == told[1] == told[2]
    assert told[0][0].id == first.id


@pytest.mark.parametrize("seed", range(6))
def test_exact_top_with_penalties_equals_its_loop_twin(seed):
    generator = np.random.default_rng(seed)
    rows, dimension = int(generator.integers(2, 400)), int(generator.integers(2, 30))
    vectors = generator.standard_normal((rows, dimension)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors[generator.integers(0, rows, rows // 4)] = vectors[0]
    query, *unwanted = vectors[generator.integers(0, rows, 3)]
    penalties = [Penalty(vector, float(generator.normal(0, 0.2)), float(generator.random() * 3)) for vector in unwanted]
    order, allowed = generator.permutation(rows), generator.random(rows) < 0.5
    found = []
    for row in np.flatnonzero(allowed):
        score = (vectors[row].astype(np.float64) * query.astype(np.float64)).sum()
        for each in penalties:
            likeness = (vectors[row].astype(np.float64) * each.vector.astype(np.float64)).sum()
            score -= each.weight * np.maximum(likeness - each.free, 0)
        found.append((-score, order[row], row))
    expected = [int(row) for _, _, row in sorted(found)[:9]]
    positions, scores = exact_top(vectors, Aim(query, tuple(penalties)), top=9, order_N=order, allowed_N=allowed)
    assert positions.tolist() == expected
    assert scores.tolist() == [-score for score, _, _ in sorted(found)[:9]]


@pytest.mark.parametrize(
    ("parts", "problem"),
    [
        ({}, "nothing to look for"),
        ({"without": ["a bag"]}, "nothing to look for"),
        ({"texts": "a red coat"}, r"texts: expected a list"),
        ({"texts": ["a red coat", "  "]}, "is empty"),
        ({"texts": ["a red coat"], "without": ["🧥"]}, "holds no word"),
        ({"texts": ["x" * 100_000]}, "100000 characters"),
        ({"texts": ["a coat"] * (MOST + 1)}, f"give at most {MOST}"),
    ],
)
def test_queries_that_say_nothing_are_usage_errors(parts, problem):
    with pytest.raises(UsageError, match=problem):
        Query(**parts)


def test_crops_that_are_not_there_are_usage_errors(gallery, crops, draw):
    for name in ("nobody.png", "0" * 32, "é\udcff"):
        with pytest.raises(UsageError, match=r"no crop '.*' in the gallery"):
            gallery.search(Query(more_like=[name]))
    draw(crops / "cam_z" / "0006.png", shade=55)
    gallery.add(crops)
    with pytest.raises(UsageError, match="the end of 2 crops' paths"):
        gallery.search(Query(["a coat"], less_like=["0006.png"]))


def test_pictures_that_cannot_be_read_are_told(gallery, tmp_path):
    text = tmp_path / "text.png"
    text.write_text("no image")
    bomb = tmp_path / "bomb.png"
    bomb.write_bytes(_png_that_claims(60_000, 60_000))
    for file, reason in (
        (tmp_path / "absent.png", "no such file"),
        (text, "not an image"),
        (bomb, "decompression bomb"),
        (tmp_path, "folder"),
    ):
        with pytest.raises(ImageUnreadable, match=reason) as told:
            gallery.search(Query(images=[file]))
        assert str(file) in str(told.value)
    assert not (gallery.path / "audit.jsonl").exists()


def _png_that_claims(width, height):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


def test_an_encoder_that_breaks_its_promise_on_a_picture_is_named(gallery, encoder, picture, monkeypatch):
    monkeypatch.setattr(encoder, "encode_images", lambda images: np.full((1, 10), np.nan, np.float32))
    with pytest.raises(GalleryError, match="picture's vector holds NaN"):
        gallery.search(Query(images=[picture]))


@pytest.mark.parametrize("top", [1, 2, 4, 5])
def test_pages_are_the_whole_ranking_cut_in_pieces(gallery, top):
    whole = gallery.ask("black hair", top=6)
    assert not whole.more and whole.passed == 6
    pages = [gallery.ask("black hair", top=top, page=page) for page in range(1, -(-6 // top) + 1)]
    assert [hit for page in pages for hit in page.hits] == list(whole.hits)
    assert [page.more for page in pages] == [True] * (len(pages) - 1) + [False]
    behind = gallery.ask("black hair", top=top, page=len(pages) + 1)
    assert (list(behind.hits), behind.more) == ([], False)
    with pytest.raises(UsageError, match="page = 0"):
        gallery.ask("black hair", page=0)


def test_each_query_leaves_its_parts_in_the_audit(gallery, picture):
    gallery.ask(Query(["a coat"], images=[picture], without=["a hat"], less_like=["0006.png"]), top=3, page=2)
    line = json.loads((gallery.path / "audit.jsonl").read_text())
    assert line["query"] == {
        "texts": ["a coat"],
        "images": [str(picture)],
        "without": ["a hat"],
        "less_like": ["0006.png"],
    }
    assert (line["top"], line["page"], line["results"]) == (3, 2, 3)
    assert "a coat" in line["sentence"] and "without a hat" in line["sentence"]


def test_queries_written_as_json_come_back_equal():
    query = Query(["a coat"], images=["/x/y.png"], without=["a hat"], more_like=["a" * 32])
    assert Query.from_json(json.loads(json.dumps(query.as_json()))) == query
    for wrong in ({"planet": ["mars"]}, {"texts": "a coat"}, {"texts": [3]}):
        with pytest.raises(UsageError, match="this is no query"):
            Query.from_json(wrong)
    assert Query(["a"]).is_plain and not query.is_plain
    assert Path(Query(images=["y.png"]).savable().images[0]).is_absolute()


@pytest.mark.parametrize("query", [None, 5, b"teal", ["teal"]])
def test_what_is_no_query_is_a_usage_error(gallery, query):
    with pytest.raises(UsageError, match=r"query = .*: expected Query \| str"):
        gallery.search(query)

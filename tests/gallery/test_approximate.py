"""Galleries too large to hold: an index, exact scores, and a recall that was measured."""

import io
import json
import random
import shutil
from dataclasses import replace
from datetime import datetime

import numpy as np
import pytest
from colour_encoder import ColourEncoder
from lancedb.index import BTree
from PIL import Image

from pickout.errors import GalleryDamaged, UsageError
from pickout.gallery.approximate import far_vectors
from pickout.gallery.approximate.build import APPROXIMATE, ApproximateSettings, read_approximation
from pickout.gallery.approximate.far_vectors import CODES, Codes, FarVectors
from pickout.gallery.changes.verification import verify
from pickout.gallery.gallery import Gallery
from pickout.gallery.search.filters import Where
from pickout.gallery.search.query import Query
from pickout.gallery.search.ranking import Asked, Grouping, SearchSettings, ranked
from pickout.gallery.storage.rows import Metadata, Row, row_id
from pickout.gallery.storage.store import Store
from pickout.gallery.vectors.exact import Aim, HeldVectors, Penalty, best_rows, exact_top

ROWS, SIZE = 1500, 16
ANYONE = Query(["anyone"])
buffer = io.BytesIO()
Image.new("RGB", (2, 3)).save(buffer, "JPEG")
THUMBNAIL = buffer.getvalue()
SETTINGS = ApproximateSettings(above=1000, searches=40, target=0.999, faster=0)


class Pointing:
    """Encodes a sentence of numbers as the direction that they are."""

    name, fingerprint, dimension = "pointing", "ab" * 32, SIZE

    def encode_images(self, images):
        raise AssertionError("no pictures here")

    def encode_texts(self, texts):
        return np.stack([unit(np.array([float(each) for each in text.split()], np.float32)) for text in texts])


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def sentence(vector):
    return " ".join(f"{value:.4f}" for value in vector)


def row(number, vector):
    path = f"{number:05d}.jpg"
    return Row(
        id=row_id(f"/crops/{path}"),
        content=f"{number:064x}",
        root="/crops",
        path=path,
        vector=vector.astype(np.float32),
        width=2,
        height=3,
        metadata=Metadata(camera=f"c{number % 10}"),
        thumbnail=THUMBNAIL,
        added=datetime(2026, 3, 1),
    )


@pytest.fixture(scope="module")
def points():
    generator = np.random.default_rng(0)
    middles = generator.standard_normal((60, SIZE))
    return unit(middles[generator.integers(0, 60, ROWS)] + 0.5 * generator.standard_normal((ROWS, SIZE)))


@pytest.fixture(scope="module")
def built(tmp_path_factory, points):
    """A gallery that is called large, with an index."""
    folder = tmp_path_factory.mktemp("built") / "large"
    with pytest.MonkeyPatch.context() as patch:
        call_large(patch)
        gallery = Gallery.create(folder, Pointing())
        gallery._store.put([row(number, vector) for number, vector in enumerate(points)])
        gallery.approximate([sentence(each) for each in points[::40]], settings=SETTINGS)
    return folder


@pytest.fixture
def large(built, tmp_path, monkeypatch):
    """A copy of it, for one test."""
    call_large(monkeypatch)
    shutil.copytree(built, tmp_path / "large")
    return Gallery.open(tmp_path / "large", Pointing())


def call_large(patch):
    patch.setattr(far_vectors, "_DEEP", 32)


def exactly(points, query, top, allowed=None):
    rows = np.arange(len(points)) if allowed is None else np.flatnonzero(allowed)
    scores = points[rows] @ query
    best = rows[np.argsort(-scores, kind="stable")[:top]]
    return [f"{number:05d}.jpg" for number in best]


def names(hits):
    return [hit.path for hit in hits]


def test_a_search_through_the_index_finds_nearly_all_and_scores_exactly(large, points):
    generator = np.random.default_rng(1)
    shares = []
    for _ in range(30):
        query = unit(generator.standard_normal(SIZE)).round(4)
        query = Pointing().encode_texts([sentence(query)])[0]
        hits = large.search(sentence(query), top=20)
        assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
        for hit in hits:
            own = points[int(hit.path[:5])].astype(np.float32).astype(np.float64)
            assert hit.score == pytest.approx(own @ Pointing().encode_texts([sentence(query)])[0], abs=1e-7)
        shares.append(len(set(names(hits)) & set(exactly(points, query, 20))) / 20)
    assert np.mean(shares) > 0.9
    assert large._current().vectors.doubt(ROWS)


@pytest.mark.parametrize("gone", [1, 700, ROWS - 120])
@pytest.mark.parametrize("grouping", list(Grouping))
def test_a_search_ends_when_crops_go_away_between_counting_and_asking(large, gone, grouping, points):
    """Asked for more than there are, so that it would go on until all have come."""
    resident = large._current()
    other = Store(large.path, SIZE)
    left = [row_id(f"/crops/{number:05d}.jpg") for number in range(gone, ROWS)]
    other.remove([row_id(f"/crops/{number:05d}.jpg") for number in range(gone)])
    query = points[5].astype(np.float32)
    found = ranked(resident, Aim(query), Asked(ANYONE, top=ROWS, grouping=grouping))
    shown = [each for place in found.places for each in (place.position, *place.others)]
    assert sorted(resident.ids[each].decode() for each in shown) == sorted(left) and not found.more
    few = ranked(resident, Aim(query), Asked(ANYONE, top=20, grouping=grouping))
    assert len(few.places) == 20 or grouping is not Grouping.NONE


def test_the_answer_says_that_it_is_approximate_and_how_much_that_misses(large):
    answer = large.ask(sentence(np.eye(SIZE)[0]))
    (note,) = [note for note in answer.notes if "approximately" in note]
    told = read_approximation(large.path, large.manifest)
    assert {(each.queries, each.at, each.searches) for each in told.recalls} == {
        ("sentences", 10, 19),
        ("sentences", 100, 19),
        ("crops", 10, 20),
        ("crops", 100, 20),
    }
    for each in told.recalls:
        assert each.interval[0] <= each.mean <= each.interval[1]
        assert each.rows == ROWS
        assert (each.told() in note) == (each.at == 100)


def test_a_target_that_was_missed_is_said(large):
    told = read_approximation(large.path, large.manifest)
    low = told.recalls[1].model_copy(update={"interval": (0.9, 0.95)})
    missed = told.model_copy(update={"recalls": (told.recalls[0], low)})
    (warning,) = missed.warnings()
    assert "target of 0.999 is missed" in warning
    fine = low.model_copy(update={"interval": (0.9, 1.0)})
    assert missed.model_copy(update={"recalls": (fine,)}).warnings() == []


def test_where_a_filter_leaves_few_rows_nothing_is_missed(large, points, monkeypatch):
    monkeypatch.setattr(far_vectors, "_DEEP", 80)
    query = Pointing().encode_texts([sentence(unit(np.ones(SIZE)))])[0]
    allowed = np.arange(ROWS) % 10 == 3
    answer = large.ask(sentence(query), top=150, where=Where(cameras=["c3"]))
    assert names(answer.hits) == exactly(points, query, 150, allowed)
    assert not any("approximately" in note for note in answer.notes)


def test_a_filter_that_leaves_many_rows_leaves_out_the_others_and_fills_the_page(large, points):
    query, other = Pointing().encode_texts([sentence(points[100]), sentence(points[200])])
    allowed = np.arange(ROWS) % 10 != 3
    answer = large.ask(sentence(query), top=60, where=Where(not_cameras=["c3"]))
    assert len(set(names(answer.hits)) & set(exactly(points, query, 60, allowed))) >= 50
    assert all(int(name[:5]) % 10 != 3 for name in names(answer.hits))
    allowed = np.arange(ROWS) % 10 == 3
    few = large.ask(sentence(other), top=140, where=Where(cameras=["c3"]))
    assert len(few.hits) == 140
    assert len(set(names(few.hits)) & set(exactly(points, other, 140, allowed))) >= 125


def test_rows_that_came_later_are_found_and_removed_ones_are_not(large, points):
    query = sentence(points[7])
    assert names(large.search(query, top=1)) == ["00007.jpg"]
    large._store.put([row(90_000, points[7] * 1.0)])
    large.remove([row_id("/crops/00007.jpg")])
    assert names(large.search(query, top=1)) == ["90000.jpg"]
    large.compact()
    assert names(large.search(query, top=1)) == ["90000.jpg"]


def test_erasing_leaves_no_code_of_what_is_gone(large, points):
    gone = [row_id(f"/crops/{number:05d}.jpg") for number in (7, 8)]
    seals = [large.rows([each])[each].seal for each in gone]
    large.remove(gone[1:])
    before = (large.path / CODES).read_bytes()
    assert all(seal in before for seal in seals)
    large.erase(gone[:1])
    after = (large.path / CODES).read_bytes()
    assert not any(seal in after for seal in seals)
    held, codes = far_vectors.kept_codes(large._store)
    assert len(held) == codes.words.shape[1] == ROWS - 2
    assert isinstance(large._current().vectors, FarVectors)
    assert "00007.jpg" not in names(large.search(sentence(points[7]), top=20))
    assert list(verify(large.path)) == []


def answers(gallery, points):
    return [[(hit.path, hit.score) for hit in gallery.search(sentence(each), top=30)] for each in points[::150]]


def test_codes_that_are_gone_or_of_other_rows_are_made_when_the_gallery_is_read(large, points):
    before = answers(large, points)
    whole = (large.path / CODES).read_bytes()
    (large.path / CODES).unlink()
    assert answers(Gallery.open(large.path, Pointing()), points) == before
    (large.path / CODES).write_bytes(whole)
    moved = [row_id(f"/crops/{number:05d}.jpg") for number in range(0, ROWS, 2)]
    large.update(moved, Metadata(track="t"))
    assert answers(Gallery.open(large.path, Pointing()), points) == before
    large.compact()
    assert set(far_vectors.kept_codes(large._store)[0][:, 0]) == set(large._current().vectors._seals[:, 0])
    assert answers(Gallery.open(large.path, Pointing()), points) == before


def test_a_server_takes_codes_over_and_makes_those_of_new_rows(large, points):
    earlier = Gallery.open(large.path, Pointing())
    earlier._current()
    large._store.put([row(90_000, points[7] * 1.0)])
    (large.path / CODES).unlink()  # so that they can come from memory only
    later = Gallery.open(large.path, Pointing())
    later.follow(earlier)
    told = later._current().vectors
    assert isinstance(told, FarVectors) and len(told._ids) == ROWS + 1
    assert "90000.jpg" in names(later.search(sentence(points[7]), top=2))


@pytest.mark.parametrize("damage", ["cut", "bit", "empty", "other"])
def test_damaged_codes_are_told_with_what_to_do(large, damage):
    file = large.path / CODES
    whole = file.read_bytes()
    place = len(whole) // 2
    flipped = whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :]
    file.write_bytes({"cut": whole[:place], "bit": flipped, "empty": b"", "other": b"{}"}[damage])
    assert any(CODES in fault.what for fault in verify(large.path))
    with pytest.raises(GalleryDamaged, match=r"approximate\.npz: cannot be used .*delete it"):
        Gallery.open(large.path, Pointing()).search(sentence(np.eye(SIZE)[0]))
    file.unlink()
    assert Gallery.open(large.path, Pointing()).search(sentence(np.eye(SIZE)[0]))


def test_indexing_many_crops_writes_their_codes(tmp_path, draw, monkeypatch):
    call_large(monkeypatch)
    for number in range(60):
        draw(tmp_path / "crops" / f"{number}.png", shade=number, size=(6, 9))
    gallery = Gallery.create(tmp_path / "g", ColourEncoder())
    gallery.add(tmp_path / "crops")
    gallery.approximate(settings=ApproximateSettings(above=30, searches=10, faster=0))
    for number in range(60, 100):
        draw(tmp_path / "crops" / f"{number}.png", shade=number, size=(6, 9))
    gallery.add(tmp_path / "crops")
    assert len(far_vectors.kept_codes(gallery._store)[0]) == 100


def test_a_small_gallery_is_searched_exactly_and_refuses_an_index(large):
    with pytest.raises(UsageError, match="holds 1,500 crops, which are searched exactly"):
        large.approximate()
    large.remove([row_id(f"/crops/{number:05d}.jpg") for number in range(600)])
    assert isinstance(large._current().vectors, HeldVectors)


def test_without_an_index_a_search_is_exact_again(large, points):
    large.search_exactly()
    assert isinstance(large._current().vectors, HeldVectors)
    assert not list(large.path.glob("approximate.*"))
    query = Pointing().encode_texts([sentence(points[3])])[0]
    assert names(large.search(sentence(query), top=30)) == exactly(points, query, 30)


def test_wrong_settings_and_a_garbled_file_are_errors_of_ours(large):
    (large.path / APPROXIMATE).write_text(json.dumps({"wide": "many"}))
    assert any("approximate.json" in str(fault.what) for fault in verify(large.path))
    with pytest.raises(GalleryDamaged, match=r"approximate\.json.*pickout gallery approximate"):
        large.ask(sentence(np.eye(SIZE)[0]))


def with_index_over_ids(large):
    """As an earlier version made it."""
    with large._store.latest() as table:
        table.create_index("id", config=BTree(), name="ids")
    return large.path / "crops.lance" / "_indices"


def test_rows_that_the_index_over_the_ids_does_not_find_are_a_fault_and_no_change_misses_them(large):
    """Bits are flipped in its files until rows are lost without an error; such a flip must be told."""
    folder = with_index_over_ids(large)
    every = {known.id for known in large._store.known()}
    generator = random.Random(1)
    pages = list(folder.rglob("page_data.lance"))
    for _ in range(40):
        file = generator.choice(pages)
        whole = file.read_bytes()
        place = generator.randrange(len(whole) // 2)
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        store = Store(large.path, SIZE)
        try:
            gone = sorted(every - store.fetch(every).keys())
        except GalleryDamaged:
            gone = []
        if gone:
            break
        file.write_bytes(whole)
    assert gone
    told = [fault for fault in verify(large.path) if "not found by their ids" in fault.what]
    assert len(told) == 1 and f"{len(gone)} rows" in told[0].what
    opened = Gallery.open(large.path, Pointing())
    some = gone[:3]
    assert opened.update(some, Metadata(track="t")).rows == len(some)
    assert opened.remove(some).rows == len(some)
    assert {known.id for known in Store(large.path, SIZE).known()} == every - set(some)
    assert not [fault for fault in verify(large.path) if "not found" in fault.what]


def test_an_index_of_an_earlier_version_goes(large):
    with_index_over_ids(large)
    large.approximate(settings=SETTINGS)
    assert large._store.read(lambda table: table.list_indices()) == []


def test_feedback_groups_and_pages_work_through_the_index(large, points):
    from pickout.gallery.search.ranking import Grouping

    liked = large.ask(Query(more_like=("00011.jpg",)), top=5)
    assert liked.hits[0].path == "00011.jpg" or len(liked.hits) == 5
    other = large.ask(Query(texts=(sentence(points[11]),), less_like=("00011.jpg",)), top=5)
    assert len(other.hits) == 5
    first = large.ask(sentence(points[11]), top=10)
    second = large.ask(sentence(points[11]), top=10, page=2)
    assert not set(names(first.hits)) & set(names(second.hits))
    grouped = large.ask(
        sentence(points[11]), top=5, grouping=Grouping.DUPLICATE, settings=SearchSettings(duplicate=0.9)
    )
    assert len(grouped.hits) == 5


def test_penalties_are_taken_off_exactly(large, points):
    resident = large._current()
    aim = Aim(points[11].astype(np.float32), (Penalty(points[5].astype(np.float32), 0.2, 0.7),))
    rows, scores = resident.vectors.top(aim, top=5, order_N=resident.order)
    vectors = resident.vectors.at(rows)
    _, expected = exact_top(vectors, aim, top=5, order_N=np.arange(5))
    assert scores.tolist() == expected.tolist()


def test_best_rows_equal_a_sort_of_all_scores():
    generator = np.random.default_rng(3)
    vectors, queries = unit(generator.standard_normal((300, 6))), unit(generator.standard_normal((70, 6)))
    rows, scores = best_rows(HeldVectors(vectors.astype(np.float32)), queries.astype(np.float32), 17)
    for query, own, score in zip(queries, rows, scores, strict=True):
        expected = np.argsort(-(vectors @ query))[:17]
        assert own.tolist() == expected.tolist()
        assert score == pytest.approx((vectors @ query)[expected], abs=1e-6)
    rows, scores = best_rows(HeldVectors(vectors[:4].astype(np.float32)), queries[:2].astype(np.float32), 6)
    assert (rows[:, 4:] == -1).all()
    assert np.isneginf(scores[:, 4:]).all()


def test_hidden_rows_are_found_neither_among_far_vectors_nor_among_held_ones(large):
    for each in (large._current(), large._store.resident()):
        query = each.vectors.at([3])[0]
        hidden = np.zeros(ROWS, np.bool_)
        hidden[[3, 700]] = True
        asked = Asked(ANYONE, top=ROWS)
        found = ranked(replace(each, hidden=hidden), Aim(query), asked)
        places = [place.position for place in found.places]
        assert found.passed == len(places) == ROWS - 2 and not {3, 700} & set(places)
        assert ranked(each, Aim(query), asked).places[0].position == 3


def test_rows_that_a_table_no_longer_has_are_passed_over(large):
    resident = large._current()
    gone, there = (
        int(np.flatnonzero(resident.ids == row_id(f"/crops/{name}").encode())[0]) for name in ("00007.jpg", "00008.jpg")
    )
    large._store.remove([row_id("/crops/00007.jpg")])
    vectors = resident.vectors.at([there, gone, there])
    assert np.isnan(vectors[1]).all()
    assert np.isfinite(vectors[[0, 2]]).all()


@pytest.mark.parametrize("size", [1, 5, 64, 1100])
def test_vectors_of_any_length_have_codes(size):
    generator = np.random.default_rng(2)
    middles = generator.standard_normal((30, size))
    points = unit(middles[generator.integers(0, 30, 800)] + 0.3 * generator.standard_normal((800, size)))
    points = points.astype(np.float32)
    codes = Codes.fitted(points[::2]).of(points)
    assert codes.words.shape == (-(-min(size, 1024) // 64), 800) and codes.are_of(800, size)
    shares = []
    for query in points[:20]:
        near = codes.nearest(Aim(query), 100)
        assert near.tolist() == sorted(set(near.tolist())) and len(near) == 100
        shares.append(np.isin(np.argsort(-(points @ query), kind="stable")[:10], near).mean())
    assert np.mean(shares) > (0.9 if size > 1 else -1)


def slow_nearest(codes, query, count, rows, wide):
    """By the definition: how many signs differ, the sum of weights under the signs, the sum of weighted levels."""
    bits = np.unpackbits(codes.words.T.copy().view(np.uint8), axis=1).astype(bool)
    levels = [[half - 7.5 for byte in row for half in (int(byte) % 16, int(byte) // 16)] for row in codes.levels]
    by_signs, by_levels = query @ codes.weights[0], query @ codes.weights[1]
    differing = {row: int((bits[row] != (by_signs >= 0)).sum()) for row in rows}
    bound = sorted(differing.values())[min(16 * wide * count, len(rows)) - 1]
    rough = [row for row in rows if differing[row] <= bound]
    signs = {row: float(np.where(bits[row], by_signs, -by_signs).sum()) for row in rough}
    close = sorted(rough, key=lambda row: -signs[row])[: wide * count]
    fine = {row: sum(weight * level for weight, level in zip(by_levels, levels[row], strict=True)) for row in close}
    return sorted(sorted(close, key=lambda row: -fine[row])[:count])


@pytest.mark.parametrize("count", [1, 3, 40, 400])
@pytest.mark.parametrize("share", [1.0, 0.3])
@pytest.mark.parametrize("wide", [1, 4])
def test_the_nearest_by_codes_are_those_of_a_slow_loop(points, count, share, wide):
    codes = Codes.fitted(points.astype(np.float32)).of(points.astype(np.float32))
    rows = np.flatnonzero(np.random.default_rng(4).random(ROWS) < share)
    for query in points[:5].astype(np.float32):
        found = codes.nearest(Aim(query), count, None if share == 1 else rows, wide=wide)
        slow = slow_nearest(codes, query, count, rows.tolist(), wide)
        assert len(set(found.tolist()) & set(slow)) >= count - 1  # equal sums may come in any order
        assert len(found) == min(count, len(rows)) and set(found.tolist()) <= set(rows.tolist())


@pytest.mark.parametrize(("size", "error"), [(16, 0.06), (700, 0.06), (1500, 0.12)])
def test_scores_by_codes_are_near_the_scores(size, error):
    generator = np.random.default_rng(5)
    middles = generator.standard_normal((60, size))
    points = unit(middles[generator.integers(0, 60, 4000)] + 0.5 * generator.standard_normal((4000, size)) + 0.4)
    points = points.astype(np.float32)
    codes = Codes.fitted(points[:2000]).of(points)
    scores, query = points @ points[3], points[3]
    for score, most in ((codes._by_signs, 0.35), (codes._by_levels, error)):
        told = score(query, np.arange(4000))
        assert np.sqrt(np.mean((told - scores) ** 2)) < most * scores.std()


def test_what_is_unwanted_is_left_out_of_the_candidates_too(points):
    """Without penalties among the codes, all candidates would be of the unwanted kind."""
    crowd = np.concatenate([points, np.tile(points[11], (600, 1)) + 1e-3]).astype(np.float32)
    crowd = unit(crowd)
    codes = Codes.fitted(crowd).of(crowd)
    query, penalty = crowd[11], Penalty(crowd[11], 0.5, 5.0)
    assert codes.nearest(Aim(query), 100).min() >= 0
    plain, fewer = codes.nearest(Aim(query), 100), codes.nearest(Aim(query, (penalty,)), 100)
    assert (plain >= ROWS).sum() > 90 and (fewer >= ROWS).sum() < 10


class Flipped(ColourEncoder):
    """Another model of the same colours."""

    def encode_images(self, images):
        return super().encode_images(images)[:, ::-1]

    def encode_texts(self, texts):
        return super().encode_texts(texts)[:, ::-1]


def test_a_change_of_model_builds_the_index_for_the_new_one(tmp_path, draw, monkeypatch):
    call_large(monkeypatch)
    for number in range(270):
        draw(tmp_path / "crops" / f"{number}.png", shade=number, size=(6, 9))
    gallery = Gallery.create(tmp_path / "g", ColourEncoder())
    gallery.add(tmp_path / "crops")
    before = gallery.approximate(settings=ApproximateSettings(above=260, searches=10, faster=0))
    gallery.rebuild(Flipped("flipped"))
    after = read_approximation(gallery.path, gallery.manifest)
    assert (after.above, after.rows) == (260, 270)
    assert after.table != before.table
    assert isinstance(gallery._current().vectors, FarVectors)
    assert len(gallery.search("a teal jacket", top=5)) == 5
    gallery.remove(gallery.choose(["1?.png"]))
    gallery.remove(gallery.choose(["2?.png"]))
    gallery.rebuild(ColourEncoder())
    assert not (gallery.path / APPROXIMATE).exists()

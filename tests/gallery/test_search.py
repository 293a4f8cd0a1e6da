"""Searching: the right people, filters, and plain errors."""

import json
from datetime import UTC, datetime

import numpy as np
import pytest

from pickout.errors import GalleryError, UsageError
from pickout.gallery.gallery import Gallery
from pickout.gallery.intake.metadata import CameraFrom
from pickout.gallery.search.filters import Where


@pytest.fixture
def dated(gallery, crops, tmp_path):
    """The six people with cameras, five of them with times: 1 to 5 March 2026, noon."""
    lines = [
        {"image": str(path.relative_to(crops)), "time": f"2026-03-0{day}T12:00"}
        for day, path in enumerate(sorted(crops.glob("*/*.png")), start=1)
    ]
    table = tmp_path / "times.jsonl"
    table.write_text("".join(json.dumps(line) + "\n" for line in lines))
    gallery.add(crops, table=table, camera_from=CameraFrom.FOLDER)
    return gallery


def search_by_loops(gallery, sentence, encoder, where, top):
    query = encoder.encode_texts([sentence])[0].astype(np.float64)
    found = []
    for row in gallery.rows(known.id for known in gallery._store.known()).values():
        time = row.metadata.time
        if where.cameras and row.metadata.camera not in where.cameras:
            continue
        if where.after is not None and (time is None or time < where.after):
            continue
        if where.before is not None and (time is None or time >= where.before):
            continue
        found.append((-float((row.vector.astype(np.float64) * query).sum()), row.path, row.id))
    return [(identifier, -score) for score, _, identifier in sorted(found)[:top]]


@pytest.mark.parametrize(
    ("sentence", "best"),
    [
        ("A woman in a teal jacket and black leggings.", "cam_a/0001_c1.png"),
        ("brown hair, red coat, blue jeans", "cam_a/0002_c1.png"),
        ("someone with a yellow helmet and an olive jacket", "cam_b/0003_c2.png"),
        ("an orange vest over grey trousers", "cam_c/0005_c3.png"),
        ("green top", "0006.png"),
    ],
)
def test_the_person_described_comes_first(gallery, sentence, best):
    hits = gallery.search(sentence)
    assert hits[0].path == best
    assert [hit.rank for hit in hits] == [1, 2, 3, 4, 5, 6]
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


@pytest.mark.parametrize(
    "where",
    [
        Where(),
        Where(cameras=["cam_a"]),
        Where(cameras={"cam_a", "cam_c"}),
        Where(after=datetime(2026, 3, 2, 12)),
        Where(before=datetime(2026, 3, 3, 12)),
        Where(after=datetime(2026, 3, 2), before=datetime(2026, 3, 4)),
        Where(cameras=["cam_b"], after=datetime(2026, 3, 4, 12)),
        Where(cameras=["cam_b"], after=datetime(2027, 1, 1)),
    ],
    ids=["all", "one-camera", "two-cameras", "after", "before", "between", "camera-and-after", "nothing-left"],
)
def test_filters_equal_the_loop_twin(dated, encoder, where):
    for top in (1, 3, 20):
        hits = dated.search("a teal jacket", top=top, where=where)
        expected = search_by_loops(dated, "a teal jacket", encoder, where, top)
        assert [(hit.id, hit.score) for hit in hits] == expected


def test_the_bounds_are_from_after_up_to_but_not_including_before(dated):
    noon = datetime(2026, 3, 3, 12)
    assert len(dated.search("teal", where=Where(after=noon))) == 3
    assert len(dated.search("teal", where=Where(before=noon))) == 2


def test_a_crop_without_camera_or_time_fails_a_filter_on_it(dated):
    assert "0006.png" in {hit.path for hit in dated.search("green top")}
    assert "0006.png" not in {hit.path for hit in dated.search("green top", where=Where(after=datetime(1990, 1, 1)))}
    every = Where(cameras=dated.cameras())
    assert "0006.png" not in {hit.path for hit in dated.search("green top", where=every)}


def test_a_time_with_an_offset_is_compared_in_utc():
    assert Where(after=datetime(2026, 1, 1, 12, tzinfo=UTC)).after == datetime(2026, 1, 1, 12)


def test_equal_crops_come_by_path(gallery, crops, draw):
    for name in ("z.png", "a/z.png", "m.png"):
        draw(crops / name, "black", "teal", "black", shade=0)
    gallery.add(crops)
    hits = gallery.search("A woman in a teal jacket and black leggings.", top=4)
    assert [hit.path for hit in hits] == ["a/z.png", "cam_a/0001_c1.png", "m.png", "z.png"]
    assert len({hit.score for hit in hits}) == 1


def test_an_unknown_camera_names_the_known_ones(dated, gallery):
    with pytest.raises(UsageError, match="unknown camera 'lobby'; known cameras: cam_a, cam_b, cam_c"):
        dated.search("a teal jacket", where=Where(cameras=["lobby"]))


def test_a_camera_filter_where_no_crop_has_a_camera_says_how_to_get_them(gallery):
    with pytest.raises(UsageError, match="--camera-from"):
        gallery.search("a teal jacket", where=Where(cameras=["lobby"]))


def test_impossible_filters_are_usage_errors():
    with pytest.raises(UsageError, match="no time is after"):
        Where(after=datetime(2026, 1, 2), before=datetime(2026, 1, 1))
    with pytest.raises(UsageError, match="no time is after"):
        Where(after=datetime(2026, 1, 1), before=datetime(2026, 1, 1))
    with pytest.raises(UsageError, match=r"expected a list of names, for example \['lobby'\]"):
        Where(cameras="lobby")


@pytest.mark.parametrize(
    ("sentence", "problem"),
    [
        ("", "is empty"),
        (" \n\t ", "is empty"),
        ("\x00\x07", "is empty"),
        ("👩‍🦰🧥", "holds no word"),
        ("?!...", "holds no word"),
        ("teal " * 20_000, "100000 characters"),
        ("a teal \udcff jacket", "not valid Unicode"),
    ],
)
def test_a_sentence_that_says_nothing_is_a_usage_error(gallery, sentence, problem):
    with pytest.raises(UsageError, match=problem):
        gallery.search(sentence)


def test_odd_but_honest_sentences_are_searched(gallery):
    for sentence in ("teal", "TEAL\tJACKET\n", "une veste bleu-vert 🧥", "青い上着の女性", "x" * 9_999):
        assert len(gallery.search(sentence)) == 6


def test_top_below_one_is_a_usage_error(gallery):
    with pytest.raises(UsageError, match="top = 0"):
        gallery.search("a teal jacket", top=0)


def test_without_a_model_a_gallery_can_be_looked_at_but_not_searched(gallery):
    opened = Gallery.open(gallery.path)
    assert opened.count() == 6
    with pytest.raises(UsageError, match="no model in use"):
        opened.search("a teal jacket")


def test_an_encoder_that_breaks_its_promise_is_named(gallery, encoder, monkeypatch):
    monkeypatch.setattr(encoder, "encode_texts", lambda texts: np.zeros((1, 3), np.float32))
    with pytest.raises(GalleryError, match=r"model colour: gave an array of shape \(1, 3\)"):
        gallery.search("a teal jacket")
    monkeypatch.setattr(encoder, "encode_texts", lambda texts: np.full((1, 10), np.nan, np.float32))
    with pytest.raises(GalleryError, match="NaN or infinite"):
        gallery.search("a teal jacket")


def test_an_empty_gallery_gives_no_hits(tmp_path, encoder):
    assert Gallery.create(tmp_path / "empty", encoder).search("a teal jacket") == []


def test_each_search_leaves_one_audit_line(dated, encoder):
    file = dated.path / "audit.jsonl"
    dated.search("a teal\njacket", top=2, where=Where(cameras=["cam_a"], after=datetime(2026, 3, 1)))
    dated.search("nobody", where=Where(after=datetime(2030, 1, 1)))
    first, second = (json.loads(line) for line in file.read_text().splitlines()[-2:])
    assert (first["sentence"], first["top"], first["results"]) == ("a teal jacket", 2, 2)
    assert first["where"] == {"cameras": ["cam_a"], "after": "2026-03-01T00:00:00"}
    assert first["model"] == encoder.fingerprint
    assert datetime.fromisoformat(first["time"]).tzinfo is not None
    assert first["user"]
    assert (second["sentence"], second["results"]) == ("nobody", 0)
    assert file.stat().st_mode & 0o077 == 0


def test_a_search_that_cannot_be_recorded_is_refused(gallery):
    (gallery.path / "audit.jsonl").mkdir()
    with pytest.raises(GalleryError, match=r"audit\.jsonl: cannot be written to"):
        gallery.search("a teal jacket")

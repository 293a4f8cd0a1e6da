"""Filters: several values, negation, ranges and labels equal a loop over rows; impossible ones are told."""

import json
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest

from pickout.errors import UsageError
from pickout.gallery.search.filters import Where, allowed, check_where, parse_labels, parse_range
from pickout.gallery.storage.memory import NO_TIME
from pickout.gallery.storage.rows import LABEL, Facet, Resident
from pickout.gallery.vectors.exact import HeldVectors

NOON = datetime(2026, 3, 1, 12)
TRACKS = ("t1", "t2", "t3")
CAMERAS = ("lobby", "roof", "yard")
COLOURS = ("blue", "teal")


def drawn(seed, rows=200):
    """Crops that say each thing or nothing."""
    generator = np.random.default_rng(seed)

    def facet(names):
        return Facet(names, generator.integers(-1, len(names), rows).astype(np.int32))

    times = np.datetime64(NOON, "us") + generator.integers(0, 10, rows) * np.timedelta64(3_600_000_000, "us")
    times[generator.random(rows) < 0.2] = NO_TIME
    return Resident(
        ids=np.char.zfill(np.arange(rows).astype("S32"), 32),
        vectors=HeldVectors(np.zeros((rows, 2), np.float32)),
        facets={
            "camera": facet(CAMERAS),
            "track": facet(TRACKS),
            "video": Facet((), np.full(rows, -1, np.int32)),
            LABEL + "coat": facet(COLOURS),
            LABEL + "hat": facet(("yes",)),
        },
        times=times,
        order=np.arange(rows),
    )


def allowed_by_loops(where, resident):
    return [_passes(where, resident, row) for row in range(len(resident.ids))]


def _passes(where, resident, row):
    def value(name):
        facet = resident.facets[name]
        return facet.names[facet.positions[row]] if facet.positions[row] >= 0 else None

    time = resident.times[row].item()
    for wanted, unwanted, name in (
        (where.cameras, where.not_cameras, "camera"),
        (where.tracks, where.not_tracks, "track"),
        *((where.labels.get(key, ()), where.not_labels.get(key, ()), LABEL + key) for key in ("coat", "hat")),
    ):
        if (wanted and value(name) not in wanted) or value(name) in unwanted:
            return False
    if where.after is not None and (time is None or time < where.after):
        return False
    if where.before is not None and (time is None or time >= where.before):
        return False
    return not where.during or (time is not None and any(a <= time < b for a, b in where.during))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "where",
    [
        Where(cameras=["lobby", "yard"]),
        Where(not_cameras=["lobby"]),
        Where(cameras=["lobby", "roof"], not_cameras=["yard"], tracks=["t1", "t3"]),
        Where(not_tracks=["t2"], labels={"coat": "teal"}),
        Where(labels={"coat": ["teal", "blue"], "hat": ["yes"]}),
        Where(not_labels={"hat": "yes", "coat": ["blue"]}),
        Where(during=[(NOON, NOON.replace(hour=14)), (NOON.replace(hour=18), NOON.replace(hour=19))]),
        Where(after=NOON.replace(hour=13), before=NOON.replace(hour=20), during=[(NOON, NOON.replace(hour=15))]),
    ],
    ids=["any", "not", "several", "not-and-label", "labels", "not-labels", "during", "bounds-and-during"],
)
def test_filters_equal_the_loop_twin(where, seed):
    resident = drawn(seed)
    check_where(where, resident)
    passed = allowed(where, resident)
    assert passed.tolist() == allowed_by_loops(where, resident)
    assert 0 < passed.sum() < len(passed)


def test_no_filter_looks_at_every_row_without_making_a_mask():
    assert allowed(Where(), drawn(0)) is None


@pytest.mark.parametrize(
    ("where", "problem"),
    [
        (Where(cameras=["lobbi"]), "unknown camera 'lobbi'; known cameras: lobby, roof, yard"),
        (Where(not_cameras=["lobbi"]), "unknown camera 'lobbi'"),
        (Where(tracks=["t9"]), "unknown track 't9'; known tracks: t1, t2, t3"),
        (Where(videos=["a.mp4"]), "unknown video 'a.mp4'; no crop here has a video; .*--table"),
        (Where(labels={"coat": "red"}), "label coat: unknown value 'red'; known values: blue, teal"),
        (Where(not_labels={"shoe": "red"}), "unknown label 'shoe'; known labels: coat, hat"),
    ],
)
def test_what_no_crop_has_is_a_usage_error_that_names_what_they_have(where, problem):
    with pytest.raises(UsageError, match=problem):
        check_where(where, drawn(0))


@pytest.mark.parametrize(
    ("made", "problem"),
    [
        (lambda: Where(during=[(NOON, NOON)]), "no time is after"),
        (lambda: Where(during=[(NOON, NOON.replace(hour=11))]), "no time is after"),
        (lambda: Where(cameras=["a"], not_cameras=["a", "b"]), "camera 'a' is both asked for and ruled out"),
        (lambda: Where(labels={"hat": "yes"}, not_labels={"hat": ["yes"]}), "hat 'yes' is both"),
        (lambda: Where(tracks="t1"), r"expected a list of names, for example \['t1'\]"),
        (lambda: Where(labels=["hat=yes"]), "expected names with values"),
        (lambda: parse_range("2026-03-01"), "no range of time"),
        (lambda: parse_range("2026-03-02/2026-03-01"), "no time is after"),
        (lambda: parse_range("monday/2026-03-01"), "no date or time"),
        (lambda: parse_labels(["hat"]), "expected NAME=VALUE"),
        (lambda: parse_labels(["=red"]), "expected NAME=VALUE"),
        (lambda: Where.from_json({"cameras": ["a"], "planet": "mars"}), "these are no filters"),
        (lambda: Where.from_json({"after": 7}), "these are no filters"),
    ],
)
def test_impossible_filters_are_usage_errors(made, problem):
    with pytest.raises(UsageError, match=problem):
        made()


def test_filters_written_as_json_come_back_equal():
    where = Where(
        cameras=["lobby"],
        not_cameras=["yard"],
        labels={"coat": ["teal", "blue"]},
        after=datetime(2026, 3, 1, 12, tzinfo=UTC),
        during=[parse_range("2026-03-01/2026-03-02")],
    )
    assert Where.from_json(json.loads(json.dumps(where.as_json()))) == where
    assert Where.from_json({}) == Where()


def test_labels_on_the_command_line_collect_their_values():
    assert parse_labels(["coat=teal", "hat=a=b", "coat=blue"]) == {"coat": ["teal", "blue"], "hat": ["a=b"]}


def test_filters_are_told_in_words():
    where = Where(cameras=["b", "a"], not_labels={"hat": "yes"}, during=[parse_range("2026-03-01/2026-03-02")])
    assert where.words() == ["camera a or b", "not hat yes", "from 2026-03-01 00:00:00 to 2026-03-02 00:00:00"]


def test_labels_of_indexed_crops_can_be_filtered(gallery, crops, tmp_path):
    table = tmp_path / "labels.csv"
    table.write_text("image,coat,bag\n0006.png,green,yes\ncam_a/0001_c1.png,teal,\ncam_a/0002_c1.png,red,yes\n")
    gallery.add(crops, table=table)
    found = gallery.search("a person in jeans", where=Where(labels={"coat": ["green", "teal"]}))
    assert {hit.path for hit in found} == {"0006.png", "cam_a/0001_c1.png"}
    found = gallery.search("a person in jeans", where=Where(labels={"bag": "yes"}, not_labels={"coat": "red"}))
    assert [hit.path for hit in found] == ["0006.png"]
    assert len(gallery.search("a person in jeans", where=Where(not_labels={"bag": "yes"}))) == 4


@pytest.mark.parametrize("seed", range(3))
def test_rows_filtered_in_threads_piece_by_piece_are_the_same(seed, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    resident = drawn(seed)
    where = Where(cameras=["lobby", "yard"], not_tracks=["t2"], labels={"coat": ["teal"]}, after=NOON.replace(hour=13))
    assert allowed(where, resident).tolist() == allowed_by_loops(where, resident)


@pytest.mark.parametrize(
    "wrong",
    [
        {"cameras": ["x\udcff"]},
        {"cameras": [1]},
        {"labels": {"a": 1}},
        {"labels": {1: "x"}},
        {"not_labels": {"\ud800": "x"}},
        {"after": "2026"},
        {"during": [1]},
        {"after": datetime.min.replace(tzinfo=timezone(timedelta(hours=3)))},
    ],
)
def test_filters_of_another_kind_are_told_as_such(wrong):
    with pytest.raises(UsageError):
        Where(**wrong)


def test_names_keep_the_blanks_that_belong_to_them():
    found = parse_labels(["shift=\u3000early", "shift=late\u3000", " colour = teal "])
    assert found == {"shift": ["\u3000early", "late\u3000"], "colour": ["teal"]}

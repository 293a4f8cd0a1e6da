"""Candidates that belong together are one, whatever the page and however many are looked at."""

import numpy as np
import pytest

from pickout.gallery.search.query import Query
from pickout.gallery.search.ranking import Asked, Grouping, grouped, ranked
from pickout.gallery.storage.rows import Facet, Resident
from pickout.gallery.vectors.exact import Aim, HeldVectors

ANYONE = Query(["anyone"])


def drawn(seed, rows=300, people=40):
    """Crops in tracks; crops of a person have nearly equal vectors."""
    generator = np.random.default_rng(seed)
    base = generator.standard_normal((people, 16))
    who = generator.integers(0, people, rows)
    vectors = base[who] + 0.05 * generator.standard_normal((rows, 16))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    tracks = np.where(generator.random(rows) < 0.2, -1, generator.integers(0, 30, rows)).astype(np.int32)
    cameras = generator.integers(0, 2, rows).astype(np.int32)
    return Resident(
        ids=np.char.zfill(np.arange(rows).astype("S32"), 32),
        vectors=HeldVectors(vectors),
        facets={
            "track": Facet(tuple(f"t{number:02d}" for number in range(30)), tracks),
            "camera": Facet(("a", "b"), cameras),
            "video": Facet((), np.full(rows, -1, np.int32)),
        },
        times=np.full(rows, np.datetime64("NaT", "us")),
        order=generator.permutation(rows),
    )


def groups_by_loops(positions, resident, grouping, duplicate):
    groups = []
    for row in positions:
        for group in groups:
            leader = group[0]
            if grouping is Grouping.TRACK:
                track, camera = resident.facets["track"].positions, resident.facets["camera"].positions
                same = track[row] >= 0 and track[row] == track[leader] and camera[row] == camera[leader]
            else:
                same = float(resident.vectors.array[row] @ resident.vectors.array[leader]) >= duplicate
            if same:
                group.append(row)
                break
        else:
            groups.append([row])
    return groups


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("grouping", [Grouping.TRACK, Grouping.DUPLICATE])
def test_groups_equal_the_loop_twin(seed, grouping):
    resident = drawn(seed)
    positions = np.random.default_rng(seed).permutation(300)
    found = grouped(positions, resident, grouping, duplicate=0.97)
    told = [[int(positions[place]) for place in group] for group in found]
    assert told == groups_by_loops(positions.tolist(), resident, grouping, 0.97)
    assert 20 < len(told) < 250


@pytest.mark.parametrize("grouping", [Grouping.TRACK, Grouping.DUPLICATE])
def test_pages_of_groups_never_overlap_and_leave_none_out(grouping, monkeypatch):
    monkeypatch.setattr("pickout.gallery.search.ranking._GROUPED", 7)  # so that more must be looked at than at first
    monkeypatch.setattr("pickout.gallery.search.ranking.LOOKED_AT", 3)
    resident = drawn(5)
    aim = Aim(resident.vectors.array[11])
    whole = ranked(resident, aim, Asked(ANYONE, top=300, grouping=grouping))
    leaders, page, more = [], 0, True
    while more:
        page += 1
        found = ranked(resident, aim, Asked(ANYONE, top=13, page=page, grouping=grouping))
        leaders += [place.position for place in found.places]
        more = found.more
    assert leaders == [place.position for place in whole.places]
    assert sum(1 + len(place.others) for place in whole.places) == 300


def test_a_gallery_without_tracks_has_no_groups():
    resident = drawn(1)
    bare = Resident(resident.ids, resident.vectors, {}, resident.times, resident.order)
    assert len(grouped(np.arange(300), bare, Grouping.TRACK, duplicate=0.9)) == 300


def test_near_duplicates_are_shown_as_one_hit(gallery, crops, draw):
    draw(crops / "twin.png", "black", "teal", "black", shade=200)
    gallery.add(crops)
    plain = gallery.ask("a teal jacket and black leggings", top=3)
    answer = gallery.ask("a teal jacket and black leggings", top=3, grouping=Grouping.DUPLICATE)
    assert {plain.hits[0].path, plain.hits[1].path} == {"cam_a/0001_c1.png", "twin.png"}
    assert answer.hits[0].others == (plain.hits[1].id,)
    assert answer.hits[1].path == plain.hits[2].path

"""Rows read after changes take over what was read before, and are what reading them all gives."""

import numpy as np
import pytest
from test_lance_table import row

from pickout.gallery.storage.memory import PLACE, batches, matrix, vectors_at
from pickout.gallery.storage.memory import taken as taken_rows
from pickout.gallery.storage.rows import Located
from pickout.gallery.storage.store import KEEP_NONE, Store
from pickout.gallery.vectors import exact


def unit(generator):
    vector = generator.standard_normal(4).astype(np.float32)
    return vector / np.linalg.norm(vector)


def held(resident):
    return {each.decode(): vector.tolist() for each, vector in zip(resident.ids, resident.vectors.array, strict=True)}


def facts(resident):
    order = np.argsort(resident.ids)
    camera = resident.facets["camera"]
    told = (resident.ids[order].tolist(), resident.order[order].tolist(), camera.positions[order].tolist())
    return (*told, camera.names, resident.vectors.damaged, resident.version)


def test_rows_that_come_go_behind_those_that_are_held(tmp_path):
    generator, store = np.random.default_rng(1), Store(tmp_path, 4, create=True)
    store.put([row(f"{n}.jpg", vector=unit(generator)) for n in range(50)])
    first = store.resident()
    before = held(first)
    store.put([row(f"{n}.jpg", vector=unit(generator), camera="yard") for n in range(50, 60)])
    second = store.resident(before=first)
    assert np.shares_memory(first.vectors.array, second.vectors.array)
    third = store.resident(before=first)  # only one may write behind it
    assert not np.shares_memory(first.vectors.array, third.vectors.array)
    assert held(first) == before and held(second) == held(third) == held(store.resident())
    assert facts(second) == facts(store.resident())


@pytest.mark.parametrize("most", [2, 20_000])
@pytest.mark.parametrize("seed", range(4))
def test_after_any_changes_what_is_taken_over_is_what_is_there(tmp_path, monkeypatch, seed, most):
    monkeypatch.setattr(exact, "_MOST_NEW", most)
    monkeypatch.setattr(exact, "_ROOM", 3)
    generator, store = np.random.default_rng(seed), Store(tmp_path, 4, create=True)
    resident = store.resident()
    for _ in range(25):
        for _ in range(generator.integers(1, 3)):
            names = [f"{n}.jpg" for n in generator.choice(40, generator.integers(1, 6), replace=False)]
            what = generator.choice(["put", "put", "put", "remove", "erase", "compact", "damage"])
            if what == "put":
                store.put([row(name, vector=unit(generator), camera=f"c{generator.integers(3)}") for name in names])
            elif what == "damage":
                store.put([row(names[0], vector=(3, 0, 0, 0))])
            elif what == "compact":
                store.compact()
            else:
                getattr(store, what)([row(name).id for name in names])
        resident = store.resident(before=resident)
        whole = store.resident()
        np.testing.assert_equal(held(resident), held(whole))
        assert facts(resident) == facts(whole)


def test_a_row_that_came_again_where_it_lay_is_read(tmp_path):
    """An erasure writes the table anew, and numbers its pieces from the beginning."""
    store = Store(tmp_path, 4, create=True)
    store.put([row("a.jpg", vector=(1, 0, 0, 0)), row("b.jpg")])
    first = store.resident()
    store.erase([row("a.jpg").id])
    store.put([row("a.jpg", vector=(0, 1, 0, 0))])
    store.erase([row("b.jpg").id])
    assert held(store.resident(before=first)) == {row("a.jpg").id: [0, 1, 0, 0]}


@pytest.mark.parametrize("seed", range(4))
def test_rows_are_fetched_from_where_they_stood_or_wherever_they_are_now(tmp_path, seed):
    """After any changes, the places of rows that were read before give what their ids give: nothing that is gone, and
    nothing that has come into a place since."""
    generator, store = np.random.default_rng(seed), Store(tmp_path, 4, create=True)
    store.put([row(f"{n}.jpg", vector=unit(generator)) for n in range(40)])
    before, taken = store.resident(), 0
    for _ in range(12):
        names = [f"{n}.jpg" for n in generator.choice(60, 5, replace=False)]
        what = generator.choice(["put", "remove", "erase", "compact", "read"])
        if what == "put":
            store.put([row(name, vector=unit(generator), camera="yard") for name in names])
        elif what == "compact":
            store.compact(KEEP_NONE)
        elif what == "read":
            before = store.resident(before=before)
        else:
            getattr(store, what)([row(name).id for name in names])
        ids = before.located(generator.permutation(len(before.ids))[:20].tolist())
        by_place, by_id = store.fetch(ids), store.fetch(list(ids))
        assert {key: each.seal for key, each in by_place.items()} == {key: each.seal for key, each in by_id.items()}
        assert store.present(ids) == set(by_id)
        taken += store.read(lambda table, ids=ids: taken_rows(table, ["id"], ids)).num_rows
    assert taken  # some stood where they were


def test_what_stands_in_a_place_is_not_taken_for_another(tmp_path):
    store = Store(tmp_path, 4, create=True)
    store.put([row(f"{n}.jpg") for n in range(3)])
    (first, place), (second, _), _ = store.resident().located(range(3)).items()
    assert list(store.fetch(Located({second: place}))) == [second]
    assert store.fetch(Located({"0" * 32: place})) == {} and first != second


def test_vectors_come_in_the_order_that_their_places_are_asked_in(gallery):
    with gallery._store.latest() as table:
        read = [(batch[PLACE].to_numpy(), matrix(batch["vector"])) for batch in batches(table, ["vector", PLACE])]
        places, vectors = np.concatenate([each for each, _ in read]), np.concatenate([each for _, each in read])
        order = np.random.default_rng(0).permutation(len(places))
        assert len(places) > 3
        assert np.array_equal(vectors_at(table, places[order]), vectors[order])
        assert vectors_at(table, places[:0]).shape == (0, vectors.shape[1])

"""What the workers of a Ray cluster give is what one process gives, also after some of them have died."""

import gc
import os
import signal
import sys
from contextlib import suppress
from datetime import datetime
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "gallery"))
from colour_encoder import ColourEncoder
from conftest import draw_crop

from pickout.errors import CheckpointMismatch, ServerBusy
from pickout.gallery.gallery import Gallery
from pickout.gallery.intake.metadata import CameraFrom
from pickout.gallery.intake.report import IngestSettings
from pickout.gallery.search.filters import Where
from pickout.gallery.search.query import Query
from pickout.gallery.storage.rows import Metadata
from pickout.gallery.vectors.exact import Aim
from pickout.serve.hosting import hosted
from pickout.serve.settings import ServeSettings

if find_spec("ray") is None:
    pytest.skip("no ray here: pip install 'pickout[ray]'", allow_module_level=True)

from pickout.cluster.spread import ClusterModel, _EncodingWorker
from pickout.cluster.vectors import ClusterVectors, vector_workers
from pickout.cluster.workers import Workers, connect, ray

COLOURS = ("black", "red", "teal", "blue", "olive", "orange")
TEAL = "a teal jacket"


@pytest.fixture(scope="module", autouse=True)
def workers():
    # Room for every test's workers, however few cores there are here.
    connect(num_cpus=16)
    yield vector_workers(3)
    ray.shutdown()


def kill(workers, worker):
    """As a machine that goes: no goodbye."""
    os.kill(ray.get(workers._workers[worker].__ray_call__.remote(lambda _: os.getpid())), signal.SIGKILL)


@pytest.fixture
def folder(tmp_path):
    """Crops of few colours, some of them equal but for one pixel, so that scores are equal too."""
    for place in range(60):
        hair, top, bottom = (COLOURS[place // step % 3] for step in (9, 1, 3))
        draw_crop(tmp_path / "crops" / f"cam_{place % 4}" / f"{place:03}.png", hair, top, bottom, shade=place % 7)
    return tmp_path / "crops"


@pytest.fixture
def pair(tmp_path, folder, workers):
    """A gallery as one process searches it, and as the workers do."""
    one = Gallery.create(tmp_path / "people.gallery", ColourEncoder())
    one.add(folder, camera_from=CameraFrom.FOLDER)
    many = Gallery.open(one.path, ColourEncoder())
    many.spread = partial(ClusterVectors.maker, workers)
    return one, many


def assert_equal_answers(pair):
    one, many = (gallery._current() for gallery in pair)
    assert isinstance(many.vectors, ClusterVectors)
    some = one.ids[3].decode(), one.ids[-2].decode()
    asked = [
        {"query": TEAL},
        {"query": "red trousers", "page": 3},
        {"query": "a black jacket and blue jeans", "top": 200},
        {"query": TEAL, "where": Where(cameras=["cam_1"])},
        {"query": TEAL, "where": Where(after=datetime(2030, 1, 1))},
        {"query": Query(texts=[TEAL], without=["a black jacket"], more_like=some[:1], less_like=some[1:])},
    ]
    for each in asked:
        found = [[(hit.id, hit.score) for hit in gallery.ask(**{"top": 9, **each}).hits] for gallery in pair]
        assert found[0] == found[1], each
    rows = np.arange(len(one.ids))[::-3]
    assert np.array_equal(one.vectors.at(rows), many.vectors.at(rows))
    for ours, theirs in zip(one.vectors.blocks(), many.vectors.blocks(), strict=True):
        assert all(map(np.array_equal, ours, theirs))


def test_workers_answer_as_one_process_does_after_every_change(pair, folder):
    one, many = pair
    assert_equal_answers(pair)
    assert [len(rows) for rows in many._current().vectors._rows_of] == [20, 20, 20]
    ids = [hit.id for hit in one.search(TEAL, top=60)]
    one.remove(ids[::9])
    assert_equal_answers(pair)
    for place in range(40):
        draw_crop(folder / "cam_9" / f"{place:03}.png", "blue", COLOURS[place % 6], "red", shade=place)
    one.add(folder, camera_from=CameraFrom.FOLDER)
    assert_equal_answers(pair)
    one.update(ids[1:9:3], Metadata(camera="cam_1"))
    one.erase(ids[2:40:7])
    one.compact()
    assert_equal_answers(pair)
    with suppress(KeyError):  # an erasure that has begun hides its rows
        one.remove(ids[3:4])
    query, hidden = ColourEncoder().encode_texts([TEAL])[0], one._current().ids[0]
    found = [
        each.vectors.top(Aim(query), top=7, order_N=each.order, allowed_N=each.ids != hidden)
        for each in (many._current(), one._current())
    ]
    assert all(map(np.array_equal, *found))


def test_an_empty_gallery_and_one_of_fewer_crops_than_workers(tmp_path, workers):
    gallery = Gallery.create(tmp_path / "few.gallery", ColourEncoder())
    gallery.spread = partial(ClusterVectors.maker, workers)
    assert gallery.search(TEAL) == []
    draw_crop(tmp_path / "crops" / "a.png", top="teal")
    gallery.add(tmp_path / "crops")
    assert len(gallery.search(TEAL)) == 1


def test_a_worker_that_dies_is_replaced_and_no_answer_is_partial(pair, workers):
    one, many = pair
    assert_equal_answers(pair)
    for victims in ([0], [1, 2], [0, 1, 2]):
        for victim in victims:
            kill(workers, victim)
        assert_equal_answers(pair)
    # What it reads again may stand elsewhere in the table now, or be gone: that row is found no more.
    one.follows = many.follows = False
    gone = many.search(TEAL, top=1)[0].id
    other = Gallery.open(one.path, ColourEncoder())
    other.remove([gone])
    other.compact()
    for victim in range(3):
        kill(workers, victim)
    found = [hit.id for hit in many.search(TEAL, top=60)]
    assert len(found) == 59
    assert gone not in found


def test_parts_of_galleries_that_are_no_longer_searched_are_let_go(pair, workers):
    held = lambda: ray.get([each.__ray_call__.remote(lambda self: len(self._parts)) for each in workers._workers])  # noqa: E731
    gc.collect()
    before = held()
    assert_equal_answers(pair)
    assert held() == [each + 1 for each in before]
    pair[1]._resident = pair[1]._visible = None
    gc.collect()
    assert held() == before


def test_without_a_worker_there_is_an_error_and_no_partial_answer(pair, monkeypatch):
    monkeypatch.setattr("pickout.cluster.workers._PATIENCE", 30.0)
    mortal = vector_workers(2)
    pair[1].spread = partial(ClusterVectors.maker, mortal)
    assert_equal_answers(pair)
    ray.kill(mortal._workers[1])
    with pytest.raises(ServerBusy, match="worker of the Ray cluster"):
        pair[1].search(TEAL)


def test_a_server_follows_changes_with_its_workers(pair, folder, workers):
    one = pair[0]
    encoder = ColourEncoder()
    served = hosted([one.path], lambda _: encoder, ServeSettings(), partial(ClusterVectors.maker, workers))
    server = served["people"]
    try:
        asked = lambda: server.turns.ask(lambda gallery: [hit.id for hit in gallery.search(TEAL, top=100)])  # noqa: E731
        assert asked() == [hit.id for hit in one.search(TEAL, top=100)]
        draw_crop(folder / "new.png", top="teal", shade=99)
        one.add(folder, camera_from=CameraFrom.FOLDER)
        server.refresh()
        assert len(asked()) == 61
        kill(workers, 1)
        assert asked() == [hit.id for hit in one.search(TEAL, top=100)]
    finally:
        server.close()


@pytest.fixture(scope="module")
def small():
    from pickout.checkpoints.source import load

    return load(device="cpu")


def test_crops_that_workers_encode_stand_as_those_of_one_process(tmp_path, folder, small, workers):
    alone = Gallery.create(tmp_path / "alone.gallery", small)
    alone.add(folder)
    cluster = ClusterModel.of(small, "pickout-small", "cpu", "torch", 2)
    assert cluster.fingerprint == small.fingerprint
    together = Gallery.create(tmp_path / "together.gallery", cluster)
    killed = []

    def lose_one(at):
        if at.encoded and not killed:
            kill(cluster.workers, 0)
            killed.append(at.done)

    report = together.add(folder, settings=IngestSettings(batch=8), on_progress=lose_one)
    assert (report.added, report.quarantined, bool(killed)) == (60, 0, True)
    rows = [gallery.rows(gallery.choose(["*"])) for gallery in (alone, together)]
    assert rows[0].keys() == rows[1].keys()
    for key, row in rows[0].items():
        assert row.content == rows[1][key].content
        assert row.vector @ rows[1][key].vector > 0.99999
    assert cluster.encode_images([]).shape == (0, small.dimension)
    assert np.array_equal(cluster.encode_texts([TEAL]), small.encode_texts([TEAL]))


def test_a_worker_with_another_model_encodes_nothing(small, workers, draw_image):
    cluster = ClusterModel.of(small, "pickout-small", "cpu", "torch", 1)
    cluster.fingerprint = "0" * 12
    with pytest.raises(CheckpointMismatch, match="another model there"):
        cluster.encode_images([draw_image])


def test_what_a_worker_cannot_do_is_told_in_its_words(workers, draw_image):
    lost = Workers(_EncodingWorker, 1, "/nowhere/run", "cpu", "torch")
    with pytest.raises(Exception, match="/nowhere/run") as caught:
        lost.ask("encode", {0: ([draw_image], False)})
    assert "Traceback" not in str(caught.value)


class _Poor:
    def give(self, told):
        raise MemoryError(told)


def test_what_is_no_error_of_ours_is_told_in_a_line_too(workers):
    poor = Workers(_Poor, 1)
    with pytest.raises(ServerBusy, match=r"worker of the Ray cluster failed \(MemoryError: 3 GB\); its machine"):
        poor.ask("give", {0: ("3 GB\nmore",)})


@pytest.fixture
def draw_image():
    from PIL import Image

    return Image.new("RGB", (24, 72), "teal")

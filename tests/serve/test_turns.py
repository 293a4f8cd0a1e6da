"""Searches that wait together are made together, and give what each gives alone."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from colour_encoder import ColourEncoder

from pickout.errors import ServerBusy, UsageError
from pickout.gallery.audit.log import Acting
from pickout.gallery.gallery import Gallery
from pickout.gallery.search.filters import ANYWHERE, Where
from pickout.gallery.search.query import Query
from pickout.gallery.search.ranking import Asked, Grouping, SearchSettings
from pickout.gallery.vectors.exact import Aim, HeldVectors, exact_top
from pickout.serve.hosting import Turns
from pickout.serve.jobs import Jobs

WHO = Acting("somebody", "test")


class CountingEncoder(ColourEncoder):
    calls = 0

    def encode_texts(self, texts):
        self.calls += 1
        return super().encode_texts(texts)


def asked(query, where=ANYWHERE):
    return Asked(Query.of(query), where, 3, 1, Grouping.NONE, SearchSettings())


def test_searches_together_give_what_each_gives_alone(paths):
    encoder = CountingEncoder()
    gallery = Gallery.open(paths[0], encoder)
    every = [
        asked("a teal jacket"),
        asked("an orange jacket", Where(cameras=["cam_c"])),
        asked(Query(["a red coat", "blue jeans"], without=["black hair"])),
        asked("a teal jacket", Where(not_cameras=["cam_a"])),
        asked(Query(more_like=["cam_b/0003.png"])),
    ]
    alone = [gallery.ask_many([each])[0] for each in every]
    encoder.calls = 0
    together = gallery.ask_many(every, [WHO] * len(every))
    assert encoder.calls == 1
    for one, other in zip(alone, together, strict=True):
        assert [(hit.id, hit.score) for hit in one.hits] == [(hit.id, hit.score) for hit in other.hits]


def test_one_that_fails_does_not_spoil_the_others(paths, encoder):
    gallery = Gallery.open(paths[0], encoder)
    found = gallery.ask_many([asked("teal"), asked("teal", Where(cameras=["nowhere"])), asked("red")])
    assert isinstance(found[1], UsageError) and found[0].hits and found[2].hits


def test_scores_of_many_queries_at_once_choose_the_same_rows():
    generator = np.random.default_rng(0)
    vectors = generator.standard_normal((40_000, 24)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    held, order = HeldVectors(vectors), generator.permutation(len(vectors))
    queries = vectors[:5] + 0.1
    allowed = generator.random(len(vectors)) < 0.5
    with held.scored_together(queries):
        for query in queries:
            for mask in (None, allowed):
                one = held.top(Aim(query), top=20, order_N=order, allowed_N=mask)
                other = exact_top(vectors, Aim(query), top=20, order_N=order, allowed_N=mask)
                assert (one[0] == other[0]).all() and (one[1] == other[1]).all()


def test_those_that_wait_are_taken_together_in_order(paths):
    encoder = CountingEncoder()
    gallery = Gallery.open(paths[0], encoder)
    turns = Turns(lambda: gallery, waiting=50, together=8)
    go_on = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        blocked = pool.submit(turns.ask, lambda _: go_on.wait(20))
        while turns.waiting or not blocked.running():
            time.sleep(0.01)
        time.sleep(0.05)
        sentences = ["a teal jacket", "an orange jacket", "a red jacket", "a white jacket"] * 4
        futures = [turns.search(lambda _, s=sentence: asked(s), WHO) for sentence in sentences]
        go_on.set()
        answers = [future.result(20) for future in futures]
    assert [answer.query.texts[0] for answer in answers] == sentences
    assert encoder.calls == 2  # sixteen, eight at a time
    turns.close()


def test_too_many_are_refused_and_a_stop_finishes_what_waits(paths, encoder):
    gallery = Gallery.open(paths[0], encoder)
    turns = Turns(lambda: gallery, waiting=3, together=8)
    go_on = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        blocked = pool.submit(turns.ask, lambda _: go_on.wait(20))
        while turns.waiting or not blocked.running():
            time.sleep(0.01)
        time.sleep(0.05)
        futures = [turns.search(lambda _: asked("teal"), WHO) for _ in range(3)]
        with pytest.raises(ServerBusy):
            turns.search(lambda _: asked("teal"), WHO)
        go_on.set()
    turns.close()
    assert all(future.result().hits for future in futures)
    with pytest.raises(ServerBusy, match="stopping"):
        turns.search(lambda _: asked("teal"), WHO)


def test_whoever_went_away_is_not_searched_for(paths, encoder):
    gallery = Gallery.open(paths[0], encoder)
    turns = Turns(lambda: gallery, waiting=9, together=8)
    go_on = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        blocked = pool.submit(turns.ask, lambda _: go_on.wait(20))
        while turns.waiting or not blocked.running():
            time.sleep(0.01)
        time.sleep(0.05)
        first, second = (turns.search(lambda _: asked("teal"), WHO) for _ in range(2))
        assert first.cancel()
        go_on.set()
    assert second.result(20).hits
    turns.close()
    assert len((gallery.path / "audit.jsonl").read_text().splitlines()) == 1


def test_a_stop_waits_for_a_job_that_is_being_started(monkeypatch):
    made, jobs = threading.Event(), Jobs(1)

    class SlowThread(threading.Thread):
        def start(self):
            if self.name == "draw":
                made.set()
                time.sleep(0.2)
            super().start()

    monkeypatch.setattr(threading, "Thread", SlowThread)
    with ThreadPoolExecutor(2) as pool:
        begun = pool.submit(jobs.start, "draw", "people", None, lambda _: {"crops": 1})
        assert made.wait(20)
        pool.submit(jobs.close).result(20)
    assert begun.result().result == {"crops": 1}
    with pytest.raises(ServerBusy):
        jobs.start("draw", "people", None, lambda _: {})


def test_what_a_server_that_died_was_sending_or_reading_goes_when_it_begins(serve, tmp_path):
    left = [tmp_path / "state" / kind / "tmpabc.pickout" for kind in ("exports", "imports")]
    for file in left:
        file.parent.mkdir(parents=True)
        file.write_bytes(b"half of an export")
    assert serve().client.get("/v1/health").status_code == 200
    assert not any(file.exists() for file in left)

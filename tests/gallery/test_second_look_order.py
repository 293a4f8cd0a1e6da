"""The second look: the best by vector are ranked by the matching score, the tail stays, wherever the page is cut."""

import numpy as np
import pytest

from pickout.gallery.search.query import Query
from pickout.gallery.search.ranking import Asked, looks_again, ranked, second_look
from pickout.gallery.storage.rows import Resident
from pickout.gallery.vectors.exact import Aim, HeldVectors

ROWS, CANDIDATES = 40, 12


class Matcher:
    """A model whose matching score is the mean of a crop's tokens, plus the sentence's length for its first word."""

    name, fingerprint, dimension, candidates = "matcher", "ab", 8, CANDIDATES

    def __init__(self):
        self.looked = 0

    def encode_images(self, images):
        raise AssertionError

    def encode_texts(self, texts):
        raise AssertionError

    def encode_images_with_tokens(self, images):
        raise AssertionError

    def match(self, sentence, tokens):
        self.looked += len(tokens)
        return tokens.astype(np.float32).mean((1, 2)) * (-1 if sentence == "unwanted" else 1)


class Tokens:
    """A store of tokens; rows whose number ends with 7 were indexed without."""

    def __init__(self, tokens):
        self.tokens = tokens

    def fetch_tokens(self, ids):
        return {each: self.tokens[int(each)] for each in ids if not each.endswith("7")}


@pytest.fixture
def drawn():
    generator = np.random.default_rng(3)
    vectors = generator.standard_normal((ROWS, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    resident = Resident(
        ids=np.char.zfill(np.arange(ROWS).astype("S32"), 32),
        vectors=HeldVectors(vectors),
        facets={},
        times=np.full(ROWS, np.datetime64("NaT", "us")),
        order=generator.permutation(ROWS),
        places=np.zeros(ROWS, np.uint64),
    )
    return resident, Tokens(generator.integers(0, 999, (ROWS, 3, 4)).astype(np.uint16))


def search(resident, store, query, matcher, top=ROWS, page=1):
    look = second_look(matcher, query, resident, store, 0.5)
    asked = Asked(query, top=top, page=page)
    return ranked(resident, Aim(resident.vectors.array[0]), asked, looks_again(matcher, query, None), look)


def test_the_best_are_ranked_by_matching_score_and_the_tail_as_it_was(drawn):
    resident, store = drawn
    plain = [
        place.position
        for place in ranked(resident, Aim(resident.vectors.array[0]), Asked(Query(["a"]), top=ROWS)).places
    ]
    first = plain[:CANDIDATES]
    score = {row: float(store.tokens[row].astype(np.float32).mean()) for row in first if row % 10 != 7}
    expected = [*sorted(score, key=lambda row: -score[row]), *(row for row in first if row % 10 == 7)]
    found = search(resident, store, Query(["a"]), Matcher())
    assert [place.position for place in found.places] == expected + plain[CANDIDATES:]
    assert [place.match for place in found.places[: len(score)]] == pytest.approx(
        [score[row] for row in expected[: len(score)]]
    )
    assert all(place.match is None for place in found.places[len(score) :])
    assert found.head.tolist() == pytest.approx(sorted(score.values(), reverse=True))


def test_pages_cut_one_and_the_same_ranking(drawn):
    resident, store = drawn
    whole = search(resident, store, Query(["a"]), Matcher()).places
    pages = [search(resident, store, Query(["a"]), Matcher(), top=7, page=page).places for page in range(1, 7)]
    assert [place for page in pages for place in page] == whole


def test_each_candidate_is_looked_at_once_a_sentence(drawn):
    resident, store = drawn
    matcher = Matcher()
    search(resident, store, Query(["a", "b"], without=["unwanted"]), matcher)
    assert matcher.looked % 3 == 0 and matcher.looked // 3 <= CANDIDATES


def test_the_unwanted_costs_only_above_its_mean(drawn):
    resident, store = drawn
    look = second_look(Matcher(), Query(["a"], without=["unwanted"]), resident, store, 0.5)
    rows = np.array([1, 2, 3])
    base = store.tokens[1:4].astype(np.float32).mean((1, 2))
    unwanted = -base
    expected = base - 0.5 * np.maximum(unwanted - unwanted.mean(), 0)
    assert look(rows).tolist() == pytest.approx(expected.tolist())


def test_without_a_sentence_or_a_model_that_can_there_is_no_second_look():
    assert looks_again(Matcher(), Query(["a"]), None) == CANDIDATES
    assert looks_again(Matcher(), Query(["a"]), 5) == 5
    assert looks_again(Matcher(), Query(["a"], more_like=["0" * 32]), None) == 0
    assert looks_again(object(), Query(["a"]), None) == 0

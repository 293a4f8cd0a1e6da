import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pickout.evaluate.metrics import (
    RelevantRanks,
    average,
    collect_ranks,
    find_relevant,
    rank,
    rank_mixtures,
    rank_row,
    score_queries,
)


def ranks_by_full_sort(scores: np.ndarray) -> np.ndarray:
    """Ranks of the whole gallery from a stable descending sort."""
    ranks = np.empty(len(scores), np.int64)
    for place, column in enumerate(sorted(range(len(scores)), key=lambda column: -scores[column]), start=1):
        ranks[column] = place
    return ranks


def relevant_by_loops(query_identity, gallery_identity, query_image, gallery_image) -> list[list[tuple[int, bool]]]:
    return [
        [
            (column, own == image)
            for column, (who, image) in enumerate(zip(gallery_identity, gallery_image, strict=True))
            if who == identity
        ]
        for identity, own in zip(query_identity, query_image, strict=True)
    ]


def per_query(ranks: RelevantRanks) -> list[list[tuple[int, bool]]]:
    bounds = zip(ranks.starts[:-1], ranks.starts[1:], strict=True)
    return [list(zip(ranks.ranks[a:b].tolist(), ranks.own[a:b].tolist(), strict=True)) for a, b in bounds]


def matrix(scores: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """Queries and gallery whose inner products are the matrix."""
    return torch.eye(len(scores)), torch.from_numpy(np.ascontiguousarray(scores.T, dtype=np.float32))


def random_case(seed: int, queries: int = 40, gallery: int = 60, people: int = 9, levels: int | None = None):
    generator = np.random.default_rng(seed)
    scores = generator.normal(size=(queries, gallery)) if levels is None else None
    if scores is None:
        scores = generator.integers(0, levels, (queries, gallery)) / 8
    gallery_identity = generator.integers(0, people, gallery)
    query_image = generator.integers(0, gallery, queries)
    identities = gallery_identity[query_image], gallery_identity
    return scores, find_relevant(*identities, query_image, np.arange(gallery)), (*identities, query_image)


def test_relevant_items_are_those_of_the_same_identity_with_own_images_marked():
    _, relevance, (query_identity, gallery_identity, query_image) = random_case(0)
    expected = relevant_by_loops(query_identity, gallery_identity, query_image, range(60))
    bounds = zip(relevance.starts[:-1], relevance.starts[1:], strict=True)
    pairs = [list(zip(relevance.columns[a:b].tolist(), relevance.own[a:b].tolist(), strict=True)) for a, b in bounds]
    assert pairs == expected


@pytest.mark.parametrize("levels", [None, 40, 3, 1])
def test_ranks_are_those_of_a_stable_descending_sort_with_and_without_ties(levels: int | None):
    scores, relevance, _ = random_case(1, levels=levels)
    ranks = rank(*matrix(scores), relevance, chunk=7)
    for query, found in enumerate(per_query(ranks)):
        columns = relevance.columns[relevance.starts[query] : relevance.starts[query + 1]]
        expected = ranks_by_full_sort(scores[query].astype(np.float32))
        own = dict(zip(expected[columns].tolist(), relevance.own[relevance.starts[query] :], strict=False))
        assert [place for place, _ in found] == sorted(expected[columns].tolist())
        assert all(own[place] == mine for place, mine in found)


def test_of_two_equal_scores_the_earlier_in_the_gallery_ranks_first():
    scores = np.array([0.5, 0.7, 0.5, 0.5], np.float32)
    assert rank_row(scores, np.array([0, 2, 3], np.int32)).tolist() == [2, 3, 4]
    assert rank_row(scores, np.array([3], np.int32)).tolist() == [4]


@settings(max_examples=80)
@given(st.lists(st.integers(-3, 3), min_size=1, max_size=30), st.data())
def test_any_row_of_scores_is_ranked_as_by_the_full_sort(levels: list[int], data: st.DataObject):
    scores = np.array(levels, np.float32) / 4
    columns = np.array(data.draw(st.lists(st.integers(0, len(levels) - 1), min_size=1, unique=True)), np.int32)
    assert rank_row(scores, columns).tolist() == ranks_by_full_sort(scores)[columns].tolist()


@settings(max_examples=30)
@given(st.integers(0, 10_000))
def test_without_ties_the_order_of_the_gallery_changes_no_measure(seed: int):
    scores, relevance, (query_identity, gallery_identity, query_image) = random_case(seed)
    order = np.random.default_rng(seed).permutation(60)
    shuffled = find_relevant(query_identity, gallery_identity[order], query_image, order)
    before = rank(*matrix(scores), relevance)
    after = rank(*matrix(scores[:, order]), shuffled)
    assert average(score_queries(before)) == average(score_queries(after))
    assert average(score_queries(before.without_own())) == average(score_queries(after.without_own()))


@pytest.mark.parametrize("chunk", [1, 5, 39, 40, 4000])
def test_the_chunk_size_changes_nothing(chunk: int):
    generator = torch.Generator().manual_seed(0)
    queries, gallery = torch.randn(40, 96, generator=generator), torch.randn(60, 96, generator=generator)
    _, relevance, _ = random_case(3)
    assert per_query(rank(queries, gallery, relevance, chunk=chunk)) == per_query(rank(queries, gallery, relevance))


def test_an_own_image_that_leaves_moves_up_what_stood_behind_it():
    scores, relevance, (query_identity, gallery_identity, query_image) = random_case(4, people=5)
    found = per_query(rank(*matrix(scores), relevance).without_own())
    for query, places in enumerate(found):
        left = [column for column in range(60) if column != query_image[query]]
        places_left = ranks_by_full_sort(scores[query, left].astype(np.float32))
        mine = gallery_identity[left] == query_identity[query]
        assert [place for place, _ in places] == sorted(places_left[mine].tolist())


def test_several_own_items_leave_together():
    """Image to text: all captions of the query's image leave."""
    scores = np.array([[0.9, 0.8, 0.7, 0.6, 0.5, 0.4]])
    identity = np.array([1, 2, 1, 1, 2, 1])
    relevance = find_relevant(np.array([1]), identity, np.array([0]), np.array([0, 1, 0, 2, 1, 2]))
    ranks = rank(*matrix(scores), relevance)
    assert per_query(ranks) == [[(1, True), (3, True), (4, False), (6, False)]]
    assert per_query(ranks.without_own()) == [[(2, False), (4, False)]]
    assert ranks.without_own().gallery.tolist() == [4]


def test_queries_without_another_image_are_left_out_and_counted():
    identity = np.array([0, 1, 1])
    relevance = find_relevant(identity, identity, np.arange(3), np.arange(3))
    scores = score_queries(rank(*matrix(np.eye(3)), relevance).without_own())
    assert scores.kept.tolist() == [1, 2]
    assert scores.excluded == 1


def test_each_mixture_is_ranked_as_if_it_were_alone():
    generator = torch.Generator().manual_seed(5)
    parts = [(torch.randn(40, 32, generator=generator), torch.randn(60, 32, generator=generator)) for _ in range(2)]
    _, relevance, _ = random_case(5)
    weights = [(0.0, 1.0), (0.3, 0.7), (1.0, 0.0)]
    together = [collect_ranks(ranks, relevance) for ranks in rank_mixtures(parts, weights, relevance, chunk=9)]
    assert [per_query(ranks) for ranks in together] == [
        per_query(collect_ranks(rank_mixtures(parts, [weight], relevance)[0], relevance)) for weight in weights
    ]
    assert per_query(together[0]) == per_query(rank(*parts[1], relevance))
    assert per_query(together[2]) == per_query(rank(*parts[0], relevance))

"""The second look: image by image it gives what the plain loop over captions gives."""

import errno
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from pickout.checkpoints.loaded_model import LoadedModel
from pickout.data.data_set import DataSet
from pickout.errors import CheckpointError, StorageFull
from pickout.evaluate import candidates as module
from pickout.evaluate.candidates import TokenStore, find_candidates, joined, match_candidates, rerank
from pickout.evaluate.evaluation_report import plot_cmc
from pickout.evaluate.metrics import BootstrapSettings, find_relevant, rank_mixtures
from pickout.evaluate.processes import Share
from pickout.evaluate.protocol import EvaluationSettings, evaluate, validate
from pickout.nn.attention import ImageMemory
from pickout.text.tokenizer import Tokenizer
from tests.evaluate.conftest import ColourMethod

Make = Callable[..., LoadedModel]
QUICK = EvaluationSettings(batch=16, bootstrap=BootstrapSettings(resamples=20))


class LookingMethod(ColourMethod):
    """Looks again at the five best images: how far are the halves from the first two colours that are named?

    It sees each caption's tokens and each image's pixels alone, whatever stands beside them in a batch.
    """

    candidates = 5

    def remember(self, tokens: Tensor) -> ImageMemory:
        return ImageMemory((tokens[:, None],), (tokens[:, None],))

    def match_pairs(self, memory: ImageMemory, states: Tensor, mask: Tensor, image: Tensor) -> Tensor:
        scores = []
        for state, real, read in zip(states, mask, image, strict=True):
            named = state[real]
            named = named[named.abs().sum(1) > 0][:2]
            pixels = memory.keys[0][read, 0].unflatten(0, (2, -1)).mean(1) / 4
            scores.append(-((pixels[: len(named)] - named) ** 2).sum())
        return torch.stack(scores)


def stores(method: LookingMethod, images: Tensor, states: Tensor, lengths: list[int], **kept: Any) -> Any:
    pixels = TokenStore(len(images), **{"budget": 10**9} | kept)
    texts = TokenStore(len(states), **{"budget": 10**9} | kept)
    for start in range(0, len(images), 4):
        pixels.add(images[start : start + 4], torch.ones(images[start : start + 4].shape[:2], dtype=torch.bool))
    for start in range(0, len(states), 3):
        mask = torch.arange(states.shape[1]) < torch.tensor(lengths[start : start + 3])[:, None]
        texts.add(states[start : start + 3], mask)
    return pixels, texts


def world(seed: int = 0, images: int = 23, captions: int = 11) -> tuple[Tensor, Tensor, list[int]]:
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randn(images, 8, 3, generator=generator)
    states = torch.randn(captions, 6, 3, generator=generator)
    lengths = torch.randint(2, 7, (captions,), generator=generator).tolist()
    return pixels, states, lengths


def match_by_loops(
    method: LookingMethod, images: Tensor, states: Tensor, lengths: list[int], items: NDArray[np.int32]
) -> NDArray[np.float32]:
    """Caption by caption, each with its own candidates projected again."""
    rows = []
    for state, length, own in zip(states, lengths, items, strict=True):
        row = []
        for item in own:
            memory = method.remember(images[item : item + 1])
            real = torch.ones(1, length, dtype=torch.bool)
            row.append(method.match_pairs(memory, state[None, :length], real, torch.tensor([0])).item())
        rows.append(row)
    return np.array(rows, np.float32)


@pytest.fixture
def plain(colour_model: Make, colour_tokenizer: Tokenizer) -> LoadedModel:
    """The same method without a second look."""
    return colour_model(method=ColourMethod(colour_tokenizer, share=1.0))


@pytest.fixture
def method(colour_tokenizer: Tokenizer) -> LookingMethod:
    # By embedding it cannot tell who wears which colour above.
    return LookingMethod(colour_tokenizer, share=1.0).eval()


def embeddings(images: int, captions: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(5)
    # Few values, so that many scores are equal.
    return (
        torch.randint(-1, 2, (captions, 3), generator=generator).float(),
        torch.randint(-1, 2, (images, 3), generator=generator).float(),
    )


@pytest.mark.parametrize("k", [1, 4, 23, 100])
def test_candidates_are_the_first_of_a_stable_descending_sort(k: int) -> None:
    queries, gallery = embeddings(23, 11)
    found = find_candidates(queries, gallery, k, chunk=4)
    for row, scores in zip(found, (queries @ gallery.T).numpy(), strict=True):
        assert row.tolist() == np.argsort(-scores, kind="stable")[:k].tolist()


@pytest.mark.parametrize(("pairs", "block"), [(256, 16), (3, 4), (1, 1), (7, 23)])
@torch.no_grad()
def test_scores_equal_the_plain_loop_however_they_are_grouped(
    method: LookingMethod, monkeypatch: pytest.MonkeyPatch, pairs: int, block: int
) -> None:
    monkeypatch.setattr(module, "PAIRS", pairs)
    images, states, lengths = world()
    candidates = find_candidates(*embeddings(23, 11), 6)
    told: list[tuple[str, int, int]] = []
    scores = match_candidates(
        method, *stores(method, images, states, lengths), candidates, block=block, tell=lambda *line: told.append(line)
    )
    np.testing.assert_allclose(scores, match_by_loops(method, images, states, lengths, candidates), atol=1e-5)
    assert told[-1] == ("pairs", 66, 66) and [line[1] for line in told] == sorted(line[1] for line in told)


@torch.no_grad()
def test_tokens_on_disk_give_the_scores_of_tokens_rounded_to_bfloat16(method: LookingMethod, tmp_path: Path) -> None:
    images, states, lengths = world()
    candidates = find_candidates(*embeddings(23, 11), 6)
    kept = stores(method, images, states, lengths, budget=10, folder=tmp_path)
    assert kept[0].on_disk and kept[1].on_disk
    scores = match_candidates(method, *kept, candidates)
    rounded = images.bfloat16().float(), states.bfloat16().float()
    np.testing.assert_allclose(scores, match_by_loops(method, *rounded, lengths, candidates), atol=1e-5)
    assert list(tmp_path.iterdir()) == []
    for store in kept:
        store.close()


class Beside(Share):
    """One of two processes, here threads: values are exchanged over a table."""

    table: ClassVar[list[Any]] = [None, None]
    barrier = threading.Barrier(2)

    def gather(self, value: Any) -> list[Any]:
        self.table[self.index] = value
        self.barrier.wait()
        both = list(self.table)
        self.barrier.wait()
        return both


def test_two_processes_find_and_score_what_one_does(method: LookingMethod) -> None:
    images, states, lengths = world()
    vectors = embeddings(23, 11)
    with torch.no_grad():
        whole = find_candidates(*vectors, 6)
        expected = match_candidates(method, *stores(method, images, states, lengths), whole, block=4)
    found: dict[int, NDArray[np.float32]] = {}

    def work(index: int) -> None:
        share = Beside(index, 2)
        start, stop = share.bounds(23, 8)
        with torch.no_grad():
            candidates = find_candidates(*vectors, 6, share=share)
            assert (candidates == whole).all()
            pixels, texts = stores(method, images[start:stop], states, lengths)
            found[index] = match_candidates(method, pixels, texts, candidates, first=start, block=4, share=share)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert np.array_equal(found[0], expected) and np.array_equal(found[1], expected)


def ranks_by_sorting(
    first: NDArray[np.float32], items: NDArray[np.int32], second: NDArray[np.float32], *, constant: bool
) -> NDArray[np.int64]:
    """Ranks of the whole gallery for one query, from a table of second scores."""
    least = second.min() - 1
    order = np.argsort(-first, kind="stable")
    table = np.full(len(first), least)
    if not constant:
        table[order] = least - np.arange(len(first))
    table[items] = second
    # Equal second scores stay in the order of the first.
    place = np.argsort(order) if not constant else np.where(np.isin(np.arange(len(first)), items), np.argsort(order), 0)
    final = np.lexsort((np.arange(len(first)), place, -table))
    ranks = np.empty(len(first), np.int64)
    ranks[final] = np.arange(1, len(first) + 1)
    return ranks


@pytest.mark.parametrize("tail", ["embedding", "constant"])
@pytest.mark.parametrize("k", [1, 5, 23])
def test_ranks_equal_a_sort_of_the_whole_gallery(tail: Any, k: int) -> None:
    queries, gallery = embeddings(23, 11)
    generator = np.random.default_rng(1)
    who, people = generator.integers(0, 6, 11), generator.integers(0, 6, 23)
    relevance = find_relevant(who, people, np.arange(11), np.arange(23))
    candidates = find_candidates(queries, gallery, k)
    second = generator.integers(0, 3, (11, k)).astype(np.float32)
    ranks = rerank(rank_mixtures([(queries, gallery)], [(1.0,)], relevance)[0], relevance, candidates, second, tail)
    first = (queries @ gallery.T).numpy()
    for query in range(11):
        expected = ranks_by_sorting(first[query], candidates[query], second[query], constant=tail == "constant")
        wanted = sorted(expected[people == who[query]].tolist())
        assert ranks.ranks[ranks.starts[query] : ranks.starts[query + 1]].tolist() == wanted


def test_a_report_has_both_scores_and_says_what_was_done(
    colour_model: Make, colours: DataSet, method: LookingMethod, plain: LoadedModel
) -> None:
    told: list[str] = []
    model = colour_model(method=method)
    # Among these people are two who wear each other's colours.
    report = evaluate(model, colours, "train", settings=QUICK, tell=lambda what, *_: told.append(what))
    before = evaluate(plain, colours, "train", settings=QUICK)
    assert report.text_to_image_by_embedding == before.text_to_image
    assert report.text_to_image.metrics.recall_at_1 > before.text_to_image.metrics.recall_at_1
    assert report.image_to_text == before.image_to_text
    found = report.to_json()
    assert found["second_look"] == {"candidates": 5, "tail": "embedding"}
    assert found["text_to_image_by_embedding"]["R@1"] == before.text_to_image.metrics.recall_at_1
    assert "text_to_image_by_embedding" not in before.to_json() and "second_look" not in before.to_json()
    assert "pairs" in told
    assert plot_cmc(report).startswith(b"\x89PNG")


def test_no_second_look_when_none_is_wanted(
    colour_model: Make, colours: DataSet, method: LookingMethod, plain: LoadedModel
) -> None:
    settings = QUICK.model_copy(update={"candidates": 0})
    report = evaluate(colour_model(method=method), colours, settings=settings)
    assert report.text_to_image == evaluate(plain, colours, settings=QUICK).text_to_image
    assert report.text_to_image_by_embedding is None


def test_validation_uses_the_second_score_and_tells_the_first(
    colour_model: Make, colours: DataSet, method: LookingMethod
) -> None:
    model = colour_model(method=method)
    report = evaluate(model, colours, settings=QUICK)
    named = validate(method, colours.splits["val"], model.tokenizer, model.settings.image)
    assert named["R@1"] == report.text_to_image.metrics.recall_at_1
    assert report.text_to_image_by_embedding is not None
    assert named["R@1 by embedding"] == report.text_to_image_by_embedding.metrics.recall_at_1


def test_second_scores_that_are_no_numbers_are_an_error(
    colour_model: Make, colours: DataSet, method: LookingMethod, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LookingMethod, "match_pairs", lambda self, memory, states, mask, image: image / 0.0)
    with pytest.raises(CheckpointError, match="180 matching scores that are not finite"):
        evaluate(colour_model(method=method), colours, settings=QUICK)


def test_rows_come_back_padded_to_the_longest_asked_for() -> None:
    store = TokenStore(3, budget=10**6)
    tokens = torch.arange(24.0).view(2, 4, 3)
    store.add(tokens, torch.tensor([[True] * 4, [True, True, False, False]]))
    store.add(tokens[:1, :1], torch.ones(1, 1, dtype=torch.bool))
    assert store.lengths.tolist() == [4, 2, 1]
    taken, mask = store.take(np.array([2, 1]))
    assert taken.shape == (2, 2, 3) and mask.tolist() == [[True, False], [True, True]]
    assert torch.equal(taken[1], tokens[1, :2]) and torch.equal(taken[0, 0], tokens[0, 0])
    assert not taken[0, 1].any()
    again = joined([(store.packed(), store.lengths)] * 2, budget=10**6)
    assert again.lengths.tolist() == [4, 2, 1, 4, 2, 1]
    assert torch.equal(again.take(np.arange(3, 5))[0], store.take(np.arange(2))[0])


def test_a_full_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def write(self, data: bytes) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

        def close(self) -> None:
            pass

    monkeypatch.setattr("tempfile.TemporaryFile", lambda **_: Full())
    with closing(TokenStore(1, budget=1, folder=tmp_path)) as store, pytest.raises(StorageFull, match=str(tmp_path)):
        store.add(torch.ones(1, 2, 3), torch.ones(1, 2, dtype=torch.bool))

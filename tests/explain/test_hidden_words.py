"""Random masks beside guided ones."""

import pytest
import torch

from pickout.errors import UsageError
from pickout.explain.hidden_words import compare_masks, empty_shares, mask_probabilities
from pickout.explain.pair import text_batch
from pickout.saliency.vacuous_words import VACUOUS_WORDS

CAPTIONS = [
    "A woman wears a pale blue blouse, dark jeans and white trainers.",
    "the man is carrying a red backpack",
    "a red blouse without a backpack",
] * 30
"""More than are read at a time."""


def test_both_rules_draw_from_their_probabilities_with_equal_numbers(aga, seen):
    found = compare_masks(aga, seen, draws=400, seed=3)
    assert list(found) == ["random", "guided"]
    probability = mask_probabilities(aga.method, text_batch(aga, [seen.ids]))
    uniform = torch.rand(400, len(seen.ids), generator=torch.Generator().manual_seed(3))
    for rule, masked in found.items():
        for number, hidden in enumerate(masked.draws[:40]):
            by_loops = [
                told
                for told, word in enumerate(seen.told)
                if any(uniform[number, p] < probability[rule][0, p] for p in seen.words[word].positions)
            ]
            assert list(hidden) == by_loops
        # The mean of 400 draws over twelve words, against the probabilities of the words of one piece.
        for told, word in enumerate(seen.told):
            if len(seen.words[word].positions) == 1:
                share = sum(told in hidden for hidden in masked.draws) / 400
                assert share == pytest.approx(masked.probability[told], abs=0.08)
    assert found["random"].probability == pytest.approx([0.15] * len(seen.told))
    assert len(set(found["guided"].probability)) > 5


def test_the_share_of_empty_words_is_that_of_the_list_by_loops(aga):
    found = empty_shares(aga, CAPTIONS)
    empty = pieces = 0.0
    for caption in CAPTIONS:
        places = len(aga.tokenizer.pieces(caption))
        pieces += places
        for word in aga.tokenizer.words(caption):
            empty += len(word.positions) == 1 and word.text.lower() in VACUOUS_WORDS
    assert found["random"]["expected"] == pytest.approx(empty / pieces, abs=1e-5)
    assert found["random"]["counted"] == pytest.approx(empty / pieces, abs=0.12)
    assert found["random"]["hidden"] == pytest.approx(0.15, abs=0.04)
    assert found["guided"]["hidden"] == pytest.approx(0.15, abs=0.04)
    assert empty_shares(aga, CAPTIONS) == found


def test_attention_on_empty_words_is_told(aga):
    """With attention that is sharp on one word, guided masks hide that word."""
    sharp = {"attention_temperature": 1e-4, "alpha1": 0.0}
    aga.method.settings = aga.method.settings.model_copy(update=sharp)
    found = empty_shares(aga, CAPTIONS[:3])
    expected = []
    for caption in CAPTIONS[:3]:
        texts = text_batch(aga, [torch.from_numpy(aga.tokenizer.encode([caption])[0])])
        probability = mask_probabilities(aga.method, texts)["guided"][0]
        words = {p: w.text.lower() for w in aga.tokenizer.words(caption) for p in w.positions if len(w.positions) == 1}
        lost = sum(float(p) for n, p in enumerate(probability) if words.get(n) in VACUOUS_WORDS)
        expected.append((lost, float(probability.sum())))
    share = sum(lost for lost, _ in expected) / sum(whole for _, whole in expected)
    assert found["guided"]["expected"] == pytest.approx(share, abs=1e-5)


def test_methods_that_hide_no_words_are_refused(model, pair):
    for ask in (lambda: compare_masks(model, pair), lambda: empty_shares(model, CAPTIONS)):
        with pytest.raises(UsageError, match="give a run of fusion, aga or union"):
            ask()

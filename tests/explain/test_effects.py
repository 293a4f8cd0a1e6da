"""Effects of players on a game whose answer is known, and on real towers."""

from itertools import permutations

import numpy as np
import pytest

from pickout.explain.evidence import hide_patches, keep_one_in, leave_one_out, shapley
from pickout.explain.pair import embed_images, embed_texts

WEIGHTS = np.array([[1.0, 0.0], [2.0, -1.0], [0.0, 3.0], [0.5, 0.5]], np.float32)


def additive(kept):
    return 7 + kept.astype(np.float32) @ WEIGHTS


def with_interaction(kept):
    """Players 0 and 1 are worth something together only."""
    return additive(kept) + np.float32(4) * (kept[:, :1] & kept[:, 1:2])


def shapley_by_permutations(embed, players):
    total = np.zeros((players, 2))
    orders = list(permutations(range(players)))
    for order in orders:
        kept = np.zeros(players, bool)
        for player in order:
            before = embed(kept[None])[0]
            kept[player] = True
            total[player] += embed(kept[None])[0] - before
    return total / len(orders)


@pytest.mark.parametrize("rule", [leave_one_out, keep_one_in, lambda e, n: shapley(e, n, np.random.default_rng(0))])
def test_every_rule_finds_the_weights_of_an_additive_game(rule):
    effects = rule(additive, 4)
    assert np.allclose(effects.each, WEIGHTS, atol=1e-5)
    assert np.allclose(effects.whole, 7 + WEIGHTS.sum(axis=0))


def test_shapley_shares_an_interaction_as_all_permutations_do():
    exact = shapley_by_permutations(with_interaction, 4)
    effects = shapley(with_interaction, 4, np.random.default_rng(0), orders=2000)
    assert np.allclose(exact[0], WEIGHTS[0] + 2)
    assert np.allclose(effects.each, exact, atol=0.15)


@pytest.mark.parametrize("steps", [1, 3, 4, 32])
def test_shapley_values_add_up_whatever_the_draws(steps):
    effects = shapley(with_interaction, 4, np.random.default_rng(1), orders=2, steps=steps)
    whole, nothing = with_interaction(np.array([[True] * 4, [False] * 4]))
    assert np.allclose(effects.each.sum(axis=0), whole - nothing, atol=1e-5)


def test_shapley_of_a_crop_and_a_sentence_share_out_the_score(evidence):
    image, text = evidence.effects("patches", "shapley"), evidence.effects("words", "shapley")
    everything = image.whole @ text.whole
    image_0 = evidence.show(np.zeros((1, evidence.patches), bool))[0]
    text_0 = evidence.tell(np.zeros((1, evidence.told), bool))[0]
    assert (image.each @ text.whole).sum() == pytest.approx(everything - image_0 @ text.whole, abs=1e-4)
    together = (text.each @ image.each.T).sum()
    assert together == pytest.approx((text.whole - text_0) @ (image.whole - image_0), abs=1e-4)


def test_leaving_out_is_the_direct_difference_of_scores(model, pair, evidence):
    text = embed_texts(model, [pair.ids])[0]
    for patch in (0, 5):
        kept = np.ones((1, 8), bool)
        kept[0, patch] = False
        without = embed_images(model, hide_patches(pair, kept))[0] @ text
        with_ = embed_images(model, pair.pixels[None])[0] @ text
        assert evidence.effects("patches", "left_out").each[patch] @ text == pytest.approx(with_ - without, abs=1e-5)


def test_leaving_out_a_word_is_the_sentence_without_it(model, pair, evidence):
    sentence = pair.sentence.replace(" dark", "")
    dark = [pair.words[n].text for n in pair.told].index("dark")
    direct = model.encode_texts([pair.sentence])[0] - model.encode_texts([sentence])[0]
    assert np.allclose(evidence.effects("words", "left_out").each[dark], direct, atol=1e-5)


def test_a_phrase_left_out_takes_its_neighbours_along(model, pair, evidence):
    blue = [pair.words[n].text for n in pair.told].index("blue")
    sentence = pair.sentence.replace(" pale blue blouse", "")
    direct = model.encode_texts([pair.sentence])[0] - model.encode_texts([sentence])[0]
    assert np.allclose(evidence.phrases[blue], direct, atol=1e-5)

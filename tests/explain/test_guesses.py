"""What a fusion model guesses at hidden words, and what enrichment would put there."""

import numpy as np
import pytest
import torch

from pickout.explain.hidden_words import guided_weights, hidden_pieces, word_weights
from pickout.explain.pair import hidden_rows, make_pair, text_batch
from pickout.shapes import AttentionRequest, TokenBatch


@pytest.fixture
def pieces(aga, seen):
    return hidden_pieces(aga, seen)


def logits_of(aga, seen, piece):
    """The word head's, with the piece's word hidden."""
    (row,) = hidden_rows(seen, [piece.word], aga.tokenizer.special.mask)
    method, mask = aga.method, torch.from_numpy(aga.tokenizer.mask(row[None].numpy()))
    with torch.no_grad():
        memory = method.remember(method.vision(seen.pixels[None]).tokens)
        fused = method.text.fuse(method.text(TokenBatch(row[None], mask)).tokens, mask, memory).tokens
        return method.word_head(fused[0, piece.position], method.text.embeddings.words.weight)


def test_masking_probabilities_are_the_methods_own(pieces, seen):
    assert [piece.position for piece in pieces] == [n for word in seen.told for n in seen.words[word].positions]
    marks = sum(not word.spoken for word in seen.words)
    total = sum(piece.probability for piece in pieces)
    assert 0 < total <= 0.15 * (len(pieces) + marks) + 1e-4


def test_fusion_hides_every_word_alike_and_has_attention_all_the_same(load_tiny, sentence, picture):
    model = load_tiny("fusion")
    pieces = hidden_pieces(model, make_pair(model, sentence, picture))
    assert {round(piece.probability, 6) for piece in pieces} == {0.15}
    assert len({round(piece.attention, 6) for piece in pieces}) > 5
    assert all(piece.guesses for piece in pieces)


def test_raw_guesses_are_the_best_of_the_whole_vocabulary_with_the_original_among_them(aga, seen, pieces):
    texts = aga.tokenizer.vocabulary.texts
    ranks = []
    for piece in pieces:
        likely = logits_of(aga, seen, piece).double().softmax(0)
        own = int(seen.ids[piece.position])
        best = sorted(range(len(likely)), key=lambda n: -float(likely[n]))
        expected = best[:5] + ([] if own in best[:5] else [own])
        assert [guess.text for guess in piece.guesses] == [texts[n] for n in expected]
        assert [guess.probability for guess in piece.guesses] == pytest.approx(
            [float(likely[n]) for n in expected], abs=1e-5
        )
        assert [guess.original for guess in piece.guesses].count(True) == 1
        assert piece.rank == best.index(own) + 1
        ranks.append(piece.rank)
    assert max(ranks) > 5


def test_candidates_are_whole_words_without_the_original(aga, seen, pieces):
    vocabulary = aga.tokenizer.vocabulary
    for piece in pieces:
        alone = len(seen.words[piece.word].positions) == 1
        own = int(seen.ids[piece.position])
        logits = logits_of(aga, seen, piece)
        logits[~torch.from_numpy(vocabulary.whole_words)] = -torch.inf
        best = [int(n) for n in logits.topk(5).indices if int(n) != own] if alone else []
        assert [found.text for found in piece.candidates] == [vocabulary.texts[n] for n in best]
        assert not best or sum(found.probability for found in piece.candidates) == pytest.approx(1, abs=1e-4)
    assert any(piece.candidates for piece in pieces)


def test_attention_is_equations_six_to_eight_by_loops(aga, seen, pieces):
    texts = text_batch(aga, [seen.ids])
    rows = aga.method.text(texts, AttentionRequest(rows="all")).trace.rows
    content = aga.method.text.content(texts)[0].tolist()
    fused = np.zeros(len(seen.ids))
    for layer in (1, 2):
        fused = 0.95 * fused + 0.05 * rows[layer][0].detach().numpy()
    raised = {n: np.exp(fused[n] / 0.02) for n, is_piece in enumerate(content) if is_piece}
    for piece in pieces:
        assert piece.attention == pytest.approx(raised[piece.position] / sum(raised.values()), abs=1e-5)
    assert float(guided_weights(aga.method, texts)[0].sum()) == pytest.approx(1, abs=1e-5)


def test_the_five_words_with_the_highest_attention_are_named_highest_first(seen, pieces):
    sums = {word: sum(piece.attention for piece in pieces if piece.word == word) for word in seen.told}
    assert list(word_weights(pieces)) == sorted(sums, key=lambda word: -sums[word])
    assert word_weights(pieces) == pytest.approx(sums)


def test_a_model_without_a_word_head_guesses_nothing(load_tiny, sentence, picture):
    model = load_tiny("aga")
    model.method.heads = model.method.heads - {"word"}
    found = hidden_pieces(model, make_pair(model, sentence, picture))
    assert {(piece.rank, piece.guesses, piece.candidates) for piece in found} == {(0, (), ())}

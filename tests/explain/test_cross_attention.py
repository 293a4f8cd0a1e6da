"""Words of a fusion model: where they look, what hides them, and what would take their place."""

import numpy as np
import pytest
import torch

from pickout.errors import UsageError
from pickout.explain.evidence import Evidence
from pickout.explain.explanation import explain
from pickout.explain.figures import look_sheet
from pickout.explain.hidden_words import hidden_pieces
from pickout.explain.pair import hidden_rows, look_at, make_pair, match_scores
from pickout.explain.ways import WAYS
from pickout.shapes import AttentionRequest, TokenBatch


def test_hidden_words_are_mask_ids_and_nothing_else_changes(aga, seen):
    (row,) = hidden_rows(seen, [4], aga.tokenizer.special.mask)
    places = list(seen.words[4].positions)
    assert (row[places] == aga.tokenizer.special.mask).all()
    others = [n for n in range(len(row)) if n not in places]
    assert torch.equal(row[others], seen.ids[others])


@pytest.mark.parametrize("hide", [True, False])
def test_looks_are_the_cross_attention_of_one_word_at_a_time(aga, seen, hide):
    told = list(seen.told)
    look = look_at(aga, seen, told, hide=hide)
    assert set(look) == {1, 2}
    method, word = aga.method, told[5]
    ids = hidden_rows(seen, [word], aga.tokenizer.special.mask)[0] if hide else seen.ids
    texts = TokenBatch(ids[None], torch.from_numpy(aga.tokenizer.mask(ids[None].numpy())))
    with torch.no_grad():
        memory = method.remember(method.vision(seen.pixels[None]).tokens)
        states = method.text(texts).tokens
        maps = method.text.fuse(states, texts.mask, memory, request=AttentionRequest(maps="all")).look_maps
    for layer in (1, 2):
        by_loops = sum(maps[layer][0, place, 1:] for place in seen.words[word].positions)
        by_loops = by_loops / len(seen.words[word].positions)
        assert np.allclose(look[layer][5], by_loops, atol=1e-5)
    way = WAYS["cross_attention_hidden" if hide else "cross_attention"](Evidence(aga, seen))
    assert np.allclose(way.looks, (look[1] + look[2]) / 2, atol=1e-6)


def test_other_methods_have_no_words_that_look(model, pair):
    for ask in (hidden_pieces, lambda *pair: look_at(*pair, [0])):
        with pytest.raises(UsageError, match="give a run of fusion, aga or union"):
            ask(model, pair)


def test_match_scores_are_the_methods_second_score(aga, seen):
    pixels = torch.stack([seen.pixels, seen.pixels.flip(2)])
    found = match_scores(aga, pixels, seen.ids)
    with torch.no_grad():
        texts = TokenBatch(seen.ids[None], torch.from_numpy(aga.tokenizer.mask(seen.ids[None].numpy())))
        text = aga.method.encode_texts(texts)
        for picture, score in zip(pixels, found, strict=True):
            direct = aga.method.match(aga.method.encode_images(picture[None]), text)
            assert float(score) == pytest.approx(float(direct), abs=1e-4)


def test_a_fusion_model_is_explained_like_any_other(aga, sentence, picture, tmp_path):
    found = explain(aga, sentence, picture)
    direct = aga.encode_images([picture])[0] @ aga.encode_texts([sentence])[0]
    assert found.score == pytest.approx(direct, abs=1e-5)
    assert found.patches is not None
    assert set(found.verdicts) == {"patches", "words", "word_patches"}


def test_ways_of_a_fusion_model_give_what_they_can(aga, seen):
    evidence = Evidence(aga, seen)
    given = {name: WAYS[name](evidence) for name in WAYS}
    assert given["cross_attention"].looks.shape == (12, 8)
    assert given["cross_attention_hidden"].looks.shape == (12, 8)
    assert given["class_row"].words.shape == (12,)
    assert given["late_gradient"].patches is None


def test_a_sheet_shows_every_layer(aga, seen):
    sheet = look_sheet(seen, "blue", look_at(aga, seen, [5]))
    assert sheet.width > 4 * 120


@pytest.mark.parametrize("hide", [True, False])
def test_words_of_a_union_look_at_the_patches_of_its_bank_alone(load_tiny, sentence, picture, hide):
    union = load_tiny("union")
    seen = make_pair(union, sentence, picture)
    _, patches = union.method.looked_at(seen.pixels[None])
    kept = sorted(patches[0].tolist())
    assert 0 < len(kept) < seen.grid.patches
    for look in look_at(union, seen, list(seen.told), hide=hide).values():
        assert look.shape == (len(seen.told), seen.grid.patches)
        assert (np.flatnonzero(look.any(axis=0)) == kept).all()

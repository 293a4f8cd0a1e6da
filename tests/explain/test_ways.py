import numpy as np
import pytest
import torch

from pickout.explain.evidence import Evidence
from pickout.explain.pair import embed_images, make_pair
from pickout.explain.ways import WAYS
from pickout.shapes import AttentionRequest

PHRASED = {"shapley_phrases", "left_out_phrases", "late_gradient_phrases"}
ATTENTION = {"class_row", "mean_row", "rollout", "mars"}


@pytest.mark.parametrize("name", WAYS)
def test_a_way_gives_finite_numbers_of_the_right_shape(evidence, model, name):
    reading = WAYS[name](evidence)
    shapes = {"patches": (8,), "words": (12,), "word_patches": (12, 8)}
    given = {field for field in shapes if getattr(reading, field) is not None}
    for field in given:
        assert getattr(reading, field).shape == shapes[field]
        assert np.isfinite(getattr(reading, field)).all()
    if name.startswith("cross") or (name == "mars" and type(model.method).__name__ == "Dual"):
        assert given == set()
    elif name in PHRASED:
        assert given == {"word_patches"}
    else:
        assert given == set(shapes) - ({"word_patches"} if name in ATTENTION else set())


def test_gradients_leave_the_model_as_it_was(model, evidence):
    before = {name: tensor.clone() for name, tensor in model.method.state_dict().items()}
    first = WAYS["late_gradient"](evidence).patches
    assert all(torch.equal(before[name], tensor) for name, tensor in model.method.state_dict().items())
    assert all(parameter.grad is None for parameter in model.method.parameters())
    assert np.array_equal(WAYS["late_gradient"](evidence).patches, first)


def test_the_gradient_is_the_slope_of_the_score_along_the_patch(load_tiny, picture):
    """Scaling a patch's token by 1 + e changes the score by e times gradient times token."""
    model = load_tiny("dual")
    pair = make_pair(model, "a red jacket", picture)
    text = torch.from_numpy(model.encode_texts([pair.sentence])[0])
    given = Evidence(model, pair).gradients("patches", text[None].numpy(), last=False)[0][1:]
    step, patch = 1e-2, int(np.abs(given).argmax())
    scores = []
    for factor in (1 + step, 1 - step):
        hook = model.method.vision.transformer.register_forward_pre_hook(_scaled(patch + 1, factor))
        scores.append(embed_images(model, pair.pixels[None])[0] @ text.numpy())
        hook.remove()
    slope = (scores[0] - scores[1]) / (2 * step)
    assert abs(slope) > 1e-3
    assert float(given[patch]) == pytest.approx(float(slope), rel=0.02)


def _scaled(place, factor):
    def before(_module, arguments):
        x = arguments[0].clone()
        x[:, place] *= factor
        return (x, *arguments[1:])

    return before


def test_attention_ways_read_the_class_row(model, pair, evidence):
    row = model.method.vision(pair.pixels[None], AttentionRequest(rows="all")).trace.rows
    assert np.allclose(WAYS["class_row"](evidence).patches, row[2][0, 1:].detach().numpy())
    assert np.allclose(WAYS["mean_row"](evidence).patches, ((row[1] + row[2]) / 2)[0, 1:].detach().numpy())


def test_words_sum_their_pieces(evidence, pair):
    tokens = np.arange(len(pair.ids), dtype=np.float32)
    by_loops = [sum(float(place) for place in pair.words[n].positions) for n in pair.told]
    assert evidence.over_words(tokens).tolist() == by_loops


def test_the_patches_of_a_bank_are_no_patches_of_the_picture(load_tiny, picture, monkeypatch):
    """`union` hands on the tokens that it keeps: of these there is no place in the grid."""
    for name, kept in (("union", 4), ("dual", 9)):
        monkeypatch.setitem(load_tiny.__globals__["TINY"], "embedding", load_tiny.__globals__["TINY"]["width"])
        model = load_tiny(name)
        pair = make_pair(model, "a pale blue blouse", picture)
        assert model.method.encode_images(pair.pixels[None]).tokens.shape[1] == kept
        reading = WAYS["token_similarity"](Evidence(model, pair, 0))
        assert (reading.patches is None) == (name == "union")

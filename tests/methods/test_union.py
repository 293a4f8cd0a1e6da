"""AGA's second look at ITSELF's bank: what is read, once, and by whom. The contract of all methods is tested apart."""

import pytest
import torch
from torch.nn import functional as F

from pickout.methods.base import Progress
from pickout.shapes import AttentionRequest

START = Progress(step=1, epoch=1, steps_per_epoch=10, epochs=2)
LATE = Progress(step=5000, epoch=2, steps_per_epoch=10, epochs=2)


@torch.no_grad()
def test_the_fusion_layers_read_the_class_token_and_the_best_patches(make_method, make_batch):
    method, batch = make_method("union", identities=0).eval(), make_batch()
    out = method.vision(batch.images, AttentionRequest(rows="all"))
    kept = int(12 * 0.4)
    features = method.encode_images(batch.images)
    assert features.tokens.shape == (6, 1 + kept, 16)
    tokens, patches = method.looked_at(batch.images)
    assert torch.equal(tokens, features.tokens)
    for row in range(6):
        scores = out.trace.rows[2][row, 1:]
        best = sorted(range(12), key=lambda patch: -float(scores[patch]))[:kept]
        assert patches[row].tolist() == best
        assert torch.equal(features.tokens[row], out.tokens[row][[0, *(1 + patch for patch in best)]])
    memory = method.remember(features.tokens)
    assert memory.keys[0].shape[-2] == 1 + kept


@torch.no_grad()
def test_the_first_look_is_a_global_and_a_local_cosine(make_method, make_batch):
    method, batch = make_method("union", identities=0, bank={**SMALL_BANK, "fusion_weight": 0.3}).eval(), make_batch()
    images, texts = method.encode_images(batch.images), method.encode_texts(batch.texts)
    whole, part = (F.cosine_similarity(images.parts[name], texts.parts[name]) for name in ("global", "local"))
    torch.testing.assert_close((images.embedding * texts.embedding).sum(1), 0.3 * whole + 0.7 * part)
    plain = method.image_projection(method.vision(batch.images).tokens[:, 0])
    torch.testing.assert_close(images.parts["global"], plain)


SMALL_BANK = {"local_dimension": 12, "hidden": 10, "selection_layers": [1, 2]}


def test_training_reads_what_the_schedule_keeps(make_method, make_batch):
    method, batch = make_method("union", bank={**SMALL_BANK, "budget_counts": "selectable"}), make_batch()
    given = method.given(batch)
    for progress, kept in ((START, 12 * 0.65), (LATE, 12 * 0.4)):
        found = method.image_tokens(given, progress).shape[1] - 1
        assert abs(found - kept) <= 1.5 and found == method.image_selection.training_kept(progress)
        logs = method.losses(batch, progress).logs
        assert logs["kept_patches"] == found


def test_one_pass_over_a_caption_chooses_its_bank_and_hides_its_words(make_method, make_batch):
    """AGA reads attention in a pass of its own; here it is the one that the bank is chosen by."""
    calls = {}
    for name in ("aga", "union"):
        method, batch = make_method(name), make_batch()
        asked = []
        method.text.register_forward_hook(lambda _m, inputs, _o, asked=asked: asked.append(inputs[1:]))
        method.losses(batch, START)
        calls[name] = len(asked)
    assert calls["union"] == calls["aga"]
    method = make_method("union", attention_dropout=False).eval()
    given = method.given(make_batch())
    rows = method.text(given.strong, AttentionRequest(rows="all")).trace.rows
    expected = method.settings.guided_probabilities(rows, given.content)
    torch.testing.assert_close(method.masking_probability(given.strong, given.content, given.text.trace.rows), expected)
    assert expected.std() > 0


def test_the_local_losses_are_itself_s_of_the_kept_tokens(make_method, make_batch):
    method, batch = make_method("union", local_weight=0.5).eval(), make_batch()
    given = method.given(batch)
    found = method.further(given, START)
    banks = []
    for selection, out, padding, head in (
        (method.image_selection, given.image, None, method.image_head),
        (method.text_selection, given.text, ~given.strong.mask, method.text_head),
    ):
        banks.append(head(*selection.choose(out, padding, selection.training_kept(START))))
    expected = method.local_objective(*banks, batch.identity)
    assert found.terms.keys() == expected.terms.keys() and found.weights["tal_local"] == 0.5
    for name, term in expected.terms.items():
        torch.testing.assert_close(found.terms[name], term)
    assert method.losses(batch, START).terms.keys() >= {"contrastive", "matching", "words", "tal_local"}


def test_new_heads_learn_at_the_rate_of_the_bank(make_method):
    groups = {group.name: group for group in make_method("union").parameter_groups()}
    assert groups["image_head"].learning_rate_scale == 100.0
    assert groups["classifier"].learning_rate_scale == 5.0
    assert groups["base"].learning_rate_scale == 1.0 and groups["heads"].learning_rate_scale == 10.0


@pytest.mark.parametrize("identities", [0, 4])
def test_a_model_for_use_has_nothing_that_only_training_needs(make_method, identities):
    from pickout.methods import METHODS

    keys = make_method("union", identities=identities).state_dict().keys()
    assert any(key.startswith(METHODS["union"].training_only) for key in keys) == bool(identities)

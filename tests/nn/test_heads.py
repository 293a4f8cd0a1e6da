"""The GRAB head and the classifiers of CID, against the spec's worked examples and the plain forms."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from pickout.nn.heads import GrabAdapter, GrabHead, IdentityHeads, unit_tokens


def worked_head() -> GrabHead:
    """Identity shortcut 2x2, W1 = [-1, 1], neutral normalisation, W2 = [0.5, 2] transposed, no biases."""
    head = GrabHead(2, 1, 2).eval()
    adapter = head.adapter
    adapter.norm.eps = 0.0
    with torch.no_grad():
        adapter.shortcut.weight.copy_(torch.eye(2))
        adapter.inner.weight.copy_(torch.tensor([[-1.0, 1.0]]))
        adapter.outer.weight.copy_(torch.tensor([[0.5], [2.0]]))
        for layer in (adapter.shortcut, adapter.inner, adapter.outer):
            layer.bias.zero_()
    return head


def head_by_loops(head: GrabHead, bank: Tensor, length: Tensor) -> Tensor:
    """Token by token and channel by channel, in evaluation mode."""
    adapter, results = head.adapter, []
    for tokens, count in zip(bank, length.tolist(), strict=True):
        adapted = []
        for token in tokens[:count]:
            x = token / (token.norm() + 1e-8)
            norm = adapter.norm
            scaled = (adapter.inner(x) - norm.running_mean) / (norm.running_var + norm.eps).sqrt()
            hidden = (scaled * norm.weight + norm.bias).clamp(min=0)
            adapted.append(adapter.shortcut(x) + adapter.outer(hidden))
        results.append(torch.stack([max(z[c] for z in adapted) for c in range(len(adapted[0]))]))
    return torch.stack(results)


def test_the_worked_bank_gives_the_worked_embedding() -> None:
    head = worked_head()
    bank = torch.tensor([[[3.0, 4.0], [4.0, 3.0]]])
    torch.testing.assert_close(unit_tokens(bank), torch.tensor([[[0.6, 0.8], [0.8, 0.6]]]))
    adapted = head.adapter(unit_tokens(bank)[0])
    torch.testing.assert_close(adapted, torch.tensor([[0.7, 1.2], [0.8, 0.6]]))
    torch.testing.assert_close(head(bank, torch.tensor([2])), torch.tensor([[0.8, 1.2]]))


@pytest.mark.parametrize("mask_fillers", [False, True])
@pytest.mark.parametrize("pool", ["max", "gpo"])
def test_fillers_do_not_reach_the_embedding_in_evaluation(mask_fillers: bool, pool: str) -> None:
    torch.manual_seed(0)
    head = GrabHead(6, 5, 4, mask_fillers=mask_fillers, pool=pool).eval()  # type: ignore[arg-type]
    bank, length = torch.randn(3, 5, 6), torch.tensor([4, 1, 5])
    before = head(bank, length)
    changed = bank.clone()
    changed[0, 4:] = 100.0
    changed[1, 1:] = -100.0
    torch.testing.assert_close(head(changed, length), before)


@pytest.mark.parametrize("mask_fillers", [False, True])
def test_the_head_equals_its_loop_twin(mask_fillers: bool) -> None:
    torch.manual_seed(1)
    head = GrabHead(6, 5, 4, mask_fillers=mask_fillers)
    bank, length = torch.randn(3, 5, 6), torch.tensor([4, 1, 5])
    head(bank, length)  # moves the running statistics away from their start
    head.eval()
    torch.testing.assert_close(head(bank, length), head_by_loops(head, bank, length), atol=1e-6, rtol=1e-5)


def test_fillers_enter_batch_statistics_unless_masked() -> None:
    bank, length = torch.randn(3, 5, 6), torch.tensor([2, 1, 5])
    means = []
    for mask_fillers in (False, True):
        torch.manual_seed(2)
        head = GrabHead(6, 5, 4, mask_fillers=mask_fillers)
        head(bank, length)
        inner = head.adapter.inner(unit_tokens(bank))
        rows = inner[torch.arange(5) < length[:, None]] if mask_fillers else inner.flatten(0, 1)
        means.append(head.adapter.norm.running_mean)
        torch.testing.assert_close(means[-1], 0.1 * rows.mean(0))
    assert not torch.allclose(means[0], means[1])


def test_tokens_are_divided_by_their_norm_plus_a_little() -> None:
    tokens = torch.tensor([[3.0, 4.0], [0.6e-8, 0.8e-8]])
    torch.testing.assert_close(unit_tokens(tokens), torch.tensor([[0.6, 0.8], [0.3, 0.4]]))


def test_a_zero_token_stays_finite() -> None:
    bank = torch.zeros(2, 3, 6, requires_grad=True)
    GrabHead(6, 5, 4)(bank, torch.tensor([1, 3])).sum().backward()
    assert bank.grad is not None
    assert torch.isfinite(bank.grad).all()


def test_an_identity_shortcut_adds_the_token_and_needs_equal_widths() -> None:
    adapter = GrabAdapter(4, 3, 4, residual="identity").eval()
    torch.nn.init.zeros_(adapter.outer.weight)
    torch.nn.init.zeros_(adapter.outer.bias)
    x = torch.randn(2, 4)
    assert torch.equal(adapter(x), x)
    with pytest.raises(ValueError, match="from 4 to 5 channels"):
        GrabAdapter(4, 3, 5, residual="identity")


def test_a_head_with_half_precision_weights_takes_float_tokens_and_gives_floats() -> None:
    head = GrabHead(6, 5, 4).eval().to(torch.bfloat16)
    assert head(torch.randn(2, 3, 6), torch.tensor([3, 1])).dtype == torch.float32


def test_pair_logits_equal_the_concatenated_form_and_share_one_fusion() -> None:
    torch.manual_seed(3)
    heads = IdentityHeads(4, 6, deviation=0.5)
    image, text = torch.randn(3, 4), torch.randn(3, 4)
    which_image, which_text = torch.tensor([0, 2, 1, 1]), torch.tensor([0, 0, 2, 1])

    def classify(first: Tensor, second: Tensor) -> Tensor:
        fused = heads.fusion(torch.cat([first, second], dim=-1))
        return heads.pair_classifier(F.gelu(heads.fusion_norm(fused)))

    logits = heads.pair_logits(image, text, which_image, which_text)
    torch.testing.assert_close(logits[0], classify(image[which_image], text[which_text]))
    torch.testing.assert_close(logits[1], classify(text[which_text], image[which_image]))


def test_classifiers_start_small_and_guess_evenly() -> None:
    heads = IdentityHeads(64, 1001)
    for classifier in (heads.pair_classifier, heads.identity_classifier):
        assert float(classifier.weight.detach().std()) == pytest.approx(0.001, rel=0.05)
        assert torch.equal(classifier.bias, torch.zeros(1001))
    loss = F.cross_entropy(heads.identity_logits(torch.randn(8, 64)), torch.arange(8))
    assert float(loss.detach()) == pytest.approx(math.log(1001), abs=0.01)


def test_only_wanted_classifiers_exist() -> None:
    assert {name.split(".")[0] for name in IdentityHeads(4, 3, pairs=False).state_dict()} == {"identity_classifier"}
    names = {name.split(".")[0] for name in IdentityHeads(4, 3, alone=False).state_dict()}
    assert names == {"fusion", "fusion_norm", "pair_classifier"}


def test_autocast_does_not_lower_the_classifiers_precision() -> None:
    heads = IdentityHeads(4, 6, deviation=0.5)
    image, text, place = torch.randn(3, 4), torch.randn(3, 4), torch.arange(3)
    plain = heads.pair_logits(image, text, place, place), heads.identity_logits(image)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = heads.pair_logits(image, text, place, place), heads.identity_logits(image)
    assert torch.equal(plain[0][0], cast[0][0])
    assert torch.equal(plain[1], cast[1])

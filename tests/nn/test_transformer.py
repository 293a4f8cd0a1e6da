import pytest
import torch
from torch import nn

from pickout.nn.transformer import FeedForward, LayerNorm, Transformer
from pickout.shapes import NO_ATTENTION, AttentionRequest


def test_a_norm_is_computed_in_float32_whatever_comes_in() -> None:
    norm = LayerNorm(64)
    x = torch.randn(3, 64, generator=torch.Generator().manual_seed(0)) * 300 + 2000
    exact = nn.functional.layer_norm(x.half().float(), (64,))
    assert norm(x.half()).dtype == torch.float16
    torch.testing.assert_close(norm(x.half()).float(), exact, atol=2e-3, rtol=1e-3)


def test_quick_gelu_and_gelu_are_two_functions() -> None:
    torch.manual_seed(0)
    x = torch.randn(1, 2, 8)
    quick, exact = FeedForward(8, "quick_gelu"), FeedForward(8, "gelu")
    exact.load_state_dict(quick.state_dict())
    inner = quick.widen(x)
    same = nn.Identity()
    torch.testing.assert_close(quick(x, same), quick.narrow(inner * torch.sigmoid(1.702 * inner)))
    torch.testing.assert_close(exact(x, same), quick.narrow(inner * 0.5 * (1 + torch.erf(inner / 2**0.5))))
    assert not torch.allclose(quick(x, same), exact(x, same), atol=1e-4)


@pytest.mark.parametrize("activation", ["quick_gelu", "gelu"])
def test_in_training_activation_and_norm_are_computed_again_instead_of_kept(activation: str) -> None:
    torch.manual_seed(0)
    part, norm, start = FeedForward(8, activation), LayerNorm(8), torch.randn(2, 3, 8)
    found = []
    for training in (True, False):
        part.train(training).zero_grad()
        x, kept = start.clone().requires_grad_(), list[int]()
        with torch.autograd.graph.saved_tensors_hooks(
            lambda held, kept=kept: kept.append(held.numel()) or held, lambda h: h
        ):
            out = part(x, norm)
        out.square().sum().backward()
        found.append([out.detach(), x.grad, *(parameter.grad for parameter in part.parameters())])
        assert [kept.count(2 * 3 * width) for width in (32, 8)] == ([1, 1] if training else [2, 2])
    for one, other in zip(*found, strict=True):
        assert torch.equal(one, other)


def test_only_the_layers_asked_for_are_exposed() -> None:
    stack = Transformer(8, 4, 2, "quick_gelu")
    out = stack(torch.randn(1, 3, 8), torch.zeros(1, dtype=torch.int64), AttentionRequest(rows=(2, 4), maps=(1,)))
    assert set(out.rows) == {2, 4} and set(out.maps) == {1}


@pytest.mark.parametrize("request_", [AttentionRequest(rows=(5,)), AttentionRequest(maps=(0,))])
def test_a_layer_that_is_not_there_is_an_error(request_: AttentionRequest) -> None:
    stack = Transformer(8, 4, 2, "quick_gelu")
    with pytest.raises(ValueError, match="layers 1 to 4"):
        stack(torch.randn(1, 3, 8), torch.zeros(1, dtype=torch.int64), request_)


def test_starting_weights_have_clips_spread_and_no_bias() -> None:
    torch.manual_seed(0)
    width, layers = 256, 6
    layer = Transformer(width, layers, 4, "quick_gelu").layers[0]
    wanted = {
        layer.attention.project_in: width**-0.5,
        layer.attention.project_out: width**-0.5 * (2 * layers) ** -0.5,
        layer.feed_forward.widen: (2 * width) ** -0.5,
        layer.feed_forward.narrow: width**-0.5 * (2 * layers) ** -0.5,
    }
    for linear, spread in wanted.items():
        assert linear.weight.std().item() == pytest.approx(spread, rel=0.02)
        assert not linear.bias.any()


def test_training_goes_down_through_the_stack() -> None:
    torch.manual_seed(0)
    stack = Transformer(16, 3, 2, "gelu", causal=True)
    optimiser = torch.optim.Adam(stack.parameters(), lr=1e-2)
    x, wanted = torch.randn(4, 5, 16), torch.randn(4, 5, 16)
    query = torch.full((4,), 4)
    losses = []
    for _ in range(40):
        loss = (stack(x, query, NO_ATTENTION).tokens - wanted).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0]

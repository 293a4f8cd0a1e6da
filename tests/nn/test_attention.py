import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from pickout.nn.attention import SelfAttention, attention_map, attention_row, mix


def attention_by_loops(module: SelfAttention, x: Tensor) -> tuple[Tensor, Tensor]:
    """Tokens and the mean map, head by head and row by row, with nothing fused."""
    batch, tokens, width = x.shape
    depth = width // module.heads
    project = module.project_in(x)
    mixed, maps = [], []
    for b in range(batch):
        heads, head_maps = [], []
        for h in range(module.heads):
            q, k, v = (project[b, :, part * width + h * depth : part * width + (h + 1) * depth] for part in range(3))
            weights = torch.zeros(tokens, tokens, dtype=x.dtype)
            out = []
            for i in range(tokens):
                seen = i + 1 if module.causal else tokens
                scores = torch.stack([(q[i] * k[j]).sum() / math.sqrt(depth) for j in range(seen)])
                row = scores.softmax(0)
                weights[i, :seen] = row.detach()
                out.append((row[:, None] * v[:seen]).sum(0))
            heads.append(torch.stack(out))
            head_maps.append(weights)
        mixed.append(module.project_out(torch.cat(heads, dim=-1)))
        maps.append(torch.stack(head_maps).mean(0))
    return torch.stack(mixed), torch.stack(maps)


@pytest.fixture(params=[False, True], ids=["full", "causal"])
def module(request: pytest.FixtureRequest) -> SelfAttention:
    torch.manual_seed(3)
    return SelfAttention(24, 3, causal=request.param)


@pytest.fixture
def x() -> Tensor:
    return torch.randn(2, 5, 24, generator=torch.Generator().manual_seed(4))


QUERY = torch.tensor([0, 3])


def test_tokens_and_weights_equal_the_slow_twin(module: SelfAttention, x: Tensor) -> None:
    out = module(x, QUERY, row=True, map=True)
    tokens, maps = attention_by_loops(module, x)
    torch.testing.assert_close(out.tokens, tokens, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(out.map, maps, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(out.row, maps[torch.arange(2), QUERY], atol=1e-6, rtol=1e-5)


def test_gradients_equal_the_slow_twin(module: SelfAttention, x: Tensor) -> None:
    target = torch.randn(2, 5, 24, generator=torch.Generator().manual_seed(5))
    fast, slow = x.clone().requires_grad_(), x.clone().requires_grad_()
    (module(fast, QUERY).tokens * target).sum().backward()
    weight = module.project_in.weight.grad.clone()
    module.zero_grad()
    (attention_by_loops(module, slow)[0] * target).sum().backward()
    torch.testing.assert_close(fast.grad, slow.grad, atol=1e-6, rtol=1e-4)
    torch.testing.assert_close(weight, module.project_in.weight.grad, atol=1e-6, rtol=1e-4)


def test_asking_for_weights_changes_neither_tokens_nor_gradients(module: SelfAttention, x: Tensor) -> None:
    results = []
    for asked in (False, True):
        module.zero_grad()
        tokens = module(x, QUERY, row=asked, map=asked).tokens
        tokens.square().sum().backward()
        results.append((tokens.detach(), module.project_in.weight.grad.clone()))
    assert torch.equal(results[0][0], results[1][0])
    assert torch.equal(results[0][1], results[1][1])


def test_weights_are_not_computed_unasked(module: SelfAttention, x: Tensor) -> None:
    out = module(x, QUERY)
    assert out.row is None and out.map is None


def test_weights_are_detached_float32_even_under_autocast(module: SelfAttention, x: Tensor) -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = module(x, QUERY, row=True, map=True)
    assert out.tokens.dtype == torch.bfloat16
    for weights in (out.row, out.map):
        assert weights.dtype == torch.float32 and not weights.requires_grad
        torch.testing.assert_close(weights.sum(-1), torch.ones(weights.shape[:-1]), atol=1e-6, rtol=0)


def test_a_causal_map_is_lower_triangular_and_its_row_ends_at_the_query() -> None:
    q, k = torch.randn(2, 2, 3, 6, 8, generator=torch.Generator().manual_seed(6)).unbind(0)
    maps = attention_map(q, k, torch.ones(1, 6, 6, dtype=torch.bool).tril())
    assert torch.equal(maps, maps.tril())
    query = torch.tensor([2, 5])
    row = attention_row(q, k, query, torch.arange(6) <= query[:, None])
    assert torch.equal(row[0, 3:], torch.zeros(3)) and (row[1] > 0).all()


def test_a_width_that_does_not_split_into_heads_is_refused() -> None:
    with pytest.raises(ValueError, match="10 cannot be split into 3"):
        SelfAttention(10, 3)


@pytest.mark.parametrize("masked", [False, True])
def test_probabilities_under_dropout_are_drawn_again_the_same_instead_of_kept(masked: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    start = [torch.randn(2, 3, tokens, 4, generator=generator) for tokens in (5, 40, 40)]
    mask = torch.ones(2, 1, 1, 40, dtype=torch.bool)
    mask[0, ..., 30:] = False
    found = []
    for attend in (
        mix,
        lambda q, k, v, dropout, **how: F.scaled_dot_product_attention(q, k, v, dropout_p=dropout, **how),
    ):
        torch.manual_seed(7)
        given, kept = [part.clone().requires_grad_() for part in start], list[int]()
        with torch.autograd.graph.saved_tensors_hooks(lambda x, kept=kept: kept.append(x.numel()) or x, lambda x: x):
            out = attend(*given, 0.3, attn_mask=mask if masked else None)
        out.square().sum().backward()
        found.append([out.detach(), *(part.grad for part in given), torch.rand(3)])
        assert (2 * 3 * 5 * 40 in kept) == (attend is not mix)
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)

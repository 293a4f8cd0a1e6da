"""Layers of BERT against loops, against another implementation, and their starting weights."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import BertConfig, BertModel

from pickout.nn.attention import group_rows
from pickout.nn.bert import BertFeedForward, BertSelfAttention, CrossAttention, Embeddings, start_as_bert
from pickout.nn.fusion_encoder import FusionEncoder
from pickout.nn.towers import TextSettings
from pickout.shapes import AttentionRequest, TokenBatch

MASK = torch.tensor([[True] * 5, [True, True, True, False, False], [True, False, False, False, False]])


def attention_by_loops(module: BertSelfAttention, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Mixed tokens and the mean map, head by head and token by token over real keys alone."""
    width, depth = x.shape[-1], x.shape[-1] // module.heads
    project = module.project_in(x)
    mixed, maps = torch.zeros_like(x), torch.zeros(*x.shape[:2], x.shape[1])
    for b in range(len(x)):
        real = mask[b].nonzero().flatten().tolist()
        for h in range(module.heads):
            q, k, v = (project[b, :, part * width + h * depth : part * width + (h + 1) * depth] for part in range(3))
            for i in range(x.shape[1]):
                row = torch.stack([q[i] @ k[j] / depth**0.5 for j in real]).softmax(0)
                mixed[b, i, h * depth : (h + 1) * depth] = sum(w * v[j] for w, j in zip(row, real, strict=True))
                maps[b, i, real] += row.detach() / module.heads
    return module.norm(module.project_out(mixed) + x), maps


def attention(dropout: float = 0.0) -> BertSelfAttention:
    torch.manual_seed(0)
    module = BertSelfAttention(12, 3, dropout)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    return module


def test_self_attention_equals_loops_over_real_tokens_in_values_and_gradients() -> None:
    module, x = attention(), torch.randn(3, 5, 12, requires_grad=True)
    out, row, map_ = module(x, MASK, row=True, map=True)
    expected, maps = attention_by_loops(module, x, MASK)
    torch.testing.assert_close(out, expected)
    torch.testing.assert_close(map_, maps)
    torch.testing.assert_close(row, maps[:, 0])
    inputs, weight = [x, *module.parameters()], torch.randn(3, 5, 12)
    for one, other in zip(
        torch.autograd.grad((out * weight).sum(), inputs),
        torch.autograd.grad((expected * weight).sum(), inputs),
        strict=True,
    ):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_the_first_tokens_alone_are_those_of_the_whole() -> None:
    module, x = attention(), torch.randn(3, 5, 12)
    whole, row, _ = module(x, MASK, row=True)
    first, first_row, _ = module(x, MASK, queries=1, row=True)
    torch.testing.assert_close(first, whole[:, :1])
    assert torch.equal(first_row, row)


@torch.no_grad()
def test_without_padding_a_mask_changes_nothing() -> None:
    module, x = attention(), torch.randn(3, 5, 12)
    whole = torch.ones(3, 5, dtype=torch.bool)
    for masked, free in zip(module(x, whole, row=True, map=True), module(x, None, row=True, map=True), strict=True):
        torch.testing.assert_close(masked, free)


def test_without_dropout_both_attentions_take_the_fused_kernel() -> None:
    own = attention().train()
    cross = CrossAttention(12, 8, 3, 0.0).train()
    x, images = torch.randn(3, 5, 12, requires_grad=True), torch.randn(2, 7, 8, requires_grad=True)
    with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
        mixed, _, _ = own(x, MASK)
        looked = cross(mixed, *cross.remember(images), group_rows(torch.tensor([0, 0, 1]), 2))
    looked.tokens.sum().backward()
    assert x.grad is not None and images.grad is not None


def test_dropout_acts_on_probabilities_in_training_and_never_on_what_is_read() -> None:
    module, x = attention(dropout=0.4), torch.randn(3, 5, 12)
    calm = module.eval()(x, MASK, row=True, map=True)
    torch.manual_seed(1)
    wild = module.train()(x, MASK, row=True, map=True)
    assert not torch.allclose(calm[0], wild[0])
    assert torch.equal(calm[1], wild[1]) and torch.equal(calm[2], wild[2])


@torch.no_grad()
def test_dropped_probabilities_keep_their_mean() -> None:
    """With the output's dropout, norm and residual taken away, only the probabilities' dropout is left."""
    module, x = attention(dropout=0.3), torch.randn(1, 5, 12)
    mixed: list[Tensor] = []
    module.project_out.register_forward_pre_hook(lambda _, inputs: mixed.append(inputs[0]))
    torch.manual_seed(0)
    module.eval()(x, None)
    module.train()(x.expand(4000, -1, -1), None)
    assert (mixed[1].mean(0) - mixed[0][0]).abs().max() < 0.03 * mixed[0].abs().max()
    assert mixed[1].std(0).min() > 0


def test_feed_forward_and_embeddings_are_post_normed_sums() -> None:
    torch.manual_seed(0)
    part = BertFeedForward(12, 20, 0.1).eval()
    x = torch.randn(2, 5, 12)
    torch.testing.assert_close(part(x), part.norm(part.narrow(F.gelu(part.widen(x))) + x))
    embed = Embeddings(9, 6, 12, padding=0, dropout=0.1).eval()
    ids = torch.tensor([[1, 4, 0]])
    for place, token in enumerate(ids[0].tolist()):
        total = embed.words.weight[token] + embed.positions.weight[place] + embed.types.weight[0]
        torch.testing.assert_close(embed(ids)[0, place], embed.norm(total))


def test_a_width_that_does_not_split_into_heads_is_refused() -> None:
    with pytest.raises(ValueError, match="10 cannot be split into 3"):
        BertSelfAttention(10, 3, 0.0)
    with pytest.raises(ValueError, match="10 cannot be split into 3"):
        CrossAttention(10, 8, 3, 0.0)


def test_starting_weights_are_berts() -> None:
    torch.manual_seed(0)
    settings = TextSettings(kind="bert", width=64, layers=1, fusion_layers=1, heads=4, embedding=16, positions=64)
    encoder = FusionEncoder(settings, vocabulary_size=500, memory_width=96, padding=0, start=1)
    start_as_bert(encoder)
    for name, parameter in encoder.named_parameters():
        if name.endswith("bias"):
            assert not parameter.any(), name
        elif "norm" in name:
            assert (parameter == 1).all(), name
        elif parameter.numel() > 1000:
            assert parameter.std().item() == pytest.approx(0.02, rel=0.1), name
    assert not encoder.embeddings.words.weight[0].any()


@pytest.mark.parametrize("width", [64, 768])
def test_a_product_with_a_normed_token_starts_equally_large_at_every_width(width: int) -> None:
    torch.manual_seed(0)
    attention = CrossAttention(width, width, 4, 0.0)
    start_as_bert(attention, width)
    seen = attention.project_memory(torch.randn(200, width))
    assert seen.std().item() == pytest.approx(0.02 * 768**0.5, rel=0.1)


def test_no_gradient_reaches_the_embedding_of_padding() -> None:
    embed = Embeddings(9, 6, 12, padding=0, dropout=0.0)
    (embed(torch.tensor([[1, 4, 0]])) * torch.randn(1, 3, 12)).sum().backward()
    gradient = embed.words.weight.grad
    assert gradient is not None and not gradient[0].any() and gradient[4].any()


SIZES = {"vocab_size": 40, "hidden_size": 24, "num_hidden_layers": 4, "num_attention_heads": 3}


def theirs(*, cross: bool) -> BertModel:
    torch.manual_seed(0)
    config = BertConfig(
        **SIZES,
        intermediate_size=50,
        max_position_embeddings=16,
        is_decoder=cross,
        add_cross_attention=cross,
        attn_implementation="eager",
    )
    model = BertModel(config, add_pooling_layer=False).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model


def ours(model: BertModel, *, fusion: int) -> FusionEncoder:
    settings = TextSettings(kind="bert", width=24, heads=3, feed_forward=50, embedding=8, positions=16)
    settings = settings.model_copy(update={"layers": 4 - fusion, "fusion_layers": fusion})
    encoder = FusionEncoder(settings, vocabulary_size=40, memory_width=24, padding=0, start=1).eval()
    given = model.state_dict()
    names = {"words": "word_embeddings", "positions": "position_embeddings", "types": "token_type_embeddings"}
    state = {f"embeddings.{mine}.weight": given[f"embeddings.{other}.weight"] for mine, other in names.items()}
    for kind in ("weight", "bias"):
        state[f"embeddings.norm.{kind}"] = given[f"embeddings.LayerNorm.{kind}"]
        for number in range(4):
            fused = number - (4 - fusion)
            mine = f"text_layers.{number}." if fused < 0 else f"fusion.{fused}."
            state |= layer_state(given, f"encoder.layer.{number}.", mine, kind, cross=fused >= 0)
    encoder.load_state_dict(state)
    return encoder


def layer_state(given: dict[str, Tensor], layer: str, mine: str, kind: str, *, cross: bool) -> dict[str, Tensor]:
    pairs = {
        "attention.project_in": [f"attention.self.{part}" for part in ("query", "key", "value")],
        "attention.project_out": ["attention.output.dense"],
        "attention.norm": ["attention.output.LayerNorm"],
        "feed_forward.widen": ["intermediate.dense"],
        "feed_forward.narrow": ["output.dense"],
        "feed_forward.norm": ["output.LayerNorm"],
    }
    if cross:
        pairs |= {
            "cross.project_query": ["crossattention.self.query"],
            "cross.project_memory": ["crossattention.self.key", "crossattention.self.value"],
            "cross.project_out": ["crossattention.output.dense"],
            "cross.norm": ["crossattention.output.LayerNorm"],
        }
    return {
        f"{mine}{name}.{kind}": torch.cat([given[f"{layer}{other}.{kind}"] for other in others])
        for name, others in pairs.items()
    }


IDS = torch.tensor([[1, 5, 7, 9, 0, 0], [1, 8, 0, 0, 0, 0], [1, 39, 3, 4, 5, 6]])
TEXTS = TokenBatch(IDS, IDS != 0)


@torch.no_grad()
def test_text_layers_equal_another_implementation() -> None:
    model = theirs(cross=False)
    expected = model(IDS, TEXTS.mask.long(), output_attentions=True)
    out = ours(model, fusion=0)(TEXTS, AttentionRequest(rows="all", maps="all"))
    torch.testing.assert_close(out.tokens[TEXTS.mask], expected.last_hidden_state[TEXTS.mask], rtol=1e-4, atol=1e-5)
    for number, weights in enumerate(expected.attentions, start=1):
        torch.testing.assert_close(out.trace.rows[number], weights.mean(1)[:, 0], rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(out.trace.maps[number], weights.mean(1), rtol=1e-4, atol=1e-6)


@torch.no_grad()
def test_fusion_layers_equal_another_implementation() -> None:
    model, images = theirs(cross=True), torch.randn(3, 7, 24)
    hidden = (~TEXTS.mask).float()[:, None, None] * torch.finfo(torch.float32).min
    expected = model(
        IDS,
        attention_mask=hidden.expand(-1, 1, 6, -1),
        encoder_hidden_states=images,
        output_attentions=True,
        use_cache=False,
    )
    text = ours(model, fusion=4)
    fused = text.fuse(
        text(TEXTS).tokens, TEXTS.mask, text.remember(images), request=AttentionRequest(rows="all", maps="all")
    )
    torch.testing.assert_close(fused.tokens[TEXTS.mask], expected.last_hidden_state[TEXTS.mask], rtol=1e-4, atol=1e-5)
    for number, weights in enumerate(expected.cross_attentions, start=1):
        real = TEXTS.mask
        torch.testing.assert_close(fused.look_maps[number][real], weights.mean(1)[real], rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(fused.looks[number], weights.mean(1)[:, 0], rtol=1e-4, atol=1e-6)

"""The fusion encoder: sharing keys and values, grouping captions and computing class tokens alone change nothing."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from pickout.nn.fusion_encoder import FusionEncoder, MaskedWordHead
from pickout.nn.towers import TextSettings
from pickout.shapes import AttentionRequest, TokenBatch

SIZES = TextSettings(
    kind="bert", width=16, layers=2, fusion_layers=2, heads=4, feed_forward=24, positions=12, dropout=0
)


def encoder(*, dropout: float = 0.0, end: int | None = None) -> FusionEncoder:
    torch.manual_seed(1)
    settings = SIZES.model_copy(update={"dropout": dropout})
    built = FusionEncoder(settings, vocabulary_size=30, memory_width=8, padding=0, start=28, end=end)
    for parameter in built.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return built


def captions(lengths: list[int], context: int = 10) -> TokenBatch:
    generator = torch.Generator().manual_seed(2)
    ids = torch.zeros(len(lengths), context, dtype=torch.int64)
    for row, length in zip(ids, lengths, strict=True):
        row[0] = 28
        row[1 : length + 1] = torch.randint(1, 28, (length,), generator=generator)
    return TokenBatch(ids, ids != 0)


def attention_by_loops(query: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Of one text with one image, head by head. (heads, tokens, depth)."""
    heads = []
    for q, k, v in zip(query, keys, values, strict=True):
        heads.append(torch.stack([(k @ token / len(token) ** 0.5).softmax(0) @ v for token in q]))
    return torch.stack(heads)


def fuse_by_loops(text: FusionEncoder, states: Tensor, mask: Tensor, images: Tensor, image: list[int]) -> list[Tensor]:
    """Each pair alone, without padding, keys and values projected for each pair."""
    fused = []
    for x, real, read in zip(states, mask, image, strict=True):
        x = x[real]
        for layer in text.fusion:
            own = layer.attention.project_in(x).unflatten(-1, (3, layer.attention.heads, -1)).permute(1, 2, 0, 3)
            mixed = attention_by_loops(*own).transpose(0, 1).flatten(1)
            x = layer.attention.norm(layer.attention.project_out(mixed) + x)
            cross = layer.cross
            query = cross.project_query(x).unflatten(-1, (cross.heads, -1)).transpose(0, 1)
            memory = cross.project_memory(images[read]).unflatten(-1, (2, cross.heads, -1)).permute(1, 2, 0, 3)
            x = cross.norm(cross.project_out(attention_by_loops(query, *memory).transpose(0, 1).flatten(1)) + x)
            x = layer.feed_forward(x)
        fused.append(x)
    return fused


@pytest.mark.parametrize("image", [[0, 1, 2, 3, 4, 5], [3, 3, 0, 3, 2, 0], [5, 5, 5, 5, 5, 5]])
def test_fusion_equals_pairs_alone_in_values_and_gradients(image: list[int]) -> None:
    text = encoder().train()
    texts, images = captions([4, 9, 0, 2, 9, 1]), torch.randn(6, 5, 8, requires_grad=True)
    states = torch.randn(6, 10, 16, requires_grad=True)
    weight = torch.randn(6, 10, 16)
    fused = text.fuse(states, texts.mask, text.remember(images), torch.tensor(image)).tokens
    alone = fuse_by_loops(text, states, texts.mask, images, image)
    inputs = [states, images, *text.fusion.parameters()]
    for row, expected, real in zip(fused, alone, texts.mask, strict=True):
        torch.testing.assert_close(row[real], expected)
    ours = torch.autograd.grad((fused * weight)[texts.mask].sum(), inputs)
    looped = sum((x * w[real]).sum() for x, w, real in zip(alone, weight, texts.mask, strict=True))
    assert isinstance(looped, Tensor)
    for one, other in zip(ours, torch.autograd.grad(looped, inputs), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("short", [0, 1, 4, 6])
@pytest.mark.parametrize("image", [None, [0, 2, 1, 1, 0, 2]])
def test_rows_of_which_only_the_class_token_is_wanted_get_the_same_one(short: int, image: list[int] | None) -> None:
    text = encoder().eval()
    texts, states = captions([4, 9, 0, 2, 9, 1]), torch.randn(6, 10, 16)
    memory = text.remember(torch.randn(6 if image is None else 3, 5, 8))
    read = None if image is None else torch.tensor(image)
    whole = text.fuse(states, texts.mask, memory, read)
    part = text.fuse(states, texts.mask, memory, read, summary_rows=short)
    torch.testing.assert_close(part.summary, whole.tokens[:, 0])
    torch.testing.assert_close(whole.summary, whole.tokens[:, 0])
    assert part.tokens.shape == (6 - short, 10, 16)
    torch.testing.assert_close(part.tokens, whole.tokens[short:])


def test_images_without_a_caption_and_one_caption_alone_are_no_special_case() -> None:
    text = encoder().eval()
    texts, states, images = captions([3]), torch.randn(1, 10, 16), torch.randn(4, 5, 8)
    fused = text.fuse(states, texts.mask, text.remember(images), torch.tensor([2]))
    alone = text.fuse(states, texts.mask, text.remember(images[2:3]))
    torch.testing.assert_close(fused.tokens, alone.tokens)


@torch.no_grad()
def test_padding_changes_no_state_and_no_fused_state() -> None:
    text = encoder().eval()
    padded, cut = captions([4, 2, 1]), captions([4, 2, 1], context=5)
    memory = text.remember(torch.randn(3, 5, 8))
    long, short = text(padded).tokens, text(cut).tokens
    torch.testing.assert_close(long[:, :5][cut.mask], short[cut.mask])
    torch.testing.assert_close(
        text.fuse(long, padded.mask, memory).tokens[:, :5][cut.mask],
        text.fuse(short, cut.mask, memory).tokens[cut.mask],
    )


@torch.no_grad()
def test_class_rows_sum_to_one_over_real_tokens_and_maps_hold_them() -> None:
    text = encoder().eval()
    texts = captions([4, 9, 0])
    trace = text(texts, AttentionRequest(rows="all", maps=(2,))).trace
    assert sorted(trace.rows) == [1, 2] and sorted(trace.maps) == [2]
    for row in trace.rows.values():
        torch.testing.assert_close(row.sum(1), torch.ones(3))
        assert not row[~texts.mask].any()
    torch.testing.assert_close(trace.maps[2][:, 0], trace.rows[2])


@torch.no_grad()
def test_looking_is_read_without_changing_what_is_computed() -> None:
    text = encoder().eval()
    texts, states, memory = captions([4, 9]), torch.randn(2, 10, 16), text.remember(torch.randn(3, 5, 8))
    read = torch.tensor([2, 0])
    plain = text.fuse(states, texts.mask, memory, read)
    seen = text.fuse(states, texts.mask, memory, read, request=AttentionRequest(rows="all", maps=(1,)))
    assert torch.equal(plain.tokens, seen.tokens)
    assert sorted(seen.looks) == [1, 2] and sorted(seen.look_maps) == [1]
    assert seen.look_maps[1].shape == (2, 10, 5)
    torch.testing.assert_close(seen.look_maps[1].sum(-1), torch.ones(2, 10))
    torch.testing.assert_close(seen.look_maps[1][:, 0], seen.looks[1])
    layer = text.fusion[0]
    mixed = layer.attention(states, texts.mask)[0]
    asked = layer.cross.project_query(mixed).unflatten(-1, (4, 4)).transpose(1, 2)
    for row, image in enumerate(read.tolist()):
        heads = [q @ k.T / 2 for q, k in zip(asked[row], memory.keys[0][image], strict=True)]
        expected = torch.stack([scores.softmax(-1) for scores in heads]).mean(0)
        torch.testing.assert_close(seen.look_maps[1][row], expected)


@pytest.mark.parametrize("image", [None, [0, 2, 1, 1, 0, 2]])
def test_looking_does_not_depend_on_which_tokens_are_wanted(image: list[int] | None) -> None:
    text = encoder().eval()
    texts, states = captions([4, 9, 0, 2, 9, 1]), torch.randn(6, 10, 16)
    memory = text.remember(torch.randn(6 if image is None else 3, 5, 8))
    read = None if image is None else torch.tensor(image)
    for request in (AttentionRequest(rows="all"), AttentionRequest(rows="all", maps="all")):
        whole = text.fuse(states, texts.mask, memory, read, request=request)
        for short in (4, 6):
            part = text.fuse(states, texts.mask, memory, read, summary_rows=short, request=request)
            assert part.tokens.shape == (6 - short, 10, 16) and sorted(part.looks) == [1, 2]
            torch.testing.assert_close(part.tokens, whole.tokens[short:])
            torch.testing.assert_close(part.summary, whole.summary)
            for kept, expected in ((part.looks, whole.looks), (part.look_maps, whole.look_maps)):
                assert kept.keys() == expected.keys()
                for layer, weights in kept.items():
                    torch.testing.assert_close(weights, expected[layer])


def test_reading_where_tokens_look_draws_no_dropout_of_its_own() -> None:
    text = encoder(dropout=0.3).train()
    texts, states, memory = captions([4, 9]), torch.randn(2, 10, 16), text.remember(torch.randn(3, 5, 8))
    fused = []
    for request in (AttentionRequest(), AttentionRequest(rows="all", maps="all")):
        torch.manual_seed(3)
        fused.append(text.fuse(states, texts.mask, memory, torch.tensor([2, 0]), request=request))
    assert torch.equal(fused[0].tokens, fused[1].tokens)
    for row in fused[1].looks.values():
        assert not row.requires_grad
        torch.testing.assert_close(row.sum(1), torch.ones(2))


def test_no_caption_at_all_gives_nothing() -> None:
    text = encoder().eval()
    memory = text.remember(torch.randn(3, 5, 8))
    none = torch.zeros(0, dtype=torch.int64)
    fused = text.fuse(torch.zeros(0, 10, 16), torch.ones(0, 10, dtype=torch.bool), memory, none)
    assert fused.summary.shape == (0, 16) and fused.tokens.shape == (0, 10, 16)


def test_content_is_neither_class_token_nor_end_nor_padding() -> None:
    texts = captions([3, 1])
    open_ended = encoder().content(texts)
    assert open_ended.sum(1).tolist() == [3, 1] and not open_ended[:, 0].any()
    closed = TokenBatch(texts.ids.clone(), texts.mask)
    closed.ids[0, 3] = closed.ids[1, 1] = 29
    assert encoder(end=29).content(closed).sum(1).tolist() == [2, 0]


def test_dropout_acts_in_training_alone() -> None:
    text = encoder(dropout=0.5)
    texts, memory = captions([4, 9]), text.remember(torch.randn(2, 5, 8))
    text.train()
    assert not torch.equal(text(texts).tokens, text(texts).tokens)
    states = torch.randn(2, 10, 16)
    assert not torch.equal(text.fuse(states, texts.mask, memory).tokens, text.fuse(states, texts.mask, memory).tokens)
    text.eval()
    assert torch.equal(text.fuse(states, texts.mask, memory).tokens, text.fuse(states, texts.mask, memory).tokens)


def test_the_word_head_shares_its_decoder() -> None:
    torch.manual_seed(0)
    text, head = encoder(), MaskedWordHead(16, 30)
    states = torch.randn(3, 16)
    hidden = F.layer_norm(F.gelu(head.dense(states)), (16,), head.norm.weight, head.norm.bias, 1e-12)
    expected = hidden @ text.embeddings.words.weight.T + head.bias
    torch.testing.assert_close(head(states, text.embeddings.words.weight), expected)


def test_what_does_not_fit_is_refused() -> None:
    text = encoder()
    with pytest.raises(ValueError, match="13 tokens, the tower is built for 12"):
        text(captions([4], context=13))
    with pytest.raises(ValueError, match=r"layers \[3\].*layers 1 to 2"):
        text(captions([4]), AttentionRequest(rows=(3,)))
    memory = text.remember(torch.randn(3, 5, 8))
    texts = captions([4, 4])
    with pytest.raises(ValueError, match="2 captions and 3 images"):
        text.fuse(text(texts).tokens, texts.mask, memory)
    with pytest.raises(ValueError, match=r"layers \[5\]"):
        text.fuse(text(texts).tokens, texts.mask, memory, torch.tensor([0, 1]), request=AttentionRequest(maps=(5,)))

import pytest
import torch
from torch.nn import functional as F

from pickout.nn.towers import VisionSettings, VisionTransformer
from pickout.shapes import AttentionRequest

SMALL = VisionSettings(patch=8, stride=8, width=32, layers=3, heads=2, embedding=12)


@pytest.fixture
def tower() -> VisionTransformer:
    torch.manual_seed(0)
    return VisionTransformer(SMALL, height=48, width=16)


def test_rectangular_images_become_class_token_and_patches_in_the_joint_space(tower: VisionTransformer) -> None:
    out = tower(torch.randn(2, 3, 48, 16))
    assert tower.grid == (6, 2)
    assert out.tokens.shape == (2, 13, 12)
    assert torch.equal(out.summary, out.tokens[:, 0])
    assert out.trace.query.tolist() == [0, 0]
    assert not out.trace.content[:, 0].any() and out.trace.content[:, 1:].all()


def test_patches_are_numbered_row_by_row(tower: VisionTransformer) -> None:
    plain, marked = torch.zeros(1, 3, 48, 16), torch.zeros(1, 3, 48, 16)
    marked[:, :, 8:16, 8:16] = 1
    with torch.no_grad():
        patches = [tower.patches(images).flatten(2)[0].T for images in (plain, marked)]
    changed = (patches[0] != patches[1]).any(-1).nonzero().flatten().tolist()
    assert changed == [3]


def test_a_stride_below_the_patch_makes_patches_overlap() -> None:
    tower = VisionTransformer(SMALL.model_copy(update={"stride": 4}), height=48, width=16)
    assert tower.grid == (11, 3)
    assert tower(torch.randn(1, 3, 48, 16)).tokens.shape == (1, 34, 12)


def test_final_norm_and_projection_run_on_all_tokens(tower: VisionTransformer) -> None:
    images = torch.randn(1, 3, 48, 16)
    raw = []
    tower.norm_out.register_forward_hook(lambda module, inputs, output: raw.append(output))
    out = tower(images)
    torch.testing.assert_close(out.tokens, raw[0] @ tower.projection.weight.T)
    torch.testing.assert_close(raw[0].mean(-1), torch.zeros(1, 13), atol=1e-5, rtol=0)


def test_images_of_another_size_are_refused(tower: VisionTransformer) -> None:
    with pytest.raises(ValueError, match=r"\(16, 48\) pixels, the tower is built for \(48, 16\)"):
        tower(torch.randn(1, 3, 16, 48))


def test_writing_into_a_trace_cannot_change_the_model(tower: VisionTransformer) -> None:
    images = torch.randn(2, 3, 48, 16)
    asked = AttentionRequest(rows="all", maps="all")
    clean, soiled = tower(images, asked), tower(images, asked)
    for weights in (*soiled.trace.rows.values(), *soiled.trace.maps.values()):
        weights.fill_(-1)
    assert torch.equal(clean.tokens, soiled.tokens)
    gradients = [torch.autograd.grad(out.tokens.sum(), tower.class_token)[0] for out in (clean, soiled)]
    assert torch.equal(*gradients)
    assert torch.equal(tower(images, asked).trace.rows[3], clean.trace.rows[3])


def test_bfloat16_autocast_stays_near_float32(tower: VisionTransformer) -> None:
    images = torch.randn(2, 3, 48, 16)
    with torch.no_grad():
        exact = tower(images).tokens
        with torch.autocast("cpu", dtype=torch.bfloat16):
            fast = tower(images).tokens.float()
    assert torch.nn.functional.cosine_similarity(exact, fast, dim=-1).min() > 0.999


PLAIN = SMALL.model_copy(update={"kind": "vit", "activation": "gelu"})


@torch.no_grad()
def test_a_plain_transformer_equals_its_formula() -> None:
    """ALBEF's: no norm before the layers, biases everywhere, exact GELU, epsilon 1e-6, tokens not projected."""
    torch.manual_seed(0)
    tower, images = VisionTransformer(PLAIN, height=48, width=16), torch.randn(2, 3, 48, 16)
    for parameter in tower.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    patches = F.conv2d(images, tower.patches.weight, tower.patches.bias, stride=8).flatten(2).transpose(1, 2)
    x = torch.cat([tower.class_token.expand(2, 1, -1), patches], dim=1) + tower.positions
    for layer in tower.transformer.layers:
        norm, attention, part = layer.norm_attention, layer.attention, layer.feed_forward
        tokens = F.layer_norm(x, (32,), norm.weight, norm.bias, 1e-6)
        q, k, v = (t.unflatten(-1, (2, 16)).transpose(1, 2) for t in attention.project_in(tokens).chunk(3, -1))
        weights = (q @ k.transpose(-1, -2) / 4).softmax(-1)
        x = x + attention.project_out((weights @ v).transpose(1, 2).flatten(2))
        norm = layer.norm_feed_forward
        tokens = F.layer_norm(x, (32,), norm.weight, norm.bias, 1e-6)
        x = x + part.narrow(part.widen(tokens) * 0.5 * (1 + torch.erf(part.widen(tokens) / 2**0.5)))
    expected = F.layer_norm(x, (32,), tower.norm_out.weight, tower.norm_out.bias, 1e-6)
    torch.testing.assert_close(tower(images).tokens, expected)


def test_a_plain_transformer_keeps_its_own_width_and_knows_the_joint_one() -> None:
    tower = VisionTransformer(PLAIN, height=48, width=16)
    assert (tower.channels, tower.embedding) == (32, 12)
    assert tower(torch.randn(1, 3, 48, 16)).tokens.shape == (1, 13, 32)
    names = set(dict(tower.named_parameters()))
    assert "patches.bias" in names and not any(name.startswith(("norm_in", "projection")) for name in names)
    with pytest.raises(ValueError, match=r"\(16, 48\) pixels"):
        tower(torch.randn(1, 3, 16, 48))

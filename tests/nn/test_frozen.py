import pytest
import torch

from pickout.nn.frozen import MultiStageTower, Reduction, SentenceTower
from pickout.nn.towers import TextSettings, VisionSettings
from pickout.shapes import AttentionRequest, TokenBatch


def image_tower(branches: int = 1) -> MultiStageTower:
    torch.manual_seed(3)
    settings = VisionSettings(kind="lite0", width=32, layers=1, heads=2, embedding=24, branches=branches)
    return MultiStageTower(settings, height=64, width=32).eval()


def text_tower() -> SentenceTower:
    torch.manual_seed(4)
    settings = TextSettings(kind="sentence", width=64, layers=2, heads=2, fusion_layers=1, embedding=24)
    tower = SentenceTower(settings, vocabulary_size=50, context=10, channels=32, padding=0, end=3)
    tower.reduction = Reduction(64, 40)
    for branch in tower.branches:
        branch.narrow = torch.nn.Linear(40, 32)
    return tower.eval()


def captions() -> TokenBatch:
    ids = torch.tensor([[2, 7, 8, 3, 0, 0, 0, 0, 0, 0], [2, 9, 10, 11, 12, 3, 0, 0, 0, 0]])
    return TokenBatch(ids, ids != 0)


def test_tokens_of_the_frozen_part_stand_for_the_picture() -> None:
    tower, images = image_tower(), torch.rand(2, 3, 64, 32)
    whole, kept = tower(images, AttentionRequest(rows="all")), tower(tower.frozen(images))
    assert whole.tokens.shape == (2, 1 + 4 * 2, 24)
    torch.testing.assert_close(whole.tokens, kept.tokens)
    assert whole.trace.rows[1].shape == (2, 9)
    torch.testing.assert_close(whole.trace.rows[1].sum(1), torch.ones(2))


def test_a_token_sees_the_colour_of_its_own_place() -> None:
    tower = image_tower()
    images = torch.zeros(1, 3, 64, 32)
    images[:, 0, 16:32, 16:] = 1.0
    stages = tower.stages(images)[0].unflatten(0, (4, 2))
    red = stages[..., 4 * 88 : 4 * 89]  # red of the four cells of stride 8, behind the 88 channels of the network
    assert red[1, 1].tolist() == [1.0] * 4
    assert red.sum() == 4


def test_only_the_layers_behind_the_frozen_part_learn() -> None:
    trained = {name for name, parameter in image_tower().named_parameters() if parameter.requires_grad}
    assert not any(name.startswith("trunk") for name in trained) and "branches.0.projection.weight" in trained
    words = {name for name, parameter in text_tower().named_parameters() if parameter.requires_grad}
    assert (
        not any(name.startswith(("trunk", "embeddings")) for name in words)
        and "branches.0.layers.0.feed_forward.widen.weight" in words
    )


def test_branches_have_equal_parts_in_the_score() -> None:
    tower, images = image_tower(branches=3), torch.rand(2, 3, 64, 32)
    with torch.no_grad():
        tower.branches[1].projection.weight *= 100
    summary = tower(images).summary
    assert summary.shape == (2, 24)
    torch.testing.assert_close(summary.unflatten(1, (3, 8)).norm(dim=2), torch.ones(2, 3))
    assert not torch.allclose(summary[:, :8], summary[:, 16:])


def test_tokens_that_a_method_projects_itself_are_normed_and_as_wide_as_the_layers() -> None:
    settings = VisionSettings(kind="lite0_vit", width=32, layers=1, heads=2, embedding=24)
    torch.manual_seed(3)
    tower = MultiStageTower(settings, height=64, width=32).eval()
    tokens = tower(torch.rand(2, 3, 64, 32)).tokens
    assert tokens.shape == (2, 9, 32) and (tower.channels, tower.embedding) == (32, 24)
    torch.testing.assert_close(tokens.mean(dim=2), torch.zeros(2, 9), atol=1e-5, rtol=0)
    torch.testing.assert_close(tokens.var(dim=2, unbiased=False), torch.ones(2, 9), atol=1e-2, rtol=0)
    with pytest.raises(ValueError, match="branches = 2"):
        MultiStageTower(settings.model_copy(update={"branches": 2}), height=64, width=32)


def test_images_of_another_size_are_refused() -> None:
    with pytest.raises(ValueError, match="built for"):
        image_tower()(torch.rand(1, 3, 96, 32))
    with pytest.raises(ValueError, match="multiples of 32"):
        MultiStageTower(VisionSettings(kind="lite0"), height=72, width=24)


def test_states_of_the_frozen_part_stand_for_the_caption() -> None:
    tower, texts = text_tower(), captions()
    states = tower.frozen(texts)
    assert states.shape == (2, 10, 40)
    whole = tower(texts).summary
    kept = tower(TokenBatch(texts.ids[:, :6], texts.mask[:, :6], states[:, :6])).summary
    torch.testing.assert_close(whole, kept)


def test_padding_and_neighbours_change_no_caption() -> None:
    tower, texts = text_tower(), captions()
    alone = TokenBatch(texts.ids[:1, :4], texts.mask[:1, :4])
    torch.testing.assert_close(tower(texts).summary[:1], tower(alone).summary)


def test_content_leaves_out_start_end_and_padding() -> None:
    content = text_tower()(captions()).trace.content
    assert content.tolist() == [[False, True, True] + [False] * 7, [False, True, True, True, True] + [False] * 5]


def test_a_reduction_standardises_cuts_and_keeps_the_directions_that_vary() -> None:
    torch.manual_seed(0)
    strong = torch.randn(4000, 2) @ torch.tensor([[3.0, 3.0, 0.0], [0.0, 0.0, 2.0]]) + torch.tensor([5.0, -1.0, 2.0])
    reduction = Reduction(3, 2)
    reduction.fit(strong)
    out = reduction(strong)
    torch.testing.assert_close(out.mean(0), torch.zeros(2), atol=1e-3, rtol=0)
    assert torch.corrcoef(out.T)[0, 1].abs() < 0.05
    # Two channels are one direction of variance 2, the third has variance 1; a quarter power is left of each.
    torch.testing.assert_close(out.var(0), torch.tensor([2.0, 1.0]) ** 0.5, rtol=0.05, atol=0)
    far = reduction(strong.mean(0, keepdim=True) + torch.tensor([[1e6, 1e6, 0.0]]))
    assert far.abs().max() < 20

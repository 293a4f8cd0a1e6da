"""ITSELF's own choices: presets, layers, budgets, fusion, and what each option changes."""

import math
import tomllib
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from pickout.config import parse_settings, to_toml
from pickout.data.batching import Batch
from pickout.errors import RecipeError, TrainingError
from pickout.methods.base import Method, Progress
from pickout.methods.itself import Itself, ItselfSettings, Selection
from pickout.nn.towers import TextSettings, TextTransformer, VisionSettings, VisionTransformer
from pickout.saliency.bank import annealed_budget
from pickout.shapes import AttentionRequest
from tests.methods.conftest import small_towers

Make = Callable[..., Method]
START = Progress(step=1, epoch=1, steps_per_epoch=145, epochs=60)


def parse(**values: Any) -> ItselfSettings:
    return parse_settings(ItselfSettings, values, source="test")


def towers(layers: int = 12, *, text_layers: int | None = None) -> tuple[VisionTransformer, TextTransformer]:
    sizes = {"width": 8, "heads": 1, "embedding": 8}
    vision = VisionTransformer(VisionSettings(layers=layers, **sizes), height=384, width=128)
    settings = TextSettings(layers=text_layers or layers, **sizes)
    text = TextTransformer(settings, vocabulary_size=30, context=77, start=28, end=29)
    return vision, text


def test_defaults_are_the_papers_then_the_releases() -> None:
    settings = parse()
    assert (settings.selection, settings.selection_layers, settings.discard) == ("mars", (5, 12), 0.25)
    assert (settings.budget, settings.start_ratio, settings.end_ratio, settings.budget_duration) == (
        *("step", 0.65, 0.5),
        "1450 steps",
    )
    assert (settings.eval_attention, settings.eval_ratio, settings.fixed_ratio) == ("last_layer", 0.4, 0.4)
    assert (settings.temperature, settings.margin, settings.fusion_weight) == (0.015, 0.1, 0.5)
    assert (settings.local_dimension, settings.hidden, settings.mismatch_class) == (4096, 2048, "n_id")


def test_presets_fill_defaults_and_given_keys_win() -> None:
    assert parse(preset="as_released").mismatch_class == "batch_max_plus_one"
    paper = parse(preset="as_paper")
    assert (paper.id_terms, paper.pool, paper.budget_duration) == (False, "gpo", "10 epochs")
    mixed = parse(preset="as_paper", pool="max", selection_layers=[3, 12])
    assert (mixed.pool, mixed.id_terms, mixed.selection_layers) == ("max", False, (3, 12))
    assert parse(preset="recommended") == parse()


@pytest.mark.parametrize("preset", sorted(ItselfSettings.presets))
def test_presets_survive_the_recipe_file_and_can_be_built(preset: str) -> None:
    settings = parse(preset=preset, local_dimension=8, hidden=4)
    assert parse(**tomllib.loads(to_toml(settings))) == settings
    assert ItselfSettings(preset=preset, local_dimension=8, hidden=4) == settings  # type: ignore[arg-type]
    assert isinstance(Itself(settings, *towers(), identities=3), Itself)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"preset": "as_papper"}, "preset"),
        ({"selction": "mars"}, "did you mean 'selection'"),
        ({"selection_layers": ["5"]}, "selection_layers.0"),
        ({"discard": 1.5}, "discard"),
        ({"alignment": "off", "pair_loss": False, "id_terms": False}, "all off"),
    ],
)
def test_wrong_settings_are_refused_by_name(values: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        parse(**values)


@pytest.mark.parametrize(
    ("values", "depth", "message"),
    [
        ({}, 4, r"selection_layers = \[5, 12\]: the image tower has layers 1 to 4.*selection_layers = \[2, 4\]"),
        ({"selection_layers": [0, 12]}, 12, "layers 1 to 12"),
        ({"selection_layers": []}, 12, "layers 1 to 12"),
        ({"selection": "layer", "single_layer": 13}, 12, "single_layer = 13: the image tower has layers 1 to 12"),
        ({"selection": "last", "eval_attention": "mars"}, 4, "selection_layers"),
        ({"residual": "identity"}, 12, "local_dimension = 8"),
    ],
)
def test_settings_that_do_not_fit_the_towers_are_refused(values: dict[str, Any], depth: int, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        Itself(parse(**values), *towers(depth), identities=3)


def test_towers_of_different_depths_name_their_layers() -> None:
    settings = parse(text_selection_layers=[2, 4], local_dimension=8, hidden=4)
    method = Itself(settings, *towers(12, text_layers=4), identities=3)
    assert method.image_selection.training.layers == (5, 12)
    assert method.text_selection.training.layers == (2, 4)
    with pytest.raises(RecipeError, match="the text tower has layers 1 to 4"):
        Itself(parse(), *towers(12, text_layers=4), identities=3)


def test_budgets_of_the_papers_towers_follow_the_table() -> None:
    method = Itself(parse(local_dimension=8, hidden=4), *towers(), identities=3)
    for step, image, text in ((1, 124, 48), (500, 114, 44), (1450, 96, 37), (5000, 96, 37)):
        progress = Progress(step, 1, 145, 60)
        assert method.image_selection.training_kept(progress) == image
        assert method.text_selection.training_kept(progress) == text
    assert method.image_selection.evaluation_kept == 76
    assert method.text_selection.evaluation_kept == 30


def kept(step: int, epoch: int, steps_per_epoch: int, selectable: int = 192, **rules: Any) -> int:
    selection = Selection(parse(**rules), "image", 12, selectable, selectable + 2)
    return selection.training_kept(Progress(step, epoch, steps_per_epoch, 60))


def scheduled(tokens: int, time: int, duration: int) -> int:
    return annealed_budget(tokens, start=0.65, end=0.5, time=time, duration=duration)


def test_budgets_follow_the_mode_and_the_unit() -> None:
    assert kept(291, 3, 145, budget="off") == 76
    assert kept(291, 3, 145) == kept(291, 3, 145, budget_duration="10 epochs") == scheduled(192, 291, 1450)
    for duration in ("10 epochs", "1450 steps"):
        for step in (291, 400):
            found = kept(step, 3, 145, budget="epoch", budget_duration=duration)
            assert found == scheduled(192, 3, 10)


def test_counting_all_tokens_keeps_no_more_than_can_be_selected() -> None:
    assert kept(1, 1, 100, 75, budget_counts="all") == int(77 * 0.65 * (0.5 / 0.65) ** (1 / 1450))
    assert kept(1, 1, 100, 75, budget_counts="all", start_ratio=1.0, end_ratio=1.0) == 75


def test_the_loss_starts_at_six_times_the_log_of_the_classes(make_batch: Callable[..., Batch]) -> None:
    torch.manual_seed(0)
    settings = parse(alignment="off", selection_layers=[1, 2], local_dimension=16, hidden=8)
    with torch.no_grad():
        total = Itself(settings, *small_towers("itself"), identities=11003).losses(make_batch(), START).total.item()
    assert total == pytest.approx(6 * math.log(11004), abs=0.05)
    assert total == pytest.approx(55.84, abs=0.05)


@pytest.mark.parametrize("weight", [0.0, 0.32, 0.5, 1.0])
def test_the_inner_product_is_the_fused_score(
    make_method: Make, make_batch: Callable[..., Batch], weight: float
) -> None:
    method, batch = make_method("itself", fusion_weight=weight).eval(), make_batch()
    with torch.no_grad():
        images, texts = method.encode_images(batch.images), method.encode_texts(batch.texts)
    cosine = {
        part: F.normalize(texts.parts[part], dim=1) @ F.normalize(images.parts[part], dim=1).T
        for part in ("global", "local")
    }
    fused = weight * cosine["global"] + (1 - weight) * cosine["local"]
    torch.testing.assert_close(texts.embedding @ images.embedding.T, fused, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("selection", ["last", "layer", "mean", "std", "min_mean", "min_std", "mars"])
@pytest.mark.parametrize("query_row", ["query", "content"])
def test_every_selection_trains_in_both_towers(
    make_method: Make, make_batch: Callable[..., Batch], selection: str, query_row: str
) -> None:
    method = make_method("itself", selection=selection, single_layer=1, query_row=query_row)
    method.losses(make_batch(), START).total.backward()
    gradient = method.get_parameter("image_head.adapter.inner.weight").grad
    assert gradient is not None
    assert gradient.abs().sum() > 0


def test_training_asks_for_no_map_it_does_not_use(make_method: Make) -> None:
    assert make_method("itself").image_selection.training.request == AttentionRequest(maps=(1, 2))
    assert make_method("itself", selection="std").image_selection.training.request == AttentionRequest(rows=(1, 2))
    assert make_method("itself").text_selection.evaluation.request == AttentionRequest(rows=(2,))


@pytest.mark.parametrize("change", [{"eval_attention": "mars"}, {"eval_ratio": 0.9}, {"pool": "gpo"}])
def test_options_of_evaluation_change_the_local_part_only(
    make_method: Make, make_batch: Callable[..., Batch], change: dict[str, Any]
) -> None:
    batch, plain, other = make_batch(), make_method("itself").eval(), make_method("itself", **change).eval()
    other.load_state_dict(plain.state_dict(), strict=False)
    with torch.no_grad():
        before, after = plain.encode_images(batch.images), other.encode_images(batch.images)
    assert torch.equal(before.parts["global"], after.parts["global"])
    assert not torch.allclose(before.parts["local"], after.parts["local"])


@pytest.mark.parametrize(
    "change",
    [
        {"selection": "last"},
        {"discard": 0.0},
        {"rollout_order": "later_right"},
        {"budget": "off"},
        {"mask_fillers": True},
        {"temperature": 0.05},
        {"mismatch_class": "batch_max_plus_one"},
        {"pair_weight": 2.0},
    ],
)
def test_options_of_training_change_the_loss_only(
    make_method: Make, make_batch: Callable[..., Batch], change: dict[str, Any]
) -> None:
    batch, plain, other = (
        make_batch(8),
        make_method("itself", identities=6),
        make_method("itself", identities=6, **change),
    )
    with torch.no_grad():
        for method in (plain, other):
            method.get_parameter("local_objective.heads.pair_classifier.bias").copy_(torch.arange(7.0))
            method.get_parameter("vision.projection.weight").mul_(3)
        assert plain.losses(batch, START).total != other.losses(batch, START).total
        plain.load_state_dict(other.state_dict())
        images = [method.eval().encode_images(batch.images).embedding for method in (plain, other)]
    assert torch.equal(*images)


def test_sdm_and_switched_off_terms(make_method: Make, make_batch: Callable[..., Batch]) -> None:
    terms = make_method("itself", alignment="sdm", pair_loss=False, id_terms=False).losses(make_batch(), START).terms
    assert sorted(terms) == ["sdm_global", "sdm_local"]
    terms = make_method("itself", alignment="off", pair_loss=False).losses(make_batch(), START).terms
    assert sorted(terms) == ["id_image_global", "id_image_local", "id_text_global", "id_text_local"]


def test_weights_enter_the_total(make_method: Make, make_batch: Callable[..., Batch]) -> None:
    losses = make_method("itself", alignment_weight=2.0, id_weight=0.5).losses(make_batch(), START)
    assert losses.weights["tal_local"] == 2.0
    assert losses.weights["id_text_global"] == 0.5
    assert losses.weights["cid_pair_local"] == 1.0
    assert losses.logs == {"kept_patches": 7.0, "kept_words": 6.0}
    expected = sum(losses.weights[name] * term.item() for name, term in losses.terms.items())
    assert losses.total.item() == pytest.approx(expected, rel=1e-5)


def test_an_unlabelled_model_cannot_train_its_classifiers(make_method: Make, make_batch: Callable[..., Batch]) -> None:
    with pytest.raises(TrainingError, match="without identities"):
        make_method("itself", identities=0).losses(make_batch(), START)
    make_method("itself", identities=0, pair_loss=False, id_terms=False).losses(make_batch(), START)


def test_a_caption_emptied_by_augmentation_spoils_no_other(
    make_method: Make, make_batch: Callable[..., Batch], make_captions: Callable[..., Any]
) -> None:
    batch = make_batch()
    method = make_method("itself")
    emptied = Batch(batch.images, make_captions([0, 3, 4, 5, 0, 2]), batch.identity)
    losses = method.losses(emptied, START)
    losses.total.backward()
    assert all(torch.isfinite(term) for term in losses.terms.values())
    assert all(torch.isfinite(parameter.grad).all() for parameter in method.parameters() if parameter.grad is not None)

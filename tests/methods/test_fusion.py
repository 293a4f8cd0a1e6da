"""RaSa's own choices: presets, what weights build, when twin and queues move, groups, and what each option changes."""

import tomllib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from pickout.config import parse_settings, to_toml
from pickout.data.batching import Batch
from pickout.data.training_pairs import Pairing
from pickout.errors import RecipeError, TrainingError
from pickout.methods import METHODS
from pickout.methods.aga import AgaSettings
from pickout.methods.base import Method, Progress
from pickout.methods.fusion import Fusion
from pickout.methods.fusion_model import FusionSettings, pairing
from pickout.methods.model import ModelSettings, build_model
from pickout.nn.frozen import MultiStageTower
from pickout.nn.towers import TextSettings, VisionSettings
from pickout.text.tokenizer import SpecialTokens, read_vocabulary
from tests.methods.conftest import SIZES, small_fusion_encoder, small_text, small_towers, small_vision, small_vocabulary

Make = Callable[..., Method]
LATE = Progress(step=21, epoch=3, steps_per_epoch=10, epochs=4)


class Facts:
    """What a model must know of a tokenizer."""

    vocabulary_size, context, special = 30, 12, SpecialTokens(0, 28, 29, 27)
    vocabulary = small_vocabulary()


def parse(**values: Any) -> FusionSettings:
    return parse_settings(FusionSettings, values, source="test")


def made(make_method: Make, **changes: Any) -> Fusion:
    method = make_method("fusion", **changes)
    assert isinstance(method, Fusion)
    return method


def test_defaults_are_the_releases_with_its_slips_mended() -> None:
    settings = parse()
    weights = [
        getattr(settings, f"{name}_weight") for name in ("contrastive", "matching", "word", "relation", "replaced")
    ]
    assert weights == [0.5, 1.0, 1.0, 0.5, 0.5]
    assert (settings.momentum, settings.queue, settings.temperature, settings.distillation) == (0.995, 65536, 0.07, 0.4)
    assert (settings.mask_probability, settings.replace_probability, settings.weak_positive) == (0.15, 0.3, 0.1)
    assert (settings.candidates, settings.negative_group, settings.head_rate) == (128, 13, 10.0)
    assert (settings.distillation_axis, settings.replaced_labels, settings.clamp_temperature) == (
        *("vocabulary", "positions", True),
    )


def test_presets_fill_defaults_and_given_keys_win() -> None:
    released = parse(preset="as_released")
    assert (released.distillation_axis, released.replaced_labels, released.decay_positions) == (
        "sequence",
        "sampled",
        True,
    )
    paper = parse(preset="as_paper", one_hot=False)
    assert (paper.directions, paper.one_hot) == (("i2t", "t2i"), False)
    assert parse(preset="recommended") == parse()


@pytest.mark.parametrize("schema", [FusionSettings, AgaSettings])
@pytest.mark.parametrize("preset", ["recommended", *FusionSettings.presets])
def test_presets_survive_the_recipe_file(schema: type[FusionSettings], preset: str) -> None:
    settings = parse_settings(schema, {"preset": preset}, source="test")
    assert parse_settings(schema, tomllib.loads(to_toml(settings)), source="test") == settings
    assert schema(preset=preset) == settings  # type: ignore[arg-type]


@pytest.mark.parametrize("preset", ["recommended", *FusionSettings.presets])
@pytest.mark.parametrize("name", ["fusion", "aga"])
def test_every_preset_trains(make_method: Make, make_batch: Callable[..., Batch], name: str, preset: str) -> None:
    method = make_method(name, preset=preset)
    losses = method.losses(make_batch(), LATE)
    losses.total.backward()
    assert all(torch.isfinite(term) for term in losses.terms.values())
    assert all(p.grad is not None for p in method.parameters() if p.requires_grad)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"preset": "as_papper"}, "preset"),
        ({"directions": []}, "directions"),
        ({"directions": ["i2v"]}, "directions"),
        ({"word_wieght": 1}, "did you mean 'word_weight'"),
        ({"contrastive_weight": 0}, "contrastive_weight"),
        ({"momentum": 1.5}, "momentum"),
    ],
)
def test_wrong_settings_are_refused_by_name(values: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        parse(**values)


def test_settings_that_build_nothing_are_refused(make_method: Make) -> None:
    nothing = {f"{name}_weight": 0.0 for name in ("matching", "word", "relation", "replaced")}
    with pytest.raises(RecipeError, match="set one above 0"):
        make_method("fusion", **nothing)


def test_clips_towers_are_refused() -> None:
    vocabulary = read_vocabulary("clip", ("piece",) * 30, SpecialTokens(0, 28, 29, 27))
    with pytest.raises(RecipeError, match=r"model\.text\.kind = 'bert'"):
        METHODS["fusion"].build(parse(), small_vision("vit"), small_text(), 3, vocabulary)
    for vision in (small_vision(), MultiStageTower(VisionSettings(kind="lite0"), height=64, width=32)):
        with pytest.raises(RecipeError, match=r"model\.vision\.kind = 'vit'"):
            METHODS["fusion"].build(parse(), vision, small_fusion_encoder(), 3, vocabulary)
    with pytest.raises(RecipeError, match="whole_words"):
        METHODS["fusion"].build(parse(whole_words=True), *small_towers("fusion"), 3, vocabulary)


def test_fewer_positions_than_the_tokenizers_context_are_refused() -> None:
    text, vision = TextSettings(kind="bert", positions=11, **SIZES), VisionSettings(kind="vit", **SIZES)
    settings = ModelSettings(method={"name": "fusion"}, vision=vision, text=text)
    with pytest.raises(RecipeError, match=r"text\.positions = 11 is less than the tokenizer's context 12"):
        build_model(settings, Facts(), 3)


@pytest.mark.parametrize(
    ("off", "term", "head"),
    [
        ({"matching_weight": 0.0}, "matching", "matching_head"),
        ({"relation_weight": 0.0}, "relation", "relation_head"),
        ({"replaced_weight": 0.0}, "replaced", "replaced_head"),
        ({"word_weight": 0.0, "replaced_weight": 0.0}, "words", "word_head"),
    ],
)
def test_a_weight_of_zero_builds_no_head(
    make_method: Make, make_batch: Callable[..., Batch], off: dict[str, float], term: str, head: str
) -> None:
    method = made(make_method, **off)
    assert not hasattr(method, head)
    losses = method.losses(make_batch(), LATE)
    assert term not in losses.terms
    losses.total.backward()
    assert all(p.grad is not None for p in method.parameters() if p.requires_grad)


def test_a_generator_without_a_word_loss_keeps_its_head(make_method: Make, make_batch: Callable[..., Batch]) -> None:
    method = made(make_method, word_weight=0.0)
    losses = method.losses(make_batch(), LATE)
    losses.total.backward()
    assert sorted(losses.terms) == ["contrastive", "matching", "relation", "replaced"]
    assert not any(p.requires_grad for p in method.word_head.parameters())


def test_a_model_in_use_has_two_heads_and_nothing_that_trains(
    make_method: Make, make_batch: Callable[..., Batch]
) -> None:
    full, used = made(make_method), make_method("fusion", identities=0)
    prefixes = METHODS["fusion"].training_only
    kept = {key: tensor for key, tensor in full.state_dict().items() if not key.startswith(prefixes)}
    assert used.state_dict().keys() == kept.keys()
    assert {"word_head.bias", "matching_head.weight", "temperature"} <= kept.keys()
    used.load_state_dict(kept)
    batch = make_batch()
    with torch.no_grad():
        scores = [m.eval().match(m.encode_images(batch.images), m.encode_texts(batch.texts)) for m in (full, used)]
    assert scores[0] is not None and scores[1] is not None
    assert torch.equal(*scores)
    with pytest.raises(TrainingError, match="without identities"):
        used.losses(batch, LATE)


def test_without_a_matching_head_there_is_no_second_look(make_method: Make, make_batch: Callable[..., Batch]) -> None:
    method, batch = made(make_method, matching_weight=0.0).eval(), make_batch()
    images, texts = method.encode_images(batch.images), method.encode_texts(batch.texts)
    assert method.candidates == 0
    assert method.match(images, texts) is None
    with pytest.raises(NotImplementedError):
        method.match_pairs(method.remember(images.tokens), texts.tokens, texts.texts.mask, torch.arange(6))


def test_the_twin_moves_once_a_step_and_never_learns(make_method: Make, make_batch: Callable[..., Batch]) -> None:
    method = made(make_method, momentum=0.9)
    with torch.no_grad():
        method.image_projection.weight.add_(1.0)
    before, online = method.twin.image_projection.weight.clone(), method.image_projection.weight.detach().clone()
    method.losses(make_batch(), replace(LATE, part=0)).total.backward()
    moved = method.twin.image_projection.weight.clone()
    torch.testing.assert_close(moved, 0.9 * before + 0.1 * online)
    method.losses(make_batch(), replace(LATE, part=1)).total.backward()
    assert torch.equal(method.twin.image_projection.weight, moved)
    assert all(parameter.grad is None for parameter in method.twin.parameters())


def test_in_evaluation_mode_losses_change_nothing(make_method: Make, make_batch: Callable[..., Batch]) -> None:
    method, batch = made(make_method, momentum=0.5).eval(), make_batch()
    with torch.no_grad():
        method.image_projection.weight.add_(1.0)
    before = {key: tensor.clone() for key, tensor in method.state_dict().items()}
    first, second = method.losses(batch, LATE), method.losses(batch, LATE)
    assert torch.equal(first.total, second.total)
    assert all(torch.equal(tensor, before[key]) for key, tensor in method.state_dict().items())


def test_features_of_the_twin_enter_the_queues(make_method: Make, make_batch: Callable[..., Batch]) -> None:
    method, batch = made(make_method, queue=8), make_batch()
    method.losses(batch, LATE)
    assert method.queue_pointer.tolist() == [6]
    assert method.identity_queue.tolist() == [0, 0, 1, 1, 2, 2, -100, -100]
    with torch.no_grad():
        tokens = method.twin.vision(batch.images).tokens[:, 0]
        expected = F.normalize(method.twin.image_projection(tokens), dim=1)
    torch.testing.assert_close(method.image_queue[:, :6].T, expected)
    method.losses(batch, LATE)
    assert method.queue_pointer.tolist() == [4]
    assert method.identity_queue.tolist() == [1, 1, 2, 2, 2, 2, 0, 0]


def test_dropout_of_the_twin_is_an_option(make_method: Make) -> None:
    assert made(make_method).train().twin.text.training
    quiet = made(make_method, momentum_dropout=False).train()
    assert quiet.text.training and not quiet.twin.text.training
    assert not made(make_method).eval().twin.text.training


def test_the_temperature_is_clamped_unless_released(make_method: Make, make_batch: Callable[..., Batch]) -> None:
    for changes, expected in (({}, 0.5), ({"clamp_temperature": False}, 2.0)):
        method = made(make_method, temperature=2.0, **changes)
        losses = method.losses(make_batch(), LATE)
        assert method.temperature.item() == expected
        assert losses.logs["temperature"] == expected


def test_alpha_ramps_over_the_first_epoch(make_method: Make, make_batch: Callable[..., Batch]) -> None:
    method = made(make_method)
    for step, alpha in ((1, 0.0), (2, 0.04), (6, 0.2), (10, 0.36), (11, 0.4), (400, 0.4)):
        assert method.losses(make_batch(), replace(LATE, step=step)).logs["alpha"] == pytest.approx(alpha)
    steady = made(make_method, distillation_ramp=False)
    assert steady.losses(make_batch(), replace(LATE, step=1)).logs["alpha"] == pytest.approx(0.4)


def test_groups_leave_vectors_undecayed_and_speed_up_new_heads(make_method: Make) -> None:
    def rules(method: Method) -> dict[str, tuple[float, float]]:
        names = {id(parameter): key for key, parameter in method.named_parameters()}
        return {
            names[id(p)]: (group.learning_rate_scale, group.weight_decay_scale)
            for group in method.parameter_groups()
            for p in group.parameters
        }

    clean, released = rules(made(make_method)), rules(made(make_method, decay_positions=True, head_rate=3.0))
    assert clean["text.embeddings.words.weight"] == (1, 1)
    assert clean["word_head.bias"] == clean["text.embeddings.norm.weight"] == (1, 0)
    assert clean["relation_head.weight"] == (10, 1)
    assert clean["replaced_head.bias"] == (10, 0)
    quirks = {"temperature", "vision.class_token", "vision.positions"}
    assert {key for key in clean if clean[key][1] != released[key][1]} == quirks
    assert all(clean[key][1] == 0 for key in quirks)
    assert released["relation_head.weight"] == (3, 1)


def test_steps_of_another_seed_or_number_choose_otherwise(make_method: Make, make_batch: Callable[..., Batch]) -> None:
    method, batch = made(make_method).eval(), make_batch()
    with torch.no_grad():
        words = {
            method.losses(batch, progress).terms["words"].item()
            for progress in (LATE, replace(LATE, seed=1), replace(LATE, step=22), replace(LATE, part=1))
        }
        state = torch.random.get_rng_state()
        assert method.losses(batch, LATE).terms["words"].item() in words
    assert len(words) == 4
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize(
    ("change", "terms"),
    [
        ({"directions": ["i2t", "t2i"]}, {"contrastive"}),
        ({"one_hot": True}, {"contrastive"}),
        ({"distillation": 0.1}, {"contrastive", "words"}),
        ({"distillation_axis": "sequence"}, {"words"}),
        ({"mask_probability": 0.9}, {"words"}),
        ({"whole_words": True}, {"words"}),
        ({"random_words": "ordinary", "replace_probability": 1.0}, {"words", "replaced"}),
        ({"replace_probability": 1.0}, {"replaced"}),
    ],
)
def test_an_option_changes_its_terms_and_no_other(
    make_method: Make, make_batch: Callable[..., Batch], change: dict[str, Any], terms: set[str]
) -> None:
    half = {"mask_probability": 0.5}
    batch, plain, other = make_batch(8), made(make_method, **half).eval(), made(make_method, **half | change).eval()
    with torch.no_grad():
        before, after = plain.losses(batch, LATE).terms, other.losses(batch, LATE).terms
    assert {name for name in before if before[name] != after[name]} == terms


def test_gradients_survive_autocast(make_method: Make, make_batch: Callable[..., Batch]) -> None:
    method = made(make_method)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        method.losses(make_batch(), LATE).total.backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in method.vision.parameters())


def test_training_items_hold_two_views_and_a_weak_caption() -> None:
    assert pairing(parse(weak_positive=0.2)) == Pairing(second_view=True, weak_captions=0.2)
    assert METHODS["aga"].pairing(AgaSettings()) == Pairing(second_view=True, weak_captions=0.1)

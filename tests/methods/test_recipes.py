"""What every shipped recipe does under every preset, against the papers' formulas; not what it parses."""

import re
from math import floor
from pathlib import Path
from typing import Any

import pytest
import torch

from pickout.config import parse_settings, read_toml
from pickout.data.batching import Batch
from pickout.errors import RecipeError
from pickout.methods import METHODS
from pickout.methods.aga import Aga
from pickout.methods.base import Method, Progress
from pickout.methods.dual import Dual
from pickout.methods.fusion import Fusion
from pickout.methods.itself import Itself, ItselfSettings
from pickout.methods.model import build_model
from pickout.shapes import TokenBatch
from pickout.text.tokenizer import SpecialTokens, Vocabulary, read_vocabulary
from pickout.train.recipe import Recipe, load_recipe, shipped_recipes

RECIPES = shipped_recipes()
PRESETS = ("recommended", "as_paper", "as_released")
NARROW = ["vision.width=16", "vision.heads=2", "vision.embedding=8", "text.width=16", "text.heads=2"]
NARROW += ["text.embedding=8", "text.dropout=0.0"]
OF_METHOD = {"itself": ["method.local_dimension=8", "method.hidden=4"], "fusion": ["method.queue=16"]}
OF_METHOD["aga"] = OF_METHOD["fusion"]
STEPS = {"cuhk-pedes": 266, "icfg-pedes": 135, "rstpreid": 144, "street": 20}
"""Steps of an epoch at batch 256; of the street any number."""
SMALL = ("demo", "aga-demo", "union-demo", "study-itself", "study-aga", "study-union", "smoke", "pickout-small")
PAPERS = [name for name in RECIPES if name not in SMALL]


class _Facts:
    special = SpecialTokens(padding=0, start=1, end=None, mask=2)
    vocabulary: Vocabulary = read_vocabulary(
        "wordpiece", ("[PAD]", "[CLS]", "[MASK]", *(f"w{n}" for n in range(37))), special
    )
    vocabulary_size = 40

    def __init__(self, context: int) -> None:
        self.context = context


def under(name: str, preset: str) -> tuple[Recipe, Method]:
    """A recipe under a preset, and its method with towers of its depth, images and context, but narrow."""
    kind = str(read_toml(RECIPES[name])["model"]["method"]["name"])
    pairs = [f"model.{pair}" for pair in (*NARROW, *OF_METHOD.get(kind, []), f"method.preset={preset}")]
    recipe = load_recipe(RECIPES[name], pairs)
    torch.manual_seed(0)
    return recipe, build_model(recipe.model, _Facts(recipe.model.tokenizer.context), 4)


def kept(method: Itself, steps: int, step: int) -> tuple[int, int]:
    progress = Progress(step=step, epoch=(step - 1) // steps + 1, steps_per_epoch=steps, epochs=60)
    return method.image_selection.training_kept(progress), method.text_selection.training_kept(progress)


def schedule(tokens: int, step: int, duration: int) -> int:
    """ITSELF, Eq. 4: the share falls from 0.65 to 0.5 in `duration` steps and stays."""
    return floor(tokens * 0.65 * (0.5 / 0.65) ** (step / duration)) if step < duration else floor(tokens * 0.5)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("name", [name for name in RECIPES if name.startswith("itself")])
def test_the_kept_tokens_over_a_run_are_the_papers(name: str, preset: str) -> None:
    recipe, method = under(name, preset)
    assert isinstance(method, Itself)
    steps = STEPS[recipe.data.name]
    paper = preset == "as_paper"
    duration = 10 * steps if paper else 1450
    # The paper counts all tokens: 193 of an image, 77 of a caption; the release the 192 and 75 that can be kept.
    patches, words = (193, 77) if paper else (192, 75)
    for step in (1, 145, steps, 5 * steps, 1449, 1450, 10 * steps, 8700, 60 * steps):
        assert kept(method, steps, step) == (schedule(patches, step, duration), schedule(words, step, duration)), step
    firsts = [kept(method, steps, step)[0] for step in (1, 2, 3)]
    assert firsts == ([125] * 3 if paper else [124] * 3)
    assert [kept(method, steps, step)[0] for step in (max(1450, 10 * steps), 8700)] == [96, 96]


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize(("name", "duration"), [("demo", 400), ("smoke", 10)])
def test_a_compact_recipe_keeps_its_own_steps_under_every_preset(name: str, duration: int, preset: str) -> None:
    recipe, method = under(name, preset)
    assert isinstance(method, Itself)
    rows, columns = method.vision.grid
    tokens = rows * columns + (preset == "as_paper")
    for step in (1, duration // 2, duration, 20 * duration):
        expected = min(rows * columns, schedule(tokens, step, duration))
        assert kept(method, STEPS[recipe.data.name], step)[0] == expected


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("name", [name for name in RECIPES if name.startswith(("itself", "dual", "demo", "smoke"))])
def test_the_identity_terms_and_the_mismatch_class_are_the_presets(name: str, preset: str) -> None:
    _, method = under(name, preset)
    assert isinstance(method, Dual | Itself)
    identities = torch.tensor([0, 0, 1, 2])
    features = torch.randn(4, method.vision.embedding)
    objective = method.global_objective
    terms = objective(features, features.flip(0), identities).terms
    alone = {"id_image_global", "id_text_global"}
    assert terms.keys() - alone == {"tal_global", "cid_pair_global"}
    assert (terms.keys() & alone == set()) is (preset == "as_paper")
    # Released: a mismatch is the batch's largest identity and one, 3 here, as if it were a person; ours: class 4.
    assert objective.heads is not None and objective.heads.pair_classifier is not None
    with torch.no_grad():
        objective.heads.pair_classifier.bias[3 if preset == "as_released" else 4] = 50.0
        preferred = objective(features, features.flip(0), identities).terms["cid_pair_global"]
    # Of three pairs two are mismatches: only the one correct pair of each three then costs about 50.
    assert float(preferred) == pytest.approx(50 / 3, abs=1)


def words_batch(method: Fusion, recipe: Recipe, length: int) -> Batch:
    image, context = recipe.model.image, recipe.model.tokenizer.context
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(3, 40, (4, context), generator=generator)
    ids[:, 0] = 1
    ids[:, length + 1 :] = 0
    pixels = torch.randn(4, 3, image.height, image.width, generator=generator)
    return Batch(pixels, TokenBatch(ids, ids != 0), torch.tensor([0, 0, 1, 2]))


FUSING = [name for name in RECIPES if name.startswith(("aga", "fusion"))]


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("name", FUSING)
def test_the_share_of_hidden_words_is_the_presets(name: str, preset: str) -> None:
    recipe, method = under(name, preset)
    assert isinstance(method, Fusion)
    for words in (10, 35):
        given = method.given(words_batch(method, recipe, words))
        with torch.no_grad():
            share = method.masking_probability(given.strong, given.content).sum(1) / words
        # AGA, Eq. 9 as printed: alpha1 n + alpha2 words of n are expected, whatever attention says.
        literal = isinstance(method, Aga) and preset == "as_paper"
        expected = 0.05 + 0.15 / words if literal else 0.15
        torch.testing.assert_close(share, torch.full((4,), expected), atol=1e-5, rtol=0)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("name", FUSING)
def test_contrast_temperature_decay_and_soft_labels_are_the_presets(name: str, preset: str) -> None:
    recipe, method = under(name, preset)
    assert isinstance(method, Fusion)
    paper, released = preset == "as_paper", preset == "as_released"
    assert len(method.settings.directions) == (2 if paper else 4)
    assert method.settings.one_hot is paper
    with torch.no_grad():
        method.temperature.fill_(0.9)
    method.train()
    terms = method.losses(words_batch(method, recipe, 12), Progress(step=1, epoch=1, steps_per_epoch=9, epochs=1))
    assert torch.isfinite(terms.total)
    assert method.temperature.item() == pytest.approx(0.9 if released else 0.5)
    decaying = {id(p) for group in method.parameter_groups() if group.weight_decay_scale for p in group.parameters}
    assert (id(method.temperature) in decaying) is released
    assert (id(method.vision.positions) in decaying) is released
    assert method.settings.distillation_axis == ("sequence" if released else "vocabulary")
    assert bool(method.ignored_ids) is released


@pytest.mark.parametrize("name", PAPERS)
def test_a_papers_recipe_leaves_to_the_presets_what_they_set(name: str) -> None:
    """A key that a recipe pins wins over every preset, so `as_paper` over it would be half a preset."""
    method = read_toml(RECIPES[name])["model"]["method"]
    presets = METHODS[method["name"]].settings.presets  # type: ignore[attr-defined]
    assert method.keys() & {key for values in presets.values() for key in values} == set()


def test_the_schedules_duration_is_a_number_with_its_unit() -> None:
    for wrong in ("1450", 1450, "0 steps", "10 Epochs", "-3 steps", "ten epochs", 1.5):
        with pytest.raises(RecipeError, match="budget_duration"):
            parse_settings(ItselfSettings, {"budget_duration": wrong}, source="recipe")


@pytest.mark.parametrize("name", FUSING)
def test_what_the_recipes_do_unlike_rasa_is_declared(name: str) -> None:
    text = Path(RECIPES[name]).read_text(encoding="utf-8")
    if name in PAPERS:
        assert re.search(r"# Differs from the paper: .*float32.*\nprecision = \"bf16\"", text)
        assert re.search(r"# Differs from the paper: RaSa cuts .*\n.*\ncontext = 50", text)
        assert re.search(r"# 52 is 4 x 13: .*\n.*\nbatch = 52", text)


PINNED = {
    **dict.fromkeys(("aga-demo", "study-aga", "union-demo", "study-union"), ("negative_guard",)),
    **dict.fromkeys(("demo", "smoke", "study-itself"), ("budget_duration",)),
    "pickout-small": ("alignment", "pair_loss", "id_terms"),
}
"""Keys of the small recipes that no preset changes, as the methods' pages say."""


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("name", SMALL)
def test_a_small_recipe_under_a_preset_does_what_the_preset_says_but_for_what_it_pins(name: str, preset: str) -> None:
    pinned = read_toml(RECIPES[name])["model"]["method"]
    recipe = load_recipe(RECIPES[name], [f"model.method.preset={preset}"])
    settings: Any = METHODS[pinned["name"]].settings
    values = {key: value for key, value in recipe.model.method.items() if key != "name"}
    found = parse_settings(settings, values, source=name)
    wanted = settings.presets.get(preset, {})
    for key, value in wanted.items():
        if key in pinned:
            assert key in PINNED[name], f"{name} pins {key}, and its method's page does not say so"
            assert getattr(found, key) == pinned[key]
        else:
            assert getattr(found, key) == value

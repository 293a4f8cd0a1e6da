import tomllib

import pytest

from pickout.config import parse_settings, to_toml
from pickout.errors import RecipeError
from pickout.methods.model import build_model, method_settings
from pickout.text.tokenizer import SpecialTokens
from pickout.train.recipe import Recipe, build_optimiser, differences, find_recipe, load_recipe, shipped_recipes

_PAPER = ["itself-cuhk-pedes", "itself-icfg-pedes", "itself-rstpreid"]


class _Clip:
    vocabulary_size, context = 49408, 77
    special = SpecialTokens(padding=0, start=49406, end=49407, mask=49405)
    vocabulary = None


def test_the_promised_recipes_are_shipped():
    assert {*_PAPER, "demo", "smoke"} <= shipped_recipes().keys()


@pytest.mark.parametrize("name", sorted(shipped_recipes()))
def test_a_shipped_recipe_is_valid_is_called_like_its_file_and_survives_writing(name):
    recipe = load_recipe(find_recipe(name))
    assert recipe.name == name
    again = parse_settings(Recipe, tomllib.loads(to_toml(recipe)), source="again")
    assert again == recipe
    assert differences(recipe, again) == []


@pytest.mark.parametrize("name", _PAPER)
def test_the_recipes_of_the_paper_have_its_values(name):
    """ITSELF, implementation details; the spec's section 9.3."""
    recipe = load_recipe(find_recipe(name))
    _, method = method_settings(recipe.model)
    assert (recipe.model.image.height, recipe.model.image.width, recipe.model.vision.stride) == (384, 128, 16)
    assert (recipe.sampler.kind, recipe.sampler.batch, recipe.sampler.per_identity) == ("identity", 256, 2)
    optim = recipe.optim
    assert (optim.name, optim.learning_rate, optim.weight_decay, optim.epsilon) == ("adam", 1e-5, 4e-5, 1e-3)
    assert (optim.betas, optim.clip, optim.accumulate) == ((0.9, 0.999), None, 1)
    schedule = recipe.schedule
    assert (schedule.epochs, schedule.warm_up, schedule.warm_up_start, schedule.every) == (60, 5, 0.1, "epoch")
    assert (method.selection, method.selection_layers, method.discard) == ("mars", (5, 12), 0.25)
    assert (method.start_ratio, method.end_ratio, method.budget_duration) == (0.65, 0.5, "1450 steps")
    assert (method.temperature, method.margin, method.fusion_weight, method.eval_ratio) == (0.015, 0.1, 0.5, 0.4)
    caption = recipe.caption_augmentation
    assert (caption.mask, caption.random, caption.delete) == (0.12, 0.04, 0.04)
    augmentation = recipe.augmentation
    assert (augmentation.flip, augmentation.pad, augmentation.erase) == (0.5, 10, 0.5)


def test_the_parameter_groups_of_itself_have_the_papers_rates():
    """ITSELF spec, E11, second half: rates at factor 1. Small towers; the rules read names alone."""
    small = {
        "model.vision": {"width": 16, "heads": 2, "embedding": 8},
        "model.text": {"width": 16, "heads": 2, "embedding": 8},
        "model.method": {"local_dimension": 8, "hidden": 4},
        "model.image": {"height": 48, "width": 32},
    }
    pairs = [f"{table}.{key}={value}" for table, values in small.items() for key, value in values.items()]
    recipe = load_recipe(find_recipe("itself-rstpreid"), pairs)
    method = build_model(recipe.model, _Clip(), 5)
    optimiser = build_optimiser(method, recipe.optim)
    names = {id(parameter): name for name, parameter in method.named_parameters()}
    found = {
        names[id(parameter)]: (group["lr"], group["weight_decay"])
        for group in optimiser.param_groups
        for parameter in group["params"]
    }
    assert found.keys() == set(names.values())
    for name, (rate, decay) in found.items():
        bias = "bias" in name.rpartition(".")[2]
        expected = 1e-3 if name.startswith(("image_head", "text_head")) else 5e-5 if "classifier" in name else 1e-5
        if bias and expected == 1e-5:
            expected = 2e-5
        assert rate == pytest.approx(expected), name
        assert decay == (0.0 if bias else 4e-5), name


def _write(folder, text):
    path = folder / "mine.toml"
    path.write_text(text)
    return path


_SMALL = '[data]\nname = "street"\nroot = "here"\n[model.method]\nname = "dual"\n'


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f'name = "x"\nsede = 3\n{_SMALL}', "unknown key 'sede' (did you mean 'seed'?)"),
        (f'name = "x"\n{_SMALL}[optim]\nlearning_rat = 1', "'optim.learning_rat' (did you mean 'learning_rate'?)"),
        (f'name = "x"\nseed = "one"\n{_SMALL}', "'seed' = 'one': input should be a valid integer"),
        (f'name = "x"\n{_SMALL}[schedule]\nepochs = 0', "'schedule.epochs' = 0"),
        (f'name = "x"\n{_SMALL}[schedule]\nepochs = 3', "schedule.warm_up = 5 is more than schedule.epochs = 3"),
        (f'name = "x"\n{_SMALL}tempratur = 1', "unknown key 'model.method.tempratur' (did you mean 'temperature'?)"),
        (f'name = "x"\n{_SMALL}margin = "wide"', "'model.method.margin' = 'wide'"),
        ('name = "x"\n[model.method]\nname = "dual"\n', "missing key 'data'"),
        ('name = "x"\n[data]\nname = "street"\nroot = "x"\n[model.method]\nname = "duall"\n', "did you mean 'dual'?"),
        (f'name = "x\n{_SMALL}', "not valid TOML"),
        (f'name = "x"\n{_SMALL}[train]\nprecision = "fp8"', "'train.precision' = 'fp8'"),
    ],
)
def test_a_wrong_recipe_is_refused_with_its_file_and_the_reason(tmp_path, text, told):
    path = _write(tmp_path, text)
    with pytest.raises(RecipeError) as caught:
        load_recipe(path)
    assert str(path) in str(caught.value)
    assert told in str(caught.value)


def test_a_missing_recipe_names_the_nearest_shipped_one():
    with pytest.raises(RecipeError, match=r"itself-cuhk: no such file and no shipped recipe .*'itself-cuhk-pedes'"):
        find_recipe("itself-cuhk")


def test_overrides_are_checked_like_the_recipe(tmp_path):
    path = _write(tmp_path, f'name = "x"\n{_SMALL}')
    assert load_recipe(path, ["schedule.epochs=7", "model.method.margin=0.2"]).schedule.epochs == 7
    with pytest.raises(RecipeError, match=r"unknown key 'sampler\.bach' \(did you mean 'batch'\?\)"):
        load_recipe(path, ["sampler.bach=7"])


def test_differences_name_keys_old_and_new_values_and_pass_over_what_may_change():
    one = load_recipe(find_recipe("smoke"))
    two = load_recipe(find_recipe("smoke"), ["data.workers=3", "data.root=elsewhere", "seed=4", "optim.clip=1.0"])
    assert differences(one, two) == ["optim.clip: None -> 1.0", "seed: 1 -> 4"]

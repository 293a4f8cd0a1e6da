import json
from pathlib import Path

import numpy as np
import pytest

from pickout.cli.app import main
from pickout.config import apply_overrides
from pickout.errors import RecipeError, ResumeMismatch
from pickout.study import runs
from pickout.study.comparison import holm, paired_difference
from pickout.study.runs import ANSWERS, load_plan, recipe_of

STUDIES = Path(__file__).parents[2] / "studies"
PLAN = """
name = 'try $^'
claim = "Nothing."
base = "smoke"
seeds = [1, 2]
set = {"schedule.epochs" = 1, "schedule.warm_up" = 0}

[variants.itself]

[variants.dual]
"model.method" = {name = "dual"}

[data.same.street]
identities = 12
val_identities = 4
test_identities = 6
images = 2
height = 48
width = 16

[data.other.street]
identities = 1
val_identities = 1
test_identities = 6
images = 2
height = 48
width = 16
seed = 9
"""


@pytest.fixture
def plan(tmp_path):
    file = tmp_path / "try.toml"
    file.write_text(PLAN)
    return file


@pytest.fixture
def command(capsys):
    def run(*arguments):
        with pytest.raises(SystemExit) as stop:
            main([str(each) for each in arguments])
        assert not stop.value.code
        return capsys.readouterr()

    return run


@pytest.mark.parametrize("seeds", [1, 3])
def test_a_difference_is_that_of_a_slow_loop(seeds):
    chance = np.random.default_rng(3)
    people = np.repeat(np.arange(20), 3)[:-1]
    base = chance.integers(0, 2, (seeds, len(people))) * 100.0
    variant = np.clip(base + chance.integers(-1, 2, base.shape) * 100.0 + 20, 0, 100)
    found = paired_difference(variant, base, people, resamples=4000, seed=1)
    means = []
    for _ in range(4000):
        drawn = chance.integers(0, 20, 20)
        rows = chance.integers(0, seeds, seeds)
        picked = [
            (variant - base)[row, query] for row in rows for who in drawn for query in np.flatnonzero(people == who)
        ]
        means.append(np.mean(picked))
    assert found.mean == pytest.approx((variant - base).mean())
    assert [found.low, found.high] == pytest.approx(np.quantile(means, [0.025, 0.975]), abs=2.0)


def test_equal_variants_differ_by_nothing_and_better_ones_surely():
    people = np.arange(50)
    base = np.tile(np.arange(50) % 2 * 100.0, (3, 1))
    same = paired_difference(base, base, people)
    assert (same.mean, same.low, same.high, same.p) == (0, 0, 0, 1)
    better = paired_difference(base + 10, base, people)
    assert (better.mean, better.low, better.high) == pytest.approx((10, 10, 10)) and better.p < 0.001


def test_p_values_of_no_difference_are_uniform():
    chance = np.random.default_rng(0)
    people = np.arange(60)
    p = [paired_difference(*chance.normal(size=(2, 1, 60)), people, resamples=400, seed=draw).p for draw in range(300)]
    assert 0.02 < np.mean(np.array(p) < 0.05) < 0.1


def test_holm_is_the_textbook():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == [] and holm([0.9, 0.8]) == [1.0, 1.0]


def test_variants_change_their_keys_only(plan):
    settings = load_plan(plan)
    itself, dual = (recipe_of(settings, plan, name, 2, None) for name in ("itself", "dual"))
    assert itself.model.method["name"] == "itself" and dual.model.method == {"name": "dual"}
    assert itself.seed == dual.seed == 2 and itself.schedule.epochs == dual.schedule.epochs == 1
    assert itself.model_copy(update={"model": dual.model}) == dual


@pytest.mark.parametrize(
    "value",
    ['a "b"', "C:\\new", "é 👩", "'", "true", "3", [1, "x"], [["a"]], {"a b": ["c", {"d": 'e"'}]}, 1e-05, 3, True],
)
def test_a_value_of_a_variant_reaches_the_recipe_as_it_stands(value):
    assert apply_overrides({}, [f"key={runs._toml(value)}"]) == {"key": value}


def test_variants_share_what_a_frozen_part_sees_where_it_sees_the_same(tmp_path):
    file = STUDIES / "image-changes.toml"
    plan = load_plan(file)
    features = {variant: recipe_of(plan, file, variant, 1, tmp_path).data.features for variant in plan.variants}
    assert len(set(features.values())) == len(features), "other changes, other pictures"
    assert recipe_of(plan, file, "all", 2, tmp_path).data.features == features["all"]
    file = STUDIES / "union.toml"
    plan = load_plan(file)
    assert len({recipe_of(plan, file, variant, 1, tmp_path).data.features for variant in plan.variants}) == 1
    own = load_plan(file, ['variants.union={"data.features" = "own"}'])
    assert recipe_of(own, file, "union", 1, tmp_path).data.features == Path("own")


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('base = "smoke"', 'base = "smokes"', "smokes: no such file.*did you mean 'smoke'"),
        ('{name = "dual"}', '{name = "duel"}', "variant dual: .*duel"),
        ('"model.method" = {name', '"model.methods" = {name', "variant dual: .*methods"),
        ("seeds = [1, 2]", "seeds = [1, 1]", "stands twice"),
        ("seeds = [1, 2]", "seeds = []", "seeds"),
        ("identities = 12", "identities = 0", "data.same.street.identities"),
        ("[variants.itself]", "[variant.itself]", "variant"),
        *(("[variants.itself]", f"[variants.'{name}']", "variants") for name in ("../up", "/abs", "..", "", "a/b")),
        ("[variants.itself]", '[variants."a\\u001b[31m"]', "variants"),
        ("[data.same.street]", '[data."../up".street]', "data"),
        (
            "seeds = [1, 2]",
            'seeds = [1]\nagainst = "duel"',
            "against: no variant is called 'duel'; there are itself, dual",
        ),
    ],
)
def test_a_plan_that_cannot_be_run_is_refused_before_anything_is_drawn(plan, old, new, told):
    plan.write_text(PLAN.replace(old, new, 1))
    with pytest.raises(RecipeError, match=told):
        load_plan(plan)


def test_a_study_goes_on_where_it_was_stopped_and_compares_what_it_has(plan, tmp_path, command):
    out, data = tmp_path / "out", tmp_path / "data"
    given = ["study", plan, "--out", out, "--data", data, "--json"]
    whole = json.loads(command(*given).out)
    assert [row["variant"] for row in whole["found"]["other"]] == ["itself", "dual"]
    base, dual = whole["found"]["same"]
    assert base["difference"] is None and base["seeds"] == [1, 2] and 0 <= dual["p"] <= 1
    queries = [np.load(out / "runs" / name / "1" / ANSWERS)["same.values"] for name in ("itself", "dual")]
    assert dual["means"]["R@1"] - base["means"]["R@1"] == pytest.approx(dual["difference"]["mean"])
    assert queries[0].shape == queries[1].shape
    assert json.loads((out / "study.json").read_text()) == whole
    assert (out / "plot.png").read_bytes().startswith(b"\x89PNG") and "| dual | 2 |" in (out / "table.md").read_text()
    lost = out / "runs" / "dual" / "2" / ANSWERS
    before = (out / "runs" / "dual" / "1" / ANSWERS).stat().st_mtime_ns
    lost.unlink()
    again = command(*given)
    assert "4 runs, 3 of them finished" in again.err and lost.is_file()
    assert json.loads(again.out)["found"]["same"][1]["means"] == dual["means"]
    assert (out / "runs" / "dual" / "1" / ANSWERS).stat().st_mtime_ns == before
    (out / "table.md").unlink()
    command(*given)  # with nothing left to train
    assert "| dual | 2 |" in (out / "table.md").read_text() and "to `itself`," in (out / "table.md").read_text()
    turned = json.loads(command(*given, "--set", 'against="dual"').out)
    assert "to `dual`," in turned["rule"] and "to `dual`," in (out / "table.md").read_text()
    itself, none = turned["found"]["same"]
    assert none["difference"] is None and itself["difference"]["mean"] == pytest.approx(-dual["difference"]["mean"])
    moved, ask, teach = (
        {"same": data / "same", "other": data / "other"},
        "remove its answers.npz",
        "remove this folder",
    )
    for changes, populations, told in (
        (["split='val'"], None, ask),
        (["first_look=true"], None, ask),
        (["data.other.street.test_identities=5"], None, ask),
        (["data.same.street.identities=13"], None, teach),
        ([], moved, teach),
        (['set={"schedule.epochs" = 2, "schedule.warm_up" = 0}'], None, "another recipe.*epochs"),
    ):
        settings = load_plan(plan, changes)
        with pytest.raises(ResumeMismatch, match=told):
            runs.runs_of(settings, plan, out, populations or runs.places(settings, data))
    (out / "runs" / "dual" / "2" / runs.ASKED).unlink()
    with pytest.raises(SystemExit) as stop:
        main(["study", str(plan), "--out", str(out), "--data", str(data)])
    assert stop.value.code == 3


def test_the_first_look_is_compared_where_the_plan_asks(plan, tmp_path, command):
    fusion = '{name = "fusion", queue = 0, negative_group = 0, negative_guard = 0.1, candidates = 4}'
    towers = (
        'vision = {kind = "vit", patch = 8, stride = 8, width = 32, layers = 1, heads = 2, embedding = 16}\n'
        'text = {kind = "bert", width = 32, layers = 1, fusion_layers = 1, heads = 2, embedding = 16, positions = 32}'
    )
    changed = "".join(f'"model.{line}\n' for line in towers.replace(" = {", '" = {', 2).splitlines())
    plan.write_text(
        PLAN.replace("[1, 2]", "[1]").replace("\n[variants.itself]", "first_look = true\n\n[variants.itself]")
        + f'\n[variants.fusion]\n{changed}"model.method" = {fusion}\n'
    )
    found = json.loads(command("study", plan, "--out", tmp_path / "out", "--data", tmp_path / "data", "--json").out)
    assert list(found["found"]) == ["same", "same, first look", "other", "other, first look"]
    by_look = [{row["variant"]: row["means"] for row in found["found"][f"same{look}"]} for look in ("", ", first look")]
    assert by_look[0]["itself"] == by_look[1]["itself"] and by_look[0]["fusion"] != by_look[1]["fusion"]


def test_finished_runs_of_another_recipe_are_not_compared(plan, tmp_path, command, capsys):
    out, data = tmp_path / "out", tmp_path / "data"
    given = ["study", plan, "--out", out, "--data", data]
    plan.write_text(PLAN.replace("[1, 2]", "[1]"))
    command(*given)
    epochs = PLAN.replace('"schedule.epochs" = 1', '"schedule.epochs" = 2')
    for changed in (PLAN.replace('name = "dual"', 'name = "dual", id_terms = false'), epochs):
        plan.write_text(changed)
        with pytest.raises(SystemExit) as stop:
            main([str(each) for each in given])
        error = capsys.readouterr().err
        assert stop.value.code == 3 and "was trained by another recipe (" in error and " -> " in error, error
        assert "remove this folder to train it anew" in error and not (out / "runs" / "dual" / "2").exists()
    plan.write_text(PLAN.replace("[1, 2]", "[1]"))
    assert "2 runs, 2 of them finished" in command(*given).err
    data.rename(tmp_path / "moved")  # where the people lie does not matter
    assert "2 runs, 2 of them finished" in command(*given[:-1], tmp_path / "moved").err


def test_a_study_does_not_go_among_files_of_others(plan, tmp_path, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "table.md").write_text("mine")
    with pytest.raises(SystemExit) as stop:
        main(["study", str(plan), "--out", str(tmp_path / "out"), "--data", str(tmp_path / "data")])
    assert stop.value.code == 2 and "holds other files and no study" in capsys.readouterr().err
    assert (tmp_path / "out" / "table.md").read_text() == "mine" and not (tmp_path / "data").exists()


@pytest.mark.parametrize("file", sorted(STUDIES.glob("[aiu]*.toml")), ids=lambda file: file.stem)
def test_a_shipped_study_compares_recipes_that_differ(file):
    plan = load_plan(file)
    recipes = [recipe_of(plan, file, variant, 1, None) for variant in plan.variants]
    assert file.stem == plan.name and len({recipe.model_dump_json() for recipe in recipes}) == len(recipes) > 2
    assert list(plan.data) == ["street", "other"] and len(plan.seeds) == 5


def test_shipped_variants_are_the_rows_of_the_papers():
    """Against the lines of docs/methods that name table and setting."""
    rows = {
        "aga-masking": ("mask", {"off", "random", "vacuous", "agm"}),
        "aga-p-tem": ("enrich_probability", {0.1, 0.2, 0.3, 0.4}),
        "aga-candidates": ("enrich_candidates", {3, 5, 10}),
        "aga-alpha1": ("alpha1", {-0.05, 0.0, 0.05, 0.1}),
        "aga-beta": ("beta", {0.9, 0.95, 0.99}),
        "itself-selection": ("selection", {"mars", "min_mean", "mean", "min_std", "std"}),
    }
    for name, (key, values) in rows.items():
        plan = load_plan(STUDIES / f"{name}.toml")
        assert {variant[f"model.method.{key}"] for variant in plan.variants.values()} == values
    for name in ("itself-schedule", "itself-selection", "itself-layers"):
        for variant, keys in load_plan(STUDIES / f"{name}.toml").variants.items():
            assert keys.get("model.method.budget", "off") == "off" or variant in ("epoch", "step")

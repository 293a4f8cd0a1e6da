"""What a run folder tells about its training."""

from pathlib import Path

from pickout.evaluate.evaluation_report import Training, read_training

_RECIPE = '[data]\nname = "icfg-pedes"\nroot = "x"\n[train]\nselect = "val"\n'


def test_a_finished_run_knows_better_than_its_recipe_what_chose_the_epoch(tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text(_RECIPE)
    assert read_training(tmp_path) == Training("icfg-pedes", Path("x"), "val")
    (tmp_path / "summary.json").write_text('{"selected_on": "last epoch"}')
    assert read_training(tmp_path) == Training("icfg-pedes", Path("x"), "last epoch")


def test_a_garbled_summary_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text(_RECIPE)
    for garbled in ("", "[1]", '{"selected_on": 3}', "\x00"):
        (tmp_path / "summary.json").write_text(garbled)
        assert read_training(tmp_path).selected_on == "val"


def test_a_folder_without_recipe_tells_nothing(tmp_path: Path) -> None:
    assert read_training(tmp_path) == read_training(None) == Training()

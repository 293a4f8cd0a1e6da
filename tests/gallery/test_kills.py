"""kill -9 inside every kind of change, by the benchmark's own code; and that its checks see what they look for."""

import copy

import pytest
from kills import worker
from kills.check import compare, traces
from kills.model import Model
from kills.process import counting_library
from kills.trial import Trial

from pickout.gallery.gallery import Gallery


@pytest.fixture
def trial(tmp_path):
    """trial(**arguments): a gallery whose writers are killed; nothing may be wrong with it at the end."""
    begun = []

    def begin(**arguments):
        begun.append(Trial(tmp_path, ["add", "update"], 11, timed=1, **arguments))
        return begun[0]

    yield begin
    for each in begun:
        each.close()
        assert not each.tally.wrong, each.tally.wrong
        assert each.tally.visible[True] and not each.tally.visible[False]


def test_a_kill_inside_any_change_loses_nothing_leaves_nothing_half_and_brings_nothing_back(trial):
    killed = trial()
    for kind in ("import", "rebuild"):
        killed.kill(kind)
    assert killed.tally.kills == 2


def test_an_erasure_killed_before_a_certain_change_of_the_file_system_is_finished_and_leaves_nothing(trial, tmp_path):
    library = counting_library(tmp_path)
    if library is None:
        pytest.skip("this machine has no C compiler")
    killed = trial(preload=library)
    assert [killed.kill("erase", step) for step in (4, 20)] == [True, True]
    assert any("erasing.json" in each for each in killed.tally.phases)


def test_two_writers_killed_at_different_moments_leave_the_rows_of_both(trial):
    killed = trial(writers=2)
    killed.kill("add")
    assert killed.tally.kills == 2


@pytest.fixture
def acknowledged(tmp_path):
    """A gallery, what it must hold, and what a reader sees of it."""
    model, path = Model(tmp_path / "crops", 3), tmp_path / "people.gallery"
    for kind in ("add", "update", "remove", "erase"):
        for operation in model.draw(kind):
            for file in operation.files:
                file.unlink()
            request = dict(operation.request)
            worker.ACTIONS[request.pop("do")](path, **request)
            model.settle(operation)
    return path, model, worker.facts(path)


def test_the_checks_find_nothing_wrong_with_a_gallery_that_nobody_killed(acknowledged):
    path, model, facts = acknowledged
    assert model.erased and not compare(facts, [model], {}, written=True)
    assert traces(path, model.erased) == []


def test_the_checks_see_a_row_that_is_lost_doubled_changed_hidden_or_came_back(acknowledged):
    _, model, facts = acknowledged
    first, other = list(facts["rows"])[:2]

    def wrong(change):
        told = copy.deepcopy(facts)
        change(told)
        found = compare(told, [model], {}, written=True)
        return len(found.lost), len(found.half), len(found.came_back)

    def lose(told):
        for held in (told["ids"], told["found"]):
            held.remove(first)
        del told["rows"][first]

    def bring_back(told):
        gone = next(iter(model.gone))
        told["rows"][gone] = told["rows"][first]
        told["ids"].append(gone)
        told["found"].append(gone)

    assert wrong(lose) == (1, 0, 0)
    assert wrong(bring_back) == (0, 0, 1)
    assert wrong(lambda told: told["ids"].append(first)) == (0, 1, 0)
    assert wrong(lambda told: told["rows"][first].update(vector=told["rows"][other]["vector"])) == (0, 1, 0)
    assert wrong(lambda told: told["found"].remove(first)) == (1, 0, 0)
    assert wrong(lambda told: told["found"].append(next(iter(model.gone)))) == (0, 0, 1)
    assert wrong(lambda told: told["faults"].append("an erasure was interrupted")) == (0, 1, 0)
    assert wrong(lambda told: told["unsealed"].append(first)) == (0, 1, 0)


def test_the_search_for_traces_sees_rows_that_were_only_removed(acknowledged):
    path, model, _ = acknowledged
    gallery = Gallery.open(path)
    held = next(iter(model.rows.values()))[0]
    gallery.remove([held.id])
    names = {trace.rsplit(": ", 1)[1].removesuffix(" of an erased row") for trace in traces(path, [held.signs()])}
    assert {"content", "id", "path", "thumbnail", "vector of grid8"} <= names
    gallery.erase([])
    assert traces(path, [held.signs()]) == []

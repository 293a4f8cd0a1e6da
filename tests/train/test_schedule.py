from itertools import pairwise

import pytest

from pickout.train.schedule import ScheduleSettings, learning_rate_factor, step_factor

_E11 = {
    1: 0.1, 2: 0.28, 3: 0.46, 4: 0.64, 5: 0.82, 6: 1.0, 7: 0.999185, 10: 0.987006,
    20: 0.848469, 30: 0.599295, 40: 0.318596, 50: 0.095492, 60: 0.000815,
}  # fmt: skip


@pytest.mark.parametrize(("epoch", "factor"), _E11.items())
def test_the_papers_schedule_by_epoch(epoch, factor):
    """ITSELF spec, E11."""
    settings = ScheduleSettings()
    for step in (1, 77, 144):
        assert step_factor(settings, epoch=epoch, step=step, steps=144) == pytest.approx(factor, abs=5e-7)


def test_the_rate_changes_at_each_step_when_asked_and_meets_the_epochs_values():
    by_epoch, by_step = ScheduleSettings(), ScheduleSettings(every="step")
    factors = [step_factor(by_step, epoch=e, step=s, steps=10) for e in range(1, 61) for s in range(1, 11)]
    assert factors[::10] == [step_factor(by_epoch, epoch=e, step=1, steps=10) for e in range(1, 61)]
    assert all(a < b for a, b in pairwise(factors[:51]))
    assert all(a > b for a, b in pairwise(factors[50:]))


def test_the_cosine_ends_at_zero_and_stays_there():
    settings = ScheduleSettings(epochs=10, warm_up=2)
    assert learning_rate_factor(settings, 10) == pytest.approx(0, abs=1e-12)
    assert learning_rate_factor(settings, 11) == pytest.approx(0, abs=1e-12)


def test_without_warm_up_the_first_epoch_is_at_full_rate():
    assert step_factor(ScheduleSettings(epochs=3, warm_up=0), epoch=1, step=1, steps=4) == 1.0


def test_a_constant_rate_stays_after_the_warm_up():
    settings = ScheduleSettings(epochs=8, warm_up=2, decay="constant")
    assert [step_factor(settings, epoch=e, step=1, steps=1) for e in range(1, 9)] == [0.1, 0.55] + [1.0] * 6

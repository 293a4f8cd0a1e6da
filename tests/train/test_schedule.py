from itertools import pairwise

import pytest

from pickout.train.recipe import ScheduleSettings, learning_rate

_E11 = {
    1: 0.1, 2: 0.28, 3: 0.46, 4: 0.64, 5: 0.82, 6: 1.0, 7: 0.999185, 10: 0.987006,
    20: 0.848469, 30: 0.599295, 40: 0.318596, 50: 0.095492, 60: 0.000815,
}  # fmt: skip


@pytest.mark.parametrize(("epoch", "factor"), _E11.items())
def test_the_papers_schedule_by_epoch(epoch, factor):
    """ITSELF spec, E11."""
    settings = ScheduleSettings()
    for step in (1, 77, 144):
        assert learning_rate(settings, 1.0, epoch=epoch, step=step, steps=144) == pytest.approx(factor, abs=5e-7)


def test_the_rate_changes_at_each_step_when_asked_and_meets_the_epochs_values():
    by_epoch, by_step = ScheduleSettings(), ScheduleSettings(every="step")
    factors = [learning_rate(by_step, 1.0, epoch=e, step=s, steps=10) for e in range(1, 61) for s in range(1, 11)]
    assert factors[::10] == [learning_rate(by_epoch, 1.0, epoch=e, step=1, steps=10) for e in range(1, 61)]
    assert all(a < b for a, b in pairwise(factors[:51]))
    assert all(a > b for a, b in pairwise(factors[50:]))


def test_the_cosine_ends_at_zero_and_stays_there():
    settings = ScheduleSettings(epochs=10, warm_up=2)
    assert learning_rate(settings, 1.0, epoch=11, step=1, steps=4) == pytest.approx(0, abs=1e-12)
    assert learning_rate(settings, 1.0, epoch=12, step=1, steps=4) == pytest.approx(0, abs=1e-12)


def test_without_warm_up_the_first_epoch_is_at_full_rate():
    assert learning_rate(ScheduleSettings(epochs=3, warm_up=0), 1.0, epoch=1, step=1, steps=4) == 1.0


def test_a_constant_rate_stays_after_the_warm_up():
    settings = ScheduleSettings(epochs=8, warm_up=2, decay="constant")
    assert [learning_rate(settings, 1.0, epoch=e, step=1, steps=1) for e in range(1, 9)] == [0.1, 0.55] + [1.0] * 6


_AGA = ScheduleSettings(epochs=30, warm_up=0, floor=1e-6, warm_up_steps=101, warm_up_rate=1e-5)


@pytest.mark.parametrize(
    ("before", "towers", "heads"),
    [(1, 9.9753e-6, 9.9729e-5), (10, 7.75e-6, 7.525e-5), (15, 5.5e-6, 5.05e-5), (29, 1.0247e-6, 1.2712e-6)],
)
def test_agas_rates_after_so_many_epochs(before, towers, heads):
    """AGA spec, section 2.7 and E10: 1e-5 for the towers, 1e-4 for the new heads."""
    for step in (1, 1310):
        at = {"epoch": before + 1, "step": step, "steps": 1310}
        assert learning_rate(_AGA, 1e-5, **at) == pytest.approx(towers, rel=1e-4)
        assert learning_rate(_AGA, 1e-4, **at) == pytest.approx(heads, rel=1e-4)


def test_agas_new_heads_start_at_the_towers_rate_and_rise_after_101_steps():
    rates = [learning_rate(_AGA, 1e-4, epoch=1, step=step, steps=1310) for step in (1, 101, 102, 1310)]
    assert rates == [1e-5, 1e-5, 1e-4, 1e-4]
    assert learning_rate(_AGA, 1e-4, epoch=2, step=1, steps=1310) > 9.9e-5


def test_without_a_floor_the_rate_is_the_base_times_the_factor():
    settings = ScheduleSettings()
    for epoch in (1, 3, 7, 60):
        factor = learning_rate(settings, 1.0, epoch=epoch, step=1, steps=9)
        assert learning_rate(settings, 3e-4, epoch=epoch, step=1, steps=9) == 3e-4 * factor

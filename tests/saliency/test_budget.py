"""The adaptive token schedule, against the spec's table."""

from math import floor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pickout.saliency.bank import annealed_budget, fixed_budget


def released(tokens: int, time: int) -> int:
    return annealed_budget(tokens, start=0.65, end=0.5, time=time, duration=1450)


def test_fixed_budgets() -> None:
    assert (fixed_budget(192, 0.4), fixed_budget(75, 0.4), fixed_budget(1, 0.4)) == (76, 30, 1)


@pytest.mark.parametrize(
    ("time", "image", "text"),
    [
        (-3, 124, 48),
        (0, 124, 48),
        (1, 124, 48),
        (145, 121, 47),
        (290, 118, 46),
        (500, 114, 44),
        (725, 109, 42),
        (1000, 104, 40),
        (1300, 98, 38),
        (1450, 96, 37),
        (5000, 96, 37),
    ],
)
def test_the_table_of_the_schedule(time: int, image: int, text: int) -> None:
    assert (released(192, time), released(75, time)) == (image, text)


def test_first_and_last_drops() -> None:
    assert next(t for t in range(1, 1451) if released(192, t) == 123) == 36
    assert next(t for t in range(1, 1451) if released(192, t) == 96) == 1393
    assert next(t for t in range(1, 1451) if released(75, t) == 47) == 86
    assert next(t for t in range(1, 1451) if released(75, t) == 37) == 1377


@given(tokens=st.integers(1, 600), start=st.floats(0.1, 1), part=st.floats(0.1, 1), duration=st.integers(1, 3000))
def test_the_schedule_never_rises_and_ends_at_the_floor(tokens: int, start: float, part: float, duration: int) -> None:
    end = start * part
    times = range(1, duration + 2, max(1, duration // 50))
    kept = [annealed_budget(tokens, start=start, end=end, time=t, duration=duration) for t in times]
    assert kept == sorted(kept, reverse=True)
    assert annealed_budget(tokens, start=start, end=end, time=duration, duration=duration) == max(
        1, floor(tokens * end)
    )


@pytest.mark.parametrize("tokens", [14, 28, 30, 50, 100])
def test_the_end_is_not_below_the_floor_by_rounding(tokens: int) -> None:
    assert released(tokens, 1450) == tokens // 2


@pytest.mark.parametrize("time", [-1, 0])
def test_times_before_the_first_count_as_the_first(time: int) -> None:
    first = annealed_budget(1000, start=0.9, end=0.1, time=1, duration=10)
    assert annealed_budget(1000, start=0.9, end=0.1, time=time, duration=10) == first == 722

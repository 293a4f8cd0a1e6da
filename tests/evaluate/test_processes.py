import sys

import pytest

from pickout.errors import DataError, ImageUnreadable
from pickout.evaluate.processes import ALONE, Share, current_share


@pytest.mark.parametrize("items", [0, 1, 5, 64, 65, 1000])
@pytest.mark.parametrize("block", [1, 7, 64])
@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_shares_cover_everything_once_in_order_and_cut_at_whole_blocks(items: int, block: int, count: int):
    bounds = [Share(index, count).bounds(items, block) for index in range(count)]
    assert [item for start, stop in bounds for item in range(start, stop)] == list(range(items))
    assert all(start % block == 0 or start == items for start, _ in bounds)


def test_one_process_gathers_its_own_value():
    assert ALONE.gather("value") == ["value"]


class Beside(Share):
    """The second of two processes, beside a first whose outcome is given."""

    def gather(self, value):
        return [first_outcome, value]


first_outcome: tuple[list[str], str | None] = (["theirs"], None)


def fail() -> str:
    raise ImageUnreadable("crop.jpg", "truncated")


def test_results_of_all_processes_come_in_order():
    assert Beside(1, 2).run(lambda: "mine") == ["theirs", "mine"]


def test_an_error_in_another_process_is_raised_here_too(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys.modules[__name__], "first_outcome", ([], "crop.jpg: truncated"))
    with pytest.raises(DataError, match=r"crop\.jpg: truncated"):
        Beside(1, 2).run(lambda: "mine")


def test_an_own_error_is_told_to_the_others_before_it_is_raised():
    told = []

    class Telling(Share):
        def gather(self, value):
            told.append(value)
            return [value]

    with pytest.raises(ImageUnreadable):
        Telling(0, 2).run(fail)
    assert told == [([], "crop.jpg: truncated")]


def test_without_a_launcher_this_process_has_the_whole():
    assert current_share() == ALONE

import pytest

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


def test_without_a_launcher_this_process_has_the_whole():
    assert current_share() == ALONE

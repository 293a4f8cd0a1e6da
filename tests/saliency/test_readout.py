"""Which row is read."""

import torch

from pickout.saliency.aggregation import average_over, point_at, read_row

MAP = torch.arange(18, dtype=torch.float32).reshape(2, 3, 3)


def test_pointing_at_the_query_reads_its_row() -> None:
    row = read_row(MAP, point_at(torch.tensor([0, 2]), 3))
    assert torch.equal(row, torch.stack([MAP[0, 0], MAP[1, 2]]))


def test_spreading_over_content_reads_the_mean_row() -> None:
    content = torch.tensor([[False, True, True], [False, False, True]])
    row = read_row(MAP, average_over(content))
    torch.testing.assert_close(row, torch.stack([(MAP[0, 1] + MAP[0, 2]) / 2, MAP[1, 2]]))


def test_a_sample_without_content_reads_zeros() -> None:
    row = read_row(MAP[:1], average_over(torch.zeros(1, 3, dtype=torch.bool)))
    assert torch.equal(row, torch.zeros(1, 3))


def test_reading_is_exact_under_autocast() -> None:
    attention = torch.rand(2, 5, 5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        row = read_row(attention, point_at(torch.tensor([1, 4]), 5))
    assert torch.equal(row, torch.stack([attention[0, 1], attention[1, 4]]))

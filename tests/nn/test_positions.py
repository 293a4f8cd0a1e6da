import pytest
import torch
from torch import Tensor

from pickout.nn.towers import patch_grid, resize_positions


def resize_by_loops(table: Tensor, old: tuple[int, int], new: tuple[int, int]) -> Tensor:
    """Bilinear with half-pixel centres, one position at a time."""
    grid = table[1:].reshape(*old, -1)
    rows = [table[0]]
    for r in range(new[0]):
        for c in range(new[1]):
            corner = []
            for i, size, target in ((r, old[0], new[0]), (c, old[1], new[1])):
                place = max(0.0, (i + 0.5) * size / target - 0.5)
                low = min(int(place), size - 1)
                corner.append((low, min(low + 1, size - 1), place - low))
            (r0, r1, y), (c0, c1, x) = corner
            top = grid[r0, c0] * (1 - x) + grid[r0, c1] * x
            bottom = grid[r1, c0] * (1 - x) + grid[r1, c1] * x
            rows.append(top * (1 - y) + bottom * y)
    return torch.stack(rows)


@pytest.mark.parametrize(("old", "new"), [((3, 3), (6, 2)), ((14, 14), (24, 8)), ((4, 2), (3, 5)), ((1, 1), (2, 2))])
def test_resizing_equals_the_slow_twin(old: tuple[int, int], new: tuple[int, int]) -> None:
    table = torch.randn(1 + old[0] * old[1], 7, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(resize_positions(table, old, new), resize_by_loops(table, old, new), atol=1e-5, rtol=0)


def test_the_class_position_stays_and_an_equal_grid_is_a_copy() -> None:
    table = torch.randn(10, 4)
    assert torch.equal(resize_positions(table, (3, 3), (6, 2))[0], table[0])
    same = resize_positions(table, (3, 3), (3, 3))
    assert torch.equal(same, table) and same.data_ptr() != table.data_ptr()


def test_a_table_without_class_position_and_bicubic_interpolation() -> None:
    ramp = torch.arange(16.0).reshape(4, 4)[:, :, None].expand(4, 4, 2).reshape(16, 2)
    bicubic = resize_positions(ramp, (4, 4), (8, 8), mode="bicubic", first=0)
    assert bicubic.shape == (64, 2)
    assert not torch.allclose(bicubic, resize_positions(ramp, (4, 4), (8, 8), first=0))


def test_half_precision_comes_out_as_float32() -> None:
    assert resize_positions(torch.randn(5, 3).half(), (2, 2), (2, 2)).dtype == torch.float32


def test_a_table_of_another_grid_is_refused() -> None:
    with pytest.raises(ValueError, match="11 rows is not 1 \\+ a grid of 3x3"):
        resize_positions(torch.randn(11, 4), (3, 3), (6, 2))


@pytest.mark.parametrize(
    ("height", "width", "patch", "stride", "grid"),
    [(384, 128, 16, 16, (24, 8)), (384, 128, 16, 12, (31, 10)), (40, 33, 16, 16, (2, 2))],
)
def test_grid_of_patches(height: int, width: int, patch: int, stride: int, grid: tuple[int, int]) -> None:
    assert patch_grid(height, width, patch, stride) == grid


def test_an_image_smaller_than_a_patch_is_refused() -> None:
    with pytest.raises(ValueError, match="smaller than one patch"):
        patch_grid(15, 64, 16, 16)

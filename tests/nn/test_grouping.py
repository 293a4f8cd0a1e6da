"""Rows grouped by the image they read."""

import pytest
import torch
from torch import Tensor

from pickout.nn.grouping import attend_in_groups, group_rows


def attend_by_loops(q: Tensor, k: Tensor, v: Tensor, image: list[int]) -> Tensor:
    rows = []
    for query, read in zip(q, image, strict=True):
        scores = torch.einsum("htd,hnd->htn", query, k[read]) * query.shape[-1] ** -0.5
        rows.append(torch.einsum("htn,hnd->htd", scores.softmax(-1), v[read]))
    return torch.stack(rows)


CASES = {
    "one row an image": [0, 1, 2, 3],
    "in disorder": [3, 0, 2, 1, 1],
    "very uneven": [0] * 9 + [1, 2, 2],
    "one image": [2, 2, 2],
    "one row": [1],
}


@pytest.mark.parametrize("image", CASES.values(), ids=CASES.keys())
def test_groups_attend_as_single_rows_do(image: list[int]) -> None:
    torch.manual_seed(0)
    q = torch.randn(len(image), 2, 3, 4, requires_grad=True)
    k, v = torch.randn(4, 2, 5, 4, requires_grad=True), torch.randn(4, 2, 5, 4, requires_grad=True)
    weight = torch.randn(len(image), 2, 3, 4)
    ours = attend_in_groups(q, k, v, group_rows(torch.tensor(image), 4))
    expected = attend_by_loops(q, k, v, image)
    torch.testing.assert_close(ours, expected)
    for one, other in zip(
        torch.autograd.grad((ours * weight).sum(), (q, k, v)),
        torch.autograd.grad((expected * weight).sum(), (q, k, v)),
        strict=True,
    ):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("image", CASES.values(), ids=CASES.keys())
def test_every_row_is_kept_once_and_padding_stays_within_a_quarter(image: list[int]) -> None:
    grouping = group_rows(torch.tensor(image), 4)
    kept = [band.rows if band.kept is None else band.rows[band.kept] for band in grouping.bands]
    flat = torch.cat(kept)
    assert sorted(flat.tolist()) == list(range(len(image)))
    assert flat[grouping.back].tolist() == list(range(len(image)))
    for band in grouping.bands:
        images = torch.arange(4) if band.images is None else band.images
        read = torch.tensor(image)[band.rows].view(len(images), band.slots)
        assert (read == images[:, None]).all()
    assert sum(len(band.rows) for band in grouping.bands) <= 1.25 * len(image)


def test_a_quarter_more_rows_share_a_band() -> None:
    even = group_rows(torch.tensor([0] * 4 + [1] * 5 + [2] * 4), 3)
    assert len(even.bands) == 1 and even.bands[0].slots == 5 and even.bands[0].images is None
    assert len(group_rows(torch.tensor([0] * 4 + [1] * 6), 2).bands) == 2

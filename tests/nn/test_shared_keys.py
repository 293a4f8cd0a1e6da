"""Rows grouped by the image they read."""

import pytest
import torch
from torch import Tensor

from pickout.nn.attention import attend_in_groups, group_rows


def attend_by_loops(q: Tensor, k: Tensor, v: Tensor, image: list[int]) -> Tensor:
    rows = []
    for query, read in zip(q, image, strict=True):
        scores = torch.einsum("thd,hnd->thn", query, k[read]) * query.shape[-1] ** -0.5
        rows.append(torch.einsum("thn,hnd->thd", scores.softmax(-1), v[read]))
    return torch.stack(rows)


CASES = {
    "one row an image": [0, 1, 2, 3],
    "in disorder": [3, 0, 2, 1, 1],
    "very uneven": [0] * 9 + [1, 2, 2],
    "one image": [2, 2, 2],
    "one row": [1],
}


@pytest.mark.parametrize("tokens", [1, 1000], ids=["one band", "several bands"])
@pytest.mark.parametrize("image", CASES.values(), ids=CASES.keys())
def test_groups_attend_as_single_rows_do(image: list[int], tokens: int) -> None:
    torch.manual_seed(0)
    q = torch.randn(len(image), 3, 2, 4, requires_grad=True)
    k, v = torch.randn(4, 2, 5, 4, requires_grad=True), torch.randn(4, 2, 5, 4, requires_grad=True)
    weight = torch.randn(len(image), 3, 2, 4)
    ours = attend_in_groups(q, k, v, group_rows(torch.tensor(image), 4, tokens))
    expected = attend_by_loops(q, k, v, image)
    torch.testing.assert_close(ours, expected)
    for one, other in zip(
        torch.autograd.grad((ours * weight).sum(), (q, k, v)),
        torch.autograd.grad((expected * weight).sum(), (q, k, v)),
        strict=True,
    ):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("tokens", [1, 1000], ids=["one band", "several bands"])
@pytest.mark.parametrize("image", CASES.values(), ids=CASES.keys())
def test_every_row_has_a_place_of_its_own_in_its_image(image: list[int], tokens: int) -> None:
    grouping = group_rows(torch.tensor(image), 4, tokens)
    assert grouping.order[grouping.back].tolist() == list(range(len(image)))
    assert len(set(grouping.back.tolist())) == len(image)
    place = dict(enumerate(grouping.back.tolist()))
    images = [(torch.arange(4) if band.images is None else band.images) for band in grouping.bands]
    owner = torch.cat([own.repeat_interleave(band.slots) for own, band in zip(images, grouping.bands, strict=True)])
    assert [int(owner[place[row]]) for row in range(len(image))] == image
    assert [band.count for band in grouping.bands] == [len(own) for own in images]


@pytest.mark.parametrize("image", CASES.values(), ids=CASES.keys())
def test_padding_stays_within_a_quarter_where_rows_are_long(image: list[int]) -> None:
    assert len(group_rows(torch.tensor(image), 4, 1000).order) <= 1.25 * len(image)


def test_a_quarter_more_rows_share_a_band_and_short_rows_always_do() -> None:
    even = group_rows(torch.tensor([0] * 4 + [1] * 5 + [2] * 4), 4, 40)
    assert [(band.count, band.slots) for band in even.bands] == [(3, 5)]
    uneven = torch.tensor([0] * 4 + [1] * 6)
    assert [(band.count, band.slots) for band in group_rows(uneven, 2, 40).bands] == [(1, 4), (1, 6)]
    short = group_rows(uneven, 2, 1).bands
    assert [(band.count, band.slots) for band in short] == [(2, 6)] and short[0].images is None

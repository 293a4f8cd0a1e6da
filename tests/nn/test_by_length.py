"""Rows in bands of similar length give what one pass over all rows gives."""

import pytest
import torch
from torch.nn import functional as F

from pickout.nn import fusion_encoder as by_length
from pickout.nn.fusion_encoder import FusionEncoder, bands, fuse_by_length, read_by_length
from pickout.shapes import TokenBatch
from tests.methods.conftest import small_fusion_encoder

LENGTHS = [3, 12, 5, 1, 7, 7, 2, 12, 9, 4]


@pytest.fixture
def encoder() -> FusionEncoder:
    torch.manual_seed(0)
    return small_fusion_encoder()


@pytest.fixture
def texts() -> TokenBatch:
    generator = torch.Generator().manual_seed(1)
    mask = torch.arange(12) < torch.tensor(LENGTHS)[:, None]
    return TokenBatch(torch.randint(1, 27, (10, 12), generator=generator) * mask, mask)


def test_every_row_is_in_one_band_and_bands_grow(texts: TokenBatch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(by_length, "_ROWS", 3)
    found = list(bands(texts.mask, whole=False))
    assert sorted(torch.cat([rows for rows, _ in found]).tolist()) == list(range(10))
    assert [longest for _, longest in found] == [4, 9, 12]
    assert all(max(LENGTHS[row] for row in rows.tolist()) == longest for rows, longest in found)


def test_few_rows_stay_together(texts: TokenBatch) -> None:
    ((rows, longest),) = bands(texts.mask, whole=False)
    assert rows.tolist() == list(range(10))
    assert longest == 12


def test_whole_rows_are_read_as_they_are_padded(encoder: FusionEncoder, texts: TokenBatch) -> None:
    longer = TokenBatch(F.pad(texts.ids[:4, :7], (0, 2)), F.pad(texts.mask[:4, :7], (0, 2)))
    torch.testing.assert_close(read_by_length(encoder, longer, whole=True), encoder(longer).tokens)


@pytest.mark.parametrize("rows", [1, 2, 3, 40])
@pytest.mark.parametrize("summaries", [0, 4, 10])
@torch.no_grad()
def test_bands_change_no_token(
    encoder: FusionEncoder, texts: TokenBatch, monkeypatch: pytest.MonkeyPatch, rows: int, summaries: int
) -> None:
    monkeypatch.setattr(by_length, "_ROWS", rows)
    plain, banded = encoder(texts).tokens, read_by_length(encoder, texts)
    torch.testing.assert_close(banded[texts.mask], plain[texts.mask])
    memory = encoder.remember(torch.randn(3, 5, 16))
    image = torch.tensor([0, 1, 2, 2, 2, 0, 1, 1, 0, 0])
    expected = encoder.fuse(plain, texts.mask, memory, image, summary_rows=summaries)
    found = fuse_by_length(encoder, plain, texts.mask, memory, image, summary_rows=summaries)
    torch.testing.assert_close(found.summary, expected.summary)
    full = texts.mask[summaries:]
    assert found.tokens.shape == expected.tokens.shape
    torch.testing.assert_close(found.tokens[full], expected.tokens[full])

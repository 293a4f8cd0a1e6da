import pytest
import torch

from pickout.nn.towers import TextSettings, TextTransformer
from pickout.shapes import AttentionRequest, TokenBatch

SMALL = TextSettings(width=32, layers=3, heads=2, embedding=12)
START, END = 18, 19


def batch(*rows: list[int]) -> TokenBatch:
    length = max(len(row) for row in rows)
    ids = torch.tensor([row + [0] * (length - len(row)) for row in rows])
    mask = torch.tensor([[True] * len(row) + [False] * (length - len(row)) for row in rows])
    return TokenBatch(ids, mask)


@pytest.fixture
def tower() -> TextTransformer:
    torch.manual_seed(0)
    return TextTransformer(SMALL, vocabulary_size=20, context=8, start=START, end=END)


def test_captions_become_tokens_and_the_end_token_stands_for_them(tower: TextTransformer) -> None:
    out = tower(batch([START, 3, 4, END], [START, 5, END]))
    assert out.tokens.shape == (2, 4, 12)
    assert out.trace.query.tolist() == [3, 2]
    assert torch.equal(out.summary, torch.stack([out.tokens[0, 3], out.tokens[1, 2]]))
    assert out.trace.content.tolist() == [[False, True, True, False], [False, True, False, False]]


def test_a_token_sees_no_later_token(tower: TextTransformer) -> None:
    first = tower(batch([START, 3, 4, 5, END])).tokens
    second = tower(batch([START, 3, 4, 6, END])).tokens
    torch.testing.assert_close(first[:, :3], second[:, :3])
    assert not torch.allclose(first[:, 3:], second[:, 3:])


def test_padding_changes_nothing(tower: TextTransformer) -> None:
    asked = AttentionRequest(rows="all")
    short, long = batch([START, 3, END]), batch([START, 3, END, 0, 0])
    long.mask[:, 3:] = False
    first, second = tower(short, asked), tower(long, asked)
    torch.testing.assert_close(first.summary, second.summary)
    torch.testing.assert_close(first.trace.rows[3], second.trace.rows[3][:, :3])
    assert not second.trace.rows[3][:, 3:].any()


def test_without_an_end_id_the_largest_id_ends_the_caption() -> None:
    tower = TextTransformer(SMALL, vocabulary_size=20, context=8)
    texts = batch([START, 3, END, 0], [2, 7, 7, 1])
    assert tower.end_positions(texts).tolist() == [2, 1]


def test_the_first_of_several_ends_counts_and_a_caption_without_end_ends_at_its_last_token(
    tower: TextTransformer,
) -> None:
    assert tower.end_positions(batch([START, 3, END, END], [START, 3, 4])).tolist() == [2, 2]


def test_a_mask_token_is_content_and_padding_id_inside_a_caption_too(tower: TextTransformer) -> None:
    out = tower(batch([START, 17, 0, 4, END]))
    assert out.trace.content.tolist() == [[False, True, True, True, False]]


def test_captions_beyond_the_context_are_refused(tower: TextTransformer) -> None:
    with pytest.raises(ValueError, match="9 tokens, the tower is built for 8"):
        tower(batch([1] * 9))


def test_starting_weights_have_clips_spread() -> None:
    torch.manual_seed(0)
    tower = TextTransformer(TextSettings(width=128, layers=1, heads=2, embedding=64), vocabulary_size=400, context=77)
    assert tower.tokens.weight.std().item() == pytest.approx(0.02, rel=0.02)
    assert tower.positions.std().item() == pytest.approx(0.01, rel=0.05)
    assert tower.projection.weight.std().item() == pytest.approx(128**-0.5, rel=0.05)

"""Random changes of captions, held against a slow twin."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pickout.config import parse_settings
from pickout.data.transforms import CaptionAugmentationSettings, augment_tokens, change_tokens, ordinary_ids
from pickout.errors import RecipeError
from pickout.text.tokenizer import SpecialTokens

CLIP = SpecialTokens(padding=0, start=49406, end=49407, mask=49405)
CLIPS: Any = SimpleNamespace(special=CLIP, vocabulary_size=49408)
BERT = SpecialTokens(padding=0, start=101, end=None, mask=103)
DEFAULT = CaptionAugmentationSettings()


def row(*ids: int, length: int = 12) -> NDArray[np.int64]:
    return np.array([*ids, *[0] * (length - len(ids))], dtype=np.int64)


def change_by_loops(
    ids: list[int], special: SpecialTokens, settings: CaptionAugmentationSettings, draws: list[float], others: list[int]
) -> list[int]:
    result = []
    for token, draw, other in zip(ids, draws, others, strict=True):
        if token in special.ids() or draw >= settings.mask + settings.random + settings.delete:
            result.append(token)
        elif draw < settings.mask:
            result.append(special.mask)
        elif draw < settings.mask + settings.random:
            result.append(other)
    return result + [special.padding] * (len(ids) - len(result))


def test_worked_example_thirteen() -> None:
    ids = row(CLIP.start, 10, 11, 12, 13, CLIP.end)
    draws = np.array([0.0, 0.05, 0.13, 0.17, 0.5, 0.0, *[0.0] * 6])
    changed = change_tokens(ids, CLIP, DEFAULT, draws, np.full(12, 777))
    assert changed.tolist() == row(CLIP.start, CLIP.mask, 777, 13, CLIP.end).tolist()


@given(
    tokens=st.lists(st.sampled_from([10, 11, 12, 49405, 0]), max_size=10),
    draws=st.lists(st.floats(0, 0.999), min_size=12, max_size=12),
)
def test_equals_the_slow_twin(tokens: list[int], draws: list[float]) -> None:
    ids, others = row(CLIP.start, *tokens, CLIP.end), np.arange(100, 112)
    before = ids.tolist()
    changed = change_tokens(ids, CLIP, DEFAULT, np.array(draws), others)
    assert changed.tolist() == change_by_loops(before, CLIP, DEFAULT, draws, others.tolist())
    assert ids.tolist() == before
    assert changed.shape == ids.shape and changed.dtype == np.int64
    assert changed[0] == CLIP.start and (changed == CLIP.end).sum() == 1


def test_the_rates_are_those_of_the_settings() -> None:
    ids = row(CLIP.start, *[500] * 75, CLIP.end, length=77)
    generator = np.random.default_rng(0)
    rows = np.stack([augment_tokens(ids, CLIPS, DEFAULT, generator) for _ in range(400)])
    total = 400 * 75
    assert abs((rows == CLIP.mask).sum() / total - 0.12) < 0.01
    assert abs((rows == 500).sum() / total - 0.80) < 0.01
    assert abs((rows == 0).sum() / total - 0.04) < 0.005


@pytest.mark.parametrize(("special", "size"), [(CLIP, 49408), (BERT, 30522), (SpecialTokens(0, 8, 9, 7), 10)])
def test_replacements_are_all_the_ordinary_ids(special: SpecialTokens, size: int) -> None:
    ids = ordinary_ids(np.arange(size - len(special.ids())), special)
    assert sorted({*ids.tolist(), *special.ids()}) == list(range(size))
    assert len(set(ids.tolist())) == len(ids)


def test_clips_ordinary_ids_run_from_1_to_49404() -> None:
    assert ordinary_ids(np.array([0, 49403]), CLIP).tolist() == [1, 49404]


def test_all_probabilities_zero_change_nothing() -> None:
    off = CaptionAugmentationSettings(mask=0, random=0, delete=0)
    ids = row(CLIP.start, 5, 6, CLIP.end)
    changed = augment_tokens(ids, CLIPS, off, np.random.default_rng(0))
    assert changed.tolist() == ids.tolist() and changed is not ids


def test_a_caption_may_lose_every_token_but_not_its_frame() -> None:
    everything = CaptionAugmentationSettings(mask=0, random=0, delete=1)
    changed = augment_tokens(row(CLIP.start, 5, 6, CLIP.end), CLIPS, everything, np.random.default_rng(0))
    assert changed.tolist() == row(CLIP.start, CLIP.end).tolist()


def test_equal_generators_give_equal_rows() -> None:
    ids = row(CLIP.start, *range(1, 60), CLIP.end, length=77)
    rows = [augment_tokens(ids, CLIPS, DEFAULT, np.random.default_rng(seed)).tolist() for seed in (1, 1, 2)]
    assert rows[0] == rows[1] != rows[2]


def test_probabilities_above_one_together_are_refused() -> None:
    with pytest.raises(RecipeError, match="must not exceed 1"):
        parse_settings(CaptionAugmentationSettings, {"mask": 0.9, "delete": 0.2}, source="recipe.toml")

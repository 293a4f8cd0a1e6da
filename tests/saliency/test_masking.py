"""Masking probabilities, against the spec's worked examples and against loops."""

import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pickout.methods.aga import AgaSettings
from pickout.saliency.aggregation import layer_ema, layer_mean
from pickout.saliency.masking import choose_positions, clip, probabilities, vacuous_probabilities, word_weights


def masking_probabilities(rows: Sequence[Tensor], content: Tensor, **options: Any) -> Tensor:
    """AGA, Eq. 6 to 9, of rows from the earliest layer on."""
    if "temperature" in options:
        options["attention_temperature"] = options.pop("temperature")
    return AgaSettings(**options).guided_probabilities(dict(enumerate(rows, start=1)), content)


ROWS = [
    torch.tensor([row])
    for row in (
        [0.40, 0.10, 0.20, 0.20, 0.10],
        [0.30, 0.10, 0.30, 0.20, 0.10],
        [0.30, 0.05, 0.35, 0.20, 0.10],
        [0.20, 0.05, 0.40, 0.25, 0.10],
        [0.20, 0.05, 0.40, 0.30, 0.05],
        [0.10, 0.05, 0.50, 0.30, 0.05],
    )
]
CONTENT = torch.tensor([[False, True, True, True, True]])
FLAT_WORDS = [0.02, 0.06, 0.01, 0.05, 0.02, 0.04]


def ema_by_loops(rows: list[list[float]], beta: float, debias: bool) -> list[float]:
    fused = [0.0] * len(rows[0])
    for row in rows:
        fused = [beta * old + (1 - beta) * new for old, new in zip(fused, row, strict=True)]
    return [value / (1 - beta ** len(rows)) for value in fused] if debias else fused


def softmax_by_loops(fused: list[float], temperature: float) -> list[float]:
    top = max(fused, default=0.0)
    powers = [math.exp((value - top) / temperature) for value in fused]
    return [power / sum(powers) for power in powers]


def normalised_by_loops(weights: list[float], normalisation: str) -> list[float]:
    if normalisation == "mean":
        return [weight * len(weights) for weight in weights]
    if normalisation == "max" and weights:
        return [weight / max(weights) for weight in weights]
    if normalisation == "minmax" and weights:
        span = max(weights) - min(weights)
        return [(weight - min(weights)) / span if span > 0 else 1.0 for weight in weights]
    return weights


def clip_by_rounds(raw: list[float]) -> list[float]:
    """Hand what is cut off to the others in proportion, as long as somebody is above one."""
    if all(0 <= value <= 1 for value in raw):
        return raw
    wanted = max(0.0, sum(raw))
    base = [max(0.0, value) for value in raw]
    full: set[int] = set()
    for _ in range(len(raw) + 1):
        rest = sum(value for i, value in enumerate(base) if i not in full)
        factor = (wanted - len(full)) / rest if rest > 0 else 0.0
        over = {i for i, value in enumerate(base) if i not in full and factor * value > 1}
        if not over:
            break
        full |= over
    return [1.0 if i in full else factor * value for i, value in enumerate(base)]


def probabilities_by_loops(rows: list[Tensor], content: Tensor, **options: Any) -> list[list[float]]:
    table = []
    for b, kept in enumerate(content.tolist()):
        given = [row[b].double().tolist() for row in rows]
        if options["aggregation"] == "ema":
            fused = ema_by_loops(given, options["beta"], options["debias"])
        elif options["aggregation"] == "mean":
            fused = [sum(values) / len(given) for values in zip(*given, strict=True)]
        else:
            fused = given[-1]
        words = [i for i, is_word in enumerate(kept) if is_word]
        weights = normalised_by_loops(
            softmax_by_loops([fused[i] for i in words], options["temperature"]), options["normalisation"]
        )
        raw = [options["alpha1"] + options["scale"] * options["alpha2"] * weight for weight in weights]
        clipped = clip_by_rounds(raw) if options["redistribute"] else [min(1.0, max(0.0, p)) for p in raw]
        line = [0.0] * len(kept)
        for i, p in zip(words, clipped, strict=True):
            line[i] = p
        table.append(line)
    return table


def attention_rows(batch: int, words: int, spread: float, seed: int, padding: int = 0) -> tuple[list[Tensor], Tensor]:
    """Six layers of class rows over class token, words and padding, half of their variance shared over layers."""
    generator = torch.Generator().manual_seed(seed)
    shared = torch.randn(batch, words, generator=generator)
    content = torch.zeros(batch, 1 + words + padding, dtype=torch.bool)
    content[:, 1 : 1 + words] = True
    rows = []
    for _ in range(6):
        scores = spread * (shared + torch.randn(batch, words, generator=generator)) / math.sqrt(2)
        row = torch.zeros(batch, 1 + words + padding)
        row[:, 0], row[:, 1 : 1 + words] = 0.2, 0.8 * scores.softmax(1)
        rows.append(row)
    return rows, content


def of_words(rows: list[Tensor], **options: Any) -> list[float]:
    return masking_probabilities(rows, CONTENT, **options)[0, 1:].tolist()


@pytest.mark.parametrize(
    ("beta", "fused"),
    [
        (0.95, [0.064079, 0.017216, 0.097009, 0.064988, 0.021616]),
        (0.90, [0.109373, 0.029661, 0.175408, 0.116762, 0.037356]),
        (0.05, [0.105013, 0.050000, 0.494993, 0.299869, 0.050125]),
    ],
)
def test_layers_fuse_as_in_the_worked_example(beta: float, fused: list[float]) -> None:
    assert layer_ema(ROWS, beta=beta)[0].tolist() == pytest.approx(fused, abs=1e-6)


def test_the_ema_sums_to_less_than_one_unless_debiased() -> None:
    assert layer_ema(ROWS, beta=0.95).sum().item() == pytest.approx(1 - 0.95**6, abs=1e-6)
    assert layer_ema(ROWS, beta=0.95, debias=True).sum().item() == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize(
    ("beta", "weights"),
    [
        (0.95, [0.014885, 0.804347, 0.162220, 0.018548]),
        (0.90, [0.000648, 0.947900, 0.050499, 0.000953]),
        (0.99, [0.164355, 0.387978, 0.275101, 0.172567]),
    ],
)
def test_weights_of_words_are_those_of_the_worked_example(beta: float, weights: list[float]) -> None:
    found = word_weights(layer_ema(ROWS, beta=beta), CONTENT, 0.02)
    assert found[0].tolist() == pytest.approx([0.0, *weights], abs=1e-6)


def test_the_mean_over_layers_is_much_sharper() -> None:
    mean = layer_mean(ROWS)
    assert mean[0].tolist() == pytest.approx([0.25, 0.066667, 0.358333, 0.241667, 0.083333], abs=1e-6)
    weights = word_weights(mean, CONTENT, 0.02)[0, 1:].tolist()
    assert weights == pytest.approx([0.0, 0.997079, 0.002920, 0.000001], abs=1e-6)


@pytest.mark.parametrize(
    ("normalisation", "scale", "expected", "total"),
    [
        ("none", 1.0, [0.052233, 0.170652, 0.074333, 0.052782], 0.35),
        ("mean", 1.0, [0.058931, 0.532608, 0.147332, 0.061129], 0.80),
        ("mean", 2 / 3, [0.055954, 0.371739, 0.114888, 0.057419], 0.60),
        ("max", 1.0, [0.052776, 0.200000, 0.080252, 0.053459], None),
        ("minmax", 1.0, [0.050000, 0.200000, 0.077994, 0.050696], None),
    ],
)
def test_probabilities_of_the_worked_example(
    normalisation: str, scale: float, expected: list[float], total: float | None
) -> None:
    found = of_words(ROWS, normalisation=normalisation, scale=scale)
    assert found == pytest.approx(expected, abs=1e-6)
    assert total is None or sum(found) == pytest.approx(total, abs=1e-6)


def test_probabilities_by_default_expect_fifteen_percent() -> None:
    assert of_words(ROWS) == of_words(ROWS, normalisation="mean", scale=2 / 3)


def test_equal_layers_of_the_second_worked_example() -> None:
    row = torch.tensor([[1 - sum(FLAT_WORDS), *FLAT_WORDS]])
    content = torch.tensor([[False, *[True] * 6]])
    weights = word_weights(layer_ema([row] * 6, beta=0.95), content, 0.02)[0, 1:].tolist()
    assert weights == pytest.approx([0.135763, 0.230610, 0.118921, 0.202001, 0.135763, 0.176942], abs=1e-6)
    found = masking_probabilities([row] * 6, content)[0, 1:]
    assert found.tolist() == pytest.approx([0.131458, 0.188366, 0.121352, 0.171201, 0.131458, 0.156165], abs=1e-6)
    assert found.mean().item() == pytest.approx(0.15, abs=1e-6)
    largest = masking_probabilities([row] * 6, content, normalisation="max", scale=1.0)[0, 1:]
    assert largest.mean().item() == pytest.approx(0.158408, abs=1e-6)
    literal = masking_probabilities([row] * 6, content, normalisation="none", scale=1.0)[0, 1:]
    assert literal.mean().item() == pytest.approx(0.075, abs=1e-6)


def test_flat_attention_masks_as_at_random() -> None:
    content = torch.tensor([[False, *[True] * 9, False], [False, *[True] * 4, *[False] * 6]])
    row = torch.full(content.shape, 0.09)
    flat, plain = masking_probabilities([row] * 6, content), 0.15 * content.float()
    torch.testing.assert_close(flat, plain)
    uniform = torch.rand(content.shape, generator=torch.Generator().manual_seed(4))
    assert torch.equal(choose_positions(flat, uniform, content), choose_positions(plain, uniform, content))
    largest = masking_probabilities([row] * 6, content, normalisation="max", scale=1.0)
    torch.testing.assert_close(largest, 0.2 * content.float())


@pytest.mark.parametrize("words", [20, 35, 50])
@pytest.mark.parametrize("spread", [0.5, 1.5])
def test_fifteen_percent_are_masked_whatever_the_length(words: int, spread: float) -> None:
    rows, content = attention_rows(2000, words, spread, seed=words, padding=3)
    found = masking_probabilities(rows, content)
    uniform = torch.rand(content.shape, generator=torch.Generator().manual_seed(1))
    share = choose_positions(found, uniform, content).sum() / content.sum()
    assert share.item() == pytest.approx(0.15, abs=0.005)
    literal = masking_probabilities(rows, content, normalisation="none", scale=1.0)
    assert (literal.sum() / content.sum()).item() == pytest.approx(0.05 + 0.15 / words, abs=1e-5)


def test_the_class_token_and_padding_never_weigh_anything() -> None:
    rows, content = attention_rows(3, 6, 1.0, seed=0, padding=2)
    moved = [row.clone() for row in rows]
    for row in moved:
        row[:, 0] = 5.0
        row[:, 7:] = 9.0
    for normalisation in ("none", "mean", "max", "minmax"):
        found = masking_probabilities(moved, content, normalisation=normalisation)
        assert torch.equal(found, masking_probabilities(rows, content, normalisation=normalisation))
        assert bool((found[~content] == 0).all())


@pytest.mark.parametrize("normalisation", ["none", "mean", "max", "minmax"])
def test_a_caption_without_words_has_no_probability(normalisation: str) -> None:
    content = torch.tensor([[False, False, False], [False, True, False]])
    found = masking_probabilities([torch.full((2, 3), 1 / 3)], content, normalisation=normalisation)
    assert torch.isfinite(found).all()
    assert found[0].tolist() == [0, 0, 0]
    assert found[1, 1] > 0


cases = st.fixed_dictionaries(
    {
        "aggregation": st.sampled_from(["ema", "mean", "last"]),
        "beta": st.sampled_from([0.5, 0.95]),
        "debias": st.booleans(),
        "temperature": st.sampled_from([0.02, 0.1]),
        "normalisation": st.sampled_from(["none", "mean", "max", "minmax"]),
        "scale": st.sampled_from([2 / 3, 1.0]),
        "alpha1": st.sampled_from([-0.05, 0.0, 0.05, 0.1]),
        "alpha2": st.sampled_from([0.15, 1.5]),
        "redistribute": st.booleans(),
    }
)


@given(cases, st.integers(1, 3), st.integers(1, 9), st.integers(0, 2**31))
@settings(max_examples=60)
def test_probabilities_equal_their_loop_twin(options: dict[str, Any], batch: int, words: int, seed: int) -> None:
    rows, content = attention_rows(batch, words, 1.5, seed, padding=1)
    content &= torch.rand(content.shape, generator=torch.Generator().manual_seed(seed)) < 0.8
    found = masking_probabilities(rows, content, **options)
    expected = torch.tensor(probabilities_by_loops(rows, content, **options))
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=1e-3)


def test_what_is_cut_off_goes_to_the_other_words() -> None:
    raw = torch.tensor([[0.0, 1.9, 0.5, 0.2, 0.1], [0.0, -0.1, 0.4, 0.2, 0.1], [0.0, 0.3, 0.2, 0.1, 1.0]])
    assert clip(raw, redistribute=False)[0].tolist() == pytest.approx([0, 1, 0.5, 0.2, 0.1])
    spread = clip(raw)
    assert spread.sum(1).tolist() == pytest.approx(raw.sum(1).tolist(), abs=1e-6)
    assert spread[0].tolist() == pytest.approx([0, 1, 1, 0.7 * 2 / 3, 0.7 / 3])
    assert spread[1].tolist() == pytest.approx([0, 0, 0.4 * 6 / 7, 0.2 * 6 / 7, 0.1 * 6 / 7])
    assert torch.equal(spread[2], raw[2])


@given(st.lists(st.floats(-0.5, 3, width=32), min_size=1, max_size=9))
@settings(max_examples=60)
def test_clipping_keeps_the_sum_where_it_can(values: list[float]) -> None:
    raw = torch.tensor([values])
    found = clip(raw)
    assert bool((found >= 0).all()) and bool((found <= 1).all())
    reachable = sum(value > 0 for value in values)
    assert found.sum().item() == pytest.approx(min(max(0.0, sum(values)), reachable), abs=1e-4)
    assert found[0].tolist() == pytest.approx(clip_by_rounds(values), abs=1e-4)


def test_sharp_attention_still_masks_fifteen_percent() -> None:
    rows, content = attention_rows(50, 40, 3.0, seed=7)
    raw = {"aggregation": "last", "temperature": 0.005}
    sharp = masking_probabilities(rows, content, **raw)
    assert sharp.amax().item() == 1.0
    torch.testing.assert_close(sharp.sum(1), torch.full((50,), 6.0), atol=1e-4, rtol=0)
    assert masking_probabilities(rows, content, **raw, redistribute=False).sum() < sharp.sum() - 10


def test_a_negative_floor_leaves_faint_words_alone() -> None:
    found = of_words(ROWS, alpha1=-0.05)
    assert sum(found) == pytest.approx(4 * (-0.05 + 0.1), abs=1e-6)
    assert found[0] == 0 and found[3] == 0
    assert found[1] > 0.1


def test_empty_words_alone_are_masked_as_often_as_words_elsewhere() -> None:
    content = torch.tensor([[False, *[True] * 10], [False, *[True] * 10], [False, *[True] * 10]])
    vacuous = torch.zeros_like(content)
    vacuous[0, 1:6] = True
    vacuous[1, 4] = True
    found = vacuous_probabilities(vacuous, content, 0.15)
    assert found[0].tolist() == pytest.approx([0, *[0.3] * 5, *[0] * 5])
    assert found[1].tolist() == pytest.approx([0, 0, 0, 0, 1, *[0] * 6])  # at most all of them
    assert found[2].sum() == 0


def test_saliency_has_no_gradient_and_full_precision_under_autocast() -> None:
    rows = [row.clone().requires_grad_() for row in ROWS]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = masking_probabilities(rows, CONTENT)
    assert not found.requires_grad
    assert torch.equal(found, masking_probabilities(ROWS, CONTENT))
    assert masking_probabilities([row.bfloat16() for row in ROWS], CONTENT).dtype == torch.float32


def test_equal_weights_all_count_as_the_largest() -> None:
    weights = torch.full((1, 3), 1 / 3)
    content = torch.ones(1, 3, dtype=torch.bool)
    found = probabilities(weights, content, normalisation="minmax", scale=1.0, alpha1=0.05, alpha2=0.15)
    assert found.tolist() == [pytest.approx([0.2, 0.2, 0.2])]

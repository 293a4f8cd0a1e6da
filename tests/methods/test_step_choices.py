"""Words that a generator proposes, drawn from given uniform numbers."""

import math

import pytest
import torch
from torch import Tensor

from pickout.methods import step_choices
from pickout.methods.step_choices import Chooser, Uniforms


def sample_by_loops(logits: list[float], uniform: float) -> int:
    top = max(logits)
    powers = [math.exp(value - top) for value in logits]
    running = 0.0
    for place, power in enumerate(powers):
        running += power / sum(powers)
        if running > uniform:
            return place
    return len(powers) - 1


def replaced(logits: Tensor, uniform: Tensor, content: Tensor | None = None) -> Tensor:
    """Every word of captions of ids -1, their logits given as tokens."""
    ids = torch.full(uniform.shape, -1)
    chooser = Chooser(Uniforms({"sample": uniform}, {}), 0, torch.arange(1))
    content = torch.ones_like(ids, dtype=torch.bool) if content is None else content
    return chooser.replace(ids, content, logits, lambda tokens: tokens, logits.shape[-1])


@pytest.mark.parametrize("at_once", [1, 30, 2**22])
def test_samples_equal_their_loop_twin_however_many_logits_exist(monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    monkeypatch.setattr(step_choices, "_LOGITS_AT_ONCE", at_once)
    generator = torch.Generator().manual_seed(at_once)
    logits, uniform = torch.randn(3, 5, 9, generator=generator) * 3, torch.rand(3, 5, generator=generator)
    content = torch.rand(3, 5, generator=generator) < 0.7
    found = replaced(logits, uniform, content)
    for place in torch.cartesian_prod(torch.arange(3), torch.arange(5)).tolist():
        scores, number = logits[tuple(place)].double().tolist(), float(uniform[tuple(place)])
        assert found[tuple(place)] == (sample_by_loops(scores, number) if content[tuple(place)] else -1)


def test_a_caption_without_words_stays() -> None:
    assert replaced(torch.randn(2, 3, 4), torch.rand(2, 3), torch.zeros(2, 3, dtype=torch.bool)).eq(-1).all()


def test_a_word_without_probability_is_never_sampled() -> None:
    logits = torch.randn(1, 400, 300, generator=torch.Generator().manual_seed(2))
    logits[..., 1::2] = -torch.inf
    logits[..., 200:] = -1000.0
    for number in (0.0, 0.5, 1 - 2**-24):
        drawn = replaced(logits, torch.full((1, 400), number))
        assert bool((drawn % 2 == 0).all()) and bool((drawn < 200).all())


def test_samples_follow_the_softmax() -> None:
    logits = torch.tensor([0.0, math.log(3.0), math.log(6.0)]).bfloat16().expand(1, 20000, 3)
    drawn = replaced(logits, torch.rand(1, 20000, generator=torch.Generator().manual_seed(0)))
    torch.testing.assert_close(
        drawn[0].bincount(minlength=3) / 20000, torch.tensor([0.1, 0.3, 0.6]), atol=0.015, rtol=0
    )

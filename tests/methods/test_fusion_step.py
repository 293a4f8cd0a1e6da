"""The step of `fusion` and `aga` equals the release's order of passes: losses, gradients, queues, momentum twin."""

from collections.abc import Callable

import pytest
import torch
from sequential.draws import Loops
from sequential.fusion import Outcome, Rates, Sequential
from sequential.state import inputs_of, leaves, released_state, sizes_of
from torch import Tensor

from pickout.data.batching import Batch
from pickout.methods.base import LossTerms, Method, Progress
from pickout.methods.fusion import Fusion
from pickout.nn import fusion_encoder as by_length
from pickout.shapes import TokenBatch

TERMS = ("contrastive", "matching", "words", "relation", "replaced")
Make = Callable[..., Method]

CASES: dict[str, tuple[list[int], list[int], list[int]]] = {
    "short and long": ([10, 1, 4, 7, 2, 9], [0, 1, 0, 2, 3, 1], [1, 0, 0, 1, 0, 0]),
    "one pair": ([5], [3], [0]),
    "one person": ([3, 8, 2], [1, 1, 1], [0, 1, 0]),
    "one group and a bit": ([6, 6, 6, 6, 2], [0, 1, 2, 3, 0], [0, 0, 0, 0, 1]),
    "an empty caption": ([0, 4, 9, 3], [0, 0, 1, 2], [0, 0, 0, 0]),
}


def batch_of(case: str, captions: Callable[..., TokenBatch], seed: int = 0) -> Batch:
    lengths, identity, replaced = CASES[case]
    generator = torch.Generator().manual_seed(seed)
    images, second = torch.randn(2, len(lengths), 3, 48, 16, generator=generator).unbind()
    strong, other = captions(lengths, seed=seed), captions([(n * 3) % 10 + 1 for n in lengths], seed=seed + 1)
    weak_row = torch.tensor(replaced, dtype=torch.bool)[:, None]
    weak = TokenBatch(torch.where(weak_row, other.ids, strong.ids), torch.where(weak_row, other.mask, strong.mask))
    return Batch(images, strong, torch.tensor(identity), second, weak, torch.tensor(replaced))


def used(method: Method, seed: int = 3) -> Fusion:
    """A model whose heads, norms and biases are not neutral, so that every part tells."""
    assert isinstance(method, Fusion)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in method.parameters():
            if parameter.dim() > 0:
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return method


def both(method: Fusion, batch: Batch, progress: Progress, *, aga: bool, group: int) -> tuple[LossTerms, Outcome, dict]:
    """The fast step with its gradients, the slow one with its gradients, and the slow one's weights."""
    state = released_state(method)
    leaves(state)
    given = method.given(batch)
    uniforms = method.chooser(progress, given.part, torch.device("cpu")).uniforms
    vocabulary_size = method.text.vocabulary_size
    assert method.continues is not None
    loops = Loops(
        uniforms,
        method.text.start,
        method.text.end,
        method.mask_id,
        vocabulary_size,
        method.proposable.tolist(),
        method.continues.tolist(),
        batch.replaced if batch.replaced is not None else torch.zeros(len(batch)),
        p_tem=0.5,
    )
    alpha = method.settings.distillation * min(1.0, (progress.step - 1) / progress.steps_per_epoch)
    rates = Rates(alpha=alpha, group=group or None, sequence_axis=method.settings.distillation_axis == "sequence")
    slow = Sequential(state, sizes_of(method, 2, method.mask_id), rates).step(inputs_of(batch), loops.draws(aga=aga))
    slow.total.backward()
    fast = method.losses(batch, progress)
    fast.total.backward()
    return fast, slow, state


def difference(value: Tensor, expected: Tensor) -> float:
    """Relative in norm; absolute where nothing is expected."""
    return float((value - expected).norm() / expected.norm().clamp(min=1e-3))


@pytest.mark.parametrize("band", [1, 4, 40])
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", ["fusion", "aga"])
def test_the_step_equals_the_releases_order(
    make_method: Make,
    make_captions: Callable[..., TokenBatch],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    case: str,
    band: int,
) -> None:
    monkeypatch.setattr(by_length, "_ROWS", band)
    for seed in (0, 1):
        method = used(make_method(name))
        progress = Progress(step=4, epoch=1, steps_per_epoch=10, epochs=2, seed=seed)
        fast, slow, state = both(method, batch_of(case, make_captions, seed), progress, aga=name == "aga", group=4)
        for term, expected in zip(TERMS, slow.losses.detach(), strict=True):
            assert fast.terms[term].item() == pytest.approx(expected.item(), abs=1e-5), (seed, term)
        names = {key: parameter.grad for key, parameter in method.named_parameters() if parameter.requires_grad}
        for key, gradient in released_state(method, {k: g for k, g in names.items() if g is not None}).items():
            assert difference(gradient, state[key].grad) < 1e-4, (seed, key)
        after = released_state(method)
        for key in ("image_queue", "text_queue", "idx_queue", "queue_ptr", *(k for k in after if "_m." in k)):
            torch.testing.assert_close(after[key], state[key], atol=1e-6, rtol=1e-5, msg=key)

"""What every method of `METHODS` promises. A new method is tested by its line in conftest.SMALL alone."""

import math
from collections.abc import Callable

import pytest
import torch

from pickout.data.batching import Batch
from pickout.methods import METHODS
from pickout.methods.base import Method, Progress
from pickout.shapes import TokenBatch

START = Progress(step=1, epoch=1, steps_per_epoch=10, epochs=2)

Make = Callable[..., Method]
MakeBatch = Callable[..., Batch]

pytestmark = pytest.mark.parametrize("name", sorted(METHODS))


@torch.no_grad()
def test_embeddings_are_unit_float32_vectors_of_the_stated_length(
    name: str, make_method: Make, make_batch: MakeBatch
) -> None:
    method, batch = make_method(name).eval(), make_batch()
    for features in (method.encode_images(batch.images), method.encode_texts(batch.texts)):
        assert features.embedding.shape == (6, method.dimension)
        assert features.embedding.dtype == torch.float32
        torch.testing.assert_close(features.embedding.norm(dim=1), torch.ones(6))


@torch.no_grad()
def test_encoding_again_gives_equal_embeddings(name: str, make_method: Make, make_batch: MakeBatch) -> None:
    method, batch = make_method(name).eval(), make_batch()
    assert torch.equal(method.encode_images(batch.images).embedding, method.encode_images(batch.images).embedding)
    assert torch.equal(method.encode_texts(batch.texts).embedding, method.encode_texts(batch.texts).embedding)


@torch.no_grad()
def test_an_embedding_does_not_depend_on_its_batch(name: str, make_method: Make, make_batch: MakeBatch) -> None:
    method, batch = make_method(name).eval(), make_batch()
    whole_images = method.encode_images(batch.images).embedding
    whole_texts = method.encode_texts(batch.texts).embedding
    for i in range(6):
        alone = TokenBatch(batch.texts.ids[i : i + 1], batch.texts.mask[i : i + 1])
        torch.testing.assert_close(method.encode_images(batch.images[i : i + 1]).embedding[0], whole_images[i])
        torch.testing.assert_close(method.encode_texts(alone).embedding[0], whole_texts[i])


@torch.no_grad()
def test_padding_changes_nothing(name: str, make_method: Make, make_captions: Callable[..., TokenBatch]) -> None:
    method, texts = make_method(name).eval(), make_captions([3, 5, 1])
    cut = TokenBatch(texts.ids[:, :7], texts.mask[:, :7])
    torch.testing.assert_close(method.encode_texts(cut).embedding, method.encode_texts(texts).embedding)


@torch.no_grad()
def test_empty_and_full_captions_embed(name: str, make_method: Make, make_captions: Callable[..., TokenBatch]) -> None:
    embedding = make_method(name).eval().encode_texts(make_captions([0, 10])).embedding
    assert torch.isfinite(embedding).all()
    torch.testing.assert_close(embedding.norm(dim=1), torch.ones(2))


@torch.no_grad()
def test_a_trace_holds_a_row_of_each_layer_and_changes_nothing(
    name: str, make_method: Make, make_batch: MakeBatch
) -> None:
    method, batch = make_method(name).eval(), make_batch()
    for encode, inputs in ((method.encode_images, batch.images), (method.encode_texts, batch.texts)):
        plain, traced = encode(inputs), encode(inputs, trace=True)  # type: ignore[operator]
        assert plain.trace is None
        assert traced.trace is not None
        assert sorted(traced.trace.rows) == [1, 2]
        tokens = 13 if inputs is batch.images else traced.texts.ids.shape[1]
        assert all(row.shape == (6, tokens) for row in traced.trace.rows.values())
        torch.testing.assert_close(torch.stack(list(traced.trace.rows.values())).sum(-1), torch.ones(2, 6))
        assert torch.equal(plain.embedding, traced.embedding)


def test_nothing_writes_into_the_trace(name: str, make_method: Make, make_batch: MakeBatch) -> None:
    method, batch = make_method(name), make_batch()
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []

    def keep(_module: object, _inputs: object, out: object) -> None:
        trace = out.trace  # type: ignore[attr-defined]
        for tensor in (*trace.rows.values(), *trace.maps.values(), trace.query, trace.content):
            seen.append((tensor, tensor.clone()))

    for tower in (method.vision, method.text):
        tower.register_forward_hook(keep)  # type: ignore[union-attr]
    method.losses(batch, START)
    method.eval()
    with torch.no_grad():
        method.encode_images(batch.images, trace=True)
        method.encode_texts(batch.texts, trace=True)
    assert len(seen) > 8
    assert all(torch.equal(now, before) for now, before in seen)


def test_losses_are_finite_scalars_with_gradients_for_every_parameter(
    name: str, make_method: Make, make_batch: MakeBatch
) -> None:
    method = make_method(name)
    losses = method.losses(make_batch(), START)
    assert all(term.shape == () and torch.isfinite(term) for term in losses.terms.values())
    losses.total.backward()
    trained = {key: parameter.requires_grad for key, parameter in method.named_parameters()}
    missing = [key for key, parameter in method.named_parameters() if trained[key] and parameter.grad is None]
    assert missing == []
    assert all(parameter.grad is None for key, parameter in method.named_parameters() if not trained[key])
    assert all(key.startswith(METHODS[name].training_only) for key in trained if not trained[key])
    assert all(torch.isfinite(parameter.grad).all() for parameter in method.parameters() if parameter.grad is not None)


def test_a_few_steps_on_one_batch_lower_the_loss(name: str, make_method: Make, make_batch: MakeBatch) -> None:
    method, batch = make_method(name), make_batch()
    groups = [
        {"params": group.parameters, "lr": 1e-3 * min(group.learning_rate_scale, 5)}
        for group in method.parameter_groups()
    ]
    optimiser = torch.optim.Adam(groups)
    totals = []
    for step in range(1, 16):
        losses = method.losses(batch, Progress(step, 1, 10, 2))
        optimiser.zero_grad()
        losses.total.backward()
        optimiser.step()
        totals.append(losses.total.item())
    assert all(map(math.isfinite, totals))
    # Soft targets keep a loss above their entropy, so a method with a momentum teacher falls less far.
    assert totals[-1] < 0.9 * totals[0]


def test_a_batch_of_one_person_trains(name: str, make_method: Make, make_batch: MakeBatch) -> None:
    method, batch = make_method(name), make_batch()
    alone = Batch(batch.images, batch.texts, torch.zeros_like(batch.identity))
    method.losses(alone, START).total.backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in method.parameters() if parameter.grad is not None)


def test_each_trainable_parameter_is_in_exactly_one_group(name: str, make_method: Make) -> None:
    method = make_method(name)
    next(method.parameters()).requires_grad_(False)
    grouped = [id(parameter) for group in method.parameter_groups() for parameter in group.parameters]
    trainable = {id(parameter) for parameter in method.parameters() if parameter.requires_grad}
    assert len(grouped) == len(set(grouped))
    assert set(grouped) == trainable
    names = [group.name for group in method.parameter_groups()]
    assert len(names) == len(set(names))


@torch.no_grad()
def test_a_state_dict_round_trip_gives_equal_embeddings(name: str, make_method: Make, make_batch: MakeBatch) -> None:
    method, other, batch = make_method(name).eval(), make_method(name, seed=1).eval(), make_batch()
    before = method.encode_images(batch.images).embedding
    assert not torch.equal(other.encode_images(batch.images).embedding, before)
    other.load_state_dict(method.state_dict())
    assert torch.equal(other.encode_images(batch.images).embedding, before)
    assert torch.equal(other.encode_texts(batch.texts).embedding, method.encode_texts(batch.texts).embedding)


def test_losses_repeat_from_one_progress(name: str, make_method: Make, make_batch: MakeBatch) -> None:
    """No hidden counter: a resumed run sees what the first run saw."""
    late = Progress(step=700, epoch=5, steps_per_epoch=145, epochs=60)
    first, second = make_method(name), make_method(name)
    first.losses(make_batch(seed=3), START)
    first.load_state_dict(second.state_dict())
    assert torch.equal(first.losses(make_batch(), late).total, second.losses(make_batch(), late).total)


def test_autocast_trains_in_float32_losses(name: str, make_method: Make, make_batch: MakeBatch) -> None:
    method, batch = make_method(name), make_batch()
    plain = method.losses(batch, START).total.item()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        losses = method.losses(batch, START)
    assert all(term.dtype == torch.float32 for term in losses.terms.values())
    assert losses.total.item() == pytest.approx(plain, rel=0.05)
    losses.total.backward()
    with torch.autocast("cpu", dtype=torch.bfloat16), torch.no_grad():
        embedding = method.eval().encode_texts(batch.texts).embedding
    assert embedding.dtype == torch.float32
    torch.testing.assert_close(embedding.norm(dim=1), torch.ones(6))


@torch.no_grad()
def test_half_precision_weights_encode(name: str, make_method: Make, make_batch: MakeBatch) -> None:
    method, batch = make_method(name).eval(), make_batch()
    exact = method.encode_images(batch.images).embedding
    rough = method.to(torch.bfloat16).encode_images(batch.images.bfloat16()).embedding
    assert rough.dtype == torch.float32
    assert float((rough * exact).sum(1).min()) > 0.95
    method.encode_texts(batch.texts)


def test_a_model_without_identities_encodes(name: str, make_method: Make, make_batch: MakeBatch) -> None:
    method = make_method(name, identities=0).eval()
    with torch.no_grad():
        assert method.encode_images(make_batch().images).embedding.shape == (6, method.dimension)
    assert not any("classifier" in key for key in method.state_dict())

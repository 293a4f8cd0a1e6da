"""The global baseline."""

from collections.abc import Callable

import pytest
import torch
from torch.nn import functional as F

from pickout.data.batching import Batch
from pickout.losses.alignment import triplet_alignment
from pickout.methods.base import Method, Progress

START = Progress(step=1, epoch=1, steps_per_epoch=10, epochs=2)


def test_the_embedding_is_the_unit_class_or_end_token(
    make_method: Callable[..., Method], make_batch: Callable[..., Batch]
) -> None:
    method, batch = make_method("dual").eval(), make_batch()
    with torch.no_grad():
        images, texts = method.encode_images(batch.images), method.encode_texts(batch.texts)
    assert torch.equal(images.parts["global"], images.tokens[:, 0])
    assert torch.equal(texts.parts["global"], texts.tokens[torch.arange(6), batch.texts.ids.argmax(1)])
    assert torch.equal(images.embedding, F.normalize(images.tokens[:, 0], dim=1))


def test_its_terms_are_those_of_the_global_branch(
    make_method: Callable[..., Method], make_batch: Callable[..., Batch]
) -> None:
    batch = make_batch()
    losses = make_method("dual").losses(batch, START)
    assert sorted(losses.terms) == ["cid_pair_global", "id_image_global", "id_text_global", "tal_global"]
    both = make_method("itself").losses(batch, START)
    torch.testing.assert_close(losses.terms["tal_global"], both.terms["tal_global"])


def test_tal_sees_the_global_features(make_method: Callable[..., Method], make_batch: Callable[..., Batch]) -> None:
    method, batch = make_method("dual", pair_loss=False, id_terms=False, identities=0), make_batch()
    images, texts = method.encode_images(batch.images).parts["global"], method.encode_texts(batch.texts).parts["global"]
    expected = triplet_alignment(images, texts, batch.identity, temperature=0.015, margin=0.1)
    assert method.losses(batch, START).total.item() == pytest.approx(expected.item(), rel=1e-6)

"""The queue of earlier features, against the spec's worked example, recorded numbers and a loop."""

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import Tensor

from pickout.losses.contrastive import EMPTY, enqueue, with_queue


def enqueue_by_loops(columns: list[int], pointer: int, items: list[int]) -> tuple[list[int], int]:
    columns = list(columns)
    for item in items:
        columns[pointer] = item
        pointer = (pointer + 1) % len(columns)
    return columns, pointer


def empty_queue(places: int, pointer: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return torch.zeros(2, places), torch.zeros(2, places), torch.full((places,), EMPTY), torch.tensor([pointer])


def items(first: int, count: int) -> tuple[Tensor, Tensor, Tensor]:
    number = torch.arange(first, first + count)
    return torch.stack([number, -number], 1).float(), torch.stack([number, 2 * number], 1).float(), number


def test_two_items_at_the_last_place_of_five_wrap_around() -> None:
    queue = empty_queue(5, 4)
    enqueue(*queue, *items(7, 2))
    image, text, identity, pointer = queue
    assert identity.tolist() == [8, EMPTY, EMPTY, EMPTY, 7]
    assert image[:, [4, 0]].T.tolist() == [[7, -7], [8, -8]]
    assert text[:, [4, 0]].T.tolist() == [[7, 14], [8, 16]]
    assert pointer.tolist() == [1]


@given(st.integers(1, 7), st.lists(st.integers(0, 16), min_size=1, max_size=4))
@settings(max_examples=60)
def test_any_batches_leave_what_the_loop_twin_leaves(places: int, sizes: list[int]) -> None:
    queue = empty_queue(places, 0)
    columns, place, first = [EMPTY] * places, 0, 1
    for size in sizes:
        enqueue(*queue, *items(first, size))
        columns, place = enqueue_by_loops(columns, place, list(range(first, first + size)))
        first += size
    image, text, identity, pointer = queue
    assert identity.tolist() == columns
    assert pointer.tolist() == [place]
    assert image[0].tolist() == [max(0, item) for item in columns]
    assert text[1].tolist() == [max(0, 2 * item) for item in columns]


def test_a_queue_without_places_is_no_queue() -> None:
    queue = empty_queue(0, 0)
    enqueue(*queue, *items(1, 2))
    assert queue[3].tolist() == [0]
    assert with_queue(items(1, 2)[0], queue[0]).shape == (2, 2)


def test_keys_are_the_batch_and_then_the_queue_without_gradient() -> None:
    features = torch.randn(3, 2, requires_grad=True)
    queue = torch.randn(2, 4)
    keys = with_queue(features, queue)
    assert torch.equal(keys, torch.cat([features.detach().T, queue], 1))
    assert not keys.requires_grad
    queue.zero_()
    assert bool((keys[:, 3:] != 0).all())  # a copy: writing to the queue later does not reach the loss


def test_a_recorded_queue_is_written_as_recorded(rasa_tiny: Path) -> None:
    folder = rasa_tiny
    if not folder.is_dir():
        pytest.skip("the recorded numbers are not here")
    before, after = load_file(folder / "weights.safetensors"), load_file(folder / "io.safetensors")
    image, text = before["image_queue"].clone(), before["text_queue"].clone()
    identity, pointer = before["idx_queue"][0].clone(), before["queue_ptr"].clone()
    new = {side: after[f"after.{side}_queue"][:, :6].T for side in ("image", "text")}
    enqueue(image, text, identity, pointer, new["image"], new["text"], after["idx"])
    assert torch.equal(image, after["after.image_queue"])
    assert torch.equal(text, after["after.text_queue"])
    assert torch.equal(identity[None], after["after.idx_queue"])
    assert torch.equal(pointer, after["after.queue_ptr"])

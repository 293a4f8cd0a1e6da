"""The slow twin in benchmarks/ is the released program of RaSa: its recorded step, number by number."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from sequential.fusion import Draws, Inputs, Outcome, Rates, Sequential
from sequential.state import leaves
from sequential.towers import Sizes, State, fuse, read, see
from torch import Tensor

SIZES = Sizes(vision_heads=2, text_heads=2, text_layers=2)
LOSSES = ("loss_cl", "loss_pitm", "loss_mlm", "loss_prd", "loss_mrtd")


@pytest.fixture(scope="module")
def io(rasa_tiny: Path) -> State:
    return load_file(rasa_tiny / "io.safetensors")


@pytest.fixture(scope="module")
def weights(rasa_tiny: Path) -> State:
    return load_file(rasa_tiny / "weights.safetensors")


@pytest.fixture(scope="module")
def stepped(io: State, weights: State) -> tuple[State, Outcome]:
    """The state dict after one recorded step, with gradients, and what the step gave."""
    state = {key: tensor.clone() for key, tensor in weights.items()}
    leaves({key: tensor for key, tensor in state.items() if tensor.is_floating_point()})

    def mask(ids: Tensor, probability: Tensor, purpose: str) -> tuple[Tensor, Tensor]:
        if purpose == "words":
            return io["mlm_input_ids"], io["mlm_positions"].bool() & (probability > 0)
        return io["mrtd_masked_ids"], io["mrtd_positions"].bool()

    draws = Draws(
        mask,
        lambda images, texts: (io["image_negative"], io["text_negative"]),
        lambda ids, logits: (io["mrtd_input_ids"], io["mrtd_labels"]),
    )
    names = ("image1", "image2", "text1_ids", "text1_mask", "text2_ids", "text2_mask", "idx", "replace")
    outcome = Sequential(state, SIZES, Rates(sequence_axis=True)).step(Inputs(*(io[name] for name in names)), draws)
    outcome.total.backward()
    return state, outcome


def close(value: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(value.detach(), expected, atol=1e-5, rtol=0)


@torch.no_grad()
def test_passes(io: State, weights: State) -> None:
    image = see(weights, SIZES, io["image1"])
    states, rows = read(weights, SIZES, io["text2_ids"], io["text2_mask"])
    close(image, io["image_tokens"])
    close(states, io["text_tokens"])
    close(rows.transpose(0, 1), io["text_cls_attention"])
    close(fuse(weights, SIZES, states, io["text2_mask"], image)[0], io["fused_tokens"])


def test_losses_and_logits(io: State, stepped: tuple[State, Outcome]) -> None:
    outcome = stepped[1]
    close(outcome.losses, torch.cat([io[name] for name in LOSSES]))
    close(outcome.seen["matching"][:6], io["itm_logits"])
    close(outcome.seen["relations"], io["prd_logits"])


def test_gradients(io: State, stepped: tuple[State, Outcome]) -> None:
    for key in (key for key in io if key.startswith("grad.")):
        gradient = stepped[0][key.removeprefix("grad.")].grad
        assert gradient is not None
        expected = io[key].reshape(gradient.shape)
        assert float((gradient - expected).norm() / expected.norm()) < 1e-4, key


def test_queues_and_momentum_afterwards(io: State, stepped: tuple[State, Outcome]) -> None:
    for key in (key for key in io if key.startswith("after.")):
        close(stepped[0][key.removeprefix("after.")].float(), io[key].float())

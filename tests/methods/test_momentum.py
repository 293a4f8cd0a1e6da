"""The momentum twin."""

import torch
from torch import Tensor, nn

from pickout.methods.fusion_model import Momentum


def twin_of(part: nn.Module) -> tuple[nn.Module, nn.Module, Momentum]:
    """A model of one followed part, the twin's part and the twin."""
    online = nn.Module()
    online.add_module("image_projection", part)
    twin = Momentum(online, dropout=True)
    return online, twin.image_projection, twin


def update_by_loops(slow: list[Tensor], fast: list[Tensor], momentum: float) -> list[Tensor]:
    updated = []
    for one, other in zip(slow, fast, strict=True):
        values = [momentum * a + (1 - momentum) * b for a, b in zip(one.flatten(), other.flatten(), strict=True)]
        updated.append(torch.stack(values).view_as(one))
    return updated


def test_one_update_of_the_specification() -> None:
    """AGA spec, E11."""
    online = nn.Linear(1, 1, bias=False)
    nn.init.ones_(online.weight)
    model, twin, momentum = twin_of(online)
    nn.init.constant_(online.weight, 2.0)
    momentum.follow(model, 0.995)
    torch.testing.assert_close(twin.weight, torch.tensor([[1.005]]))


def test_updates_equal_the_loop_and_happen_in_place() -> None:
    torch.manual_seed(0)
    online = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    model, twin, momentum = twin_of(online)
    for parameter in online.parameters():
        nn.init.normal_(parameter)
    online(torch.randn(6, 3))
    places = [parameter.data_ptr() for parameter in twin.parameters()]
    expected = update_by_loops(list(twin.parameters()), list(online.parameters()), 0.9)
    before = [parameter.clone() for parameter in online.parameters()]
    momentum.follow(model, 0.9)
    for ours, wanted in zip(twin.parameters(), expected, strict=True):
        torch.testing.assert_close(ours, wanted)
    assert places == [parameter.data_ptr() for parameter in twin.parameters()]
    assert all(torch.equal(a, b) for a, b in zip(before, online.parameters(), strict=True))
    for kept, current in zip(twin.buffers(), online.buffers(), strict=True):
        assert torch.equal(kept, current)


def test_a_twin_is_another_module_that_takes_no_gradient() -> None:
    online = nn.Linear(2, 2)
    _, twin, _ = twin_of(online)
    assert torch.equal(twin.weight, online.weight) and twin.weight is not online.weight
    assert not any(parameter.requires_grad for parameter in twin.parameters())
    assert all(parameter.requires_grad for parameter in online.parameters())

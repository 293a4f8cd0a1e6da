import pytest
import torch
from torch import nn

from pickout.methods.base import ParameterGroup
from pickout.train.recipe import OptimSettings, build_optimiser, set_learning_rate


class _Method(nn.Module):
    def __init__(self, groups):
        super().__init__()
        self.one, self.two = nn.Linear(2, 2), nn.Linear(2, 2)
        self.frozen = nn.Parameter(torch.zeros(2), requires_grad=False)
        self.groups = groups

    def parameter_groups(self):
        return self.groups(self)


def _both(method):
    return [
        ParameterGroup("one", list(method.one.parameters()), 1.0, 1.0),
        ParameterGroup("two", list(method.two.parameters()), 5.0, 0.0),
    ]


def test_groups_scale_the_recipes_rate_and_decay():
    optimiser = build_optimiser(_Method(_both), OptimSettings(learning_rate=0.1, weight_decay=0.2))
    rows = [(group["name"], group["lr"], group["weight_decay"]) for group in optimiser.param_groups]
    assert rows == [("one", 0.1, 0.2), ("two", 0.5, 0.0)]
    assert optimiser.defaults["eps"] == 1e-3
    set_learning_rate(optimiser, lambda base: base * 0.25)
    set_learning_rate(optimiser, lambda base: base * 0.5)
    assert [group["lr"] for group in optimiser.param_groups] == [0.05, 0.25]


def test_coupled_decay_moves_a_weight_without_gradient_and_decoupled_decay_shrinks_it():
    moved = {}
    for name in ("adam", "adamw"):
        method = _Method(_both)
        nn.init.constant_(method.one.weight, 1.0)
        optimiser = build_optimiser(
            method, OptimSettings(name=name, learning_rate=0.1, weight_decay=0.2, epsilon=1e-12)
        )
        method.one.weight.grad = torch.zeros(2, 2)
        optimiser.step()
        moved[name] = method.one.weight[0, 0].item()
    assert moved["adam"] == pytest.approx(1 - 0.1), "Adam divides the decay by its own size"
    assert moved["adamw"] == pytest.approx(1 - 0.1 * 0.2)


@pytest.mark.parametrize(
    "groups",
    [lambda method: _both(method)[:1], lambda method: [*_both(method), ParameterGroup("again", [method.one.weight])]],
    ids=["left out", "twice"],
)
def test_a_method_that_leaves_out_a_parameter_or_names_one_twice_is_a_fault(groups):
    with pytest.raises(ValueError, match="parameter_groups"):
        build_optimiser(_Method(groups), OptimSettings())

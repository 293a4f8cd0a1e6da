"""Parameter groups of methods that fine-tune CLIP: towers, classifiers and new layers, biases apart."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import nn

from pickout.methods.base import ParameterGroup


@dataclass(frozen=True, slots=True)
class Rates:
    """Learning rates relative to the recipe's (ITSELF, section 6 of the specification; IRRA, RDE).

    Args:
        bias: factor of biases that no other rule names.
        bias_decay: factor on the weight decay of all biases.
        classifier: factor of classifiers, their biases too.
        fast: prefixes of parameter names and their factors, biases too.
    """

    bias: float
    bias_decay: float
    classifier: float
    fast: Mapping[str, float] = field(default_factory=dict)

    def group_of(self, name: str) -> ParameterGroup:
        """An empty group with the name, rate and decay that belong to a parameter of this name."""
        is_bias = "bias" in name.rpartition(".")[2]
        decay = self.bias_decay if is_bias else 1.0
        suffix = ".bias" if is_bias else ""
        for prefix, factor in self.fast.items():
            if name.startswith(f"{prefix}."):
                return ParameterGroup(f"{prefix}{suffix}", [], factor, decay)
        if "classifier" in name:
            return ParameterGroup(f"classifier{suffix}", [], self.classifier, decay)
        return ParameterGroup(f"base{suffix}", [], self.bias if is_bias else 1.0, decay)


def group_parameters(module: nn.Module, rates: Rates) -> list[ParameterGroup]:
    """Every trainable parameter of `module` in exactly one group, in order of first appearance.

    Args:
        module: usually a method.
        rates: which factor belongs to which name.
    """
    groups: dict[str, ParameterGroup] = {}
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            empty = rates.group_of(name)
            groups.setdefault(empty.name, empty).parameters.append(parameter)
    return list(groups.values())

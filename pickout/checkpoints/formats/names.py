"""Key names of a foreign format beside ours: one table (in `names.toml`), read both ways."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from pickout.files import packaged_table

TABLES = packaged_table("pickout.checkpoints.formats", "names.toml")
UNUSED: dict[str, dict[str, str]] = TABLES["unused"]  # keys that are left out, each with the reason, by format
_KINDS = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
_NUMBER = re.compile(r"(?<=\.)(?:0|[1-9][0-9]{0,3})(?=\.)")


def prefixed(table: Mapping[str, str], theirs: str, ours: str = "") -> dict[str, str]:
    """The table with a prefix before each key and, where given, before each of our names."""
    return {theirs + key: ours + name for key, name in table.items()}


@dataclass(frozen=True, slots=True)
class Translation:
    """Tensors of a file under our names."""

    names: "Names"  # the table that was used, to spell our names as the file does
    state: dict[str, Tensor] = field(default_factory=dict)  # tensors under our names, floating ones in float32
    ignored: dict[str, str] = field(default_factory=dict)  # keys left out on purpose, each with the reason
    left_over: list[str] = field(default_factory=list)  # keys without a name of ours
    found: frozenset[str] = frozenset()  # the file's keys

    def spelled(self, name: str) -> str:
        """Our name as the file spells it: the parts that it lacks, where several make one tensor of ours."""
        theirs = self.names.theirs(name)
        return " + ".join([key for key in theirs if key not in self.found] or theirs) or name


@dataclass(frozen=True)
class Names:
    """Which of their keys is which of our tensors."""

    # their key to our name. `#` stands for the number of a layer, `*` for what a tensor is of its part (weight, bias
    # ...). Parts of one tensor of ours end in `|0`, `|1` ... and are joined along the first axis
    table: Mapping[str, str]
    # their key, spelled as in the table, to the reason why it is left out
    ignored: Mapping[str, str] = field(default_factory=dict)
    transposed: frozenset[str] = frozenset()  # their keys that are stored the other way round
    # layers `text.layer.#` from this number on are called `text.fusion.#`, those before it `text.text_layers.#`
    split: int = 0

    @cached_property
    def _back(self) -> dict[str, list[str]]:
        back: dict[str, list[str]] = {}
        for key, name in self.table.items():
            back.setdefault(name.partition("|")[0], []).append(key)
        return back

    def ours(self, key: str) -> str | None:
        """Our name of their key, with its part behind `|`; None where we have none."""
        for form, number, kind in _forms(key):
            if form in self.table:
                name = self.table[form].replace("#", number).replace("*", kind)
                before, layered, layer = name.partition("text.layer.")
                if layered:
                    fused = int(number) - self.split
                    rest = layer.partition(".")[2]
                    return f"{before}text.{f'text_layers.{number}' if fused < 0 else f'fusion.{fused}'}.{rest}"
                return name
        return None

    def theirs(self, name: str) -> list[str]:
        """Their keys of our tensor, in the order of its parts; empty where it has none."""
        layer = re.fullmatch(r"(.*)text\.(text_layers|fusion)\.(\d+)\.(.+)", name)
        if layer:
            name = f"{layer[1]}text.layer.{int(layer[3]) + (self.split if layer[2] == 'fusion' else 0)}.{layer[4]}"
        for form, number, kind in _forms(name):
            if form in self._back:
                return [key.replace("#", number).replace("*", kind) for key in self._back[form]]
        return []

    def translate(self, tensors: Mapping[str, Tensor]) -> Translation:
        """A state dict under our names; what is not whole, or comes twice, is left over."""
        done = Translation(self, found=frozenset(tensors))
        parts: dict[str, dict[str, str]] = {}
        for key in tensors:
            name = self.ours(key)
            reason = next((self.ignored[form] for form, _, _ in _forms(key) if form in self.ignored), None)
            if name is not None:
                whole, _, part = name.partition("|")
                if part in parts.setdefault(whole, {}):
                    done.left_over.append(key)
                parts[whole].setdefault(part, key)
            elif reason is not None:
                done.ignored[key] = reason
            else:
                done.left_over.append(key)
        for whole, keys in parts.items():
            some = []
            for _, key in sorted(keys.items()):
                tensor = tensors[key].T if key in self.transposed and tensors[key].ndim == 2 else tensors[key]
                # Whole numbers stay what they are, so that they are told from weights and refused in their place.
                some.append(tensor.float().contiguous() if tensor.is_floating_point() else tensor)
            if len(some) == 1 and "" in keys:
                done.state[whole] = some[0]
            elif len(some) == len(self.theirs(whole)) and len({(t.shape, t.dtype) for t in some}) == 1 and some[0].ndim:
                done.state[whole] = torch.cat(some)
            else:
                done.left_over.extend(keys.values())
        return done


def _forms(key: str) -> Iterator[tuple[str, str, str]]:
    """Every way in which a table may spell a key, with the number and the kind that its marks stand for."""
    head, _, kind = key.rpartition(".")
    for spelled in (key, f"{head}.*") if kind in _KINDS else (key,):
        yield spelled, "", kind
        number = _NUMBER.search(spelled)
        if number:
            yield f"{spelled[: number.start()]}#{spelled[number.end() :]}", number[0], kind

"""Axis letters, typed tensors and the read-only attention trace.

Axis letters, used as suffixes where several tensors meet:

    B batch   N image tokens (class token first)   T text tokens   L layers   H heads   D width   E embedding
    Q queries   G gallery images   K kept tokens   C classes

`Float[Tensor, "batch tokens dim"]` states axes in the type. The tests check them with jaxtyping and beartype; without
jaxtyping installed the annotation is plain `Tensor`, so the package itself does not need it. Shapes that stand in many
signatures have names."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from torch import Tensor

if TYPE_CHECKING:
    from jaxtyping import Bool as Bool
    from jaxtyping import Float as Float
    from jaxtyping import Int as Int
else:
    try:
        from jaxtyping import Bool, Float, Int
    except ImportError:

        class _Unchecked:
            """Stand-in for a jaxtyping dtype: `Float[Tensor, "axes"]` is `Tensor`."""

            def __class_getitem__(cls, item: tuple[Any, str]) -> Any:
                return item[0]

        Bool = Float = Int = _Unchecked

Ids = Int[Tensor, "batch tokens"]
Mask = Bool[Tensor, "batch tokens"]
Scores = Float[Tensor, "batch tokens"]  # a number a token: attention, a probability, a uniform draw
States = Float[Tensor, "batch tokens width"]
Pictures = Float[Tensor, "batch 3 height width"]
Embedded = Float[Tensor, "batch dimension"]
Ints = Int[Tensor, " batch"]  # a whole number a sample: an identity, a length, a place
Scalar = Float[Tensor, ""]


@dataclass(frozen=True, slots=True)
class AttentionRequest:
    """Which attention a tower must expose. Layers are numbered from 1. Rows are cheap (one query per sample); maps are
    quadratic in the tokens."""

    rows: tuple[int, ...] | Literal["all"] = ()  # layers whose class-token (or end-of-text) row is wanted
    maps: tuple[int, ...] | Literal["all"] = ()  # layers whose whole map is wanted, heads averaged

    def wants_row(self, layer: int) -> bool:
        """Whether the row of `layer` (from 1) is wanted."""
        return self.rows == "all" or layer in self.rows

    def wants_map(self, layer: int) -> bool:
        """Whether the whole map of `layer` (from 1) is wanted."""
        return self.maps == "all" or layer in self.maps

    def traced(self, trace: bool) -> "AttentionRequest":
        """The same, and where `trace` is asked for all rows too."""
        return AttentionRequest(rows="all", maps=self.maps) if trace else self


NO_ATTENTION = AttentionRequest()
ALL_ROWS = AttentionRequest(rows="all")  # what a method asks of its towers for a trace


@dataclass(frozen=True, slots=True)
class AttentionTrace:
    """Soft-max self-attention as a tower computed it, heads averaged, float32, detached; read-only."""

    rows: Mapping[int, Scores]  # layer number (from 1) to the query token's row
    maps: Mapping[int, Float[Tensor, "batch tokens tokens"]]  # layer number to the whole map, rows are queries
    query: Ints  # position of the class token (images: 0) or end-of-text token of each sample
    content: Mask  # True where a token is a patch or a word piece; not class, start, end, padding


@dataclass(frozen=True, slots=True)
class TokenBatch:
    """Token ids of captions, padded at the end."""

    ids: Ids  # int64
    mask: Mask = field(repr=False)  # True where a token is not padding
    # what a tower's frozen part makes of the captions, computed before (`SentenceTower`). Shape: (batch, tokens, any)
    states: Tensor | None = field(default=None, repr=False)

    def to(self, device: Any) -> "TokenBatch":
        """The same batch on `device`."""
        return self.mapped(lambda tensor: tensor.to(device))

    def mapped(self, change: Callable[[Tensor], Tensor]) -> "TokenBatch":
        """The same batch with each tensor changed."""
        states = None if self.states is None else change(self.states)
        return TokenBatch(change(self.ids), change(self.mask), states)

    def cut(self, least: int = 0) -> "TokenBatch":
        """Without the columns that are padding in every caption, but for the first of them, and for `least` columns in
        all; as it is on a GPU, which would have to be waited for."""
        if self.ids.is_cuda:
            return self
        columns = max(least, int(self.mask.any(dim=0).sum()) + 1)
        return self.mapped(lambda tensor: tensor[:, :columns])

    def __len__(self) -> int:
        return int(self.ids.shape[0])

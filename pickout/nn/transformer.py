"""A stack of pre-norm transformer layers, as in CLIP, with its starting weights, and what a tower gives."""

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pickout.nn.attention import Attended, SelfAttention, recomputed
from pickout.shapes import AttentionRequest, AttentionTrace, Float, Ints, Mask, States

Activation = Literal["quick_gelu", "gelu"]


@dataclass(frozen=True, slots=True)
class TowerOutput:
    """Tokens in the joint space, and the attention that was asked for."""

    tokens: Float[Tensor, "batch tokens embedding"]  # after the final norm and the projection, not normalised
    trace: AttentionTrace
    """Always there, with the rows and maps that were asked for and the place of the token that stands for the whole."""

    @property
    def summary(self) -> Float[Tensor, "batch embedding"]:
        """The class token of each image, or the end-of-text token of each caption."""
        place = self.trace.query[:, None, None].expand(-1, 1, self.tokens.shape[2])
        return self.tokens.gather(1, place).squeeze(1)


class LayerNorm(nn.LayerNorm):
    """Layer normalisation computed in float32 whatever comes in; the result has the input's type."""

    def forward(self, input: Float[Tensor, "*axes width"]) -> Float[Tensor, "*axes width"]:
        """Normalise the last axis."""
        weight, bias = self.weight.float(), self.bias.float()
        return F.layer_norm(input.float(), self.normalized_shape, weight, bias, self.eps).to(input.dtype)


class _QuickGelu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return (1.702 * x).sigmoid_().mul_(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return cast(Tensor, torch.ops.aten.silu_backward(gradients[0], 1.702 * ctx.saved_tensors[0]))


def quick_gelu(x: Tensor) -> Tensor:
    """x * sigmoid(1.702 x). In training only x is kept for the way back; plain operations keep the sigmoid too."""
    if x.requires_grad and torch.is_grad_enabled():
        return cast(Tensor, _QuickGelu.apply(x))  # type: ignore[no-untyped-call]
    return x * torch.sigmoid(1.702 * x)


class FeedForward(nn.Module):
    """Widen four times, activate, narrow again: `quick_gelu`, x * sigmoid(1.702 x), which CLIP was trained with, or the
    exact `gelu`."""

    def __init__(self, width: int, activation: Activation) -> None:
        super().__init__()
        self.widen = nn.Linear(width, 4 * width)
        self.narrow = nn.Linear(4 * width, width)
        self.activation = activation

    def forward(self, x: States, norm: nn.Module) -> States:
        """Change each token by itself, normalised first."""
        wide = recomputed(self.widen, norm, x)
        return recomputed(self.narrow, F.gelu if self.activation == "gelu" else quick_gelu, wide)


class Layer(nn.Module):
    """One pre-norm layer: attention, then the feed-forward part, each added to the residual stream."""

    def __init__(self, width: int, heads: int, activation: Activation, *, causal: bool, epsilon: float) -> None:
        super().__init__()
        self.norm_attention = LayerNorm(width, eps=epsilon)
        self.attention = SelfAttention(width, heads, causal=causal)
        self.norm_feed_forward = LayerNorm(width, eps=epsilon)
        self.feed_forward = FeedForward(width, activation)

    def forward(self, x: States, query: Ints | None, **read: bool) -> Attended:
        """Run the layer; arguments as in `SelfAttention`."""
        mixed, row, map_ = self.attention(x, query, norm=self.norm_attention, **read)
        x = x + mixed
        return Attended(x + self.feed_forward(x, self.norm_feed_forward), row, map_)


class Stacked(NamedTuple):
    """What a stack gives: the tokens, and by layer number (from 1) the rows and maps that were asked for."""

    tokens: States
    rows: dict[int, Tensor]
    maps: dict[int, Tensor]


def by_first_token(stacked: Stacked, content: Mask | None = None) -> TowerOutput:
    """The output of a tower whose first token stands for the whole; without `content` all others are content."""
    tokens, rows, maps = stacked
    query = torch.zeros(tokens.shape[0], dtype=torch.int64, device=tokens.device)
    if content is None:
        content = (torch.arange(tokens.shape[1], device=tokens.device) > 0).expand(tokens.shape[0], -1)
    return TowerOutput(tokens, AttentionTrace(rows, maps, query, content))


def run_layers(layers: nn.ModuleList, x: States, attention: AttentionRequest, *given: Any) -> Stacked:
    """Run layers one after the other; each takes tokens and `given`, and gives an `Attended`. `ValueError` where a
    layer is asked for that is not there."""
    check_asked(attention, len(layers))
    rows, maps = dict[int, Tensor](), dict[int, Tensor]()
    for number, layer in enumerate(layers, start=1):
        x, row, map_ = layer(x, *given, row=attention.wants_row(number), map=attention.wants_map(number))
        if row is not None:
            rows[number] = row
        if map_ is not None:
            maps[number] = map_
    return Stacked(x, rows, maps)


class Transformer(nn.Module):
    """A stack of layers; where `causal`, a token sees only itself and earlier ones; `epsilon` is the norms'."""

    def __init__(
        self, width: int, depth: int, heads: int, activation: Activation, *, causal: bool = False, epsilon: float = 1e-5
    ) -> None:
        super().__init__()
        stack = [Layer(width, heads, activation, causal=causal, epsilon=epsilon) for _ in range(depth)]
        self.layers = nn.ModuleList(stack)
        # CLIP's starting weights: the residual branches shrink with depth; biases are zero.
        shrink = (2 * depth) ** -0.5
        for layer in stack:
            nn.init.normal_(layer.attention.project_in.weight, std=width**-0.5)
            nn.init.normal_(layer.attention.project_out.weight, std=width**-0.5 * shrink)
            nn.init.normal_(layer.feed_forward.widen.weight, std=(2 * width) ** -0.5)
            nn.init.normal_(layer.feed_forward.narrow.weight, std=width**-0.5 * shrink)
        for module in self.layers.modules():
            if isinstance(module, nn.Linear):
                nn.init.zeros_(module.bias)

    def forward(self, x: States, query: Ints | None, attention: AttentionRequest) -> Stacked:
        """Run the stack over tokens with their positions added; rows are those of `query`, or of the first token."""
        return run_layers(self.layers, x, attention, query)


def check_asked(attention: AttentionRequest, layers: int) -> None:
    """Raise `ValueError` for a request of layers that are not there, instead of leaving them out."""
    wanted = {layer for part in (attention.rows, attention.maps) if part != "all" for layer in part}
    beyond = sorted(layer for layer in wanted if not 1 <= layer <= layers)
    if beyond:
        raise ValueError(f"attention of layers {beyond} was asked for; this tower has layers 1 to {layers}")

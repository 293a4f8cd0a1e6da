"""What a tower gives."""

from dataclasses import dataclass

from torch import Tensor

from pickout.shapes import AttentionTrace, Float


@dataclass(frozen=True, slots=True)
class TowerOutput:
    """Tokens in the joint space, and the attention that was asked for.

    Args:
        tokens: all tokens after the final norm and the projection, not normalised.
            Shape: (batch, tokens, embedding).
        trace: always there; its `rows` and `maps` hold the layers that were asked for, its `query` the position of the
            token that stands for the whole sample.
    """

    tokens: Float[Tensor, "batch tokens embedding"]
    trace: AttentionTrace

    @property
    def summary(self) -> Float[Tensor, "batch embedding"]:
        """The class token of each image, or the end-of-text token of each caption."""
        tokens = self.tokens
        index = self.trace.query[:, None, None].expand(-1, 1, tokens.shape[-1])
        return tokens.gather(1, index).squeeze(1)

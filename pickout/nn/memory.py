"""What cross-attention needs of images, projected once an image."""

from dataclasses import dataclass

from torch import Tensor

from pickout.shapes import Float


@dataclass(frozen=True, slots=True)
class ImageMemory:
    """Keys and values of images for every layer that looks at them.

    Args:
        keys: for each layer. Shape of each: (images, heads, tokens, depth).
        values: for each layer, as `keys`.
    """

    keys: tuple[Float[Tensor, "images heads tokens depth"], ...]
    values: tuple[Float[Tensor, "images heads tokens depth"], ...]

    @property
    def images(self) -> int:
        """How many images there are."""
        return int(self.keys[0].shape[0])

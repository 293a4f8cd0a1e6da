"""EfficientNet-Lite0 without its classifier, batch norms folded into the convolutions (Tan and Le, arXiv 1905.11946).

The lite variant has no squeeze-and-excitation and clips at 6 (ReLU6): exact in few bits, fast on CPUs."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pickout.shapes import Float, Pictures

STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)  # of each stage: blocks, kernel, stride of the first block, widening, channels out
STEM = 32  # channels behind the first convolution
READ = (1, 2, 4, 6)  # stages, from 0, whose maps are given: at strides 4, 8, 16, 32 with 24, 40, 112, 320 channels


class SameConvolution(nn.Conv2d):
    """A convolution with TensorFlow's SAME padding, which at stride 2 pads right and bottom first."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(inputs, outputs, kernel, stride, padding=0 if stride > 1 else kernel // 2, groups=groups)

    def forward(self, input: Float[Tensor, "batch inputs height width"]) -> Tensor:
        """Convolve; a side of n pixels becomes ceil(n / stride)."""
        kernel, stride = self.kernel_size[0], self.stride[0]
        if stride > 1:
            rows, columns = (max(kernel - (side % stride or stride), 0) for side in input.shape[2:])
            input = F.pad(input, (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2))
        return super().forward(input)


class InvertedResidual(nn.Module):
    """Widen by a 1x1 convolution, filter each channel by itself, narrow; added to the input where shapes agree.
    `widening` is channels inside as a multiple of `inputs`; 1 for no first convolution."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, widening: int) -> None:
        super().__init__()
        inside = inputs * widening
        self.widen = SameConvolution(inputs, inside, 1) if widening > 1 else None
        self.filter = SameConvolution(inside, inside, kernel, stride, groups=inside)
        self.narrow = SameConvolution(inside, outputs, 1)
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x: Float[Tensor, "batch inputs height width"]) -> Tensor:
        """Run the block."""
        wide = x if self.widen is None else F.relu6(self.widen(x))
        out: Tensor = self.narrow(F.relu6(self.filter(wide)))
        return x + out if self.adds else out


class EfficientNetLite0(nn.Module):
    """Images to feature maps of several stages."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = SameConvolution(3, STEM, 3, 2)
        self.stages, inputs = nn.ModuleList(), STEM
        for blocks, kernel, stride, widening, outputs in STAGES:
            first = InvertedResidual(inputs, outputs, kernel, stride, widening)
            rest = (InvertedResidual(outputs, outputs, kernel, 1, widening) for _ in range(blocks - 1))
            self.stages.append(nn.Sequential(first, *rest))
            inputs = outputs

    def forward(self, images: Pictures) -> list[Tensor]:
        """Maps of the stages in `READ`, of (value - 127) / 128 of 8-bit values, as the ImageNet weights expect."""
        x = F.relu6(self.stem(images.contiguous(memory_format=torch.channels_last)))
        maps = []
        for number, stage in enumerate(self.stages):
            x = stage(x)
            if number in READ:
                maps.append(x)
        return maps

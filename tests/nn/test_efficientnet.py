import pytest
import torch
from torch.nn import functional as F

from pickout.nn.efficientnet import EfficientNetLite0, SameConvolution


@pytest.mark.parametrize("side", [7, 8])
@pytest.mark.parametrize("kernel", [3, 5])
def test_padding_at_stride_two_is_tensorflows(side: int, kernel: int) -> None:
    """ceil(n / 2) places out; the missing pixels are shared out, the odd one to the right and the bottom."""
    convolution = SameConvolution(1, 1, kernel, 2)
    torch.nn.init.ones_(convolution.weight)
    torch.nn.init.zeros_(convolution.bias)
    image = torch.rand(1, 1, side, side)
    out = convolution(image)
    places = -(-side // 2)
    missing = (places - 1) * 2 + kernel - side
    padded = F.pad(image, (missing // 2, missing - missing // 2) * 2)
    assert out.shape[2:] == (places, places)
    expected = padded[:, :, 2 : 2 + kernel, 2 : 2 + kernel].sum()
    torch.testing.assert_close(out[0, 0, 1, 1], expected)


def test_maps_stand_at_four_strides() -> None:
    network = EfficientNetLite0().eval()
    shapes = [tuple(each.shape) for each in network(torch.zeros(2, 3, 192, 64))]
    assert shapes == [(2, 24, 48, 16), (2, 40, 24, 8), (2, 112, 12, 4), (2, 320, 6, 2)]
    assert sum(parameter.numel() for parameter in network.parameters()) < 3_500_000

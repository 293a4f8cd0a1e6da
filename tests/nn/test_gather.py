"""Gathering over processes; the whole path is in tests/methods/test_distributed.py."""

import torch

from pickout.nn.gather import gather, gather_with_gradient


def test_one_process_gets_its_own_tensor_back() -> None:
    tensor = torch.randn(3, 2, requires_grad=True)
    assert gather_with_gradient(tensor) is tensor
    labels = torch.arange(3)
    assert gather(labels) is labels

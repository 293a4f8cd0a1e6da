"""Where a model computes and in which precision: every command that takes `--device` asks here."""

import os
import re
from typing import Literal

import torch

from pickout.errors import UsageError

Precision = Literal["auto", "fp32", "bf16"]
_PRECISIONS: dict[str, Literal["fp32", "bf16"]] = {"fp32": "fp32", "bf16": "bf16"}


def choose_device(device: str) -> torch.device:
    """The device of that name: `cpu`, `cuda`, `cuda:1`; `auto` for a GPU where there is one, each process its own.

    Raises:
        UsageError: another kind of device, or one that is not in this machine.
    """
    if device == "auto":
        here = torch.cuda.device_count() if torch.cuda.is_available() else 0
        device = f"cuda:{int(os.environ.get('LOCAL_RANK', '0')) % here}" if here else "cpu"
    if not re.fullmatch(r"cpu|cuda(:[0-9]{1,3})?", device):
        raise UsageError(f"device '{device}': unknown; use auto, cpu, cuda or cuda:0")
    chosen = torch.device(device)
    if chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count():
        raise UsageError(f"device '{device}': this machine or this build of torch has no such GPU; use cpu or auto")
    return chosen


def choose_precision(precision: str, device: torch.device) -> Literal["fp32", "bf16"]:
    """`bf16` or `fp32`; `auto` takes `bf16` where the device computes in it natively."""
    if precision == "auto":
        if device.type == "cuda":
            native = torch.cuda.get_device_capability(device) >= (8, 0)
        else:
            probes = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
            native = any(getattr(torch.cpu, probe, bool)() for probe in probes)
        return "bf16" if native else "fp32"
    if precision not in _PRECISIONS:
        raise UsageError(f"precision '{precision}': unknown; use auto, fp32 or bf16")
    return _PRECISIONS[precision]

"""`.pth` files: read with `weights_only=True` or not at all.

A pickle can run any program when it is loaded. PyTorch's restricted reader builds tensors, containers and numbers only;
there is no fallback to the unrestricted one, and TorchScript archives, which carry programs by design, are refused.
"""

import pickle
import re
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch

from pickout.errors import CheckpointTruncated, CheckpointUnsafe

_CONVERT = (
    "Of CLIP there is a safetensors copy: `pickout weights get clip-vit-base-patch16`; "
    "convert another file, on a machine you trust, to a safetensors file of its state dict"
)


def read_pickle(path: Path) -> Any:
    """What a `.pth`, `.pt` or `.bin` file holds, tensors on the CPU.

    Raises:
        CheckpointUnsafe: the file would run code, or is a TorchScript archive.
        CheckpointTruncated: the file ends too early or is damaged.
    """
    if _is_torchscript(path):
        raise CheckpointUnsafe(f"{path}: a TorchScript archive; it holds a program, not only weights. {_CONVERT}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise _refused(path, str(error)) from None
    except (EOFError, RuntimeError, OSError, ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise CheckpointTruncated(
            f"{path}: the file is damaged or ends too early ({_first_line(error)}); fetch it again"
        ) from None


def _refused(path: Path, message: str) -> CheckpointTruncated | CheckpointUnsafe:
    if "truncated" in message or "Ran out of input" in message:
        return CheckpointTruncated(f"{path}: the file ends too early; fetch it again")
    wanted = re.search(r"(?:Unsupported global: GLOBAL|Unsupported class|GLOBAL) ([\w.]+)", message)
    what = "it holds more than tensors, containers and numbers"
    if wanted:
        what = f"it asks for '{wanted[1]}'"
    elif "Unsupported operand" in message:
        what = "it is a pickle that torch.save did not write"
    return CheckpointUnsafe(f"{path}: refused, loading it could run a program: {what}. Nothing was run. {_CONVERT}")


def _is_torchscript(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError) as error:
        raise CheckpointTruncated(f"{path}: the archive is damaged ({error}); fetch it again") from None
    return any(name.endswith("/constants.pkl") or "/code/" in name for name in names)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:160]

"""`.pth` files: read with `weights_only=True` or not at all.

A pickle can run any program when it is loaded. PyTorch's restricted reader builds tensors, containers and numbers only;
there is no fallback to the unrestricted one, and TorchScript archives, which carry programs by design, are refused.
"""

import mmap
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
    """What a `.pth`, `.pt` or `.bin` file holds, tensors on the CPU."""
    _check_archive(path)
    _check_calls(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise _refused(path, str(error)) from None
    except Exception as error:  # Whatever a constructor makes of arguments that no program wrote.
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


def _check_archive(path: Path) -> None:
    """Refuse programs, and archives that unpack to more bytes than are there: `torch.save` stores and never
    deflates."""
    if not zipfile.is_zipfile(path):
        return
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise CheckpointTruncated(f"{path}: the archive is damaged ({error}); fetch it again") from None
    if any(member.filename.endswith("/constants.pkl") or "/code/" in member.filename for member in members):
        raise CheckpointUnsafe(f"{path}: a TorchScript archive; it holds a program, not only weights. {_CONVERT}")
    unpacked, there = sum(member.file_size for member in members), path.stat().st_size
    if unpacked > there:
        raise CheckpointUnsafe(
            f"{path}: unpacks to {unpacked:,} bytes out of {there:,}; torch.save does not pack, so it was not written "
            "by it. Fetch the original file"
        )


def _check_calls(path: Path) -> None:
    """Refuse the one call that the restricted reader allows and that takes memory by a number alone."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        if content.find(b"bytearray") >= 0:
            raise _refused(path, "GLOBAL builtins.bytearray")


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:160]

"""Tensors out of a weight file, whatever its container, told by its first bytes and not by its name; and what became of
every key of the file, and of every tensor of the model. A pickle can run any program when it is loaded: PyTorch's
restricted reader, without fallback, builds tensors, containers and numbers only; TorchScript archives are refused."""

import mmap
import pickle
import re
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from pickout import errors
from pickout.errors import CheckpointError, CheckpointMismatch, CheckpointTruncated, CheckpointUnknown, CheckpointUnsafe

_WRAPPERS = ("model", "state_dict", "model_state_dict", "ema", "module")
# The first bytes of a pickle in the old text form: a dictionary, a list, or a call.
_TEXT_PICKLE = re.compile(rb"\((?:dp|lp)\d|\(?[ci][\w.]+\n\w+\n")
_TRAINING_STATE = "training state (optimiser, schedule, counters), not weights"
_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
_SHARED = 4  # how many times the file's own bytes its tensors may have together: tied ones share theirs

_CONVERT = (
    "Of CLIP there is a safetensors copy: `pickout weights get clip-vit-base-patch16`; "
    "convert another file, on a machine you trust, to a safetensors file of its state dict"
)
_FILES = (
    (b"version https://git-lfs", "a Git LFS pointer: the weights themselves were not fetched (git lfs pull)"),
    (b"<", "a web page or XML, perhaps an error page saved under this name"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"\x89HDF", "an HDF5 file (TensorFlow or Keras weights)"),
    (b"GGUF", "a GGUF file (llama.cpp)"),
)


@dataclass(frozen=True, slots=True)
class WeightFile:
    """What a file holds."""

    path: Path  # the file
    # the state dict under the file's own names, without a `module.` prefix of data-parallel training
    tensors: Mapping[str, Tensor]
    # the text entries of a safetensors header; empty for pickles
    metadata: Mapping[str, str] = field(default_factory=dict)
    # what stood beside the state dict, each with the reason why it is left out
    ignored: Mapping[str, str] = field(default_factory=dict)


def read_weights(path: Path) -> WeightFile:
    """Read a safetensors file or a pickle of tensors."""
    try:
        with path.open("rb") as file:
            head = file.read(512)
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such file") from None
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror})") from None
    if not head:
        raise CheckpointTruncated(f"{path}: the file is empty; fetch it again")
    if head[8:9] == b"{":
        try:
            with safe_open(path, framework="pt") as opened:
                tensors = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118 - not a mapping
                read = WeightFile(path, tensors, dict(opened.metadata() or {}))
        except (SafetensorError, RuntimeError, TypeError, ValueError) as error:
            raise CheckpointTruncated(f"{path}: damaged safetensors ({error}): ends too early or was altered") from None
        return _plain(read)
    if head[:4] == b"PK\x03\x04" or head[:1] == b"\x80" or _TEXT_PICKLE.match(head):
        return _plain(_unwrap(path, _read_pickle(path)))
    if path.suffix == ".safetensors" and len(head) < 9:
        raise CheckpointTruncated(f"{path}: the file ends inside its header; fetch it again")
    like = next((name for magic, name in _FILES if head.startswith(magic)), f"data beginning {head[:40]!a}")
    raise CheckpointUnknown(f"{path}: not a weight file: it looks like {like}")


def safetensors_header(path: Path) -> dict[str, str]:
    """The text entries of a safetensors header, without reading the tensors; empty where there are none, or damage."""
    if not path.is_file():
        return {}  # a pipe would wait for a writer
    try:
        with safe_open(path, framework="pt") as opened:
            return dict(opened.metadata() or {})
    except (SafetensorError, OSError):
        return {}


def _unwrap(path: Path, content: Any) -> WeightFile:
    """Find the state dict in what a pickle holds: the content itself, or under a usual key."""
    if _is_state_dict(content):
        return WeightFile(path, content)
    if not isinstance(content, Mapping):
        like = "a single tensor" if isinstance(content, Tensor) else f"a Python {type(content).__name__}"
        raise CheckpointUnknown(f"{path}: no state dict in it; it looks like {like}")
    for key in _WRAPPERS:
        if _is_state_dict(content.get(key)):
            beside = {other: _TRAINING_STATE for other in content if isinstance(other, str) and other != key}
            return WeightFile(path, content[key], ignored=beside)
    if "param_groups" in content or "optimiser" in content:
        raise CheckpointUnknown(f"{path}: the state of a training, not its weights; give the run's folder")
    keys = ", ".join(key if isinstance(key, str) else f"a {type(key).__name__}" for key in list(content)[:6])
    raise CheckpointUnknown(f"{path}: no state dict in it; it looks like a mapping with the keys {keys or '(none)'}")


def _plain(file: WeightFile) -> WeightFile:
    """Refuse tensors that are no plain arrays of numbers, before anything is made of them."""
    for key, tensor in file.tensors.items():
        odd = _oddness(tensor)
        if odd:
            why = f"{file.path}: '{key}' is {odd}; save the model with plain tensors (dense, float16 or float32)"
            raise CheckpointUnknown(why)
    asked, there = sum(t.numel() * t.element_size() for t in file.tensors.values()), file.path.stat().st_size
    if asked > _SHARED * there:
        raise CheckpointUnknown(f"{file.path}: its tensors ask for {asked:,} bytes, the file has {there:,}")
    # Data-parallel training puts `module.` before each key.
    begin = len("module.") if all(key.startswith("module.") for key in file.tensors) else 0
    return replace(file, tensors={key[begin:]: tensor.detach() for key, tensor in file.tensors.items()})


def _oddness(tensor: Tensor) -> str:
    """What makes a tensor more than an array of numbers in its own memory; empty where nothing does."""
    if tensor.is_nested:
        return "a nested tensor"
    if tensor.layout != torch.strided:
        return f"sparse ({tensor.layout})".replace("torch.", "")
    if tensor.is_meta:
        return "a tensor without content (on the meta device)"
    if tensor.is_quantized or tensor.is_complex() or (tensor.is_floating_point() and tensor.dtype not in _FLOATS):
        return f"of {tensor.dtype}".replace("torch.", "")
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        return f"expanded to {tensor.numel():,} numbers out of fewer"
    return ""


def _is_state_dict(content: Any) -> bool:
    return (
        isinstance(content, Mapping)
        and bool(content)
        and all(isinstance(key, str) and isinstance(value, Tensor) for key, value in content.items())
    )


def _read_pickle(path: Path) -> Any:
    """What a `.pth`, `.pt` or `.bin` file holds, tensors on the CPU; no program, and no archive that unpacks to more
    bytes than are there."""
    if zipfile.is_zipfile(path):
        try:
            with zipfile.ZipFile(path) as archive:
                members = archive.infolist()
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
            raise CheckpointTruncated(f"{path}: the archive is damaged ({error}); fetch it again") from None
        if any(member.filename.endswith("/constants.pkl") or "/code/" in member.filename for member in members):
            raise CheckpointUnsafe(f"{path}: a TorchScript archive; it holds a program, not only weights. {_CONVERT}")
        unpacked, there = sum(member.file_size for member in members), path.stat().st_size
        if unpacked > there:
            why = f"{path}: unpacks to {unpacked:,} bytes out of {there:,}; torch.save does not pack, so it was not"
            raise CheckpointUnsafe(f"{why} written by it. Fetch the original file")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        # The one call that the restricted reader allows and that takes memory by a number alone.
        if content.find(b"bytearray") >= 0:
            raise _refused(path, "GLOBAL builtins.bytearray")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise _refused(path, str(error)) from None
    except Exception as error:  # Whatever a constructor makes of arguments that no program wrote.
        told = (str(error).splitlines() or [type(error).__name__])[0][:160]
        raise CheckpointTruncated(f"{path}: the file is damaged or ends too early ({told}); fetch it again") from None


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


SHOWN = 6  # how many keys of a kind an error names


@dataclass(frozen=True, slots=True)
class KeyReport:
    """The account of one import. Nothing is silently random, nothing silently dropped."""

    source: str  # the file or folder
    format: str  # what the importer took it for, for example `OpenAI CLIP`
    loaded: tuple[str, ...] = ()  # our tensors that came from the file
    missing: tuple[str, ...] = ()  # our tensors that the file does not have
    left_over: Sequence[str] = ()  # the file's keys that nothing uses and no reason excuses
    # our tensor to what is wrong with the file's: "found, expected"
    unfit: Mapping[str, str] = field(default_factory=dict)
    resized: Mapping[str, str] = field(default_factory=dict)  # our tensor to how it was changed to fit
    # the file's keys that are left out on purpose, each with the reason
    ignored: Mapping[str, str] = field(default_factory=dict)
    # our tensors that keep their starting weights on purpose, each with the reason
    fresh: Mapping[str, str] = field(default_factory=dict)
    spelled: Callable[[str], str] = str  # how the file spells one of our names; errors name its keys, not ours

    def require_complete(self, remedy: str = "") -> None:
        """Raise a CheckpointMismatch that names what is missing, left over or unfit, and ends with `remedy`."""
        faults = {
            "missing": [self.spelled(key) for key in self.missing],
            "left over": self.left_over,
            "of another shape or kind": [f"{self.spelled(key)} ({text})" for key, text in self.unfit.items()],
        }
        told = [f"{len(keys)} {what}: {errors.listed(keys, SHOWN)}" for what, keys in faults.items() if keys]
        if told:
            why = f"{self.source}: read as {self.format}, but the keys do not fit: {'; '.join(told)}."
            raise CheckpointMismatch(f"{why} It is another model, or only a part of one{remedy}")

    def summary(self) -> str:
        """One line: how many tensors were loaded, and what was resized, ignored or left fresh and why."""
        parts = [f"{self.format}: {len(self.loaded)} tensors loaded"]
        parts += [f"{key} {change}" for key, change in self.resized.items()]
        for what, reasons in (("ignored", self.ignored), ("fresh", self.fresh)):
            parts += [f"{count} {what} ({reason})" for reason, count in Counter(reasons.values()).items()]
        return "; ".join(parts)


def compare(report: KeyReport, found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> KeyReport:
    """The report, with what came of tensors under our names held against the state dict that a model expects."""
    faults = {key: _fault(found[key], tensor) for key, tensor in expected.items() if key in found}
    return replace(
        report,
        loaded=tuple(key for key, fault in faults.items() if not fault),
        missing=tuple(key for key in expected if key not in found and key not in report.fresh),
        left_over=(*report.left_over, *(report.spelled(key) for key in found if key not in expected)),
        unfit={key: fault for key, fault in faults.items() if fault},
    )


def _fault(found: Tensor, expected: Tensor) -> str:
    """What keeps a tensor from taking the place of another; empty where nothing does."""
    if found.shape != expected.shape:
        return f"{tuple(found.shape)}, expected {tuple(expected.shape)}"
    if found.is_floating_point() != expected.is_floating_point():
        # Weights as whole numbers are quantised ones without their scales.
        return f"{found.dtype}, expected {expected.dtype}".replace("torch.", "")
    if not found.is_floating_point() or not found.numel():
        return ""
    # Least and most tell it in one pass, a tenth of the time of looking at each: a NaN is both.
    return "" if torch.stack(found.aminmax()).isfinite().all() else "not finite"

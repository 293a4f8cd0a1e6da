"""A whole model in one safetensors file: settings and tokenizer in its header, weights in few bytes.

Matrices are kept as 8-bit whole numbers with one scale a row, or everything as float16. What is loaded is float32 and
equal on every machine, so a fingerprint is of the file.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import torch
from safetensors.torch import save_file
from torch import Tensor

from pickout.checkpoints.device import Precision
from pickout.checkpoints.key_report import KeyReport
from pickout.checkpoints.loaded_model import LoadedModel, assemble
from pickout.checkpoints.saved_model import RunSettings
from pickout.checkpoints.weight_file import read_weights, safetensors_header
from pickout.config import parse_settings
from pickout.errors import CheckpointError
from pickout.files import atomic_path
from pickout.text.tokenizer import Tokenizer

FORMAT = "1"
_MARK, _SETTINGS, _TOKENIZER = "pickout_bundle", "model", "tokenizer"
_SCALE = ".scale"
_SMALLEST = 64
"""Rows shorter than this are not worth a scale and stay float16."""

Bits = Literal["int8", "float16"]


def is_bundle(file: Path) -> bool:
    """Whether a file is a whole model. Raises nothing: what cannot be read is none."""
    return _MARK in safetensors_header(file)


def write_bundle(model: LoadedModel, file: Path, bits: Bits = "int8") -> None:
    """Write a model whole, its matrices as `bits` says, or nothing at all; StorageFull where no space is left."""
    tensors: dict[str, Tensor] = {}
    for key, tensor in model.method.state_dict().items():
        kept = tensor.detach().cpu().float().contiguous()
        if bits == "int8" and kept.ndim >= 2 and kept[0].numel() >= _SMALLEST:
            scale = (kept.flatten(1).abs().amax(dim=1) / 127).clamp_min(1e-12)
            shaped = scale.view(-1, *[1] * (kept.ndim - 1))
            tensors[key], tensors[key + _SCALE] = (kept / shaped).round().to(torch.int8), scale
        else:
            tensors[key] = kept if key.startswith(("vision.reduction", "text.reduction")) else kept.half()
    run = RunSettings(name=model.name, identities=0, model=model.settings)
    header = {
        _MARK: FORMAT,
        _SETTINGS: json.dumps(run.model_dump(mode="json", exclude_none=True)),
        _TOKENIZER: model.tokenizer.to_json(),
    }
    with atomic_path(file) as temporary:
        save_file(tensors, temporary, header)


def load_bundle(file: Path, *, device: str = "cpu", precision: Precision = "auto") -> LoadedModel:
    """Read what `write_bundle` wrote."""
    read = read_weights(file)
    if read.metadata.get(_MARK) != FORMAT:
        raise CheckpointError(
            f"{file}: layout {read.metadata.get(_MARK)}, this Pickout reads {FORMAT}; use the version that wrote it"
        )
    run = parse_settings(RunSettings, json.loads(read.metadata[_SETTINGS]), source=str(file))
    tokenizer = Tokenizer.from_json(read.metadata[_TOKENIZER], source=str(file))
    report, state = KeyReport(str(file), "a whole model"), _widened(read.tensors)
    return assemble(report, run.model, tokenizer, 0, state, name=run.name, device=device, precision=precision)


def _widened(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    wide = {}
    for key, tensor in tensors.items():
        if key.endswith(_SCALE) and key.removesuffix(_SCALE) in tensors:
            continue
        scale = tensors.get(key + _SCALE)
        wide[key] = tensor.float() if scale is None else tensor.float() * scale.view(-1, *[1] * (tensor.ndim - 1))
    return wide

"""The fingerprint of a model: which vectors belong to which weights."""

import hashlib
from collections.abc import Mapping

import numpy as np
import tomli_w
from torch import Tensor

from pickout.methods.base import Method
from pickout.methods.model import ModelSettings
from pickout.text.tokenizer import Tokenizer, TokenizerSettings

FINGERPRINT = 12  # hexadecimal digits of a fingerprint

_ADDED: dict[str, dict[str, str | None]] = {
    "image": {"resample": "bilinear"},
    "vision": {"kind": "clip"},
    "text": {"kind": "clip"},
    "tokenizer": {"cleaning": "none", "words": None},
}  # settings that were added later, and the value that changes nothing
_WITH = {"text": ("fusion_layers", "feed_forward", "positions", "dropout")}
"""Settings that mean something only beside another value of those."""


def fingerprint(method: Method, settings: ModelSettings, tokenizer: Tokenizer) -> str:
    """SHA-256 over settings, tokenizer and every tensor by name, shape and bytes, cut to 12 digits."""
    digest = hashlib.sha256((described(settings) + tokenizer.to_json()).encode())
    return _with_tensors(digest, method.state_dict())[:FINGERPRINT]


def digest_of(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over every tensor by name, shape and bytes."""
    return _with_tensors(hashlib.sha256(), tensors)


def _with_tensors(digest: "hashlib._Hash", tensors: Mapping[str, Tensor]) -> str:
    for key, tensor in sorted(tensors.items()):
        array = tensor.detach().cpu().contiguous().numpy()
        digest.update(f"{key} {array.dtype} {array.shape}".encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def described(settings: ModelSettings) -> str:
    """The settings as text, without those that came later and stand at what everything was before them."""
    # So the fingerprints of models, and the galleries that were made with them, stay when settings are added.
    told = settings.model_copy(update={"tokenizer": TokenizerSettings()}).model_dump(mode="json", exclude_none=True)
    if settings.vision.branches == 1:
        told["vision"].pop("branches")
    for table, added in _ADDED.items():
        if table == "tokenizer" or all(told[table].get(name) == value for name, value in added.items()):
            for name in (*added, *_WITH.get(table, ())):
                told[table].pop(name, None)
    return tomli_w.dumps(told)

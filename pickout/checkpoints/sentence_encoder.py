"""The text side of the model that comes with the package, by NumPy alone: to import PyTorch takes longer than all else
in a search from the command line. `pickout.nn.frozen.SentenceTower` is the twin that this is held against."""

import hashlib
import math
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from safetensors import safe_open

from pickout.files import beside, read_text
from pickout.saliency.vacuous_words import VACUOUS_WORDS
from pickout.text.familiarity import LEARNT, Familiarity, familiarity
from pickout.text.tokenizer import Tokenizer

if TYPE_CHECKING:
    from pickout.checkpoints.loaded_model import LoadedModel

Floats = NDArray[np.float32]

DEFAULT = "pickout-small"  # the model that comes with the package, and is taken where none is named
DEFAULT_FILE = Path(__file__).parent.parent / "weights" / f"{DEFAULT}.safetensors"  # its file
SHA256 = "78142810bcd42d6c8ed40b80da70e50b43c1610148140114d28efc3d6fd81446"
"""Of the file whose fingerprint is written down here, since to compute one takes all of the model."""
FINGERPRINT = "87422790d6d8"
_HEADS, _DEPTH, _LAYERS, _BRANCHES = 12, 32, 6, 2  # heads of a frozen layer, channels of a head, frozen layers, seeds
_CUT = 6.0  # `pickout.nn.frozen.LARGEST`
_erf = np.frompyfunc(math.erf, 1, 1)


class SentenceEncoder:
    """A gallery's encoder that reads sentences in float32; pictures need PyTorch and the whole model, which is loaded
    when the first comes. `Reading` as in `pickout.gallery.encoder`."""

    name, fingerprint, dimension = DEFAULT, FINGERPRINT, 512

    def __init__(self) -> None:
        with safe_open(DEFAULT_FILE, framework="np") as file:
            self.tokenizer = Tokenizer.from_json(file.metadata()["tokenizer"], source=str(DEFAULT_FILE))
            keys = [key for key in file.keys() if key.startswith("text.")]  # noqa: SIM118  (it is no mapping)
            self._tensors = {key.removeprefix("text."): file.get_tensor(key) for key in keys}

    @staticmethod
    def is_whole() -> bool:
        """Whether the file is the one whose fingerprint is known."""
        with DEFAULT_FILE.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == SHA256

    @cached_property
    def learnt(self) -> frozenset[str]:
        """The words of the captions that the model was taught with."""
        return frozenset(read_text(beside(DEFAULT_FILE, LEARNT)).split())

    def familiarity(self, sentence: str) -> Familiarity:
        """Which of the sentence's words the model was taught."""
        return familiarity(self.tokenizer, sentence, self.learnt | VACUOUS_WORDS)

    def encode_images(self, images: list[Image.Image]) -> Floats:
        """Unit vectors (n, D) of n pictures."""
        return np.asarray(self._whole.encode_images(images))

    @cached_property
    def _whole(self) -> "LoadedModel":
        from pickout.checkpoints.saved_model import load_bundle

        return load_bundle(DEFAULT_FILE)

    def encode_texts(self, texts: list[str]) -> Floats:
        """Unit vectors (n, D) of n sentences."""
        ids = self.tokenizer.encode(texts)
        return np.stack([self._encode(row[mask]) for row, mask in zip(ids, self.tokenizer.mask(ids), strict=True)])

    def _encode(self, ids_T: NDArray[np.int64]) -> Floats:
        """The vector (D,) of one sentence without padding."""
        x_TD = self._rows("embeddings.words.weight", ids_T) + self._rows("embeddings.positions.weight")[: len(ids_T)]
        x_TD = self._norm("embeddings.norm", x_TD + self._rows("embeddings.types.weight")[0])
        for layer in range(_LAYERS):
            x_TD = self._layer(f"trunk.{layer}", x_TD, _HEADS)
        mean, scale, offset = (self._tensors[f"reduction.{name}"] for name in ("mean", "scale", "offset"))
        seen_TD = (np.clip((x_TD - mean) / scale, -_CUT, _CUT) - offset) @ self._rows("reduction.basis")
        parts = []
        for branch in (f"branches.{number}" for number in range(_BRANCHES)):
            x_TD = self._norm(f"{branch}.norm_in", self._linear(f"{branch}.narrow", seen_TD), epsilon=1e-5)
            x_TD = self._layer(f"{branch}.layers.0", x_TD, x_TD.shape[1] // _DEPTH)
            part = self._linear(f"{branch}.projection", x_TD[:1])[0]
            parts.append(part / np.linalg.norm(part))
        whole = np.concatenate(parts)
        return np.asarray(whole / np.linalg.norm(whole), np.float32)

    def _layer(self, name: str, x_TD: Floats, heads: int) -> Floats:
        """A layer of BERT: attention and feed-forward, each added and normed."""
        inner = self._linear(f"{name}.attention.project_in", x_TD)
        q, k, v = (part.reshape(len(x_TD), heads, -1).swapaxes(0, 1) for part in np.split(inner, 3, axis=1))
        scores = q @ k.swapaxes(1, 2) / math.sqrt(q.shape[2])
        weights = np.exp(scores - scores.max(axis=2, keepdims=True))
        mixed = (weights / weights.sum(axis=2, keepdims=True) @ v).swapaxes(0, 1).reshape(len(x_TD), -1)
        x_TD = self._norm(f"{name}.attention.norm", self._linear(f"{name}.attention.project_out", mixed) + x_TD)
        wide = self._linear(f"{name}.feed_forward.widen", x_TD)
        wide *= (0.5 + 0.5 * _erf(wide * np.float32(math.sqrt(0.5))).astype(np.float32)).astype(np.float32)
        return self._norm(f"{name}.feed_forward.norm", self._linear(f"{name}.feed_forward.narrow", wide) + x_TD)

    def _rows(self, key: str, rows: NDArray[np.int64] | slice = slice(None)) -> Floats:
        """Rows of a matrix, widened from 8 bits where they are stored in them."""
        found, scale = self._tensors[key][rows].astype(np.float32), self._tensors.get(f"{key}.scale")
        return np.asarray(found if scale is None else found * scale[rows, None], np.float32)

    def _linear(self, name: str, x: Floats) -> Floats:
        return np.asarray(x @ self._rows(f"{name}.weight").T + self._tensors[f"{name}.bias"], np.float32)

    def _norm(self, name: str, x: Floats, epsilon: float = 1e-12) -> Floats:
        centred = x - x.mean(axis=1, keepdims=True)
        spread = np.sqrt((centred * centred).mean(axis=1, keepdims=True) + np.float32(epsilon))
        weight, bias = (self._tensors[f"{name}.{part}"] for part in ("weight", "bias"))
        return np.asarray(centred / spread * weight + bias, np.float32)

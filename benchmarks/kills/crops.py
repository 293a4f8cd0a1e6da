"""Small crops of noise, an encoder for them, and what a gallery must say of each."""

import hashlib
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pickout.gallery.encoder import vectors_and_tokens
from pickout.gallery.intake.picture import decode, digest
from pickout.gallery.storage.rows import Metadata, Row, row_id

MODELS = ("grid8", "grid6")
"""Names of the encoders: of vectors of 24 and of 18 numbers."""
Fact = dict[str, Any]
"""Everything that is known of one row, as JSON values."""


class GridEncoder:
    """Mean colours of 2 x N/2 cells, less grey, as a unit vector; N stands in the name."""

    def __init__(self, name: str = MODELS[0]) -> None:
        cells = int(re.fullmatch(r"grid(\d+)", name)[1])  # type: ignore[index]
        self.name, self.dimension, self._rows = name, 3 * cells, cells // 2
        self.fingerprint = hashlib.sha256(name.encode()).hexdigest()

    def encode_images(self, images: list[Image.Image]) -> NDArray[np.float32]:
        small = [image.convert("RGB").resize((2, self._rows), Image.Resampling.BOX) for image in images]
        vectors = np.array([np.asarray(each, np.float64).ravel() - 127.6 for each in small])
        vectors = vectors.reshape(len(images), self.dimension)
        return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)

    def encode_texts(self, texts: list[str]) -> NDArray[np.float32]:
        seeds = [int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") for text in texts]
        vectors = np.array([np.random.default_rng(seed).standard_normal(self.dimension) for seed in seeds])
        return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@dataclass(frozen=True)
class Crop:
    """A crop's file as it was drawn, and what any gallery takes from it."""

    file: Path
    content: str
    thumbnail: bytes
    vectors: dict[str, bytes]

    @property
    def id(self) -> str:
        return row_id(self.file)

    def fact(self, metadata: Metadata, model: str) -> Fact:
        """What the row must say under this model."""
        return _fact(self.id, self.content, str(self.file), self.vectors[model], self.thumbnail, metadata)

    def pixels(self) -> dict[str, bytes]:
        """Bytes by which its pixels are known again in any file."""
        vectors = {f"vector of {name}": vector for name, vector in self.vectors.items()}
        return {"content": self.content.encode(), "thumbnail": self.thumbnail[-120:], **vectors}

    def signs(self) -> dict[str, bytes]:
        """Bytes by which the crop is known again in any file: its pixels, its id and its name."""
        return {**self.pixels(), "id": self.id.encode(), "path": os.fsencode(self.file.name)}


def draw_crop(file: Path, seed: list[int]) -> Crop:
    """Draw a crop of 24 x 48 pixels that no other seed gives; written durably enough for a kill."""
    pixels = np.random.default_rng(seed).integers(0, 256, (12, 6, 3), dtype=np.uint8)
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).resize((24, 48), Image.Resampling.NEAREST).save(file)
    data = file.read_bytes()
    picture = decode(file, data)
    vectors = {name: vectors_and_tokens(GridEncoder(name), [picture.image])[0][0].tobytes() for name in MODELS}
    return Crop(file, digest(data), picture.thumbnail, vectors)


def row_fact(row: Row) -> Fact:
    """What a row says, to be compared with `Crop.fact`."""
    vector = np.asarray(row.vector, "<f4").tobytes()
    return _fact(row.id, row.content, str(row.file), vector, row.thumbnail, row.metadata)


def _fact(identifier: str, content: str, file: str, vector: bytes, thumbnail: bytes, told: Metadata) -> Fact:
    metadata = {"camera": told.camera, "track": told.track, "labels": dict(told.labels)}
    return {
        "id": identifier,
        "content": content,
        "file": file,
        "vector": hashlib.sha256(vector).hexdigest(),
        "thumbnail": hashlib.sha256(thumbnail).hexdigest(),
        "metadata": json.dumps(metadata, sort_keys=True),
    }

"""A model whose pictures are encoded by the workers of a Ray cluster."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image

from pickout.checkpoints.loaded_model import LoadedModel
from pickout.checkpoints.source import load
from pickout.cluster.workers import Workers
from pickout.errors import CheckpointMismatch
from pickout.export.exported_images import Runtime, with_runtime

TOGETHER = 16  # pictures that a worker gets at a time


class _EncodingWorker:
    """A model in a process of its own."""

    def __init__(self, model: str, device: str, runtime: Runtime) -> None:
        self._model: LoadedModel | None = None
        self._told = (model, device, runtime)

    def encode(self, images: list[Image], tokens: bool) -> tuple[str, Any]:
        """The model's fingerprint, and what it gives for these pictures."""
        if self._model is None:  # not when it is made: what fails there is told as the death of the process
            place, device, runtime = self._told
            self._model = with_runtime(load(place, device=device), runtime)
        encode = self._model.encode_images_with_tokens if tokens else self._model.encode_images
        return self._model.fingerprint, encode(images)


@dataclass(eq=False, repr=False, kw_only=True)
class ClusterModel(LoadedModel):
    """A loaded model; `workers`, which load it from the same place, encode its pictures."""

    workers: Workers

    @classmethod
    def of(cls, model: LoadedModel, place: str, device: str, runtime: Runtime, number: int | None) -> Self:
        """`model` as it was loaded from `place`, with so many workers; `place` must mean the same on every machine."""
        told = {field.name: getattr(model, field.name) for field in fields(model)} | {"device": str(model.device)}
        return cls(**told, workers=Workers(_EncodingWorker, number, place, device, runtime))

    def encode_images(self, images: Sequence[Image]) -> NDArray[np.float32]:
        """As of `LoadedModel`; a CheckpointMismatch where a worker has loaded another model."""
        empty = np.empty((0, self.dimension), np.float32)
        return np.concatenate([empty, *self._encoded(images, tokens=False)])

    def encode_images_with_tokens(self, images: Sequence[Image]) -> tuple[NDArray[np.float32], NDArray[np.uint16]]:
        """As of `LoadedModel`; a CheckpointMismatch where a worker has loaded another model."""
        if not images:
            return super().encode_images_with_tokens(images)
        vectors, tokens = zip(*self._encoded(images, tokens=True), strict=True)
        return np.concatenate(vectors), np.concatenate(tokens)

    def _encoded(self, images: Sequence[Image], *, tokens: bool) -> list[Any]:
        share = -(-len(images) // self.workers.number) or 1
        parts = [list(images[start : start + share]) for start in range(0, len(images), share)]
        found = self.workers.ask("encode", {worker: (part, tokens) for worker, part in enumerate(parts)})
        if others := {name for name, _ in found.values()} - {self.fingerprint}:
            what = f"a worker has another model there ({others.pop()}, here {self.fingerprint})"
            raise CheckpointMismatch(f"{self.report.source}: {what}; the path must lead to the same files everywhere")
        return [found[worker][1] for worker in range(len(parts))]

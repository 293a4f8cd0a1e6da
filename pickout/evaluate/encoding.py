"""Every image and caption of a split as embeddings, shared among the processes of a launcher."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize

from pickout.data.data_set import DataSet, Split
from pickout.data.images import open_image
from pickout.data.training_pairs import require_files
from pickout.data.transforms import ImageSettings, prepare
from pickout.errors import CheckpointError, DataError
from pickout.evaluate.candidates import Tell
from pickout.evaluate.processes import ALONE, Share
from pickout.evaluate.token_store import TokenStore, joined
from pickout.methods.base import ImageFeatures, Method, TextFeatures
from pickout.shapes import Float, TokenBatch
from pickout.text.tokenizer import Tokenizer

_AHEAD = 3
"""Batches of images that are loading while one is encoded."""
TOKEN_BUDGET = 4 * 1024**3
"""Bytes of memory that the tokens of a split's images may take, and those of its captions; the rest goes to disk."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """Images or captions as a method sees them, on the CPU.

    Args:
        embedding: Shape: (items, dimension), float32.
        parts: the method's named vectors that were asked for. Shape of each: (items, any).
        identity: who each item shows or describes. Shape: (items,).
        image: position in the split of the image it is or describes. Shape: (items,).
        tokens: what a second look reads, where the method has one: of all captions, of this process's images.
        first: position of the first item in `tokens`.
    """

    embedding: Float[Tensor, "items dimension"]
    parts: Mapping[str, Tensor]
    identity: NDArray[np.int64]
    image: NDArray[np.int64]
    tokens: TokenStore | None = None
    first: int = 0


@dataclass(frozen=True, slots=True)
class Encoder:
    """A method with what stands between it and files and sentences.

    Args:
        method: the trained model.
        tokenizer: as in training.
        image_settings: as in training.
        batch: images or captions encoded at a time.
        parts: names of the method's parts to keep beside the embedding; a part that it does not have is left out.
        autocast: reduced precision to compute in, or None for that of the weights.
        keep_tokens: whether the tokens for a second look are kept.
    """

    method: Method
    tokenizer: Tokenizer
    image_settings: ImageSettings
    batch: int = 64
    parts: Sequence[str] = ()
    autocast: torch.dtype | None = None
    keep_tokens: bool = False

    @property
    def device(self) -> torch.device:
        """Where the method's weights are; the CPU for a method without weights."""
        return next((parameter.device for parameter in self.method.parameters()), torch.device("cpu"))

    def images(self, split: Split, *, share: Share = ALONE, tell: Tell | None = None) -> Encoded:
        """Encode every image of the split.

        Raises:
            ImageUnreadable: a file that is no image; no number is better than one over other images.
            CheckpointError: the embeddings are not finite.
        """
        start, stop = share.bounds(len(split.images), self.batch)
        paths = [record.image for record in split.images[start:stop]]
        vectors, tokens = self._encode("images", self._seen(paths), len(paths), share, tell)
        identity = np.array([record.identity for record in split.images], np.int64)
        return _encoded("images", vectors, identity, np.arange(len(split.images)), tokens, start)

    def captions(self, split: Split, *, share: Share = ALONE, tell: Tell | None = None) -> Encoded:
        """Encode every caption of the split, image by image.

        Raises:
            CheckpointError: the embeddings are not finite.
        """
        pairs = list(split.pairs())
        start, stop = share.bounds(len(pairs), self.batch)
        captions = [pair.caption for pair in pairs[start:stop]]
        vectors, tokens = self._encode("captions", self._read(captions), len(captions), share, tell)
        if tokens is not None and share.count > 1:
            tokens = joined(share.gather((tokens.packed(), tokens.lengths)), budget=TOKEN_BUDGET)
        identity = np.array([pair.identity for pair in pairs], np.int64)
        return _encoded("captions", vectors, identity, np.array([pair.image for pair in pairs], np.int64), tokens)

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """No gradients, no dropout, running statistics; every module's own mode is put back afterwards."""
        modes = {module: module.training for module in self.method.modules()}
        self.method.eval()
        try:
            with torch.inference_mode(), torch.autocast(self.device.type, self.autocast, self.autocast is not None):
                yield
        finally:
            for module, training in modes.items():
                module.training = training

    def _encode(
        self,
        what: str,
        batches: Iterable[tuple[ImageFeatures | TextFeatures, Tensor]],
        items: int,
        share: Share,
        tell: Tell | None,
    ) -> tuple[dict[str, Tensor], TokenStore | None]:
        """All processes' embeddings, under the empty name, and parts; this process's tokens."""
        tokens = TokenStore(items, budget=TOKEN_BUDGET) if self.keep_tokens else None

        def work() -> dict[str, Tensor]:
            done: list[dict[str, Tensor]] = []
            for features, mask in batches:
                if tokens is not None:
                    tokens.add(features.tokens, mask)
                # Normalised again in float32, as a loaded model does: under autocast it may have been done in less.
                kept = {"": normalize(features.embedding.float(), dim=-1).cpu()}
                kept |= {name: features.parts[name].float().cpu() for name in self.parts if name in features.parts}
                done.append(kept)
                if tell is not None:
                    tell(what, sum(len(part[""]) for part in done), items)
            return _concatenate(done)

        return _concatenate([part for part in share.run(work) if part]), tokens

    def _seen(self, paths: Sequence[Path]) -> Iterator[tuple[ImageFeatures, Tensor]]:
        def load(path: Path) -> Tensor:
            return prepare(open_image(path), self.image_settings)

        starts = range(0, len(paths), self.batch)
        with ThreadPoolExecutor() as pool:
            waiting = [[pool.submit(load, path) for path in paths[at : at + self.batch]] for at in starts[:_AHEAD]]
            for at in starts:
                ahead = at + _AHEAD * self.batch
                waiting.append([pool.submit(load, path) for path in paths[ahead : ahead + self.batch]])
                images = torch.stack([future.result() for future in waiting.pop(0)]).to(self.device)
                features = self.method.encode_images(images)
                yield features, torch.ones(features.tokens.shape[:2], dtype=torch.bool)

    def _read(self, captions: Sequence[str]) -> Iterator[tuple[TextFeatures, Tensor]]:
        for at in range(0, len(captions), self.batch):
            ids = self.tokenizer.encode(captions[at : at + self.batch])
            texts = TokenBatch(torch.from_numpy(ids), torch.from_numpy(self.tokenizer.mask(ids)))
            features = self.method.encode_texts(texts.to(self.device))
            yield features, features.texts.mask


def find_split(data: DataSet, name: str) -> Split:
    """The split of that name.

    Raises:
        DataError: there is none; names those there are.
    """
    if name in data.splits:
        return data.splits[name]
    raise DataError(f"{data.name} in {data.root} has no split '{name}'; it has {', '.join(data.splits) or 'none'}")


def check_split(split: Split) -> None:
    """Refuse, before anything is encoded, what no number can be computed from.

    Raises:
        DataError: the split has no image or no caption.
        DataMissing: image files are not there.
    """
    name = f"split '{split.name}' of {split.data}"
    if not split.images:
        raise DataError(f"{name} has no images; choose another with --split")
    if not any(record.captions for record in split.images):
        raise DataError(f"{name} has no captions, so there is nothing to search with; add captions or choose another")
    require_files(split, "mend the annotation or put the images back")


def _encoded(
    what: str,
    vectors: dict[str, Tensor],
    identity: NDArray[np.int64],
    image: NDArray[np.int64],
    tokens: TokenStore | None,
    first: int = 0,
) -> Encoded:
    bad = int((~torch.isfinite(vectors[""]).all(dim=1)).sum())
    if bad:
        raise CheckpointError(
            f"the model gave embeddings that are not finite for {bad} of {len(identity)} {what}; "
            "its weights are damaged or its training diverged"
        )
    return Encoded(vectors.pop(""), vectors, identity, image, tokens, first)


def _concatenate(parts: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    return {name: torch.cat([part[name] for part in parts]) for name in (parts[0] if parts else {})}

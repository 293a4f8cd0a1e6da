"""Every image and caption of a split as embeddings, shared among the processes of a launcher."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize

from pickout.data.data_set import Split
from pickout.data.images import open_image
from pickout.data.training_pairs import require_files
from pickout.data.transforms import ImageSettings, prepare
from pickout.errors import CheckpointError, DataError
from pickout.evaluate.processes import ALONE, Share
from pickout.evaluate.token_store import TokenStore, joined
from pickout.methods.base import ImageFeatures, Method, TextFeatures
from pickout.shapes import Float, TokenBatch
from pickout.text.tokenizer import Tokenizer

Tell = Callable[[str, int, int], None]
"""Progress: what is encoded (`images` or `captions`), how many are done, how many there are in this process."""

Vectors = dict[str, Tensor]
"""The embeddings under the empty name, and the parts that were asked for. Shape of each: (items, any), float32."""

_AHEAD = 3

TOKEN_BUDGET = 4 * 1024**3
"""Bytes of memory that the tokens of a split's images may take, and those of its captions."""


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
        budget: bytes of memory for the tokens of images, and as many for those of captions; the rest goes to disk.
    """

    method: Method
    tokenizer: Tokenizer
    image_settings: ImageSettings
    batch: int = 64
    parts: Sequence[str] = ()
    autocast: torch.dtype | None = None
    keep_tokens: bool = False
    budget: int = TOKEN_BUDGET

    @property
    def device(self) -> torch.device:
        """Where the method's weights are; the CPU for a method without weights."""
        return next((parameter.device for parameter in self.method.parameters()), torch.device("cpu"))

    def images(self, split: Split, *, share: Share = ALONE, tell: Tell | None = None) -> Encoded:
        """Encode every image of the split.

        Raises:
            ImageUnreadable: a file that is no image; no number is better than one over other images.
        """
        start, stop = share.bounds(len(split.images), self.batch)
        paths = [record.image for record in split.images[start:stop]]
        tokens = self._store(len(paths))
        shares = share.run(lambda: self._encode_files(paths, tell, tokens))
        identity = np.array([record.identity for record in split.images], np.int64)
        return _join("images", shares, identity, np.arange(len(split.images)), tokens, start)

    def captions(self, split: Split, *, share: Share = ALONE, tell: Tell | None = None) -> Encoded:
        """Encode every caption of the split, image by image."""
        pairs = list(split.pairs())
        start, stop = share.bounds(len(pairs), self.batch)
        captions = [pair.caption for pair in pairs[start:stop]]
        tokens = self._store(len(captions))
        shares = share.run(lambda: self._encode_sentences(captions, tell, tokens))
        if tokens is not None and share.count > 1:
            tokens = joined(share.gather(tokens.packed()), budget=self.budget)
        identity = np.array([pair.identity for pair in pairs], np.int64)
        return _join("captions", shares, identity, np.array([pair.image for pair in pairs], np.int64), tokens)

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

    def _store(self, items: int) -> TokenStore | None:
        return TokenStore(items, budget=self.budget) if self.keep_tokens else None

    def _encode_files(self, paths: Sequence[Path], tell: Tell | None, tokens: TokenStore | None) -> Vectors:
        done: list[Vectors] = []
        with ThreadPoolExecutor() as pool:

            def load(position: int) -> list[Future[Tensor]]:
                return [pool.submit(self._load, path) for path in paths[position : position + self.batch]]

            for group in _ahead(load, len(paths), self.batch):
                images = torch.stack([future.result() for future in group]).to(self.device)
                features = self.method.encode_images(images)
                if tokens is not None:
                    tokens.add(features.tokens, torch.ones(features.tokens.shape[:2], dtype=torch.bool))
                done.append(self._keep(features))
                _report(tell, "images", done, len(paths))
        return _concatenate(done)

    def _encode_sentences(self, captions: Sequence[str], tell: Tell | None, tokens: TokenStore | None) -> Vectors:
        done: list[Vectors] = []
        for position in range(0, len(captions), self.batch):
            ids = self.tokenizer.encode(captions[position : position + self.batch])
            texts = TokenBatch(torch.from_numpy(ids), torch.from_numpy(self.tokenizer.mask(ids)))
            features = self.method.encode_texts(texts.to(self.device))
            if tokens is not None:
                tokens.add(features.tokens, features.texts.mask)
            done.append(self._keep(features))
            _report(tell, "captions", done, len(captions))
        return _concatenate(done)

    def _load(self, path: Path) -> Tensor:
        return prepare(open_image(path), self.image_settings)

    def _keep(self, features: ImageFeatures | TextFeatures) -> Vectors:
        kept = {name: features.parts[name].float().cpu() for name in self.parts if name in features.parts}
        # Normalised again in float32, as a loaded model does: under autocast it may have been done in less.
        return {"": normalize(features.embedding.float(), dim=-1).cpu(), **kept}


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


def _join(
    what: str,
    shares: list[Vectors],
    identity: NDArray[np.int64],
    image: NDArray[np.int64],
    tokens: TokenStore | None,
    first: int = 0,
) -> Encoded:
    whole = _concatenate([part for part in shares if part])
    bad = int((~torch.isfinite(whole[""]).all(dim=1)).sum())
    if bad:
        raise CheckpointError(
            f"the model gave embeddings that are not finite for {bad} of {len(identity)} {what}; "
            "its weights are damaged or its training diverged"
        )
    return Encoded(whole.pop(""), whole, identity, image, tokens, first)


def _concatenate(parts: list[Vectors]) -> Vectors:
    return {name: torch.cat([part[name] for part in parts]) for name in (parts[0] if parts else {})}


def _ahead(load: Callable[[int], list[Future[Tensor]]], items: int, batch: int) -> Iterator[list[Future[Tensor]]]:
    """Batches in order, a few of them loading ahead of the one in use."""
    waiting: list[list[Future[Tensor]]] = []
    for position in range(0, items, batch):
        waiting.append(load(position))
        if len(waiting) > _AHEAD:
            yield waiting.pop(0)
    yield from waiting


def _report(tell: Tell | None, what: str, done: list[Vectors], items: int) -> None:
    if tell is not None:
        tell(what, sum(len(part[""]) for part in done), items)

"""Every image and caption of a split as embeddings, shared among the processes of a launcher."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

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
from pickout.evaluate.candidates import Tell, TokenStore, joined
from pickout.evaluate.processes import ALONE, Share
from pickout.methods.base import ImageFeatures, Method, TextFeatures
from pickout.shapes import Float, TokenBatch
from pickout.text.tokenizer import Tokenizer

T = TypeVar("T")
Batches = Iterator[tuple[ImageFeatures | TextFeatures, Tensor]]  # and True where a token is real
_AHEAD = 3  # batches of images that are loading while one is encoded
TOKEN_BUDGET = 4 * 1024**3
"""Bytes of memory that the tokens of a split's images may take, and those of its captions; the rest goes to disk."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """Images or captions as a method sees them, on the CPU."""

    embedding: Float[Tensor, "items dimension"]
    parts: Mapping[str, Tensor]  # the method's named vectors that were asked for: (items, any) each
    identity: NDArray[np.int64]  # who each item shows or describes: (items,)
    image: NDArray[np.int64]  # position in the split of the image it is or describes: (items,)
    tokens: TokenStore | None = None  # for a second look: of all captions, of this process's images
    first: int = 0  # position of the first item in `tokens`


@dataclass(frozen=True, slots=True)
class Encoder:
    """A method with what stands between it and files and sentences; tokenizer and images as in training."""

    method: Method
    tokenizer: Tokenizer
    image_settings: ImageSettings
    batch: int = 64  # images or captions encoded at a time
    parts: Sequence[str] = ()  # to keep beside the embedding, where the method has them
    autocast: torch.dtype | None = None  # reduced precision to compute in
    keep_tokens: bool = False  # for a second look
    share: Share = ALONE  # of several processes
    tell: Tell | None = None  # hears after each batch

    @property
    def device(self) -> torch.device:
        """Where the method's weights are; the CPU for a method without weights."""
        return next((parameter.device for parameter in self.method.parameters()), torch.device("cpu"))

    def images(self, split: Split) -> Encoded:
        """Encode every image of the split. No number is better than one over other images: all must be readable."""
        who = [record.identity for record in split.images], range(len(split.images))
        return self._encode("images", [record.image for record in split.images], self._seen, who)

    def captions(self, split: Split) -> Encoded:
        """Encode every caption of the split, image by image."""
        pairs = list(split.pairs())
        who = [pair.identity for pair in pairs], [pair.image for pair in pairs]
        found = self._encode("captions", [pair.caption for pair in pairs], self._read, who)
        if found.tokens is None or self.share.count == 1:
            return found
        tokens = joined(self.share.gather((found.tokens.packed(), found.tokens.lengths)), budget=TOKEN_BUDGET)
        return replace(found, tokens=tokens, first=0)

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
        self, what: str, items: Sequence[T], batches: Callable[[Sequence[T]], Batches], who: Iterable[Sequence[int]]
    ) -> Encoded:
        """All processes' vectors, and the tokens of this process's `batches` of the items."""
        start, stop = self.share.bounds(len(items), self.batch)
        tokens = TokenStore(stop - start, budget=TOKEN_BUDGET) if self.keep_tokens else None

        def work() -> dict[str, Tensor]:
            done: list[dict[str, Tensor]] = []
            for features, mask in batches(items[start:stop]):
                if tokens is not None:
                    tokens.add(features.tokens, mask)
                # Normalised again in float32, as a loaded model does: under autocast it may have been done in less.
                kept = {"": normalize(features.embedding.float(), dim=-1).cpu()}
                kept |= {name: features.parts[name].float().cpu() for name in self.parts if name in features.parts}
                done.append(kept)
                if self.tell is not None:
                    self.tell(what, sum(len(part[""]) for part in done), stop - start)
            return _concatenate(done)

        parts = _concatenate([part for part in self.share.run(work) if part])
        embedding = parts.pop("")
        bad = int((~torch.isfinite(embedding).all(dim=1)).sum())
        if bad:
            told = f"the model gave embeddings that are not finite for {bad} of {len(items)} {what}"
            raise CheckpointError(f"{told}; its weights are damaged or its training diverged")
        identity, image = (np.array(numbers, np.int64) for numbers in who)
        return Encoded(embedding, parts, identity, image, tokens, start)

    def _seen(self, paths: Sequence[Path]) -> Batches:
        load = lambda path: prepare(open_image(path), self.image_settings)  # noqa: E731
        starts = range(0, len(paths), self.batch)
        with ThreadPoolExecutor() as pool:
            waiting = [[pool.submit(load, path) for path in paths[at : at + self.batch]] for at in starts[:_AHEAD]]
            for at in starts:
                ahead = at + _AHEAD * self.batch
                waiting.append([pool.submit(load, path) for path in paths[ahead : ahead + self.batch]])
                images = torch.stack([future.result() for future in waiting.pop(0)]).to(self.device)
                features = self.method.encode_images(images)
                yield features, torch.ones(features.tokens.shape[:2], dtype=torch.bool)

    def _read(self, captions: Sequence[str]) -> Batches:
        for at in range(0, len(captions), self.batch):
            ids = self.tokenizer.encode(captions[at : at + self.batch])
            texts = TokenBatch(torch.from_numpy(ids), torch.from_numpy(self.tokenizer.mask(ids)))
            features = self.method.encode_texts(texts.to(self.device))
            yield features, features.texts.mask


def find_split(data: DataSet, name: str) -> Split:
    """The split of that name; `DataError` names those there are."""
    if name in data.splits:
        return data.splits[name]
    raise DataError(f"{data.name} in {data.root} has no split '{name}'; it has {', '.join(data.splits) or 'none'}")


def check_split(split: Split) -> None:
    """Refuse, before anything is encoded, what no number can be computed from: `DataError` for a split without image or
    caption, `DataMissing` for files that are not there."""
    name = f"split '{split.name}' of {split.data}"
    if not split.images:
        raise DataError(f"{name} has no images; choose another with --split")
    if not any(record.captions for record in split.images):
        raise DataError(f"{name} has no captions, so there is nothing to search with; add captions or choose another")
    require_files(split, "mend the annotation or put the images back")


def _concatenate(parts: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    return {name: torch.cat([part[name] for part in parts]) for name in (parts[0] if parts else {})}

"""The second look: a slower, better score for the best images of each caption (AGA, RaSa, ALBEF).

Image by image, not caption by caption: an image's keys and values are projected once, then every caption that has the
image among its candidates is matched with it, the captions of similar length together. Tokens of a
whole split are kept packed, in memory or, where they do not fit, on disk: a caption of 12 takes 12 places."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pickout.errors import CheckpointError
from pickout.evaluate.metrics import ExactProduct, Relevance, RelevantRanks, collect_ranks, mix
from pickout.evaluate.processes import ALONE, Share
from pickout.files import storage_errors
from pickout.methods.base import Method
from pickout.nn.attention import ImageMemory
from pickout.shapes import Bool, Float, Mask, States


class TokenStore:
    """So many rows (`items`) of tokens in the order they are added; to be closed. In memory they are float32. What does
    not fit into the `budget` of bytes lies in an unnamed file, by default in the system's temporary `folder`, as
    bfloat16, which halves the bytes and rounds to three digits; the file is gone with the process, however it ends."""

    def __init__(self, items: int, *, budget: int, folder: Path | None = None) -> None:
        self.items, self.budget, self.folder, self.on_disk = items, budget, folder, False
        self.lengths = np.empty(0, np.int64)  # tokens of each row. Shape: (rows,)
        self._file: IO[bytes] | None = None
        self._parts: list[Tensor] = []  # packed tokens; of a file what is mapped of it

    def add(self, tokens_BND: States, mask_BN: Mask) -> None:
        """Append a batch of rows; in each the tokens that are kept come first. `StorageFull`: no space for the file."""
        if not len(self.lengths):
            self.on_disk = self.items * tokens_BND[0].numel() * 4 > self.budget
        self.append(tokens_BND[mask_BN.to(tokens_BND.device)].cpu(), mask_BN.sum(dim=1).cpu().numpy())

    def append(self, packed: Float[Tensor, "places width"], lengths: NDArray[np.int64]) -> None:
        """Append rows that stand one after the other, with so many tokens each."""
        self.lengths = np.concatenate([self.lengths, lengths])
        if not self.on_disk:
            self._parts.append(packed.float())
            return
        with storage_errors(self.folder or Path(tempfile.gettempdir())):
            if self._file is None:
                self._file = tempfile.TemporaryFile(dir=self.folder)  # noqa: SIM115  (closed by `close`)
            self._file.write(packed.to(torch.bfloat16).contiguous().view(torch.uint8).numpy().tobytes())
            self._file.flush()
        self._parts = []

    def take(self, rows: NDArray[np.int64]) -> tuple[Float[Tensor, "rows tokens width"], Bool[Tensor, "rows tokens"]]:
        """Some rows, padded with zeros to the longest of them, float32, and True where a token is real."""
        starts, lengths = (np.cumsum(self.lengths) - self.lengths)[rows], self.lengths[rows]
        place = np.arange(int(lengths.max(initial=0)))[None, :]
        real = place < lengths[:, None]
        index, mask = torch.from_numpy(np.where(real, starts[:, None] + place, 0)), torch.from_numpy(real)
        return self.packed()[index].float().masked_fill_(~mask[..., None], 0.0), mask

    def packed(self) -> Float[Tensor, "places width"]:
        """Every token, row after row: float32 from memory, bfloat16 mapped from the file."""
        if self._file is not None and not self._parts:
            # Mapped as private pages: torch warns of read-only memory, and nothing writes.
            mapped = torch.from_numpy(np.memmap(self._file, dtype=np.int16, mode="c"))
            self._parts = [mapped.view(torch.bfloat16).view(int(self.lengths.sum()), -1)]
        if len(self._parts) != 1:
            self._parts = [torch.cat([torch.empty(0), *self._parts])]
        return self._parts[0]

    def close(self) -> None:
        """Let go of the memory and the file."""
        self._parts = []
        if self._file is not None:
            self._file.close()


def joined(stores: list[tuple[Tensor, NDArray[np.int64]]], *, budget: int) -> TokenStore:
    """One store of the rows of several processes, given the `packed` and `lengths` of each, in their order."""
    whole = TokenStore(0, budget=budget)
    whole.on_disk = sum(packed.numel() for packed, _ in stores) * 4 > budget
    for packed, lengths in stores:
        whole.append(packed, lengths)
    return whole


Tail = Literal["embedding", "constant"]
"""The order below the candidates: by embedding, or all equal and so in gallery order, as in RaSa's released program."""

PAIRS, IMAGES = 256, 16  # pairs matched at a time, and images whose keys and values are held for them

Tell = Callable[[str, int, int], None]
"""Progress: what is done (`images`, `captions` or `pairs`), how many, and how many there are in this process."""


def find_candidates(
    queries: Tensor, gallery: Tensor, k: int, *, chunk: int = 1024, share: Share = ALONE
) -> NDArray[np.int32]:
    """Positions in the gallery of the k best items of each query by embedding, or of all where there are fewer, best
    first, equal scores in gallery order. Shape: (queries, k)."""
    product = ExactProduct(queries, gallery)
    k = min(k, len(gallery))
    first, last = share.bounds(len(queries), 1)
    found = np.empty((last - first, k), np.int32)
    for start in range(first, last, chunk):
        scores = mix([product.rows(start, min(start + chunk, last))], (1.0,)).numpy()
        for place, row in enumerate(scores, start=start - first):
            near = np.flatnonzero(row >= np.partition(row, -k)[-k])  # a tenth of the time of sorting all
            found[place] = near[np.argsort(-row[near], kind="stable")[:k]]
    return np.concatenate(share.gather(found))


def match_candidates(
    method: Method,
    images: TokenStore,
    captions: TokenStore,
    candidates: NDArray[np.int32],
    *,
    first: int = 0,
    block: int = IMAGES,
    share: Share = ALONE,
    tell: Tell | None = None,
) -> NDArray[np.float32]:
    """The second score of each caption with each of its candidates, by a method with `candidates` above 0 in evaluation
    mode. Shape: (captions, k), in every process.

    `candidates` are from `find_candidates`; `images` are the tokens of this process's images, from position `first` in
    the gallery, a multiple of `block`, the number of images whose keys and values are held at a time; `captions` are
    the text states of all. `tell` is called after each group of pairs. `CheckpointError`: the method gives scores that
    are not finite."""
    flat, k, last = candidates.ravel(), candidates.shape[1], first + len(images.lengths)
    order = np.argsort(flat, kind="stable")
    own = np.split(order, np.searchsorted(flat[order], np.arange(first, last + 1)))[1:-1]  # the pairs of each image
    scores, lengths, done = np.full(len(flat), -np.inf, np.float32), captions.lengths, 0
    device = next((parameter.device for parameter in method.parameters()), torch.device("cpu"))
    for start in range(first, last, block):
        near = np.arange(start, min(start + block, last)) - first
        memory = method.remember(images.take(near)[0].to(device))
        by_image = [own[image][np.argsort(lengths[own[image] // k], kind="stable")] for image in near]
        for pairs in _groups(by_image):
            states, mask = captions.take(pairs // k)
            image = torch.from_numpy(flat[pairs].astype(np.int64)) - start
            low, high = int(image.min()), int(image.max()) + 1
            asked = ImageMemory(*(tuple(each[low:high] for each in part) for part in (memory.keys, memory.values)))
            matched = method.match_pairs(asked, states.to(device), mask.to(device), (image - low).to(device))
            scores[pairs] = matched.float().cpu().numpy()
            done += len(pairs)
            if tell is not None:
                tell("pairs", done, sum(map(len, own)))
    whole: NDArray[np.float32] = np.max(np.stack(share.gather(scores)), axis=0).reshape(candidates.shape)
    if not np.isfinite(whole).all():
        told = f"the model gave {int((~np.isfinite(whole)).sum())} matching scores that are not finite"
        raise CheckpointError(f"{told}; its weights are damaged or its training diverged")
    return whole


def _groups(by_image: list[NDArray[np.int64]]) -> Iterator[NDArray[np.int64]]:
    """Pairs to match together: of one image in pieces of at most `PAIRS`, of neighbouring ones where they are few."""
    parts: list[NDArray[np.int64]] = []
    for pairs in by_image:
        if sum(map(len, parts)) and sum(map(len, parts)) + len(pairs) > PAIRS:
            yield np.concatenate(parts)
            parts = []
        whole = max(len(pairs) - 1, 0) // PAIRS * PAIRS
        yield from (pairs[at : at + PAIRS] for at in range(0, whole, PAIRS))
        parts.append(pairs[whole:])
    if sum(map(len, parts)):
        yield np.concatenate(parts)


def rerank(
    by_embedding: NDArray[np.int32],
    relevance: Relevance,
    candidates: NDArray[np.int32],
    scores: NDArray[np.float32],
    tail: Tail = "embedding",
) -> RelevantRanks:
    """Ranks after the second look: candidates by their second `scores` (queries, k), equal ones as before; then the
    tail. `by_embedding` is the rank by embedding of each pair of `relevance` (pairs,)."""
    k = candidates.shape[1]
    order = np.argsort(-scores, axis=1, kind="stable")
    place = np.empty_like(order)
    np.put_along_axis(place, order, np.arange(k)[None, :], axis=1)
    query = np.repeat(np.arange(len(candidates)), np.diff(relevance.starts))
    within = by_embedding <= k
    again = by_embedding.copy()
    again[within] = place[query[within], by_embedding[within] - 1] + 1
    # Differs from the paper: its program leaves all items below the candidates tied at one score; that is "constant".
    if tail == "constant":
        ordered = np.sort(candidates, axis=1)
        for pair in np.flatnonzero(~within):
            column = relevance.columns[pair]
            again[pair] = k + 1 + column - np.searchsorted(ordered[query[pair]], column)
    return collect_ranks(again, relevance)

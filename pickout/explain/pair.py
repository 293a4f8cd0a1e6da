"""One sentence and one crop as a model reads them, the model's score for changed versions of both, and where a model
attends: words of a fusion model in a crop (AGA, figures 3 and 5), each layer's class token (ITSELF, figure 7, left)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from pickout.checkpoints.loaded_model import LoadedModel
from pickout.data.images import open_image, to_rgb
from pickout.data.transforms import prepare
from pickout.errors import CheckpointError, UsageError
from pickout.methods.fusion_model import FusionModel
from pickout.nn.fusion_encoder import Fused
from pickout.shapes import NO_ATTENTION, AttentionRequest, AttentionTrace, Float, Int, TokenBatch
from pickout.text.tokenizer import Word

Array = NDArray[np.float32]
Rows = TypeVar("Rows", Tensor, Sequence[Tensor])
Tell = Callable[[int, int], None]  # how many are done, and how many there are
BATCH = 64  # changed crops or sentences encoded at a time


@dataclass(frozen=True, slots=True)
class Grid:
    """Where the patches of an image tower lie."""

    rows: int
    columns: int
    patch: int  # side of a patch, and the distance between two, in pixels
    stride: int
    height: int  # of the prepared image, in pixels
    width: int

    @property
    def patches(self) -> int:
        """How many there are."""
        return self.rows * self.columns

    def cover(self) -> NDArray[np.bool_]:
        """True where a pixel belongs to a patch. Shape: (patches, height, width)."""
        sides = ((self.height, self.rows), (self.width, self.columns))
        offsets = [np.arange(pixels) - self.stride * np.arange(count)[:, None] for pixels, count in sides]
        down, across = ((offset >= 0) & (offset < self.patch) for offset in offsets)
        inside = down[:, None, :, None] & across[None, :, None, :]
        return np.asarray(inside.reshape(self.patches, self.height, self.width), np.bool_)

    def place_of(self, heat: Array) -> str:
        """Where a map is hottest, in words."""
        row, column = divmod(int(heat.argmax()), self.columns)
        return f"row {row + 1} of {self.rows}, column {column + 1} of {self.columns}"


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """A sentence and a crop."""

    sentence: str  # as it was given
    words: tuple[Word, ...]  # every word and every run of punctuation of it
    ids: Int[Tensor, " tokens"]  # the encoded sentence; shape (tokens,)
    picture: Image.Image  # the crop, upright, RGB, at its own size
    pixels: Float[Tensor, "3 height width"]  # the crop as the image tower reads it; shape (3, height, width)
    grid: Grid  # where the patches lie

    @property
    def told(self) -> tuple[int, ...]:
        """Positions in `words` of the words that the model reads: no punctuation, none that the context cut off."""
        return tuple(n for n, word in enumerate(self.words) if word.spoken and word.positions)


def make_pair(model: LoadedModel, sentence: str, picture: Image.Image) -> Pair:
    """Prepare a sentence and an upright crop of any size and mode; `UsageError` where the sentence holds no word."""
    words = tuple(model.tokenizer.words(sentence))
    ids = torch.from_numpy(model.tokenizer.encode([sentence])[0])
    image, vision, size = to_rgb(picture), model.settings.vision, model.settings.image
    rows, columns = cast(Any, model.method).vision.grid
    grid = Grid(rows, columns, vision.patch, vision.stride, size.height, size.width)
    pair = Pair(sentence, words, ids, image, prepare(image, model.settings.image), grid)
    if not pair.told:
        shown = sentence if len(sentence) <= 40 else f"{sentence[:40]}..."
        raise UsageError(f"sentence '{shown}': no word that the model reads; describe a person in words")
    return pair


def text_batch(encoder: LoadedModel, rows: Sequence[Int[Tensor, " tokens"]]) -> TokenBatch:
    """Rows of ids as one batch on the encoder's device."""
    ids = torch.stack(list(rows))
    mask = torch.from_numpy(encoder.tokenizer.mask(ids.numpy()))
    return TokenBatch(ids, mask).to(encoder.device)


def embed_images(encoder: LoadedModel, pixels: Float[Tensor, "images 3 height width"]) -> Array:
    """Embeddings in float32, since what a single patch does to a score is small. Shape: (images, dimension)."""
    return _in_batches(pixels, lambda batch: encoder.method.encode_images(batch.to(encoder.device)).embedding)


def embed_texts(encoder: LoadedModel, rows: Sequence[Int[Tensor, " tokens"]]) -> Array:
    """Embeddings of rows of ids in float32. Shape: (rows, dimension)."""
    return _in_batches(rows, lambda batch: encoder.method.encode_texts(text_batch(encoder, batch)).embedding)


@torch.no_grad()
def match_scores(
    encoder: LoadedModel, pixels: Float[Tensor, "images 3 height width"], row: Int[Tensor, " tokens"]
) -> Array:
    """The second score of prepared pictures with one row of ids, for a method that has one. Shape: (images,)."""
    method, text = encoder.method, encoder.method.encode_texts(text_batch(encoder, [row]))

    def scores(batch: Tensor) -> Tensor:
        memory = method.remember(method.encode_images(batch.to(encoder.device)).tokens)
        states, mask = text.tokens.expand(len(batch), -1, -1), text.texts.mask.expand(len(batch), -1)
        return method.match_pairs(memory, states, mask, torch.arange(len(batch), device=encoder.device))

    return _in_batches(pixels, scores)


@torch.no_grad()
def _in_batches(rows: Rows, compute: Callable[[Rows], Tensor]) -> Array:
    parts = [compute(rows[start : start + BATCH]).float().cpu() for start in range(0, len(rows), BATCH)]
    array: Array = torch.cat(parts).numpy()
    if not np.isfinite(array).all():
        raise CheckpointError("the model gives numbers that are not finite; its weights are damaged or diverged")
    return array


def fusion_model(encoder: LoadedModel) -> FusionModel:
    """The method, if it fuses words and images; else a `UsageError`."""
    if isinstance(encoder.method, FusionModel):
        return encoder.method
    name = type(encoder.method).__name__.lower()
    lacks = "has no cross-attention and proposes no words"
    raise UsageError(f"the method '{name}' {lacks}; give a run of fusion, aga or union")


def hidden_rows(pair: Pair, words: Sequence[int], mask: int) -> list[Int[Tensor, " tokens"]]:
    """For each of these `pair.words` the ids with that word hidden behind the id `mask`."""
    return [pair.ids.index_fill(0, torch.tensor(pair.words[word].positions), mask) for word in words]


def fuse_rows(
    encoder: LoadedModel, pair: Pair, rows: Sequence[Int[Tensor, " tokens"]], request: AttentionRequest = NO_ATTENTION
) -> Fused:
    """Versions of the sentence, as ids, after they looked at the crop."""
    method, texts = fusion_model(encoder), text_batch(encoder, rows)
    memory = method.remember(method.looked_at(pair.pixels[None].to(encoder.device))[0])
    image = torch.zeros(len(rows), dtype=torch.int64, device=encoder.device)
    return method.text.fuse(method.text(texts).tokens, texts.mask, memory, image, request=request)


@torch.no_grad()
def look_at(encoder: LoadedModel, pair: Pair, words: Sequence[int], *, hide: bool = True) -> dict[int, Array]:
    """Cross-attention of some of the `Pair.words` that a fusion model reads over the crop; each of them hidden while it
    looks (AGA, figures 3 and 5), or standing in the sentence; heads and the word's pieces averaged. By fusion layer,
    from 1: attention of each word to each patch (words, patches). `UsageError` for a method without."""
    rows = hidden_rows(pair, words, encoder.tokenizer.special.mask) if hide else [pair.ids]
    maps = fuse_rows(encoder, pair, rows, AttentionRequest(maps="all")).look_maps
    places = [(n if hide else 0, list(pair.words[word].positions)) for n, word in enumerate(words)]
    patches, found = fusion_model(encoder).looked_at(pair.pixels[None].to(encoder.device))[1][0].cpu().numpy(), {}
    for layer, map_RTN in maps.items():
        looks = torch.stack([map_RTN[row, at, 1:].mean(dim=0) for row, at in places]).cpu().numpy()
        found[layer] = np.zeros((len(places), pair.grid.patches), looks.dtype)
        found[layer][:, patches] = looks  # patches that it does not read are looked at by no word
    return found


@torch.no_grad()
def attention_of(encoder: LoadedModel, pair: Pair, request: AttentionRequest) -> tuple[AttentionTrace, ...]:
    """Attention of both towers for a pair, straight from them: a method's own trace holds rows alone."""
    method: Any = encoder.method
    image = method.vision(pair.pixels[None].to(encoder.device), request)
    return image.trace, method.text(text_batch(encoder, [pair.ids]), request).trace


def row_entropies(trace: AttentionTrace) -> Array:
    """-sum_j a_j ln a_j of the class (end-of-text) token's row of each layer, heads averaged, in nats. Shape: (samples,
    layers), earliest layer first. The row is over all tokens of the sample, itself included: at most ln(tokens)."""
    rows_LBN = torch.stack([trace.rows[layer].float() for layer in sorted(trace.rows)])
    return np.asarray(torch.special.entr(rows_LBN).sum(dim=-1).T.cpu().numpy())


def attention_entropy(model: LoadedModel, pairs: Sequence[tuple[Path, str]], tell: Tell) -> dict[str, Array]:
    """The entropy of every layer of both towers over files of crops with a sentence each: `images` and `captions`, each
    of shape (pairs, layers). `tell` is called after each pair with how many are done and how many there are.
    `UsageError` for a sentence without words, `ImageUnreadable` for a picture that is missing or damaged."""
    found: dict[str, list[Array]] = {"images": [], "captions": []}
    for number, (file, sentence) in enumerate(pairs, start=1):
        traces = attention_of(model, make_pair(model, sentence, open_image(file)), AttentionRequest(rows="all"))
        for rows, trace in zip(found.values(), traces, strict=True):
            rows.append(row_entropies(trace))
        tell(number, len(pairs))
    return {kind: np.concatenate(rows) for kind, rows in found.items()}

"""Time of the second look image by image, beside the plain loop over captions.

    python benchmarks/rerank.py [--small] [--queries 32] [--images 160] [--candidates 128] [--rounds 3] [--threads 4]

Both sides get the same image tokens and text states and the same random fusion layers (BERT-base's six at 577 image
tokens, or the demo's two with --small), take turns in one process, and must agree within 1e-5. The plain loop does for
each caption what the released evaluation does: take its candidates' tokens, project them to keys and values in every
layer, compute all tokens of the padded caption in every layer, and read the matching head at the class token.

`sharing` is how many captions look at an image: queries x candidates / images. The larger, the more a projection that
is made once an image saves; at CUHK-PEDES's test split it is 256.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from contextlib import closing

import numpy as np
import torch
from torch import Tensor, nn

from pickout.evaluate.candidates import TokenStore, match_candidates
from pickout.methods.base import Method
from pickout.nn.attention import ImageMemory
from pickout.nn.fusion_encoder import FusionEncoder
from pickout.nn.towers import TextSettings
from pickout.shapes import TokenBatch
from pickout.train.engine import keep_freed_memory

LENGTH = 50
"""Tokens of a padded caption, as in the released evaluation."""


class Matcher(nn.Module):
    """Fusion layers and a matching head, as the method has them."""

    candidates = 1

    def __init__(self, text: FusionEncoder) -> None:
        super().__init__()
        self.text, self.head = text, nn.Linear(text.width, 2)

    def remember(self, tokens: Tensor) -> ImageMemory:
        return self.text.remember(tokens)

    def match_pairs(self, memory: ImageMemory, states: Tensor, mask: Tensor, image: Tensor) -> Tensor:
        fused = self.text.fuse(states, mask, memory, image, summary_rows=len(states))
        return self.head(fused.summary)[:, 1]


def caption_by_caption(
    matcher: Matcher, images: Tensor, texts: TokenBatch, states: Tensor, items: np.ndarray
) -> Tensor:
    """The released order: each caption with its own candidates."""
    rows = []
    for state, mask, own in zip(states, texts.mask, torch.from_numpy(items).long(), strict=True):
        count = len(own)
        memory = matcher.text.remember(images[own])
        fused = matcher.text.fuse(state.expand(count, -1, -1), mask.expand(count, -1), memory)
        rows.append(matcher.head(fused.tokens[:, 0])[:, 1])
    return torch.stack(rows)


def image_by_image(matcher: Matcher, images: Tensor, texts: TokenBatch, states: Tensor, items: np.ndarray) -> Tensor:
    """Pickout's order, stores included."""
    pixels, captions = (TokenStore(len(each), budget=2**33) for each in (images, states))
    with closing(pixels), closing(captions):
        pixels.add(images, torch.ones(images.shape[:2], dtype=torch.bool))
        captions.add(states, texts.mask)
        method: Method = matcher  # type: ignore[assignment]
        return torch.from_numpy(match_candidates(method, pixels, captions, items))


def seconds(work: Callable[[], Tensor]) -> tuple[float, Tensor]:
    """Wall time and result."""
    began = time.perf_counter()
    result = work()
    return time.perf_counter() - began, result


@torch.inference_mode()
def compare(small: bool, queries: int, images: int, candidates: int, rounds: int) -> dict[str, object]:
    """Both sides by turns; medians and their ratio."""
    torch.manual_seed(0)
    width, layers, heads, tokens = (128, 2, 4, 28) if small else (768, 6, 12, 577)
    settings = TextSettings(kind="bert", width=width, layers=1, fusion_layers=layers, heads=heads)
    text = FusionEncoder(settings, vocabulary_size=1000, memory_width=width, padding=0, start=1)
    matcher = Matcher(text).eval()
    pixels = torch.randn(images, tokens, width)
    lengths = torch.randint(15, LENGTH + 1, (queries,))
    mask = torch.arange(LENGTH) < lengths[:, None]
    texts = TokenBatch(torch.where(mask, 2, 0), mask)
    states = torch.randn(queries, LENGTH, width)
    generator = np.random.default_rng(0)
    items = np.stack([generator.permutation(images)[:candidates] for _ in range(queries)]).astype(np.int32)
    times: dict[str, list[float]] = {"caption by caption": [], "image by image": []}
    difference = 0.0
    for _ in range(rounds):
        plain, expected = seconds(lambda: caption_by_caption(matcher, pixels, texts, states, items))
        ours, found = seconds(lambda: image_by_image(matcher, pixels, texts, states, items))
        times["caption by caption"].append(plain)
        times["image by image"].append(ours)
        difference = max(difference, float((found - expected).abs().max()))
    medians = {name: statistics.median(values) for name, values in times.items()}
    return {
        "pairs": queries * candidates,
        "sharing": round(queries * candidates / images, 1),
        "image tokens": tokens,
        "mean caption tokens": round(float(lengths.float().mean()), 1),
        **{f"{name}, s": round(value, 3) for name, value in medians.items()},
        "ratio": round(medians["caption by caption"] / medians["image by image"], 2),
        "largest difference of a score": difference,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="the demo's sizes")
    parser.add_argument("--queries", type=int, default=32)
    parser.add_argument("--images", type=int, default=160)
    parser.add_argument("--candidates", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=4)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    keep_freed_memory()
    print(json.dumps(compare(given.small, given.queries, given.images, given.candidates, given.rounds), indent=2))


if __name__ == "__main__":
    main()

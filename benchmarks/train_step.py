"""Time and peak memory of a training step of `aga`: ours beside the release's order of passes, both on equal weights.

    python benchmarks/train_step.py [--batch 64] [--rounds 5] [--large]

A step is the momentum update, the forward pass with its draws, and the backward pass, without the optimiser. The slow
side (`sequential/fusion.py`) writes attention weights out, projects keys and values of images in every pass, runs the
word head at every position and draws as the release does. Both have the recipe's dropout. By default the sizes are
those of the recipe aga-demo; --large takes those of the paper (ViT-B/16 at 384 x 384, BERT-base, 30522 ids, a queue
of 65536) with a batch of 2. One process times both sides in turns: medians of wall time, and of processor time, which
other work on the machine disturbs less. Peak memory is from a process for each side: resident memory above what it
held before its first step (the interpreter, the model, its twin and the queues, which no order of passes changes),
and all of it.
"""

import argparse
import gc
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from sequential.fusion import Draws, Rates, Sequential
from sequential.state import inputs_of, leaves, released_state, sizes_of
from torch import Tensor

from pickout.data.batching import Batch
from pickout.methods.aga import Aga, AgaSettings
from pickout.methods.base import Progress
from pickout.methods.model import build_model
from pickout.saliency.enrich import candidates, enrich
from pickout.saliency.hiding import apply_mask
from pickout.shapes import TokenBatch
from pickout.text.tokenizer import SpecialTokens, Vocabulary, read_vocabulary
from pickout.train.recipe import Recipe, find_recipe, load_recipe
from pickout.train.system import keep_freed_memory

PADDING, START, MASK = 0, 1, 2
STEPS = 6
LARGE = {"recipe": "aga-cuhk-pedes", "batch": 2, "size": 30522}


@dataclass(frozen=True)
class Facts:
    vocabulary_size: int
    context: int
    special: SpecialTokens
    vocabulary: Vocabulary


def facts(recipe: Recipe, size: int) -> Facts:
    special = SpecialTokens(PADDING, START, None, MASK)
    vocabulary = read_vocabulary("wordpiece", ("[PAD]", "[CLS]", "[MASK]", *("word",) * (size - 3)), special)
    return Facts(size, recipe.model.tokenizer.context, special, vocabulary)


def batch_of(recipe: Recipe, size: int, rows: int) -> Batch:
    """Random pairs; captions of half to all of the context, every tenth weak."""
    generator = torch.Generator().manual_seed(0)
    context, image = recipe.model.tokenizer.context, recipe.model.image
    ids = torch.randint(3, size, (2, rows, context), generator=generator)
    ids[:, :, 0] = START
    lengths = torch.linspace(context // 2, context, rows).long()
    ids.masked_fill_(torch.arange(context) >= lengths[:, None], PADDING)
    images = torch.randn(2, rows, 3, image.height, image.width, generator=generator)
    replaced = torch.arange(rows) % 10 == 9
    strong, weak = ids[0], torch.where(replaced[:, None], ids[1], ids[0])
    return Batch(
        images[0],
        TokenBatch(strong, strong != PADDING),
        torch.arange(rows) // 2 * 2 if rows > 2 else torch.arange(rows),
        images[1],
        TokenBatch(weak, weak != PADDING),
        replaced.long(),
    )


def released_draws(proposable: Tensor, replaced: Tensor) -> Draws:
    """Draws from the global generator, row by row where the release draws so, all logits at once."""
    size = len(proposable)

    def mask(ids: Tensor, probability: Tensor, _purpose: str) -> tuple[Tensor, Tensor]:
        chosen = torch.bernoulli(probability.float()).bool()
        random = torch.randint(size, ids.shape)
        return apply_mask(ids, chosen, torch.rand(ids.shape), random, MASK), chosen

    def negatives(images: Tensor, texts: Tensor) -> tuple[Tensor, Tensor]:
        drawn = [torch.tensor([int(torch.multinomial(row, 1)) for row in weights]) for weights in (images, texts)]
        return drawn[0], drawn[1]

    def sample(ids: Tensor, logits: Tensor) -> tuple[Tensor, Tensor]:
        drawn = torch.multinomial(logits.softmax(-1).flatten(0, 1), 1).view(ids.shape)
        words = (ids != PADDING) & (ids != START)
        sampled = torch.where(words, drawn, ids)
        return sampled, (sampled != ids).long().masked_fill(~words, -100)

    def enriched(ids: Tensor, chosen: Tensor, logits: Tensor) -> tuple[Tensor, Tensor]:
        found = candidates(logits[chosen], ids[chosen], proposable, torch.ones_like(ids[chosen], dtype=torch.bool))
        made = enrich(
            ids,
            chosen,
            found,
            uniform_BT=torch.rand(ids.shape),
            decision_BU=torch.rand(len(ids), 1),
            allowed_B=replaced == 0,
        )
        return made, (made != ids).any(dim=1)

    def guided(rows: Tensor, content: Tensor) -> Tensor:
        return AgaSettings().guided_probabilities(dict(enumerate(rows, start=1)), content)

    return Draws(mask, negatives, sample, enriched, guided)


def sides(recipe: Recipe, size: int, rows: int, wanted: tuple[str, ...]) -> dict[str, Callable[[], None]]:
    """A step of each wanted side; each call moves on from where the last one ended."""
    torch.manual_seed(0)
    method, batch = build_model(recipe.model, facts(recipe, size), 1500), batch_of(recipe, size, rows)
    assert isinstance(method, Aga)
    method.train()
    steps: dict[str, Callable[[], None]] = {}
    if "release" in wanted:
        state = released_state(method)
        names = leaves(state)
        dropout = recipe.model.text.dropout
        slow = Sequential(state, sizes_of(method, recipe.model.vision.heads, MASK, dropout), Rates())
        given = inputs_of(batch)
        draws = released_draws(method.proposable, given.replaced)

        def step_slowly() -> None:
            for name in names:
                state[name].grad = None
            slow.step(given, draws).total.backward()

        steps["release"] = step_slowly
    if "ours" in wanted:
        count = iter(range(2, 10**6))

        def step() -> None:
            method.zero_grad()
            method.losses(batch, Progress(next(count), 2, 1, 2)).total.backward()

        steps["ours"] = step
    else:
        del method
    return steps


def timed(step: Callable[[], None]) -> tuple[float, float]:
    """Wall and processor seconds."""
    begun, busy = time.perf_counter(), time.process_time()
    step()
    return time.perf_counter() - begun, time.process_time() - busy


def setting(options: argparse.Namespace) -> tuple[Recipe, int, int]:
    name = str(LARGE["recipe"]) if options.large else "aga-demo"
    recipe = load_recipe(find_recipe(name))
    size = int(LARGE["size"]) if options.large else recipe.model.tokenizer.vocabulary_size
    return recipe, size, options.batch or (int(LARGE["batch"]) if options.large else recipe.sampler.batch)


def resident() -> float:
    """Resident memory of this process now in MB; Linux only."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


def run_side(options: argparse.Namespace) -> None:
    torch.set_num_threads(options.threads)
    step = sides(*setting(options), wanted=(options.side,))[options.side]
    gc.collect()
    before = resident()
    for _ in range(2):
        step()
    whole = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"above": whole - before, "whole": whole}))


def measure(side: str) -> dict[str, float]:
    command = [sys.executable, __file__, *sys.argv[1:], "--side", side]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{side} ended with {done.returncode} (-9: out of memory)\n{done.stderr}")
    return json.loads(done.stdout)


def in_turns(options: argparse.Namespace) -> dict[str, tuple[float, float]]:
    """Median wall and processor seconds of both sides, step after step in one process."""
    keep_freed_memory()
    torch.set_num_threads(options.threads)
    steps = sides(*setting(options), wanted=("ours", "release"))
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in steps}
    for _ in range(options.rounds + 1):
        for name, step in steps.items():
            times[name].append(timed(step))
    return {
        name: (statistics.median(wall for wall, _ in found[1:]), statistics.median(busy for _, busy in found[1:]))
        for name, found in times.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int)
    parser.add_argument("--rounds", type=int, default=STEPS)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--side", choices=["ours", "release"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        run_side(options)
        return
    found = {side: measure(side) for side in ("ours", "release")}
    seconds = in_turns(options)
    recipe, size, rows = setting(options)
    print(f"{recipe.name}, batch {rows}, {size} ids, {options.threads} threads, medians of {options.rounds} steps\n")
    print(
        "| | ms a step | processor ms a step | peak memory above start, MB | peak memory, MB |\n|---|---|---|---|---|"
    )
    for side, numbers in found.items():
        wall, busy = seconds[side]
        print(f"| {side} | {1000 * wall:.0f} | {1000 * busy:.0f} | {numbers['above']:.0f} | {numbers['whole']:.0f} |")
    (wall, busy), (slow_wall, slow_busy) = seconds["ours"], seconds["release"]
    ours, release = found["ours"], found["release"]
    print(
        f"\nours is {slow_wall / wall:.2f} times as fast ({slow_busy / busy:.2f} in processor time), with "
        f"{ours['above'] / release['above']:.2f} of the peak memory above start, "
        f"{ours['whole'] / release['whole']:.2f} of all"
    )


if __name__ == "__main__":
    main()

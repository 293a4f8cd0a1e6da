"""Time a CPU training step of the demo's model with and without keeping freed memory, in turns, in fresh processes.

python benchmarks/freed_memory.py [ROUNDS]
"""

import statistics
import subprocess
import sys
import time

import torch
from sequential.fusion_sides import Facts

from pickout.data.batching import Batch
from pickout.methods.base import Progress
from pickout.methods.model import build_model
from pickout.shapes import TokenBatch
from pickout.text.tokenizer import SpecialTokens, read_vocabulary
from pickout.train.engine import keep_freed_memory
from pickout.train.recipe import find_recipe, load_recipe

STEPS = 12


def step_seconds() -> float:
    """Median seconds of forward and backward on random pairs."""
    recipe = load_recipe(find_recipe("demo"))
    size, context = recipe.model.tokenizer.vocabulary_size, recipe.model.tokenizer.context
    special = SpecialTokens(0, size - 3, size - 2, size - 1)
    vocabulary = read_vocabulary("trained", ("piece",) * size, special)
    model = build_model(recipe.model, Facts(size, context, special, vocabulary), 1500)
    batch, image = recipe.sampler.batch, recipe.model.image
    ids = torch.randint(1, size - 3, (batch, context))
    ids[:, 0], ids[:, -1] = size - 2, size - 1
    pairs = Batch(
        torch.randn(batch, 3, image.height, image.width),
        TokenBatch(ids, torch.ones_like(ids, dtype=torch.bool)),
        torch.arange(batch) // 2,
    )
    times = []
    for step in range(1, STEPS + 1):
        begun = time.perf_counter()
        model.losses(pairs, Progress(step, 1, STEPS, 1)).total.backward()
        times.append(time.perf_counter() - begun)
    return statistics.median(times[2:])


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    found: dict[str, list[float]] = {"keep": [], "plain": []}
    for _ in range(rounds):
        for mode, times in found.items():
            done = subprocess.run([sys.executable, __file__, "--one", mode], check=True, capture_output=True, text=True)
            times.append(float(done.stdout))
    keep, plain = (statistics.median(found[mode]) for mode in ("keep", "plain"))
    print(f"step, freed memory kept:     {1000 * keep:.0f} ms")
    print(f"step, freed memory returned: {1000 * plain:.0f} ms")
    print(f"ratio: {plain / keep:.2f} (medians of {rounds} processes each, {torch.get_num_threads()} threads)")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        if sys.argv[2] == "keep":
            keep_freed_memory()
        print(step_seconds())
    else:
        main()

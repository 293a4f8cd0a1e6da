"""Time and peak memory of a training step: ours beside the release's order of work, both on equal weights.

    python benchmarks/train_step.py [--method aga] [--batch 64] [--rounds 5] [--large]
    python benchmarks/train_step.py --method itself [--batch 8] [--rounds 5]

**aga**: a step is the momentum update, the forward pass with its draws, and the backward pass, without the optimiser,
ours also under bf16 autocast, which the release does not have.
The slow side (`sequential/fusion.py`) writes attention weights out, projects keys and values of images in every pass,
runs the word head at every position and draws as the release does. Both have the recipe's dropout. By default the sizes
are those of the recipe aga-demo; --large takes those of the paper (ViT-B/16 at 384 x 384, BERT-base, 30522 ids, a queue
of 65536) with a batch of 2.

**itself**: the recipe itself-rstpreid with random weights (ViT-B/16 at 384 x 128), a step with its optimiser, each
program in fp32 and under bf16 autocast. The slow side (`sequential/itself.py`) keeps the attention of all layers and
heads, rolls out, pools and pairs sample by sample, fuses each pair in whole, and moves a parameter at a time. The
losses of both sides on the first step of each precision are compared, and must be equal in fp32.

One process times all sides in turns: medians of wall time, and of processor time, which other work on the machine
disturbs less. Peak memory is from a process for each side: resident memory above what it held before its first step
(the interpreter, the model, a twin and queues), and all of it. Gradients and the optimiser's means are in both; no
order of work changes them.
"""

import argparse
import gc
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from sequential import fusion_sides, itself_sides

from pickout.train.engine import keep_freed_memory
from pickout.train.recipe import find_recipe, load_recipe

STEPS = 6
SIDES = {
    "aga": ("release fp32", "ours fp32", "ours bf16"),
    "itself": ("release fp32", "ours fp32", "release bf16", "ours bf16"),
}
RECIPES = {"aga": "aga-demo", "itself": "itself-rstpreid"}
LARGE = {"recipe": "aga-cuhk-pedes", "batch": 2, "size": 30522}
SAME = 1e-4  # largest relative difference of the first losses in fp32

Steps = dict[str, Callable[[], float]]


def timed(step: Callable[[], float]) -> tuple[float, float, float]:
    """Wall and processor seconds, and the loss."""
    begun, busy = time.perf_counter(), time.process_time()
    loss = step()
    return time.perf_counter() - begun, time.process_time() - busy, loss


def build(options: argparse.Namespace, wanted: tuple[str, ...]) -> tuple[str, Steps]:
    """What is measured, in words, and a step of each wanted side."""
    large = options.method == "aga" and options.large
    recipe = load_recipe(find_recipe(str(LARGE["recipe"]) if large else RECIPES[options.method]))
    if options.method == "itself":
        rows = options.batch or 8
        return f"{recipe.name}, batch {rows}", itself_sides.sides(recipe, rows, wanted)
    size = int(LARGE["size"]) if large else recipe.model.tokenizer.vocabulary_size
    rows = options.batch or (int(LARGE["batch"]) if large else recipe.sampler.batch)
    return f"{recipe.name}, batch {rows}, {size} ids", fusion_sides.sides(recipe, size, rows, wanted)


def resident() -> float:
    """Resident memory of this process now in MB; Linux only."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


def run_side(options: argparse.Namespace) -> None:
    torch.set_num_threads(options.threads)
    step = build(options, (options.side,))[1][options.side]
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


def in_turns(options: argparse.Namespace) -> tuple[str, dict[str, tuple[float, float]]]:
    """What is measured, and median wall and processor seconds of all sides, step after step in one process."""
    keep_freed_memory()
    torch.set_num_threads(options.threads)
    told, steps = build(options, SIDES[options.method])
    times: dict[str, list[tuple[float, float, float]]] = {name: [] for name in steps}
    # In this order sides of one precision have taken equally many steps.
    for _ in range(options.rounds + 1):
        for name in SIDES[options.method]:
            times[name].append(timed(steps[name]))
    if options.method == "itself":
        for precision, most in (("fp32", SAME), ("bf16", float("inf"))):
            slow, ours = (times[f"{program} {precision}"][0][2] for program in ("release", "ours"))
            print(f"first loss in {precision}: release {slow:.6f}, ours {ours:.6f}")
            if not abs(slow - ours) <= most * abs(slow):
                sys.exit("the losses are not equal, so the times say nothing")
    medians = {
        name: (statistics.median(wall for wall, _, _ in found[1:]), statistics.median(busy for _, busy, _ in found[1:]))
        for name, found in times.items()
    }
    return told, medians


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--method", choices=[*SIDES], default="aga")
    parser.add_argument("--batch", type=int)
    parser.add_argument("--rounds", type=int, default=STEPS)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--large", action="store_true", help="aga: the paper's sizes")
    parser.add_argument("--side", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        run_side(options)
        return
    found = {side: measure(side) for side in SIDES[options.method]}
    told, seconds = in_turns(options)
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"{told}, {options.threads} threads, medians of {options.rounds} steps, load {load}\n")
    print("| | ms a step | processor ms a step | peak memory above start, MB | peak memory, MB |")
    print("|---|---|---|---|---|")
    for side, numbers in found.items():
        wall, busy = seconds[side]
        print(f"| {side} | {1000 * wall:.0f} | {1000 * busy:.0f} | {numbers['above']:.0f} | {numbers['whole']:.0f} |")
    for side, numbers in found.items():
        for other, least in found.items():
            if side.startswith("ours") and other.startswith("release"):
                wall, busy = (slow / own for slow, own in zip(seconds[other], seconds[side], strict=True))
                above, whole = (numbers[key] / least[key] for key in ("above", "whole"))
                print(f"\n{side} is {wall:.2f} times as fast as {other} ({busy:.2f} in processor time), with", end=" ")
                print(f"{above:.2f} of the peak memory above start, {whole:.2f} of all")


if __name__ == "__main__":
    main()

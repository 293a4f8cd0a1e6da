"""Time and memory of exact ranks of the relevant items, beside the usual full sort.

    python benchmarks/evaluation.py [--items 19848] [--dimension 512] [--people 1000] [--threads 4] [--chunk 1024]

Both sides get the same embeddings (as many captions as images, the size of ICFG-PEDES's test split by default) and
give R@1, R@5, R@10, mAP and mINP of text to image. Each runs in a process of its own, ours first, and reports its peak
resident memory above what it held before it began. The full sort needs about 12 GB at the default size.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from pickout.evaluate.metrics import average, find_relevant, rank, score_queries

NOISE = 3.0


def embeddings(items: int, dimension: int, people: int) -> tuple[Tensor, Tensor, np.ndarray]:
    """Captions and images scattered around each person's own direction."""
    generator = torch.Generator().manual_seed(0)
    identity = np.sort(np.random.default_rng(0).integers(0, people, items))
    centres = torch.randn(people, dimension, generator=generator)[identity]
    captions, images = (
        normalize(centres + NOISE * torch.randn(items, dimension, generator=generator), dim=1) for _ in range(2)
    )
    return captions, images, identity


def relevant_ranks(captions: Tensor, images: Tensor, identity: np.ndarray, chunk: int) -> dict[str, float]:
    """Pickout's way."""
    positions = np.arange(len(identity))
    relevance = find_relevant(identity, identity, positions, positions)
    measures = average(score_queries(rank(captions, images, relevance, chunk=chunk))).named()
    return {name: value for name, value in measures.items() if name != "rSum"}


def full_sort(captions: Tensor, images: Tensor, identity: np.ndarray) -> dict[str, float]:
    """The field's usual way: the whole score matrix, sorted whole, turned into a whole matrix of hits."""
    people = torch.from_numpy(identity)
    order = torch.argsort(captions @ images.T, dim=1, descending=True)
    hits = people[order] == people[:, None]
    del order
    found = hits.cumsum(1)
    places = torch.arange(1, hits.shape[1] + 1)
    relevant = hits.sum(1)
    precision = ((found / places) * hits).sum(1) / relevant
    last = torch.where(hits, places, 0).amax(1)
    recalls = {f"R@{k}": float(hits[:, :k].any(1).float().mean()) for k in (1, 5, 10)}
    measures = {**recalls, "mAP": float(precision.mean()), "mINP": float((relevant / last).mean())}
    return {name: 100 * value for name, value in measures.items()}


def peak() -> float:
    """Peak resident memory of this process in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def resident() -> float:
    """Resident memory of this process now in MB; Linux only."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


def run_side(options: argparse.Namespace) -> None:
    torch.set_num_threads(options.threads)
    data = embeddings(options.items, options.dimension, options.people)
    # Starts the thread pools and the matrix library outside of the measurement.
    relevant_ranks(data[0][:64], data[1][:64], data[2][:64], options.chunk)
    torch.argsort(data[0][:64] @ data[1][:64].T, dim=1)
    before, start = resident(), time.perf_counter()
    measures = full_sort(*data) if options.side == "full_sort" else relevant_ranks(*data, options.chunk)
    seconds = time.perf_counter() - start
    print(json.dumps({"seconds": seconds, "megabytes": peak() - before, "measures": measures}))


def measure(side: str, arguments: list[str]) -> dict[str, dict[str, float] | float]:
    command = [sys.executable, __file__, *arguments, "--side", side]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{side} ended with {done.returncode} (-9: out of memory)\n{done.stderr}")
    return json.loads(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=19848)
    parser.add_argument("--dimension", type=int, default=512)
    parser.add_argument("--people", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=4)
    parser.add_argument("--chunk", type=int, default=1024)
    parser.add_argument("--side", choices=["relevant_ranks", "full_sort"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        run_side(options)
        return
    ours, usual = (measure(side, sys.argv[1:]) for side in ("relevant_ranks", "full_sort"))
    print(f"{options.items} x {options.items}, dimension {options.dimension}, {options.threads} threads\n")
    print("| | seconds | peak memory above start, MB | " + " | ".join(ours["measures"]) + " |")
    print("|---|---|---|" + "---|" * len(ours["measures"]))
    for name, side in (("ranks of the relevant items", ours), ("full sort", usual)):
        numbers = " | ".join(f"{value:.3f}" for value in side["measures"].values())
        print(f"| {name} | {side['seconds']:.1f} | {side['megabytes']:.0f} | {numbers} |")
    print(
        f"\nfull sort / ours: {usual['seconds'] / ours['seconds']:.1f} times the time, "
        f"{usual['megabytes'] / ours['megabytes']:.0f} times the memory"
    )


if __name__ == "__main__":
    main()

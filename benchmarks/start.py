"""What a search of a small gallery from the command line costs beside `import torch`, in turns.

    python benchmarks/start.py [--crops 64] [--repeats 7]

Prints medians of processor time, of wall time, and their ratios. The gallery holds drawn crops, the model is the
default one.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from pickout.config import parse_settings
from pickout.synthetic.street import StreetSettings, draw_street

PICKOUT = [sys.executable, "-m", "pickout"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--crops", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        people = {"identities": options.crops // 2, "images": 2, "val_identities": 1, "test_identities": 1}
        draw_street(parse_settings(StreetSettings, people, source="benchmark"), Path(folder) / "street", workers=1)
        gallery = f"{folder}/people.gallery"
        subprocess.run([*PICKOUT, "index", f"{folder}/street", "--out", gallery], check=True, stderr=subprocess.DEVNULL)
        sides = {
            "import torch": [sys.executable, "-c", "import torch"],
            "pickout search": [*PICKOUT, "search", gallery, "a woman in a teal jacket"],
        }
        taken: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
        for _ in range(options.repeats):
            for name, command in sides.items():
                taken[name].append(timed(command))
    medians = {name: [statistics.median(each) for each in zip(*values, strict=True)] for name, values in taken.items()}
    for name, (processor, wall) in medians.items():
        print(f"{name:15} {processor:6.2f} s of processor time, {wall:6.2f} s by the clock")
    ratios = [ours / theirs for ours, theirs in zip(medians["pickout search"], medians["import torch"], strict=True)]
    print(f"{'ratio':15} {ratios[0]:6.2f} of processor time, {ratios[1]:6.2f} by the clock")


def timed(command: list[str]) -> tuple[float, float]:
    """Processor and wall seconds of a process and its children."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return used, time.perf_counter() - began


if __name__ == "__main__":
    main()

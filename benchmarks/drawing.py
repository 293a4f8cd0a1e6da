"""How many crops of the synthetic street one core draws in a second: `python benchmarks/drawing.py`."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import statistics
import time

import numpy as np

from pickout.synthetic.cameras import sample_cameras
from pickout.synthetic.drawing import draw_crop
from pickout.synthetic.people import sample_person, sample_view

CROPS, RUNS, SIZE = 120, 5, (192, 64)


def main() -> None:
    generator = np.random.default_rng(0)
    cameras = sample_cameras(generator, 6)
    jobs = []
    for index in range(CROPS):
        person, camera = sample_person(generator), cameras[index % len(cameras)]
        jobs.append((person, sample_view(generator, person, camera), camera))
    draw_crop(*jobs[0], SIZE)
    rates, times = [], []
    for _ in range(RUNS):
        begin = time.process_time()
        for job in jobs:
            start = time.process_time()
            draw_crop(*job, SIZE)
            times.append(time.process_time() - start)
        rates.append(CROPS / (time.process_time() - begin))
    print(f"{statistics.median(rates):.1f} crops of {SIZE[0]}x{SIZE[1]} a second of one core (median of {RUNS} runs)")
    print(f"{min(rates):.1f} to {max(rates):.1f}; one crop {1000 * statistics.median(times):.1f} ms (median)")


if __name__ == "__main__":
    main()

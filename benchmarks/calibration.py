"""Do the probabilities hold for models of any strength? Drawn vectors in place of a model, from weak to strong.

    python benchmarks/calibration.py [--crops 800] [--people 200] [--seeds 2]

A sentence's vector is its person's with noise: the more noise, the weaker the model. In the second half of the lines
the noise differs from sentence to sentence, as sentences do that say little or much. Half of the people are used for
fitting, the lines tell about the other half: expected calibration error (15 bins of equal width) over the best ten
candidates and over the best one, with 95 % intervals, and how many searches are answered at an error rate of 5 %.
"""

import argparse

import numpy as np
from numpy.typing import NDArray
from search import unit

from pickout.gallery.calibration.evidence import People, gather
from pickout.gallery.calibration.fit import CalibrationSettings, fit_and_check
from pickout.gallery.storage.rows import Resident
from pickout.gallery.vectors.exact import HeldVectors

DIMENSION, CROPS, SENTENCES = 64, 2, 4
NOISES = (0.2, 0.4, 0.7, 1.0, 1.5, 2.5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--crops", type=int, default=800)
    parser.add_argument("--people", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=2)
    options = parser.parse_args()
    print("noise       R@1   ECE, best ten           ECE, best               absent answered  present answered")
    for uneven in (False, True):
        for noise in NOISES:
            for seed in range(options.seeds):
                line(noise, options.crops, options.people, seed, uneven=uneven)


def line(noise: float, crops: int, count: int, seed: int, *, uneven: bool) -> None:
    """Draw a gallery and people, calibrate, and print what the check found."""
    generator = np.random.default_rng(seed)
    weights = np.arange(1, DIMENSION + 1) ** -0.5

    def drawn(rows: int) -> NDArray[np.float64]:
        return generator.standard_normal((rows, DIMENSION)) * weights

    def shown(persons: NDArray[np.float64]) -> NDArray[np.float32]:
        every = np.repeat(persons, CROPS, axis=0)
        return unit(every + 0.5 * drawn(len(every)))

    gallery, persons = shown(drawn(crops // CROPS)), drawn(count)
    said = np.repeat(persons, SENTENCES, axis=0)
    how = noise * (np.exp(0.5 * generator.standard_normal((len(said), 1))) if uneven else 1.0)
    people = People(
        vectors=shown(persons),
        tokens=None,
        contents=tuple(map(str, range(CROPS * count))),
        shown=np.repeat(np.arange(count), CROPS),
        sentences=("",) * len(said),
        queries=unit(said + how * drawn(len(said)) + np.eye(DIMENSION)[0]),
        meant=np.repeat(np.arange(count), SENTENCES),
    )
    resident = Resident(
        ids=np.arange(len(gallery)).astype("S32"),
        vectors=HeldVectors(gallery),
        facets={},
        times=np.zeros(len(gallery), "M8[us]"),
        order=np.arange(len(gallery)),
    )
    evidence = list(gather(people, resident, np.full(len(gallery), -1), None, 0, lambda *_: None))
    first = np.mean([each.own[:, 0].max() > each.pool[0, 0] for each in evidence])
    fitting = set(generator.permutation(count)[: count // 2].tolist())
    check = fit_and_check(
        [each for each in evidence if each.person in fitting],
        [each for each in evidence if each.person not in fitting],
        size=len(gallery),
        settings=CalibrationSettings(seed=seed),
        model="drawn",
        data="drawn",
        second_look=False,
        shift=0.0,
    ).check
    name = f"{noise}{' uneven' if uneven else ''}"
    errors = [
        f"{error:.3f} ({low:.3f} to {high:.3f})"
        for error, (low, high) in ((check.ece, check.ece_interval), (check.ece_best, check.ece_best_interval))
    ]
    answered = f"{check.absent_answered:.3f}            {check.present_answered:.3f}"
    print(f"{name:<12}{first:.2f}  {'  '.join(errors)}  {answered}")


if __name__ == "__main__":
    main()

"""Can a model tell people apart who differ in one garment, which the sentence names?

    pickout data draw hard --set identities=1 --set val_identities=1 --set test_identities=400 --set images=2 \\
        --set seed=3 --set twins=true
    python benchmarks/twins.py hard RUN [RUN ...]

The test people of such a street come in pairs: the person of an even number is the one before but for one garment.
For each sentence: whether the best of its own person's crops scores above the best of the twin's (`right`, chance
50 %), and whether the first of all crops is its person's (`first`, R@1). With each the 95 % interval of resamples of
pairs; also of the differences to the first run. Scores are those of the first look. Prints JSON."""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

import pickout
from pickout.data.images import open_image
from pickout.data.registry import open_data
from pickout.evaluate.metrics import BootstrapSettings, bootstrap


def answers(run: Path, street: Path) -> tuple[np.ndarray, np.ndarray]:
    """For each sentence, whether it is `right` and `first` (queries, 2), and the number of its pair (queries,)."""
    model = pickout.load(run, precision="fp32")
    records = open_data("street", street).splits["test"].images
    people = np.array([record.identity for record in records])
    vectors = model.encode_images([open_image(record.image) for record in records])
    asked = [(record.identity, caption) for record in records for caption in record.captions]
    scores = model.encode_texts([caption for _, caption in asked]) @ vectors.T
    about = np.array([identity for identity, _ in asked])
    numbers = np.unique(people)
    best = np.stack([scores[:, people == number].max(1) for number in numbers], axis=1)  # (queries, people)
    own = np.searchsorted(numbers, about)
    rows = np.arange(len(asked))
    right = best[rows, own] > best[rows, own ^ 1]  # neighbours are twins: 0 and 1, 2 and 3
    return np.stack([right, best.argmax(1) == own], axis=1).astype(float), own // 2


def told(values: np.ndarray, pairs: np.ndarray) -> dict[str, Any]:
    """Means and intervals in percent, of values (queries, 2)."""
    low, high = bootstrap(100.0 * values, pairs, BootstrapSettings())
    means = (100.0 * values).mean(0)
    return {
        name: {"mean": round(float(means[n]), 1), "interval": [round(float(low[n]), 1), round(float(high[n]), 1)]}
        for n, name in enumerate(("right", "first"))
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("street", type=Path)
    parser.add_argument("runs", type=Path, nargs="+")
    given = parser.parse_args()
    found, base = {}, None
    for run in given.runs:
        values, pairs = answers(run, given.street)
        found[str(run)] = {"is": told(values, pairs)}
        if base is not None:
            found[str(run)]["more"] = told(values - base, pairs)
        base = values if base is None else base
    print(json.dumps({"street": str(given.street), "queries": len(base), "runs": found}, indent=1))


if __name__ == "__main__":
    main()

"""A model on real crops of real people: found by their captions, by typed words, and which words it understands.

    python benchmarks/real_crops.py CROPS CAPTIONS.json [MODEL]

CAPTIONS is a list of {"id", "img_path", "captions"}. The typed queries and word groups below were written for the 65
crops of 12 people of Intel's sample videos (CC BY 4.0). Nothing is trained, tuned or chosen by what this prints: each
look is counted in docs/journal.md. 57 captions are a noisy ruler: read mAP, and intervals by person.
"""

import json
import sys
from pathlib import Path

import numpy as np

import pickout
from pickout.data.images import open_image

TYPED = {
    "teal jacket": {14},
    "grey cardigan": {0},
    "orange vest": {16},
    "yellow helmet": {16},
    "cream dress": {17},
    "olive jacket": {13},
    "brown suede jacket": {15},
    "black t-shirt": {3},
    "grey shirt and blue jeans": {5},
    "long blond hair and a black sweater": {2},
    "black jacket and black trousers": {1},
    "grey sweater and dark jeans": {4},
    "person with a hat": {13, 16},
}
"""One or two garments, as users type them, and who fits."""

WORDS = {
    "sex": {"a man": {1, 3, 5, 13, 16, 18}, "a woman": {0, 2, 4, 14, 15, 17}},
    "colour above": {
        "a person in a grey top": {0, 4, 5},
        "a person in a black top": {1, 2, 3, 18},
        "a person in a green top": {13},
        "a person in a teal top": {14},
        "a person in a brown top": {15},
        "a person in an orange top": {16},
        "a person in a white top": {17},
    },
    "colour below": {"black trousers": {0, 1, 2, 3, 4, 14, 15}, "blue trousers": {5, 13, 16, 18}, "white": {17}},
    "kind above": {
        "a person in a jacket": {1, 13, 14, 15},
        "a person in a sweater": {2, 4},
        "a person in a t-shirt": {3},
        "a person in a shirt": {5, 18},
        "a person in a cardigan": {0},
        "a person in a vest": {16},
        "a woman in a dress": {17},
    },
    "kind below": {"trousers": {0, 1, 2, 3, 4, 14, 15}, "blue jeans": {5, 13, 16, 18}, "a dress": {17}},
    "sleeves": {"a short-sleeved top": {3, 17, 18}, "a long-sleeved top": {0, 1, 2, 4, 5, 13, 14, 15, 16}},
    "hair length": {"a person with short hair": {1, 3, 5, 18}, "a person with long hair": {0, 2, 4, 14}},
    "headwear": {"a person with a hat": {13, 16}, "a person without a hat": {0, 1, 2, 3, 4, 5, 14, 15, 17, 18}},
    "no bag": {"a person with a backpack": set(), "a person without a backpack": set(range(19))},
}
"""Groups of words: sentences of which one is true of each person."""

RESAMPLES = 2000


def main() -> None:
    """Print the table."""
    crops, captions = Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text(encoding="utf-8"))
    model = pickout.load(*sys.argv[3:4])
    people = np.array([record["id"] for record in captions])
    images = model.encode_images([open_image(crops / record["img_path"]) for record in captions])
    asked = list(dict.fromkeys((record["id"], text) for record in captions for text in record["captions"]))
    who = np.array([identity for identity, _ in asked])
    first, precision = _scores(model.encode_texts([text for _, text in asked]) @ images.T, who, people)
    print(f"{model.name} {model.fingerprint}: {len(people)} crops of {len(set(people.tolist()))} people")
    print(f"{len(asked)} captions: R@1 {_told(first, who)}, mAP {_told(precision, who)}")
    scores = model.encode_texts(list(TYPED)) @ images.T
    right, five = [], []
    for row, (text, fit) in zip(scores, TYPED.items(), strict=True):
        order = np.argsort(-row, kind="stable")
        best = [int(people[place]) in fit for place in order[:5]]
        right.append(best[0])
        five.append(np.mean(best))
        print(f"  {'yes' if best[0] else 'no ':3} {np.mean(best):.1f}  {text}")
    print(f"typed: {sum(right)} of {len(right)} first hits right, precision of the first five {np.mean(five):.2f}")
    for group, sentences in WORDS.items():
        chosen = (model.encode_texts(list(sentences)) @ images.T).argmax(axis=0)
        told = [int(person) for person in people if any(int(person) in fit for fit in sentences.values())]
        fits = list(sentences.values())
        hits = np.array([int(p) in fits[c] for p, c in zip(people, chosen, strict=True) if int(p) in set(told)])
        print(f"  {group:13} {_told(hits, np.array(told))} (chance {100 / len(sentences):.0f})")


def _scores(scores: np.ndarray, who: np.ndarray, people: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Whether the first hit is right, and average precision, of each query."""
    order = np.argsort(-scores, axis=1, kind="stable")
    right = people[order] == who[:, None]
    found = np.cumsum(right, axis=1) / np.arange(1, right.shape[1] + 1)
    return right[:, 0].astype(float), (found * right).sum(axis=1) / right.sum(axis=1)


def _told(values: np.ndarray, who: np.ndarray) -> str:
    """The mean in percent with its 95 % interval over people."""
    chance = np.random.default_rng(0)
    groups = [np.asarray(values, float)[who == person] for person in np.unique(who)]
    means = [
        np.concatenate([groups[i] for i in chance.integers(len(groups), size=len(groups))]).mean()
        for _ in range(RESAMPLES)
    ]
    low, high = np.percentile(means, [2.5, 97.5])
    return f"{100 * np.mean(values):.1f} [{100 * low:.0f}, {100 * high:.0f}]"


if __name__ == "__main__":
    main()

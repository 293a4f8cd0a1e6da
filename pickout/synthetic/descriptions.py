"""Sentences about people who are not drawn."""

import numpy as np

from pickout.synthetic.cameras import NEUTRAL_CAMERA
from pickout.synthetic.captions import describe
from pickout.synthetic.people import sample_person
from pickout.synthetic.views import sample_view


def drawn_sentences(count: int, *, seed: int) -> list[str]:
    """One caption for each of `count` random people, as if each had been drawn."""
    sentences = []
    for number in range(count):
        generator = np.random.default_rng([seed, number])
        person = sample_person(generator)
        sentences.append(describe(person, sample_view(generator, person, NEUTRAL_CAMERA), generator))
    return sentences

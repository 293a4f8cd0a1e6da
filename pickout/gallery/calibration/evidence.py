"""What calibration rests on: validation sentences searched in the gallery, with their people there and not there."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pickout.data.data_set import Split
from pickout.gallery.encoder import Encoder, Matching, image_vectors, sentence_vectors
from pickout.gallery.intake.picture import decode, digest, read_file
from pickout.gallery.search.probability import SHOWN, measures
from pickout.gallery.search.ranking import LOOKED_AT
from pickout.gallery.storage.rows import Resident
from pickout.gallery.vectors.exact import best_rows

FRACTIONS = (1.0, 1 / 2, 1 / 4, 1 / 8, 1 / 16)
"""Sizes of the galleries that are searched, as shares of the gallery."""
_BATCH = 32
_KEPT = int(1.5 * LOOKED_AT / FRACTIONS[-1])
"""Best rows kept of each search, so that the smallest gallery still has a full list."""

Tell = Callable[[str, int, int], None]
"""Called with what is encoded, how many are done and of how many."""


@dataclass(frozen=True, slots=True)
class People:
    """The people of a validation split, encoded.

    Args:
        vectors: (n, D) of their images.
        tokens: of their images, for a model that looks again; else None.
        contents: SHA-256 of each image file.
        shown: (n,) who an image shows.
        sentences: what is searched for.
        queries: (q, D) their vectors.
        meant: (q,) who a sentence describes.
    """

    vectors: NDArray[np.float32]
    tokens: NDArray[np.uint16] | None
    contents: tuple[str, ...]
    shown: NDArray[np.int64]
    sentences: tuple[str, ...]
    queries: NDArray[np.float32]
    meant: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Evidence:
    """One sentence searched in the gallery.

    Args:
        person: who it describes.
        own: (m, 2) scores of the person's own images: by vector, and the one that ranks.
        pool: (r, 2) the same of the gallery's best rows that do not show the person, best first by vector.
        candidates: how many of the best by vector are ranked by the second score; 0: there is none.
    """

    person: int
    own: NDArray[np.float64]
    pool: NDArray[np.float64]
    candidates: int


@dataclass(frozen=True, slots=True)
class Lists:
    """The candidates of many searches.

    Args:
        inputs: (n, 2) measures of each candidate.
        match: (n,) whether it shows the person.
        first: (n,) whether it is the best of its search.
        present: (n,) whether the person was there in that search.
        person: (n,) who was searched for.
    """

    inputs: NDArray[np.float64]
    match: NDArray[np.bool_]
    first: NDArray[np.bool_]
    present: NDArray[np.bool_]
    person: NDArray[np.int64]


def encode_people(split: Split, encoder: Encoder, *, searches: int, seed: int, tell: Tell) -> People:
    """Encode the images of a split and at most `searches` of its sentences, drawn at random.

    Raises:
        ImageUnreadable: an image that cannot be read.
        GalleryError: the encoder broke its promise.
    """
    pairs = [pair for pair in split.pairs() if pair.caption.strip()]
    chosen = np.sort(np.random.default_rng(seed).permutation(len(pairs))[:searches])
    asked = [pairs[place] for place in chosen]
    wanted = {pair.identity for pair in asked}
    records = [record for record in split.images if record.identity in wanted]
    vectors, tokens, contents = [np.empty((0, encoder.dimension), np.float32)], [], []
    for start in range(0, len(records), _BATCH):
        images = []
        for record in records[start : start + _BATCH]:
            data = read_file(record.image)
            contents.append(digest(data))
            images.append(decode(record.image, data).image)
        if isinstance(encoder, Matching) and encoder.candidates:
            some, own = encoder.encode_images_with_tokens(images)
            tokens.append(own)
        else:
            some = image_vectors(encoder, images)
        vectors.append(some)
        tell("images", min(start + _BATCH, len(records)), len(records))
    sentences = tuple(" ".join(pair.caption.split()) for pair in asked)
    return People(
        vectors=np.concatenate(vectors),
        tokens=np.concatenate(tokens) if tokens else None,
        contents=tuple(contents),
        shown=np.array([record.identity for record in records], dtype=np.int64),
        sentences=sentences,
        queries=sentence_vectors(encoder, list(sentences)),
        meant=np.array([pair.identity for pair in asked], dtype=np.int64),
    )


def gather(
    people: People,
    resident: Resident,
    shown_N: NDArray[np.int64],
    second_look: Callable[[int, NDArray[np.int64], NDArray[np.int64]], NDArray[np.float64]] | None,
    candidates: int,
    tell: Tell,
) -> Iterator[Evidence]:
    """Search for every sentence.

    Args:
        people: the validation people.
        resident: the gallery's rows.
        shown_N: which validation person a row shows, or -1: such a row is no distractor for that person.
        second_look: from a sentence, its person's images and rows of the gallery to matching scores of all of them.
        candidates: how many of the best are looked at again.
        tell: called as it goes on.
    """
    kept = candidates if second_look else _KEPT
    # A person's own rows are left out afterwards; so many more are kept.
    own = np.unique(shown_N[shown_N >= 0], return_counts=True)[1]
    rows, scores = best_rows(resident.vectors, people.queries, kept + int(own.max(initial=0)))
    for number, person in enumerate(people.meant):
        others = (rows[number] >= 0) & (shown_N[rows[number]] != person)
        best, found = rows[number][others][:kept], scores[number][others][:kept]
        images = np.flatnonzero(people.shown == person)
        by_vector = np.concatenate([people.vectors[images] @ people.queries[number], found])
        ranks = by_vector if second_look is None else second_look(number, images, best)
        both = np.stack([by_vector, ranks], axis=1).astype(np.float64)
        yield Evidence(
            int(person), both[: len(images)], both[len(images) :], candidates if second_look is not None else 0
        )
        tell("searches", number + 1, len(people.sentences))


def simulate(evidence: list[Evidence], fraction: float, generator: np.random.Generator) -> Lists:
    """Search a random part of the gallery for every sentence, once with the person there and once without.

    Args:
        evidence: the sentences.
        fraction: the share of the gallery's crops that is there.
        generator: draws which.
    """
    inputs, match, first, present, person = [], [], [], [], []
    for each in evidence:
        there = each.pool[generator.random(len(each.pool)) < fraction]
        for own in (each.own, each.own[:0]):
            scores, is_own = _list(own, there, each.candidates)
            found = measures(scores[:SHOWN], scores[:LOOKED_AT])
            inputs.append(found)
            match.append(is_own[: len(found)])
            first.append(np.arange(len(found)) == 0)
            present.append(np.full(len(found), len(own) > 0))
            person.append(np.full(len(found), each.person))
    return Lists(
        inputs=np.concatenate(inputs),
        match=np.concatenate(match),
        first=np.concatenate(first),
        present=np.concatenate(present),
        person=np.concatenate(person),
    )


def _list(
    own: NDArray[np.float64], there: NDArray[np.float64], candidates: int
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The ranking's scores, best first, and which are the person's own images."""
    both = np.concatenate([own, there])
    is_own = np.arange(len(both)) < len(own)
    if candidates:
        looked = np.argsort(-both[:, 0], kind="stable")[:candidates]
        both, is_own = both[looked], is_own[looked]
    order = np.argsort(-both[:, 1], kind="stable")
    return both[order, 1], is_own[order]

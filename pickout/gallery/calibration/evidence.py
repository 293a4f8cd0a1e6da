"""What calibration rests on: validation sentences searched in the gallery, with their people there and not there."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pickout.data.data_set import Split
from pickout.errors import GalleryError
from pickout.gallery.encoder import Encoder, Matching, keeps_tokens, sentence_vectors, vectors_and_tokens
from pickout.gallery.intake.picture import decode, digest, read_file
from pickout.gallery.search.probability import SHOWN, measures
from pickout.gallery.search.ranking import LOOKED_AT
from pickout.gallery.storage.rows import Resident
from pickout.gallery.storage.store import Store
from pickout.gallery.vectors.exact import Doubles, Floats, Mask, Rows, Tokens, best_rows

FRACTIONS = (1.0, 1 / 2, 1 / 4, 1 / 8, 1 / 16)  # sizes of the galleries that are searched, as shares of the gallery
_BATCH = 32
_KEPT = int(1.5 * LOOKED_AT / FRACTIONS[-1])  # best rows kept, so that the smallest gallery still has a full list

Tell = Callable[[str, int, int], None]  # called with what is encoded, how many are done and of how many
SecondLook = Callable[[int, Rows, Rows], Doubles]
"""From a sentence, its person's images and rows of the gallery to matching scores of all of them."""


class People(NamedTuple):
    """The people of a validation split, encoded: n images and q sentences."""

    vectors: Floats  # (n, D)
    tokens: Tokens | None  # for a model that looks again
    contents: tuple[str, ...]  # SHA-256 of each image file
    shown: Rows  # (n,) who an image shows
    sentences: tuple[str, ...]
    queries: Floats  # (q, D) the sentences' vectors
    meant: Rows  # (q,) who a sentence describes

    def shift(self, resident: Resident) -> float:
        """How much higher their images score than the gallery's rows, in standard deviations of the latter."""
        rows = resident.vectors.at(np.arange(0, len(resident.ids), max(1, len(resident.ids) // 2000)))
        rows = rows[np.isfinite(rows[:, 0])]
        spread = float((self.queries @ rows.T).std(1).mean())
        return float((self.queries @ (self.vectors.mean(0) - rows.mean(0))).mean() / max(spread, 1e-9))

    def second_look(self, encoder: Matching, resident: Resident, store: Store) -> SecondLook:
        """Matching scores by the images' tokens and those that the gallery keeps."""

        def look(number: int, images: Rows, rows: Rows) -> Doubles:
            ids = [resident.ids[row].decode() for row in rows]
            kept = store.fetch_tokens(ids)
            if self.tokens is None or len(kept) < len(set(ids)):
                raise GalleryError("some crops were indexed without the tokens of the second look; index them again")
            tokens = np.concatenate([self.tokens[images], np.stack([kept[each] for each in ids])])
            return encoder.match(self.sentences[number], tokens).astype(np.float64)

        return look


class Evidence(NamedTuple):
    """One sentence searched in the gallery; scores are two, by vector and the one that ranks."""

    person: int
    own: Doubles  # (m, 2) of the person's own images
    pool: Doubles  # (r, 2) of the best rows that do not show the person, best first by vector
    candidates: int  # how many of the best by vector are ranked by the second score; 0: there is none


class Lists(NamedTuple):
    """The n candidates of many searches."""

    inputs: Doubles  # (n, 2) measures
    match: Mask  # whether it shows the person
    first: Mask  # whether it is the best of its search
    present: Mask  # whether the person was there in that search
    person: Rows  # who was searched for


def encode_people(split: Split, encoder: Encoder, *, searches: int, seed: int, tell: Tell) -> People:
    """Encode the images of a split and at most `searches` of its sentences, drawn at random."""
    pairs = [pair for pair in split.pairs() if pair.caption.strip()]
    asked = [pairs[place] for place in np.sort(np.random.default_rng(seed).permutation(len(pairs))[:searches])]
    wanted = {pair.identity for pair in asked}
    records = [record for record in split.images if record.identity in wanted]
    vectors, tokens, contents = [np.empty((0, encoder.dimension), np.float32)], list[Any](), list[str]()
    for start in range(0, len(records), _BATCH):
        some = records[start : start + _BATCH]
        files = [read_file(record.image) for record in some]
        contents += map(digest, files)
        images = [decode(record.image, data).image for record, data in zip(some, files, strict=True)]
        found, own = vectors_and_tokens(encoder, images, tokens=keeps_tokens(encoder))
        vectors.append(found)
        tokens += own
        tell("images", start + len(some), len(records))
    sentences = tuple(" ".join(pair.caption.split()) for pair in asked)
    shown, meant = (np.array([each.identity for each in some], dtype=np.int64) for some in (records, asked))
    kept = np.stack(tokens) if keeps_tokens(encoder) and tokens else None
    queries = sentence_vectors(encoder, list(sentences))
    return People(np.concatenate(vectors), kept, tuple(contents), shown, sentences, queries, meant)


def gather(
    people: People, resident: Resident, shown_N: Rows, look: SecondLook | None, candidates: int, tell: Tell
) -> Iterator[Evidence]:
    """Search for every sentence of `people`; `candidates` of the best have a second `look`. `shown_N` tells which of
    the people a row shows, or -1: it is no distractor for that person."""
    kept = candidates if look else _KEPT
    # A person's own rows are left out afterwards; so many more are kept.
    own = np.unique(shown_N[shown_N >= 0], return_counts=True)[1]
    rows, scores = best_rows(resident.vectors, people.queries, kept + int(own.max(initial=0)))
    for number, person in enumerate(people.meant):
        others = (rows[number] >= 0) & (shown_N[rows[number]] != person)
        best, found = rows[number][others][:kept], scores[number][others][:kept]
        images = np.flatnonzero(people.shown == person)
        by_vector = np.concatenate([people.vectors[images] @ people.queries[number], found])
        ranks = by_vector if look is None else look(number, images, best)
        both = np.stack([by_vector, ranks], axis=1).astype(np.float64)
        yield Evidence(int(person), both[: len(images)], both[len(images) :], candidates)
        tell("searches", number + 1, len(people.sentences))


def simulate(evidence: list[Evidence], fraction: float, generator: np.random.Generator) -> Lists:
    """Search a random part of the gallery for every sentence, once with the person there and once without."""
    columns: list[tuple[NDArray[Any], ...]] = []
    for each in evidence:
        there = each.pool[generator.random(len(each.pool)) < fraction]
        for own in (each.own, each.own[:0]):
            both = np.concatenate([own, there])
            is_own = np.arange(len(both)) < len(own)
            if each.candidates:
                looked = np.argsort(-both[:, 0], kind="stable")[: each.candidates]
                both, is_own = both[looked], is_own[looked]
            order = np.argsort(-both[:, 1], kind="stable")
            scores = both[order, 1]
            found = measures(scores[:SHOWN], scores[:LOOKED_AT])
            count = len(found)
            first, present = np.arange(count) == 0, np.full(count, len(own) > 0)
            columns.append((found, is_own[order][:count], first, present, np.full(count, each.person)))
    return Lists(*map(np.concatenate, zip(*columns, strict=True)))

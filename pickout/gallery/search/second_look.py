"""The second look: a model that can compares the best crops' tokens with the sentence itself."""

import numpy as np
from numpy.typing import NDArray

from pickout.gallery.encoder import Encoder, Matching
from pickout.gallery.search.query import Query
from pickout.gallery.search.ranking import SecondLook
from pickout.gallery.storage.rows import Resident
from pickout.gallery.storage.store import Store


def looks_again(encoder: Encoder, query: Query, candidates: int | None) -> int:
    """How many of the best are looked at again; 0 for a model that cannot, or a query without sentence.

    Args:
        encoder: the model.
        query: what is searched for. With pictures in it the second look would forget them, so there is none.
        candidates: how many the searcher wants; None: as many as the model says.
    """
    if not isinstance(encoder, Matching) or query.images or query.more_like or query.less_like or not query.texts:
        return 0
    return encoder.candidates if candidates is None or not encoder.candidates else candidates


def second_look(encoder: Matching, query: Query, resident: Resident, store: Store, without: float) -> SecondLook:
    """The mean matching score of the query's sentences, less `without` times that of the unwanted above its mean.

    A row that was indexed without tokens gets NaN: it keeps its place behind those that were looked at.
    """

    def look(positions: NDArray[np.int64]) -> NDArray[np.float32]:
        ids = [resident.ids[position].decode() for position in positions]
        tokens = store.fetch_tokens(ids)
        scores = np.full(len(ids), np.nan, dtype=np.float32)
        have = [place for place, identifier in enumerate(ids) if identifier in tokens]
        if not have:
            return scores
        stacked = np.stack([tokens[ids[place]] for place in have])
        found = np.mean([encoder.match(text, stacked) for text in query.texts], axis=0)
        for text in query.without:
            unwanted = encoder.match(text, stacked)
            found = found - without * np.maximum(unwanted - unwanted.mean(), 0)
        scores[have] = found
        return scores

    return look

"""Why each candidate of a search was chosen, for the page of results."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

    from pickout.checkpoints.loaded_model import LoadedModel
    from pickout.gallery.search.answer import Answer
    from pickout.gallery.search.hits import Hit
    from pickout.gallery.search.sheet import Reasons


def find_reasons(model: "LoadedModel", answers: Sequence["Answer"]) -> "Reasons":
    """Explain every candidate's score for the first sentence of its query; a query without sentence has no reasons.

    A crop that has moved or changed since it was indexed is explained by its thumbnail.

    Args:
        model: the gallery's.
        answers: what was found.

    Raises:
        CheckpointError: the model's measurement is damaged.
    """
    from pickout.explain.explanation import explain, measurement_file
    from pickout.explain.page import explanation_piece, explanation_style
    from pickout.explain.verdict import read_measurement
    from pickout.gallery.search.sheet import Reasons

    measurement = read_measurement(measurement_file(model))
    pieces: dict[str, str] = {}
    for answer in answers:
        for hit in answer.hits if answer.query.texts else ():
            found = explain(model, answer.query.texts[0], _picture(hit), measurement=measurement)
            pieces[hit.id] = explanation_piece(found, name=f"why{len(pieces)}x")
    return Reasons(explanation_style(), pieces)


def _picture(hit: "Hit") -> "Image":
    from pickout.data.images import open_image
    from pickout.errors import ImageUnreadable

    try:
        picture = open_image(hit.file)
        if picture.size == (hit.width, hit.height):
            return picture
    except ImageUnreadable:
        pass
    return open_image(hit.thumbnail)

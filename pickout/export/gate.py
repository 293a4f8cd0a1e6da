"""The gate: how far an exported model's vectors are from the model's own, and what they cost in searches."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pickout.checkpoints.loaded_model import LoadedModel
from pickout.data.data_set import Split
from pickout.data.images import open_image
from pickout.errors import CheckpointError, ExportRefused

MEAN, LEAST = 0.999, 0.99  # cosine with torch's fp32: of all crops together, and of the worst
LOSS = 0.5  # points of R@1 that may be lost on drawn validation people
SEARCHES = 400  # sentences of drawn people that are searched


@dataclass(frozen=True, slots=True)
class Gate:
    """What was measured."""

    crops: int  # pictures whose vectors were compared
    mean_cosine: float
    least_cosine: float
    tokens_cosine: float | None  # mean, of the tokens that a second look reads
    searches: int
    recall_torch: float  # R@1 in percent, by vectors
    recall: float

    @property
    def refusal(self) -> str | None:
        """Why vectors like these may not be mixed with the model's own; None where they may."""
        lowest = self.mean_cosine if self.tokens_cosine is None else min(self.mean_cosine, self.tokens_cosine)
        why = []
        if not lowest >= MEAN:
            why.append(f"mean cosine {lowest:.5f}, at least {MEAN} is asked for")
        if not self.least_cosine >= LEAST:
            why.append(f"least cosine {self.least_cosine:.5f}, at least {LEAST} is asked for")
        if not self.recall_torch - self.recall <= LOSS:
            change = f"R@1 falls from {self.recall_torch:.2f} to {self.recall:.2f} in {self.searches} searches"
            why.append(f"{change}, by more than {LOSS} points")
        return "; ".join(why) or None

    def require(self, what: str) -> None:
        """`ExportRefused` with the numbers where it does not pass."""
        if self.refusal is not None:
            raise ExportRefused(f"{what} is refused: {self.refusal}; try another --precision or other --crops")

    def as_json(self) -> dict[str, Any]:
        """All numbers by name."""
        return asdict(self)


def measure(model: LoadedModel, exported: LoadedModel, crops: list[Image.Image], people: Split) -> Gate:
    """Hold `exported` against `model`, which computes with torch in fp32, on the crops and on drawn people."""
    pairs = [pair for pair in people.pairs() if pair.caption.strip()][:SEARCHES]
    texts = model.encode_texts([pair.caption for pair in pairs])
    meant = np.array([pair.identity for pair in pairs])
    shown = np.array([image.identity for image in people.images])
    pictures = [open_image(image.image) for image in people.images]
    own, other = model.encode_images(pictures), _vectors(exported, pictures)
    recalls = [100 * float((shown[(texts @ vectors.T).argmax(1)] == meant).mean()) for vectors in (own, other)]
    cosines = (model.encode_images(crops) * _vectors(exported, crops)).sum(1)
    tokens = _tokens_cosine(model, exported, crops[:32]) if model.candidates and np.isfinite(cosines).all() else None
    return Gate(len(cosines), float(cosines.mean()), float(cosines.min()), tokens, len(pairs), *recalls)


def _vectors(exported: LoadedModel, pictures: list[Image.Image]) -> NDArray[np.float32]:
    """Not numbers where the exported model gives none, which no gate lets pass."""
    try:
        return exported.encode_images(pictures)
    except CheckpointError:
        return np.full((len(pictures), exported.dimension), np.nan, np.float32)


def _tokens_cosine(model: LoadedModel, exported: LoadedModel, crops: list[Image.Image]) -> float:
    own, other = (_numbers(each.encode_images_with_tokens(crops)[1]) for each in (model, exported))
    lengths = np.linalg.norm(own, axis=-1) * np.linalg.norm(other, axis=-1)
    return float(((own * other).sum(-1) / np.maximum(lengths, 1e-9)).mean())


def _numbers(bits: NDArray[np.uint16]) -> NDArray[np.float32]:
    return (bits.astype(np.uint32) << 16).view(np.float32)

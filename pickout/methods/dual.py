"""`dual`: two towers and one global feature each, the baseline of ITSELF (table 3)."""

from torch import Tensor
from torch.nn import functional as F

from pickout.data.batching import Batch
from pickout.methods.base import ALL_ROWS, ImageFeatures, LossTerms, Method, ParameterGroup, Progress, TextFeatures
from pickout.methods.objective import Objective, ObjectiveSettings, build_objective
from pickout.methods.parameter_groups import Rates, group_parameters
from pickout.nn.gather import gather, gather_with_gradient
from pickout.nn.text import TextTower
from pickout.nn.vision import ImageTower
from pickout.shapes import NO_ATTENTION, Float, TokenBatch
from pickout.text.vocabulary import Vocabulary


class DualSettings(ObjectiveSettings):
    """The global baseline: TAL and CID on the class and end-of-text tokens (ITSELF, table 3, first row)."""


class Dual(Method):
    """The cosine of class token and end-of-text token.

    Args:
        vision: the image tower.
        text: the text tower.
        objective: the losses of the global features.
        rates: learning rates of the parameter groups.
    """

    def __init__(self, vision: ImageTower, text: TextTower, objective: Objective, rates: Rates) -> None:
        super().__init__()
        self.vision = vision
        self.text = text
        self.global_objective = objective
        self.rates = rates
        self.dimension = vision.embedding

    def losses(self, batch: Batch, progress: Progress) -> LossTerms:  # noqa: ARG002  (nothing here changes over time)
        """TAL and CID of the global features, over the batches of all processes together."""
        image_BE = gather_with_gradient(self.vision(batch.images).summary.float())
        text_BE = gather_with_gradient(self.text(batch.texts).summary.float())
        terms: LossTerms = self.global_objective(image_BE, text_BE, gather(batch.identity))
        return terms

    def encode_images(self, images: Float[Tensor, "batch 3 height width"], *, trace: bool = False) -> ImageFeatures:
        """Embed prepared images; `parts` holds `global`, not normalised."""
        out = self.vision(images, ALL_ROWS if trace else NO_ATTENTION)
        summary = out.summary.float()
        return ImageFeatures(
            F.normalize(summary, dim=-1), out.tokens, {"global": summary}, out.trace if trace else None
        )

    def encode_texts(self, texts: TokenBatch, *, trace: bool = False) -> TextFeatures:
        """Embed tokenized captions; `parts` holds `global`, not normalised."""
        out = self.text(texts, ALL_ROWS if trace else NO_ATTENTION)
        summary = out.summary.float()
        return TextFeatures(
            F.normalize(summary, dim=-1), out.tokens, texts, {"global": summary}, out.trace if trace else None
        )

    def parameter_groups(self) -> list[ParameterGroup]:
        """Towers, classifiers, and the biases of each."""
        return group_parameters(self, self.rates)


def build_dual(
    settings: DualSettings,
    vision: ImageTower,
    text: TextTower,
    identities: int,
    vocabulary: Vocabulary | None = None,  # noqa: ARG001  (no piece is hidden or proposed)
) -> Dual:
    """The baseline over two towers; see `pickout.methods.Build`."""
    return Dual(vision, text, build_objective(settings, "global", vision.embedding, identities), settings.rates())

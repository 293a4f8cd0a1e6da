"""`dual`: two towers and one global feature each, the baseline of ITSELF (table 3)."""

from torch.nn import functional as F

from pickout.data.batching import Batch
from pickout.methods.base import (
    ImageFeatures,
    ImageTower,
    LossTerms,
    Method,
    ParameterGroup,
    Progress,
    TextFeatures,
    TextTower,
    group_parameters,
)
from pickout.methods.objective import Objective, ObjectiveSettings
from pickout.nn.gather import gather, gather_with_gradient
from pickout.shapes import ALL_ROWS, NO_ATTENTION, Pictures, TokenBatch
from pickout.text.tokenizer import Vocabulary


class DualSettings(ObjectiveSettings):
    """The global baseline: TAL and CID on the class and end-of-text tokens (ITSELF, table 3, first row)."""


class Dual(Method):
    """The cosine of class token and end-of-text token; arguments as in `MethodEntry.build`."""

    def __init__(
        self,
        settings: DualSettings,
        vision: ImageTower,
        text: TextTower,
        identities: int,
        vocabulary: Vocabulary | None = None,  # noqa: ARG002  (no piece is hidden or proposed)
    ) -> None:
        super().__init__()
        self.settings, self.vision, self.text = settings, vision, text
        self.global_objective = Objective(settings, "global", vision.embedding, identities)
        self.dimension = vision.embedding

    def losses(self, batch: Batch, progress: Progress) -> LossTerms:  # noqa: ARG002  (nothing here changes over time)
        """TAL and CID of the global features, over the batches of all processes together."""
        image_BE = gather_with_gradient(self.vision(batch.images).summary.float())
        text_BE = gather_with_gradient(self.text(batch.texts).summary.float())
        terms: LossTerms = self.global_objective(image_BE, text_BE, gather(batch.identity))
        return terms

    def encode_images(self, images: Pictures, *, trace: bool = False) -> ImageFeatures:
        """Embed prepared images; `parts` holds `global`, not normalised."""
        out = self.vision(images, ALL_ROWS if trace else NO_ATTENTION)
        whole, seen = out.summary.float(), out.trace if trace else None
        return ImageFeatures(F.normalize(whole, dim=-1), out.tokens, {"global": whole}, seen)

    def encode_texts(self, texts: TokenBatch, *, trace: bool = False) -> TextFeatures:
        """Embed tokenized captions; `parts` holds `global`, not normalised."""
        out = self.text(texts, ALL_ROWS if trace else NO_ATTENTION)
        whole, seen = out.summary.float(), out.trace if trace else None
        return TextFeatures(F.normalize(whole, dim=-1), out.tokens, texts, {"global": whole}, seen)

    def parameter_groups(self) -> list[ParameterGroup]:
        """Towers, classifiers, and the biases of each."""
        return group_parameters(self, self.settings.group_of)

"""`dual`: two towers and one global feature each, the baseline of ITSELF (table 3)."""

from torch import Tensor
from torch.nn import functional as F

from pickout.data.batching import Batch
from pickout.methods import base
from pickout.methods.objective import Objective, ObjectiveSettings
from pickout.nn.gather import gather, gather_with_gradient
from pickout.shapes import NO_ATTENTION, Ints, Pictures, TokenBatch


class DualSettings(ObjectiveSettings):
    """The global baseline: TAL and CID on the class and end-of-text tokens (ITSELF, table 3, first row)."""


class Dual(base.SeparableMethod):
    """The cosine of class token and end-of-text token; arguments as in `MethodEntry.build`."""

    def __init__(
        self, settings: DualSettings, vision: base.ImageTower, text: base.TextTower, identities: int, *_: object
    ) -> None:
        super().__init__()
        self.settings, self.vision, self.text = settings, vision, text
        self.global_objective = Objective(settings, "global", vision.embedding, identities)
        self.dimension = vision.embedding

    def represent(self, batch: Batch, progress: base.Progress) -> tuple[Tensor, ...]:  # noqa: ARG002  (nothing here changes over time)
        """The global features of images and captions."""
        return self.vision(batch.images).summary.float(), self.text(batch.texts.cut()).summary.float()

    def compare(self, parts: tuple[Tensor, ...], identity: Ints, progress: base.Progress) -> base.LossTerms:  # noqa: ARG002
        """TAL and CID of the global features, over the batches of all processes together."""
        terms: base.LossTerms = self.global_objective(*map(gather_with_gradient, parts), gather(identity))
        return terms

    def encode_images(self, images: Pictures, *, trace: bool = False) -> base.ImageFeatures:
        """Embed prepared images; `parts` holds `global`, not normalised."""
        out = self.vision(images, NO_ATTENTION.traced(trace))
        whole, seen = out.summary.float(), out.trace if trace else None
        return base.ImageFeatures(F.normalize(whole, dim=-1), out.tokens, {"global": whole}, seen)

    def encode_texts(self, texts: TokenBatch, *, trace: bool = False) -> base.TextFeatures:
        """Embed tokenized captions; `parts` holds `global`, not normalised."""
        texts = texts.cut()
        out = self.text(texts, NO_ATTENTION.traced(trace))
        whole, seen = out.summary.float(), out.trace if trace else None
        return base.TextFeatures(F.normalize(whole, dim=-1), out.tokens, texts, {"global": whole}, seen)

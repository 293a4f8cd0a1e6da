"""`union`: AGA's second look at ITSELF's bank, one model with the ideas of both papers; neither paper has it.

One reading of attention serves all: what MARS rolls out chooses the bank of local tokens, and the same pass over a
caption tells AGM which words to hide. The first look is ITSELF's, a global and a local cosine, fused; the second is
AGA's, but its fusion layers read the class token and the bank in place of all patches, so a gallery keeps a fraction of
the tokens and looks at a fraction. docs/methods/union.md says what is whose."""

from dataclasses import replace
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn

from pickout.data.batching import Batch
from pickout.methods.aga import Aga, AgaSettings
from pickout.methods.base import ImageFeatures, ImageTower, LossTerms, Progress, TextFeatures
from pickout.methods.fusion import Given
from pickout.methods.fusion_model import TRAINING_ONLY as OF_FUSION
from pickout.methods.itself import ItselfSettings, Selection, fused_embedding
from pickout.methods.objective import Objective
from pickout.nn.gather import gather, gather_with_gradient
from pickout.nn.heads import GrabHead
from pickout.nn.transformer import TowerOutput
from pickout.shapes import Float, Int, Pictures, States, TokenBatch
from pickout.text.tokenizer import Vocabulary

TRAINING_ONLY = (*OF_FUSION, "local_objective.")
_LOCAL = ("image_head.", "text_head.", "local_objective.")


class UnionSettings(AgaSettings):
    """Every choice of AGA, and of ITSELF in `bank`, whose global branch has no part here: AGA's contrast is in its
    place."""

    bank: ItselfSettings = ItselfSettings()
    """ITSELF's choices: what scores tokens, how many are kept, the local embedding and its losses."""
    local_weight: float = Field(default=1.0, gt=0)  # factor of the local branch's losses beside AGA's

    def group_of(self, name: str, parameter: nn.Parameter) -> tuple[str, float, float]:
        """As ITSELF's of its local branch, else as AGA's."""
        return self.bank.group_of(name, parameter) if name.startswith(_LOCAL) else super().group_of(name, parameter)


class Union(Aga):
    """AGA over the bank that ITSELF keeps; arguments as in `MethodEntry.build`."""

    settings: UnionSettings

    def __init__(
        self, settings: UnionSettings, vision: ImageTower, text: Any, identities: int, vocabulary: Vocabulary
    ) -> None:
        super().__init__(settings, vision, text, identities, vocabulary)
        bank = settings.bank
        how: dict[str, Any] = {"residual": bank.residual, "pool": bank.pool, "mask_fillers": bank.mask_fillers}
        self.image_head = GrabHead(vision.channels, bank.hidden, bank.local_dimension, **how)
        self.text_head = GrabHead(text.width, bank.hidden, bank.local_dimension, **how)
        self.local_objective = Objective(bank, "local", bank.local_dimension, identities)
        self.dimension = vision.embedding + bank.local_dimension
        patches = vision.grid[0] * vision.grid[1]
        self.image_selection = Selection(bank, "image", vision.layers, patches, patches + 1)
        self.text_selection = Selection(bank, "text", text.layers, max(1, text.context - 2), text.context)

    def given(self, batch: Batch) -> Given:
        """A batch ready for a step, and what one pass of each tower made of it."""
        given = super().given(batch)
        image = self.vision(given.images, self.image_selection.training.request)
        text = self.text(given.strong, self.text_selection.training.request.traced(True))
        return replace(given, image=image, text=text)

    def image_tokens(self, given: Given, progress: Progress) -> States:
        """The class token, and the bank that the schedule keeps at this moment."""
        assert given.image is not None
        return self._kept(given.image, self.image_selection.training_kept(progress))[0]

    def further(self, given: Given, progress: Progress) -> LossTerms:
        """ITSELF's losses of the local branch (ITSELF, Eq. 5 to 7), over the batches of all processes together."""
        assert given.image is not None and given.text is not None
        patches, words = (each.training_kept(progress) for each in (self.image_selection, self.text_selection))
        image_bank, image_length = self.image_selection.choose(given.image, None, patches)
        text_bank, text_length = self.text_selection.choose(given.text, ~given.strong.mask, words)
        image = self.image_head(gather_with_gradient(image_bank.float()), gather(image_length))
        text = self.text_head(gather_with_gradient(text_bank.float()), gather(text_length))
        found: LossTerms = self.local_objective(image, text, gather(given.identity))
        weights = {name: self.settings.local_weight * weight for name, weight in found.weights.items()}
        return LossTerms(found.terms, weights, {"kept_patches": float(patches), "kept_words": float(words)})

    def encode_images(self, images: Pictures, *, trace: bool = False) -> ImageFeatures:
        """Embed prepared images; `parts` holds `global` and `local`, not normalised; `tokens` are the class token and
        the bank, which `remember` reads."""
        out = self.vision(images, self.image_selection.evaluation.request.traced(trace))
        tokens, (bank, length) = self._kept(out)
        parts = {"global": self.image_projection(tokens[:, 0]).float(), "local": self.image_head(bank.float(), length)}
        embedding, seen = fused_embedding(parts, self.settings.bank.fusion_weight), out.trace if trace else None
        return ImageFeatures(embedding, tokens, parts, seen)

    def encode_texts(self, texts: TokenBatch, *, trace: bool = False) -> TextFeatures:
        """Embed tokenized captions; `parts` holds `global` and `local`, not normalised; `tokens` are all states."""
        out = self.text(texts, self.text_selection.evaluation.request.traced(trace))
        bank, length = self.text_selection.choose(out, ~texts.mask)
        whole = self.text_projection(out.tokens[:, 0]).float()
        parts = {"global": whole, "local": self.text_head(bank.float(), length)}
        embedding, seen = fused_embedding(parts, self.settings.bank.fusion_weight), out.trace if trace else None
        return TextFeatures(embedding, out.tokens, texts, parts, seen)

    def looked_at(
        self, images: Pictures
    ) -> tuple[Float[Tensor, "batch tokens channels"], Int[Tensor, "batch patches"]]:
        """The class token and the bank, and which patches these are."""
        out = self.vision(images, self.image_selection.evaluation.request)
        return self._kept(out)[0], self.image_selection.bank(out, None).index - 1

    def _kept(self, out: TowerOutput, kept: int | None = None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """The class token with the bank behind it, and the bank with its lengths."""
        bank, length = self.image_selection.choose(out, None, kept)
        return torch.cat([out.tokens[:, :1], bank], dim=1), (bank, length)

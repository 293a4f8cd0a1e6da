"""What `dual` and `itself` minimise for one kind of feature: alignment (TAL or SDM) and identity (CID)."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from pickout.errors import TrainingError
from pickout.losses.alignment import info_nce, similarity_distribution, triplet_alignment
from pickout.losses.identity import (
    MismatchClass,
    classification,
    hard_negatives,
    matching_pairs,
    mismatch_label,
    pair_classification,
)
from pickout.methods.base import LossTerms
from pickout.methods.parameter_groups import Rates
from pickout.methods.presets import PresetSettings
from pickout.nn.heads import IdentityHeads
from pickout.shapes import Float, Int

FIRST_LOG_SCALE = 2.6
"""Where the learnt scale of InfoNCE begins: 1 / 0.074, about CLIP's. A sharp start learns from chance neighbours."""

Alignment = Literal["tal", "sdm", "nce", "off"]


class ObjectiveSettings(PresetSettings):
    """Losses and learning rates that `dual` and `itself` share. Section numbers are those of docs/methods/itself.md."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "as_paper": {"id_terms": False},
        "as_released": {"mismatch_class": "batch_max_plus_one"},
    }

    alignment: Alignment = "tal"
    """The alignment loss: triplet alignment (ITSELF, Eq. 5; RDE), similarity distribution matching (IRRA), InfoNCE with
    all images and captions of a person as positives, or none."""
    temperature: float = Field(default=0.015, gt=0)
    """Tau of TAL (RDE)."""
    margin: float = Field(default=0.1, ge=0)
    """m of TAL (RDE)."""
    sdm_temperature: float = Field(default=0.02, gt=0)
    """Divides the cosines in SDM (IRRA); in InfoNCE, whose temperature is learnt, the lowest that it may reach."""
    pair_loss: bool = True
    """Whether CID classifies matched and mismatched pairs (ITSELF, Eq. 6; CFAM)."""
    # Differs from the paper: its equations have no identity terms; its baseline's numbers depend on them.
    id_terms: bool = True
    """Whether CID also classifies images and captions alone: in the released program, not in the paper's equations."""
    mismatch_class: MismatchClass = "n_id"
    """Class of mismatched pairs: one of their own, or the batch's largest identity plus one as released."""
    alignment_weight: float = Field(default=1.0, gt=0)
    """Factor of the alignment loss (ITSELF, Eq. 7: none)."""
    pair_weight: float = Field(default=1.0, gt=0)
    """Factor of the pair loss (ITSELF, Eq. 7: none)."""
    id_weight: float = Field(default=1.0, gt=0)
    """Factor of each identity term (released program: none)."""
    classifier_spread: float = Field(default=0.001, gt=0)
    """Standard deviation of the classifiers' starting weights (released program)."""
    bias_rate: float = Field(default=2.0, gt=0)
    """Learning rate of biases relative to the recipe's (IRRA, released program)."""
    bias_decay: float = Field(default=0.0, ge=0)
    """Weight decay of biases relative to the recipe's (IRRA, released program)."""
    classifier_rate: float = Field(default=5.0, gt=0)
    """Learning rate of the classifiers relative to the recipe's (IRRA, released program)."""

    @model_validator(mode="after")
    def _minimise_something(self) -> "ObjectiveSettings":
        if self.alignment == "off" and not self.pair_loss and not self.id_terms:
            raise ValueError("alignment, pair_loss and id_terms are all off; switch one of them on")
        return self

    @property
    def weights(self) -> dict[str, float]:
        """The factor of each term that is switched on, by the term's name without its branch."""
        weights: dict[str, float] = {}
        if self.alignment != "off":
            weights[self.alignment] = self.alignment_weight
        if self.pair_loss:
            weights["cid_pair"] = self.pair_weight
        if self.id_terms:
            weights["id_image"] = weights["id_text"] = self.id_weight
        return weights

    def rates(self, fast: Mapping[str, float] | None = None) -> Rates:
        """The learning rates, with those of a method's new layers by prefix."""
        return Rates(self.bias_rate, self.bias_decay, self.classifier_rate, fast or {})


class Objective(nn.Module):
    """The losses of one branch, with the heads they need.

    Args:
        branch: name of the branch; ends the names of its terms, as in `tal_global`.
        identities: training identities; 0 for a model that is only used, which gets no heads.
        heads: the classifiers, or None where no term needs them.
        weights: factor of each term that is wanted: `tal`, `sdm`, `nce`, `cid_pair`, `id_image`, `id_text`.
        temperature: tau of TAL.
        margin: m of TAL.
        sdm_temperature: of SDM and InfoNCE.
        mismatch: class of mismatched pairs.
    """

    def __init__(
        self,
        branch: str,
        identities: int,
        heads: IdentityHeads | None,
        weights: Mapping[str, float],
        *,
        temperature: float,
        margin: float,
        sdm_temperature: float,
        mismatch: MismatchClass,
    ) -> None:
        super().__init__()
        self.branch = branch
        self.identities = identities
        self.heads = heads
        self.weights = dict(weights)
        self.temperature, self.margin, self.sdm_temperature = temperature, margin, sdm_temperature
        self.mismatch: MismatchClass = mismatch
        self.log_scale = nn.Parameter(torch.tensor(FIRST_LOG_SCALE)) if "nce" in self.weights else None

    def forward(
        self,
        image_BE: Float[Tensor, "batch dimension"],
        text_BE: Float[Tensor, "batch dimension"],
        identity_B: Int[Tensor, " batch"],
    ) -> LossTerms:
        """The branch's terms over the whole batch.

        Args:
            image_BE: image features, not normalised.
            text_BE: text features, not normalised; row i belongs to image i.
            identity_B: from 0 to `identities` - 1.

        Raises:
            TrainingError: the model was built without identities.
        """
        terms: dict[str, Tensor] = {}
        if "tal" in self.weights:
            terms["tal"] = triplet_alignment(
                image_BE, text_BE, identity_B, temperature=self.temperature, margin=self.margin
            )
        if "sdm" in self.weights:
            terms["sdm"] = similarity_distribution(image_BE, text_BE, identity_B, temperature=self.sdm_temperature)
        if self.log_scale is not None:
            scale = self.log_scale.exp().clamp(max=1 / self.sdm_temperature)
            terms["nce"] = info_nce(image_BE, text_BE, identity_B, scale=scale)
        terms |= self._identity_terms(image_BE, text_BE, identity_B)
        return LossTerms(
            {f"{name}_{self.branch}": term for name, term in terms.items()},
            {f"{name}_{self.branch}": self.weights[name] for name in terms},
        )

    def _identity_terms(
        self,
        image_BE: Float[Tensor, "batch dimension"],
        text_BE: Float[Tensor, "batch dimension"],
        identity_B: Int[Tensor, " batch"],
    ) -> dict[str, Tensor]:
        terms: dict[str, Tensor] = {}
        if not {"cid_pair", "id_image", "id_text"} & self.weights.keys():
            return terms
        if self.heads is None:
            raise TrainingError("this model was built without identities, so it has no classifiers to train")
        if "cid_pair" in self.weights:
            mismatch = mismatch_label(identity_B, self.identities, self.mismatch)
            pairs = matching_pairs(hard_negatives(image_BE, text_BE, identity_B), identity_B, mismatch)
            logits = self.heads.pair_logits(image_BE, text_BE, pairs.image, pairs.text)
            terms["cid_pair"] = pair_classification(logits.image_first, logits.text_first, pairs.label)
        for name, features_BE in (("id_image", image_BE), ("id_text", text_BE)):
            if name in self.weights:
                terms[name] = classification(self.heads.identity_logits(features_BE), identity_B)
        return terms


def build_objective(settings: ObjectiveSettings, branch: str, dimension: int, identities: int) -> Objective:
    """The objective of one branch with fresh heads.

    Args:
        settings: the method's settings.
        branch: `global` or `local`.
        dimension: length of the branch's features.
        identities: training identities; 0 for none, and no heads.
    """
    heads = None
    if identities > 0 and (settings.pair_loss or settings.id_terms):
        heads = IdentityHeads(
            dimension,
            identities + 1,
            pairs=settings.pair_loss,
            alone=settings.id_terms,
            deviation=settings.classifier_spread,
        )
    return Objective(
        branch,
        identities,
        heads,
        settings.weights,
        temperature=settings.temperature,
        margin=settings.margin,
        sdm_temperature=settings.sdm_temperature,
        mismatch=settings.mismatch_class,
    )

"""What `dual` and `itself` minimise for one kind of feature: alignment (TAL or SDM) and identity (CID)."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from pickout.errors import TrainingError
from pickout.losses import identity
from pickout.losses.alignment import cosine_similarity, info_nce, similarity_distribution, triplet_alignment
from pickout.methods.base import LossTerms, PresetSettings
from pickout.nn.heads import IdentityHeads
from pickout.shapes import Embedded, Ints

FIRST_LOG_SCALE = 2.6
"""Where the learnt scale of InfoNCE begins: 1 / 0.074, about CLIP's. A sharp start learns from chance neighbours."""


class ObjectiveSettings(PresetSettings):
    """Losses and learning rates that `dual` and `itself` share. Section numbers are those of docs/methods/itself.md."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "as_paper": {"id_terms": False},
        "as_released": {"mismatch_class": "batch_max_plus_one"},
    }

    alignment: Literal["tal", "sdm", "nce", "off"] = "tal"
    """The alignment loss: triplet alignment (ITSELF, Eq. 5; RDE), similarity distribution matching (IRRA), InfoNCE with
    all images and captions of a person as positives, or none."""
    temperature: float = Field(default=0.015, gt=0)  # tau of TAL (RDE)
    margin: float = Field(default=0.1, ge=0)  # m of TAL (RDE)
    sdm_temperature: float = Field(default=0.02, gt=0)
    """Divides the cosines in SDM (IRRA); in InfoNCE, whose temperature is learnt, the lowest that it may reach."""
    pair_loss: bool = True  # whether CID classifies matched and mismatched pairs (ITSELF, Eq. 6; CFAM)
    # Differs from the paper: its equations have no identity terms; its baseline's numbers depend on them.
    id_terms: bool = True
    """Whether CID also classifies images and captions alone: in the released program, not in the paper's equations."""
    mismatch_class: identity.MismatchClass = "n_id"
    """Class of mismatched pairs: one of their own, or the batch's largest identity plus one as released."""
    alignment_weight: float = Field(default=1.0, gt=0)  # factor of the alignment loss (ITSELF, Eq. 7: none)
    pair_weight: float = Field(default=1.0, gt=0)  # factor of the pair loss (ITSELF, Eq. 7: none)
    id_weight: float = Field(default=1.0, gt=0)  # factor of each identity term (released program: none)
    classifier_spread: float = Field(default=0.001, gt=0)
    """Standard deviation of the classifiers' starting weights (released program)."""
    bias_rate: float = Field(default=2.0, gt=0)  # learning rate of biases, times the recipe's (IRRA, released program)
    bias_decay: float = Field(default=0.0, ge=0)  # weight decay of biases, times the recipe's (IRRA, released program)
    classifier_rate: float = Field(default=5.0, gt=0)
    """Learning rate of the classifiers relative to the recipe's (IRRA, released program)."""

    @model_validator(mode="after")
    def _minimise_something(self) -> "ObjectiveSettings":
        if not self.weights:
            raise ValueError("alignment, pair_loss and id_terms are all off; switch one of them on")
        return self

    @property
    def weights(self) -> dict[str, float]:
        """The factor of each term that is switched on, by the term's name without its branch."""
        weights = {} if self.alignment == "off" else {str(self.alignment): self.alignment_weight}
        if self.pair_loss:
            weights["cid_pair"] = self.pair_weight
        if self.id_terms:
            weights["id_image"] = weights["id_text"] = self.id_weight
        return weights

    def group_of(self, name: str, _: nn.Parameter) -> tuple[str, float, float]:
        """Group, learning rate scale and weight decay scale of a parameter of this name (IRRA, RDE, ITSELF)."""
        is_bias = "bias" in name.rpartition(".")[2]
        group, rate = self.kind_of(name) or ("base", self.bias_rate if is_bias else 1.0)
        return (f"{group}.bias", rate, self.bias_decay) if is_bias else (group, rate, 1.0)

    def kind_of(self, name: str) -> tuple[str, float] | None:
        """Group and learning rate of a parameter of a new layer, its biases too; None in a pretrained tower."""
        return ("classifier", self.classifier_rate) if "classifier" in name else None


class Objective(nn.Module):
    """The losses of one branch, `global` or `local`, which ends their names, with the heads they need; without
    identities, for a model that is only used, there are none. `dimension` is the length of the branch's features."""

    def __init__(self, settings: ObjectiveSettings, branch: str, dimension: int, identities: int) -> None:
        super().__init__()
        self.settings, self.branch, self.identities, self.weights = settings, branch, identities, settings.weights
        self.heads = None
        if identities > 0 and (settings.pair_loss or settings.id_terms):
            wanted = {"pairs": settings.pair_loss, "alone": settings.id_terms}
            self.heads = IdentityHeads(dimension, identities + 1, **wanted, deviation=settings.classifier_spread)
        self.log_scale = nn.Parameter(torch.tensor(FIRST_LOG_SCALE)) if settings.alignment == "nce" else None

    def forward(self, image_BE: Embedded, text_BE: Embedded, identity_B: Ints) -> LossTerms:
        """The branch's terms over the whole batch; features are not normalised, and text i belongs to image i.
        `TrainingError` for a model that was built without identities."""
        rules, given = self.settings, (image_BE, text_BE, identity_B)
        terms: dict[str, Tensor] = {}
        if rules.alignment == "tal":
            terms["tal"] = triplet_alignment(*given, temperature=rules.temperature, margin=rules.margin)
        elif rules.alignment == "sdm":
            terms["sdm"] = similarity_distribution(*given, temperature=rules.sdm_temperature)
        elif self.log_scale is not None:
            terms["nce"] = info_nce(*given, scale=self.log_scale.exp().clamp(max=1 / rules.sdm_temperature))
        if (rules.pair_loss or rules.id_terms) and self.heads is None:
            raise TrainingError("this model was built without identities, so it has no classifiers to train")
        if rules.pair_loss and self.heads is not None:
            mismatch = identity.mismatch_label(identity_B, self.identities, rules.mismatch_class)
            negatives = identity.hard_negatives(cosine_similarity(image_BE, text_BE), identity_B)
            pairs = identity.matching_pairs(negatives, identity_B, mismatch)
            logits = self.heads.pair_logits(image_BE, text_BE, pairs.image, pairs.text)
            terms["cid_pair"] = identity.pair_classification(*logits, pairs.label)
        if rules.id_terms and self.heads is not None:
            terms["id_image"] = identity.classification(self.heads.identity_logits(image_BE), identity_B)
            terms["id_text"] = identity.classification(self.heads.identity_logits(text_BE), identity_B)
        named = {f"{name}_{self.branch}": term for name, term in terms.items()}
        return LossTerms(named, {f"{name}_{self.branch}": self.weights[name] for name in terms})

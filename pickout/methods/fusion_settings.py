"""Every choice of `fusion`, the baseline that AGA builds on: RaSa's objectives on ALBEF's model."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from pickout.data.training_pairs import Pairing
from pickout.losses.contrastive import DIRECTIONS, Direction
from pickout.methods.base import PresetSettings, Progress


class FusionSettings(PresetSettings):
    """Every choice of RaSa. The defaults are its released program's, mended where docs/methods/aga.md says so.

    `as_paper` is AGA's paper, `as_released` RaSa's program; of AGA there is none.
    """

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "as_paper": {"directions": ("i2t", "t2i"), "one_hot": True},
        "as_released": {
            "clamp_temperature": False,
            "negative_guard": 0.0,
            "distillation_axis": "sequence",
            "replaced_labels": "sampled",
            "decay_positions": True,
        },
    }

    contrastive_weight: float = Field(default=0.5, gt=0)
    """Factor of the contrast of images and captions (RaSa, CL)."""
    matching_weight: float = Field(default=1.0, ge=0)
    """Factor of the matching loss (RaSa, PITM); 0 builds no matching head, and there is no second look."""
    word_weight: float = Field(default=1.0, ge=0)
    """Factor of the masked-word loss (RaSa, MLM); 0 hides no words."""
    relation_weight: float = Field(default=0.5, ge=0)
    """Factor of telling weak from strong pairs (RaSa, PRD); 0 builds no head for it."""
    replaced_weight: float = Field(default=0.5, ge=0)
    """Factor of telling replaced words (RaSa, MRTD); 0 builds no head for it."""
    # Differs from the paper: AGA, Eq. 1 and 2 print two directions and one-hot labels; RaSa, its base, has these.
    directions: tuple[Direction, ...] = Field(default=DIRECTIONS, min_length=1)
    """Terms of the contrast: image or text against image or text (RaSa: all four; AGA, Eq. 1 and 2: i2t and t2i)."""
    one_hot: bool = False
    """Whether only a query's own pair is its hard target (AGA, Eq. 1 and 2) or every key of its person (RaSa)."""
    distillation: float = Field(default=0.4, ge=0, le=1)
    """Alpha, the share of the momentum model's guesses in the targets of contrast and masked words (RaSa)."""
    distillation_ramp: bool = True
    """Whether alpha grows in a line over the first epoch (RaSa)."""
    momentum: float = Field(default=0.995, ge=0, le=1)
    """The share of the momentum model that stays at each optimiser step (RaSa)."""
    momentum_dropout: bool = True
    """Whether dropout is active in the momentum model, as in RaSa's released program."""
    queue: int = Field(default=65536, ge=0)
    """Pairs of momentum features kept as further keys of the contrast (RaSa)."""
    temperature: float = Field(default=0.07, gt=0)
    """Starting value of the learnt temperature; a checkpoint's own value takes its place (RaSa)."""
    clamp_temperature: bool = True
    """Whether the temperature stays within 0.001 and 0.5, as in ALBEF's pre-training; RaSa lets it go."""
    negative_group: int = Field(default=13, ge=0)
    """Hard negatives come from runs of so many pairs, the batch of one device in RaSa and AGA; 0: the whole batch."""
    # Differs from the paper: RaSa has no guard, and stops with an error where every weight rounds to zero.
    negative_guard: float = Field(default=1e-5, ge=0)
    """Added to the soft-max that hard negatives are drawn by (APTM)."""
    exclude_equal_captions: bool = False
    """Whether a caption that reads like the pair's own is no hard negative (RSTPReid repeats some across people)."""
    weak_positive: float = Field(default=0.1, ge=0, le=1)
    """Probability that contrast, matching and relation see another caption of the same person (RaSa)."""
    mask_probability: float = Field(default=0.15, ge=0, le=1)
    """Share of the words that is hidden where attention does not decide (RaSa)."""
    whole_words: bool = False
    """Whether words are hidden whole; RaSa and AGA hide word pieces."""
    random_words: Literal["all", "ordinary"] = "all"
    """What a tenth of the hidden words becomes: any id, special ones included (RaSa), or ordinary ones alone."""
    # Differs from the paper: the release soft-maxes the student over the sequence; ALBEF mended the line as a slip.
    distillation_axis: Literal["vocabulary", "sequence"] = "vocabulary"
    """What the student's soft-max runs over in the soft labels of masked words; the release: `sequence`."""
    replace_probability: float = Field(default=0.3, ge=0, le=1)
    """Share of the words that the generator of replaced words does not see (RaSa)."""
    replaced_labels: Literal["positions", "sampled"] = "positions"
    """Whether only padding and start go unasked, or also words replaced by these two ids (RaSa)."""
    candidates: int = Field(default=128, ge=1)
    """How many of the best by embedding are looked at again (RaSa, k_test)."""
    head_rate: float = Field(default=10.0, gt=0)
    """Learning rate of the relation and replaced-word heads relative to the recipe's (RaSa: 1e-4 beside 1e-5)."""
    decay_positions: bool = False
    """Whether temperature, class token and image positions lose weight too, as RaSa's rule for biases has it."""

    @property
    def hides_words(self) -> bool:
        """Whether words are hidden, to be guessed."""
        return self.word_weight > 0

    @property
    def weights(self) -> dict[str, float]:
        """The factor of each term by its name."""
        return {
            "contrastive": self.contrastive_weight,
            "matching": self.matching_weight,
            "words": self.word_weight,
            "relation": self.relation_weight,
            "replaced": self.replaced_weight,
        }

    def alpha(self, progress: Progress) -> float:
        """The share of the momentum model's guesses at this step: from 0 in a line over one epoch (ALBEF; RaSa)."""
        ramp = min(1.0, (progress.step - 1) / max(1, progress.steps_per_epoch)) if self.distillation_ramp else 1.0
        return self.distillation * ramp


def pairing(settings: FusionSettings) -> Pairing:
    """What training items hold: two views of an image, and a caption of the same person (RaSa)."""
    return Pairing(second_view=True, weak_captions=settings.weak_positive)

"""Choices and modules of `fusion` and `aga`, and what they do outside training: ALBEF's model with RaSa's heads."""

import copy
from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar, Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from pickout.data.training_pairs import Pairing
from pickout.errors import RecipeError, TrainingError
from pickout.losses.contrastive import DIRECTIONS, EMPTY, Direction
from pickout.methods import base
from pickout.nn.attention import ImageMemory
from pickout.nn.fusion_encoder import FusionEncoder, MaskedWordHead
from pickout.saliency.masking import vacuous_positions, word_numbers, word_sizes
from pickout.saliency.vacuous_words import vacuous_table
from pickout.shapes import NO_ATTENTION, Bool, Float, Ids, Int, Ints, Mask, Pictures, Scores, States, TokenBatch
from pickout.text.tokenizer import Vocabulary

_NEW = ("relation_head.", "replaced_head.")
TRAINING_ONLY = ("momentum.", "image_queue", "text_queue", "identity_queue", "queue_pointer", *_NEW)
"""Prefixes of state keys that only training needs."""
_FOLLOWED = ("vision", "text", "image_projection", "text_projection", "word_head")
_RELEASED_DECAY = ("temperature", "vision.class_token", "vision.positions")


class FusionSettings(base.PresetSettings):
    """Every choice of RaSa. The defaults are its released program's, mended where docs/methods/aga.md says so.
    `as_paper` is AGA's paper, `as_released` RaSa's program; of AGA there is none."""

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

    contrastive_weight: float = Field(default=0.5, gt=0)  # factor of the contrast of images and captions (RaSa, CL)
    matching_weight: float = Field(default=1.0, ge=0)
    """Factor of the matching loss (RaSa, PITM); 0 builds no matching head, and there is no second look."""
    word_weight: float = Field(default=1.0, ge=0)  # factor of the masked-word loss (RaSa, MLM); 0 hides no words
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
    distillation_ramp: bool = True  # whether alpha grows in a line over the first epoch (RaSa)
    momentum: float = Field(default=0.995, ge=0, le=1)
    """The share of the momentum model that stays at each optimiser step (RaSa)."""
    momentum_dropout: bool = True  # whether dropout is active in the momentum model, as in RaSa's released program
    queue: int = Field(default=65536, ge=0)  # pairs of momentum features kept as further keys of the contrast (RaSa)
    temperature: float = Field(default=0.07, gt=0)
    """Starting value of the learnt temperature; a checkpoint's own value takes its place (RaSa)."""
    clamp_temperature: bool = True
    """Whether the temperature stays within 0.001 and 0.5, as in ALBEF's pre-training; RaSa lets it go."""
    negative_group: int = Field(default=13, ge=0)
    """Hard negatives come from runs of so many pairs, the batch of one device in RaSa and AGA; 0: the whole batch."""
    # Differs from the paper: RaSa has no guard, and stops with an error where every weight rounds to zero.
    negative_guard: float = Field(default=1e-5, ge=0)  # added to the soft-max that hard negatives are drawn by (APTM)
    exclude_equal_captions: bool = False
    """Whether a caption that reads like the pair's own is no hard negative (RSTPReid repeats some across people)."""
    weak_positive: float = Field(default=0.1, ge=0, le=1)
    """Probability that contrast, matching and relation see another caption of the same person (RaSa)."""
    mask_probability: float = Field(default=0.15, ge=0, le=1)
    """Share of the words that is hidden where attention does not decide (RaSa)."""
    whole_words: bool = False  # whether words are hidden whole; RaSa and AGA hide word pieces
    random_words: Literal["all", "ordinary"] = "all"
    """What a tenth of the hidden words becomes: any id, special ones included (RaSa), or ordinary ones alone."""
    # Differs from the paper: the release soft-maxes the student over the sequence; ALBEF mended the line as a slip.
    distillation_axis: Literal["vocabulary", "sequence"] = "vocabulary"
    """What the student's soft-max runs over in the soft labels of masked words; the release: `sequence`."""
    replace_probability: float = Field(default=0.3, ge=0, le=1)
    """Share of the words that the generator of replaced words does not see (RaSa)."""
    replaced_labels: Literal["positions", "sampled"] = "positions"
    """Whether only padding and start go unasked, or also words replaced by these two ids (RaSa)."""
    candidates: int = Field(default=128, ge=1)  # how many of the best by embedding are looked at again (RaSa, k_test)
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

    def alpha(self, progress: base.Progress) -> float:
        """The share of the momentum model's guesses at this step: from 0 in a line over one epoch (ALBEF; RaSa)."""
        ramp = min(1.0, (progress.step - 1) / max(1, progress.steps_per_epoch)) if self.distillation_ramp else 1.0
        return self.distillation * ramp

    def group_of(self, name: str, parameter: nn.Parameter) -> tuple[str, float, float]:
        """Of what is pretrained, or of new heads, and of both what loses no weight: biases, other vectors (ALBEF)."""
        kind, rate = ("heads", self.head_rate) if name.startswith(_NEW) else ("base", 1.0)
        decays = self.decay_positions if name in _RELEASED_DECAY else parameter.dim() > 1
        return (kind, rate, 1.0) if decays else (f"{kind}.bias", rate, 0.0)


def pairing(settings: FusionSettings) -> Pairing:
    """What training items hold: two views of an image, and a caption of the same person (RaSa)."""
    return Pairing(second_view=True, weak_captions=settings.weak_positive)


class Momentum(nn.Module):
    """The momentum twin: a slow average of both towers, both projections and the word head, without gradient; parts
    that the online model lacks are left out. `dropout` tells whether it is active in training."""

    vision: base.ImageTower
    text: FusionEncoder
    image_projection: nn.Linear
    text_projection: nn.Linear
    word_head: MaskedWordHead

    def __init__(self, online: nn.Module, *, dropout: bool) -> None:
        super().__init__()
        self.dropout = dropout
        for name in _FOLLOWED:
            if hasattr(online, name):
                self.add_module(name, copy.deepcopy(online.get_submodule(name)).requires_grad_(False))

    def train(self, mode: bool = True) -> "Momentum":
        """Training mode only where dropout is wanted."""
        super().train(mode and self.dropout)
        return self

    @torch.no_grad()
    def follow(self, online: nn.Module, momentum: float) -> None:
        """Move: theta_m <- m * theta_m + (1 - m) * theta, in few kernels (ALBEF, RaSa); buffers are copied."""
        for name, twin in self.named_children():
            leader = online.get_submodule(name)
            slow: list[Tensor] = list(twin.parameters())
            torch._foreach_mul_(slow, momentum)
            torch._foreach_add_(slow, [*leader.parameters()], alpha=1 - momentum)
            for kept, current in zip(twin.buffers(), leader.buffers(), strict=True):
                kept.copy_(current)


class FusionModel(base.Method):
    """Two towers with a contrastive score, and a fusion encoder whose matching head looks at the best again. Built for
    no identities it has no momentum twin, no queues, and of the heads only `matching_head` and `word_head`. Arguments
    as in `MethodEntry.build`. `RecipeError` for a tower of another kind, or no term that uses the fusion layers."""

    settings: FusionSettings
    relation_head: nn.Linear
    replaced_head: nn.Linear

    def __init__(
        self, settings: FusionSettings, vision: base.ImageTower, text: Any, identities: int, vocabulary: Vocabulary
    ) -> None:
        super().__init__()
        if not isinstance(text, FusionEncoder):
            raise RecipeError("model.text.kind: this method fuses captions and images; set model.text.kind = 'bert'")
        if vision.settings.kind not in ("vit", "lite0_vit"):
            told = f"model.vision.kind = '{vision.settings.kind}': this method projects image tokens itself"
            raise RecipeError(f"{told}; set model.vision.kind = 'vit' or 'lite0_vit'")
        self.heads = {name for name in ("matching", "relation", "replaced") if settings.weights[name] > 0}
        if settings.hides_words or "replaced" in self.heads:
            self.heads.add("word")
        if not self.heads:
            weights = "matching_weight, word_weight, relation_weight and replaced_weight"
            raise RecipeError(f"{weights} are all 0; set one above 0")
        self.settings, self.vision, self.text, self.dimension = settings, vision, text, vision.embedding
        self.image_projection = nn.Linear(vision.channels, vision.embedding)
        self.text_projection = nn.Linear(text.width, vision.embedding)
        self.temperature = nn.Parameter(torch.tensor(settings.temperature))
        if "word" in self.heads:
            # Without a loss of its own the word head keeps its weights and only proposes words.
            head = MaskedWordHead(text.width, text.vocabulary_size)
            self.word_head = head.requires_grad_(settings.hides_words)
        if "matching" in self.heads:
            self.matching_head, self.candidates = nn.Linear(text.width, 2), settings.candidates
        self.momentum: Momentum | None = None
        if identities > 0:
            for name in sorted({"relation", "replaced"} & self.heads):
                self.add_module(f"{name}_head", nn.Linear(text.width, 2))
            self.momentum = Momentum(self, dropout=settings.momentum_dropout)
            keys = (F.normalize(torch.randn(vision.embedding, settings.queue), dim=0) for _ in range(2))
            self.image_queue, self.text_queue = map(nn.Buffer, keys)
            self.identity_queue = nn.Buffer(torch.full((settings.queue,), EMPTY, dtype=torch.int64))
            self.queue_pointer = nn.Buffer(torch.zeros(1, dtype=torch.int64))
        continues, whole = vocabulary.continues, vocabulary.whole_words
        if settings.whole_words and continues is None:
            raise RecipeError("whole_words = true: this tokenizer does not tell where words begin; use 'wordpiece'")
        special, sampled = vocabulary.special, settings.replaced_labels == "sampled"
        self.mask_id, self.ignored_ids = special.mask, (special.padding, special.start) if sampled else ()
        proposable, ordinary = torch.from_numpy(vocabulary.proposable), settings.random_words == "ordinary"
        empty = vacuous_table(vocabulary.texts, None if continues is None else continues.tolist())
        # What the vocabulary says is no weight: it moves with the model and is not saved.
        table = partial(nn.Buffer, persistent=False)
        self.vacuous, self.proposable = table(torch.from_numpy(empty)), table(proposable)
        self.whole_words = table(torch.zeros_like(proposable) if whole is None else torch.from_numpy(whole))
        self.continues = None if continues is None else table(torch.from_numpy(continues))
        self.choices = table(proposable.nonzero().squeeze(1) if ordinary else torch.arange(len(vocabulary.texts)))

    @property
    def twin(self) -> Momentum:
        """The momentum twin; raises `TrainingError` for a model that was built without what training needs."""
        if self.momentum is None:
            raise TrainingError("this model was built without identities, so it has no momentum twin to train with")
        return self.momentum

    def encode_images(self, images: Pictures, *, trace: bool = False) -> base.ImageFeatures:
        """Embed prepared images; `parts` holds `global`, not normalised; `tokens` is what `remember` reads."""
        out = self.vision(images, NO_ATTENTION.traced(trace))
        whole, seen = self.image_projection(out.tokens[:, 0]).float(), out.trace if trace else None
        return base.ImageFeatures(F.normalize(whole, dim=-1), out.tokens, {"global": whole}, seen)

    def encode_texts(self, texts: TokenBatch, *, trace: bool = False) -> base.TextFeatures:
        """Embed tokenized captions; `parts` holds `global`, not normalised; `tokens` are the text layers' states."""
        out = self.text(texts, NO_ATTENTION.traced(trace))
        whole, seen = self.text_projection(out.tokens[:, 0]).float(), out.trace if trace else None
        return base.TextFeatures(F.normalize(whole, dim=-1), out.tokens, texts, {"global": whole}, seen)

    def looked_at(
        self, images: Pictures
    ) -> tuple[Float[Tensor, "batch tokens channels"], Int[Tensor, "batch patches"]]:
        """What the fusion layers read of prepared images, class token first, and the number of each patch behind it."""
        tokens = self.vision(images).tokens
        return tokens, torch.arange(tokens.shape[1] - 1, device=tokens.device).expand(len(images), -1)

    def remember(self, tokens: Float[Tensor, "images tokens width"]) -> ImageMemory:
        """Keys and values of the images for every fusion layer."""
        return self.text.remember(tokens)

    def match_pairs(self, memory: ImageMemory, states: States, mask: Mask, image: Ints) -> Float[Tensor, " batch"]:
        """The matching head's logit of class 1 (RaSa); as `Method.match_pairs`."""
        if "matching" not in self.heads:
            return super().match_pairs(memory, states, mask, image)
        fused = self.text.fuse(states, mask, memory, image, summary_rows=len(states))
        return cast(Tensor, self.matching_head(fused.summary)[:, 1].float())

    def masking_probability(self, texts: TokenBatch, content: Mask, rows: Mapping[int, Scores] | None = None) -> Scores:  # noqa: ARG002
        """The probability that each token of captions is hidden: the same for every word (BERT; RaSa)."""
        return content.float() * self.settings.mask_probability

    def candidate_ids(self) -> Bool[Tensor, " vocabulary"]:
        """True for ids that may stand in for a word: whole words."""
        return self.whole_words

    def replaceable(self, ids: Ids, content: Mask) -> Mask:
        """True at tokens that a whole word may stand in for: words of one piece; all where pieces do not tell."""
        numbers = self._word_numbers(ids, content)
        return content if numbers is None else content & (word_sizes(numbers) == 1)

    def vacuous_positions(self, ids: Ids, content: Mask) -> Mask:
        """True at empty words."""
        return vacuous_positions(ids, content, self.vacuous, self._word_numbers(ids, content))

    def _word_numbers(self, ids: Tensor, content: Tensor) -> Tensor | None:
        """The number of each token's word in its caption; None where pieces do not tell where words begin."""
        return None if self.continues is None else word_numbers(ids, content, self.continues)

"""`itself`: a global feature and a local one from the tokens that the model's own attention picks out.

ITSELF: Attention Guided Fine-Grained Alignment for Vision-Language Retrieval, arXiv 2601.01024. In training, the
attention of a middle and a late layer is rolled out (MARS), the best tokens within a shrinking budget (ATS) form a
bank, and an adapter pools the bank into a local embedding (GRAB). docs/methods/itself.md tells paper, release and ours
apart.
"""

from collections.abc import Mapping
from math import sqrt
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor
from torch.nn import functional as F

from pickout.data.batching import Batch
from pickout.errors import RecipeError
from pickout.methods.base import ImageFeatures, LossTerms, Method, ParameterGroup, Progress, TextFeatures
from pickout.methods.objective import Objective, ObjectiveSettings, build_objective
from pickout.methods.parameter_groups import Rates, group_parameters
from pickout.methods.selection import Selection
from pickout.nn.gather import gather, gather_with_gradient
from pickout.nn.heads import GrabHead, Pool, Residual
from pickout.nn.text import TextTower
from pickout.nn.vision import ImageTower
from pickout.saliency.budget import Budget, BudgetMode, CountedTokens, fixed_budget
from pickout.saliency.scoring import QueryRow, Scoring, Statistic
from pickout.shapes import AttentionRequest, Float, TokenBatch
from pickout.text.vocabulary import Vocabulary


class ItselfSettings(ObjectiveSettings):
    """Every choice of ITSELF. The defaults are the paper's, and the released program's where the paper is silent."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "as_paper": {
            **ObjectiveSettings.presets["as_paper"],
            "pool": "gpo",
            "budget_duration": "10 epochs",
            "budget_counts": "all",
        },
        "as_released": ObjectiveSettings.presets["as_released"],
    }

    selection: Statistic = "mars"
    """What scores tokens in training: roll-out (ITSELF, Eq. 1-2), one layer, or a statistic over layers (table 6)."""
    selection_layers: tuple[int, ...] = (5, 12)
    """Layers of the roll-out, from 1: a middle and a late one (ITSELF, fig. 7; released program)."""
    text_selection_layers: tuple[int, ...] | None = None
    """The same for a text tower of another depth; without it `selection_layers` holds for both."""
    single_layer: int = Field(default=3, ge=1)
    """The layer of `selection = "layer"` (ITSELF, table 3, rows SL; released program)."""
    discard: float = Field(default=0.25, ge=0, le=1)
    """Delta, the share of each map that the roll-out zeroes (ITSELF, Eq. 1, fig. 7)."""
    rollout_order: Literal["later_left", "later_right"] = "later_left"
    """Order of the product in ITSELF, Eq. 2, which the paper leaves open; released: the later layer on the left."""
    query_row: QueryRow = "query"
    """The row that is read: the class or end-of-text token's as released, or the mean row of the content."""
    budget: BudgetMode = "step"
    """Whether the bank shrinks in training, and whether by epoch or by step (ITSELF, Eq. 4, table 4)."""
    start_ratio: float = Field(default=0.65, gt=0, le=1)
    """Rho_s, the share of tokens kept at first (released program)."""
    end_ratio: float = Field(default=0.5, gt=0, le=1)
    """Rho_e, the share kept from `budget_duration` on (released program)."""
    # Differs from the paper: there T is the epoch at which the baseline is best; the release fixes a number of steps.
    budget_duration: str = Field(default="1450 steps", pattern=r"^[1-9][0-9]{0,8} (steps|epochs)$")
    """T of ITSELF, Eq. 4, with its unit: "1450 steps" as released, for every data set, or "10 epochs", what that is on
    RSTPReid. The other unit follows from the steps of an epoch, rounded to whole epochs where `budget` counts those."""
    # Differs from the paper: it counts tokens without saying which; the release counts those that can be selected.
    budget_counts: CountedTokens = "selectable"
    """M of ITSELF, Eq. 4: patches and context - 2 (released: 192 and 75), or `all` tokens as the paper's words say."""
    fixed_ratio: float = Field(default=0.4, gt=0, le=1)
    """The share kept in training when `budget` is off (released program)."""
    # Differs from the paper: it does not say that roll-out and schedule are for training only; the release has it so.
    eval_attention: Literal["last_layer", "mars"] = "last_layer"
    """What scores tokens outside training; the paper is silent, the released program reads the last layer."""
    eval_ratio: float = Field(default=0.4, gt=0, le=1)
    """The share kept outside training (released program)."""
    local_dimension: int = Field(default=4096, ge=1)
    """Length of the local embedding (released program)."""
    hidden: int = Field(default=2048, ge=1)
    """Width inside the adapter (released program)."""
    # Differs from the paper: its algorithm adds the token itself, which 512 and 4096 channels rule out.
    residual: Residual = "linear"
    """The adapter's shortcut; the paper's identity needs `local_dimension` equal to the towers' embedding."""
    # Differs from the paper: it names a learned pooling (GPO), the release takes the maximum.
    pool: Pool = "max"
    """How a bank becomes one vector: channel maxima as released, or the learned pooling that the paper names."""
    mask_fillers: bool = False
    """Whether fillers of short captions stay out of the adapter's batch statistics; as released they take part."""
    # Differs from the paper: the release tries 13 values on the test split and reports the best; this one is fixed.
    fusion_weight: float = Field(default=0.5, ge=0, le=1)
    """Lambda_S, the weight of the global score (ITSELF, Eq. 8, no value given; RDE averages)."""
    grab_rate: float = Field(default=100.0, gt=0)
    """Learning rate of the GRAB heads relative to the recipe's (RDE, released program: 1e-3 beside 1e-5)."""

    @model_validator(mode="before")
    @classmethod
    def _join_number_and_unit(cls, values: Any) -> Any:
        """Runs of before have two keys, so that `as_paper` could turn 1450 steps into as many epochs."""
        if not isinstance(values, dict) or not isinstance(values.get("budget_duration"), int):
            return values
        rest = {key: value for key, value in values.items() if key != "budget_unit"}
        return rest | {"budget_duration": f"{values['budget_duration']} {values.get('budget_unit', 'steps')}"}


class Itself(Method):
    """Global and local cosines, fused: lambda * cos(global) + (1 - lambda) * cos(local) (ITSELF, Eq. 8).

    Args:
        vision: the image tower.
        text: the text tower.
        heads: the GRAB heads of images and of captions.
        objectives: the losses of the global and of the local features.
        selections: how tokens of images and of captions are chosen.
        fusion_weight: lambda.
        local_dimension: length of a local feature.
        rates: learning rates of the parameter groups.
    """

    def __init__(
        self,
        vision: ImageTower,
        text: TextTower,
        *,
        heads: tuple[GrabHead, GrabHead],
        objectives: tuple[Objective, Objective],
        selections: tuple[Selection, Selection],
        fusion_weight: float,
        local_dimension: int,
        rates: Rates,
    ) -> None:
        super().__init__()
        self.vision = vision
        self.text = text
        self.image_head, self.text_head = heads
        self.global_objective, self.local_objective = objectives
        self.image_selection, self.text_selection = selections
        self.fusion_weight = fusion_weight
        self.rates = rates
        self.dimension = vision.embedding + local_dimension

    def losses(self, batch: Batch, progress: Progress) -> LossTerms:
        """TAL and CID of both branches, over the batches of all processes together (ITSELF, Eq. 7).

        Tokens are chosen by the training rule, also in evaluation mode.
        """
        kept_images = self.image_selection.training_kept(progress)
        kept_words = self.text_selection.training_kept(progress)
        images = self.vision(batch.images, self.image_selection.training.request)
        texts = self.text(batch.texts, self.text_selection.training.request)
        image_bank = self.image_selection.in_training(images, None, kept_images)
        text_bank = self.text_selection.in_training(texts, ~batch.texts.mask, kept_words)
        # Banks, not local embeddings, are gathered: the heads' batch statistics then see all processes too.
        image_local = self.image_head(gather_with_gradient(image_bank.tokens.float()), gather(image_bank.length))
        text_local = self.text_head(gather_with_gradient(text_bank.tokens.float()), gather(text_bank.length))
        identity = gather(batch.identity)
        whole: LossTerms = self.global_objective(
            gather_with_gradient(images.summary.float()), gather_with_gradient(texts.summary.float()), identity
        )
        part: LossTerms = self.local_objective(image_local, text_local, identity)
        logs = {"kept_patches": float(kept_images), "kept_words": float(kept_words)}
        return LossTerms({**whole.terms, **part.terms}, {**whole.weights, **part.weights}, logs)

    def encode_images(self, images: Float[Tensor, "batch 3 height width"], *, trace: bool = False) -> ImageFeatures:
        """Embed prepared images in one pass; `parts` holds `global` and `local`, not normalised."""
        out = self.vision(images, _with_trace(self.image_selection.evaluation.request, trace))
        bank = self.image_selection.in_evaluation(out, None)
        parts = {"global": out.summary.float(), "local": self.image_head(bank.tokens, bank.length)}
        return ImageFeatures(self._embed(parts), out.tokens, parts, out.trace if trace else None)

    def encode_texts(self, texts: TokenBatch, *, trace: bool = False) -> TextFeatures:
        """Embed tokenized captions in one pass; `parts` holds `global` and `local`, not normalised."""
        out = self.text(texts, _with_trace(self.text_selection.evaluation.request, trace))
        bank = self.text_selection.in_evaluation(out, ~texts.mask)
        parts = {"global": out.summary.float(), "local": self.text_head(bank.tokens, bank.length)}
        return TextFeatures(self._embed(parts), out.tokens, texts, parts, out.trace if trace else None)

    def _embed(self, parts: Mapping[str, Tensor]) -> Float[Tensor, "batch dimension"]:
        """[sqrt(lambda) g ; sqrt(1 - lambda) u] of unit g and u: inner products are fused scores (ITSELF, Eq. 8)."""
        whole = sqrt(self.fusion_weight) * F.normalize(parts["global"], dim=-1)
        part = sqrt(1 - self.fusion_weight) * F.normalize(parts["local"], dim=-1)
        return torch.cat([whole, part], dim=-1)

    def parameter_groups(self) -> list[ParameterGroup]:
        """Towers, classifiers, GRAB heads, and the biases of each."""
        return group_parameters(self, self.rates)


def _with_trace(request: AttentionRequest, trace: bool) -> AttentionRequest:
    return AttentionRequest(rows="all", maps=request.maps) if trace else request


def build_itself(
    settings: ItselfSettings,
    vision: ImageTower,
    text: TextTower,
    identities: int,
    vocabulary: Vocabulary | None = None,  # noqa: ARG001  (no piece is hidden or proposed)
) -> Itself:
    """ITSELF over two towers; see `pickout.methods.Build`."""
    if settings.residual == "identity" and settings.local_dimension != vision.embedding:
        raise RecipeError(
            f"method.residual = 'identity' adds a token of {vision.embedding} channels to a local embedding of "
            f"{settings.local_dimension}; set method.local_dimension = {vision.embedding} or method.residual = 'linear'"
        )
    patches = vision.grid[0] * vision.grid[1]

    def head() -> GrabHead:
        return GrabHead(
            vision.embedding,
            settings.hidden,
            settings.local_dimension,
            residual=settings.residual,
            pool=settings.pool,
            mask_fillers=settings.mask_fillers,
        )

    return Itself(
        vision,
        text,
        heads=(head(), head()),
        objectives=(
            build_objective(settings, "global", vision.embedding, identities),
            build_objective(settings, "local", settings.local_dimension, identities),
        ),
        selections=(
            _selection(settings, "image", vision.layers, patches, patches + 1),
            _selection(settings, "text", text.layers, max(1, text.context - 2), text.context),
        ),
        fusion_weight=settings.fusion_weight,
        local_dimension=settings.local_dimension,
        rates=settings.rates({"image_head": settings.grab_rate, "text_head": settings.grab_rate}),
    )


def _selection(settings: ItselfSettings, tower: str, depth: int, selectable: int, tokens: int) -> Selection:
    last = Scoring("last", (depth,), row=settings.query_row)
    evaluation = last if settings.eval_attention == "last_layer" else _scoring(settings, "mars", tower, depth)
    kept = min(selectable, fixed_budget(selectable, settings.eval_ratio))
    duration, unit = settings.budget_duration.split()
    budget = Budget(
        settings.budget,
        settings.fixed_ratio,
        settings.start_ratio,
        settings.end_ratio,
        int(duration),
        unit == "epochs",
        settings.budget_counts,
    )
    training = _scoring(settings, settings.selection, tower, depth)
    return Selection(training, evaluation, budget, selectable, tokens, kept)


def _scoring(settings: ItselfSettings, statistic: Statistic, tower: str, depth: int) -> Scoring:
    """The rule for a tower of `depth` layers.

    Raises:
        RecipeError: it names a layer that the tower does not have, or none.
    """
    key, layers = "selection", tuple(range(1, depth + 1))
    if statistic == "last":
        layers = (depth,)
    elif statistic == "layer":
        key, layers = "single_layer", (settings.single_layer,)
    elif statistic == "mars":
        key, layers = "selection_layers", tuple(sorted(set(settings.selection_layers)))
        if tower == "text" and settings.text_selection_layers is not None:
            key, layers = "text_selection_layers", tuple(sorted(set(settings.text_selection_layers)))
    missing = [layer for layer in layers if not 1 <= layer <= depth]
    if missing or not layers:
        raise RecipeError(
            f"method.{key} = {list(layers)}: the {tower} tower has layers 1 to {depth}; name a middle and a late one, "
            f"for example {key} = [{max(1, round(depth * 5 / 12))}, {depth}]"
            if key != "single_layer"
            else f"method.{key} = {layers[0]}: the {tower} tower has layers 1 to {depth}"
        )
    later_left = settings.rollout_order == "later_left"
    return Scoring(statistic, layers, settings.discard, later_left, settings.query_row)

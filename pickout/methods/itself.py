"""`itself`: a global feature and a local one from the tokens that the model's own attention picks out.

ITSELF: Attention Guided Fine-Grained Alignment for Vision-Language Retrieval, arXiv 2601.01024. In training, the
attention of a middle and a late layer is rolled out (MARS), the best tokens within a shrinking budget (ATS) form a
bank, and an adapter pools the bank into a local embedding (GRAB). docs/methods/itself.md tells paper, release and ours
apart."""

from collections.abc import Mapping
from math import sqrt
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from pickout.data.batching import Batch
from pickout.errors import RecipeError
from pickout.methods import base
from pickout.methods.objective import Objective, ObjectiveSettings
from pickout.nn.gather import gather, gather_with_gradient
from pickout.nn.heads import GrabHead, Pool, Residual
from pickout.nn.towers import TextTransformer
from pickout.nn.transformer import TowerOutput
from pickout.saliency.aggregation import QueryRow, Scoring, Statistic
from pickout.saliency.bank import Bank, annealed_budget, fixed_budget, gather_tokens, select_bank
from pickout.shapes import Embedded, Float, Ints, Mask, Pictures, TokenBatch


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
    budget: Literal["off", "epoch", "step"] = "step"
    """Whether the bank shrinks in training, and whether by epoch or by step (ITSELF, Eq. 4, table 4)."""
    start_ratio: float = Field(default=0.65, gt=0, le=1)  # rho_s, the share of tokens kept at first (released program)
    end_ratio: float = Field(default=0.5, gt=0, le=1)  # rho_e, the share from `budget_duration` on (released program)
    # Differs from the paper: there T is the epoch at which the baseline is best; the release fixes a number of steps.
    budget_duration: str = Field(default="1450 steps", pattern=r"^[1-9][0-9]{0,8} (steps|epochs)$")
    """T of ITSELF, Eq. 4, with its unit: "1450 steps" as released, for every data set, or "10 epochs", what that is on
    RSTPReid. The other unit follows from the steps of an epoch, rounded to whole epochs where `budget` counts those."""
    # Differs from the paper: it counts tokens without saying which; the release counts those that can be selected.
    budget_counts: Literal["selectable", "all"] = "selectable"
    """M of ITSELF, Eq. 4: patches and context - 2 (released: 192 and 75), or `all` tokens as the paper's words say."""
    fixed_ratio: float = Field(default=0.4, gt=0, le=1)
    """The share kept in training when `budget` is off (released program)."""
    # Differs from the paper: it does not say that roll-out and schedule are for training only; the release has it so.
    eval_attention: Literal["last_layer", "mars"] = "last_layer"
    """What scores tokens outside training; the paper is silent, the released program reads the last layer."""
    eval_ratio: float = Field(default=0.4, gt=0, le=1)  # the share kept outside training (released program)
    local_dimension: int = Field(default=4096, ge=1)  # length of the local embedding (released program)
    hidden: int = Field(default=2048, ge=1)  # width inside the adapter (released program)
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

    def kind_of(self, name: str) -> tuple[str, float] | None:
        """As in `ObjectiveSettings`; the GRAB heads are new too."""
        head = name.partition(".")[0]
        return (head, self.grab_rate) if head in ("image_head", "text_head") else super().kind_of(name)


class Selection:
    """The choice of one tower's tokens: by a rule and a shrinking budget in training, by another rule outside it. Of
    `tokens` in all so many are `selectable`: patches, or the context less start and end. `RecipeError` where a rule
    names a layer that the `image` or `text` tower, of `depth` layers, does not have, or none."""

    def __init__(self, settings: ItselfSettings, tower: str, depth: int, selectable: int, tokens: int) -> None:
        self.settings, self.selectable = settings, selectable
        self.counted = selectable if settings.budget_counts == "selectable" else tokens
        self.training = _scoring(settings, settings.selection, tower, depth)
        self.evaluation = _scoring(settings, "mars" if settings.eval_attention == "mars" else "last", tower, depth)
        self.evaluation_kept = fixed_budget(selectable, settings.eval_ratio)

    def training_kept(self, progress: base.Progress) -> int:
        """How many tokens training keeps at this moment, from 1 to those that can be kept (ITSELF, Eq. 4)."""
        rules = self.settings
        if rules.budget == "off":
            return fixed_budget(self.selectable, rules.fixed_ratio)
        number, unit = rules.budget_duration.split()
        time, duration = progress.step, int(number) * (progress.steps_per_epoch if unit == "epochs" else 1)
        if rules.budget == "epoch":
            # ITSELF's 1450 steps are its ten epochs of RSTPReid, where the sampler yields 144 of the 145 batches.
            time, duration = progress.epoch, max(1, round(duration / progress.steps_per_epoch))
        kept = annealed_budget(self.counted, start=rules.start_ratio, end=rules.end_ratio, time=time, duration=duration)
        return min(self.selectable, kept)

    def choose(
        self, out: TowerOutput, padding: Mask | None, kept: int | None = None
    ) -> tuple[Float[Tensor, "batch kept width"], Ints]:
        """The kept tokens (content first, best first, then fillers), and how many of them are content, at least 1. With
        `kept`, so many by the training rule, else as outside training. `padding` is True at padding."""
        bank = self.bank(out, padding, kept)
        return gather_tokens(out.tokens, bank.index), bank.length

    def bank(self, out: TowerOutput, padding: Mask | None, kept: int | None = None) -> Bank:
        """Which tokens are kept; as `choose`."""
        rule, kept = (self.evaluation, self.evaluation_kept) if kept is None else (self.training, kept)
        padding = torch.zeros_like(out.trace.content) if padding is None else padding
        return select_bank(rule.scores(out.trace), out.trace.content, padding, kept, largest=rule.largest)


class Itself(base.SeparableMethod):
    """Global and local cosines, fused: lambda * cos(global) + (1 - lambda) * cos(local) (ITSELF, Eq. 8); arguments as
    in `MethodEntry.build`."""

    settings: ItselfSettings

    def __init__(
        self, settings: ItselfSettings, vision: base.ImageTower, text: base.TextTower, identities: int, *_: object
    ) -> None:
        super().__init__()
        width, local, rules = vision.embedding, settings.local_dimension, settings
        if settings.residual == "identity" and local != width:
            told = f"method.residual = 'identity' adds a token of {width} channels to a local embedding of {local}"
            raise RecipeError(f"{told}; set method.local_dimension = {width} or method.residual = 'linear'")
        self.settings, self.vision, self.text, self.dimension = settings, vision, text, width + local
        how: dict[str, Any] = {"residual": rules.residual, "pool": rules.pool, "mask_fillers": rules.mask_fillers}
        self.image_head, self.text_head = (GrabHead(width, rules.hidden, local, **how) for _ in range(2))
        self.global_objective = Objective(settings, "global", width, identities)
        self.local_objective = Objective(settings, "local", local, identities)
        patches = vision.grid[0] * vision.grid[1]
        self.image_selection = Selection(settings, "image", vision.layers, patches, patches + 1)
        self.text_selection = Selection(settings, "text", text.layers, max(1, text.context - 2), text.context)

    def represent(self, batch: Batch, progress: base.Progress) -> tuple[Tensor, ...]:
        """Global features, banks and their lengths, of images and then of captions. Tokens are chosen by the training
        rule, also in evaluation mode."""
        patches, words = self._kept(progress)
        images = self.vision(batch.images, self.image_selection.training.request)
        captions = self._cut(batch.texts, self.text_selection.training, words)
        texts = self.text(captions, self.text_selection.training.request)
        image_bank, image_length = self.image_selection.choose(images, None, patches)
        text_bank, text_length = self.text_selection.choose(texts, ~captions.mask, words)
        seen = images.summary.float(), image_bank.float(), image_length
        return *seen, texts.summary.float(), text_bank.float(), text_length

    def compare(self, parts: tuple[Tensor, ...], identity: Ints, progress: base.Progress) -> base.LossTerms:
        """TAL and CID of both branches, over the batches of all processes together (ITSELF, Eq. 7)."""
        # Banks, not local embeddings, are gathered: the heads' batch statistics then see all processes too.
        image_global, image_bank, image_length, text_global, text_bank, text_length = (
            gather_with_gradient(part) if part.is_floating_point() else gather(part) for part in parts
        )
        identity, kept = gather(identity), self._kept(progress)
        image_local, text_local = self.image_head(image_bank, image_length), self.text_head(text_bank, text_length)
        whole: base.LossTerms = self.global_objective(image_global, text_global, identity)
        part: base.LossTerms = self.local_objective(image_local, text_local, identity)
        logs = dict(zip(("kept_patches", "kept_words"), map(float, kept), strict=True))
        return base.LossTerms({**whole.terms, **part.terms}, {**whole.weights, **part.weights}, logs)

    def _cut(self, texts: TokenBatch, rule: Scoring, kept: int) -> TokenBatch:
        """Captions without the padding that no bank of so many tokens can hold as a filler. With it where a roll-out
        discards more than zeros: a third of a map are zeros in a causal tower, which does not see ahead."""
        exact = rule.statistic != "mars" or (rule.share <= 1 / 3 and isinstance(self.text, TextTransformer))
        return texts.cut(kept + 2) if exact else texts

    def _kept(self, progress: base.Progress) -> tuple[int, int]:
        return self.image_selection.training_kept(progress), self.text_selection.training_kept(progress)

    def encode_images(self, images: Pictures, *, trace: bool = False) -> base.ImageFeatures:
        """Embed prepared images in one pass; `parts` holds `global` and `local`, not normalised."""
        out = self.vision(images, self.image_selection.evaluation.request.traced(trace))
        parts = {"global": out.summary.float(), "local": self.image_head(*self.image_selection.choose(out, None))}
        embedding, seen = fused_embedding(parts, self.settings.fusion_weight), out.trace if trace else None
        return base.ImageFeatures(embedding, out.tokens, parts, seen)

    def encode_texts(self, texts: TokenBatch, *, trace: bool = False) -> base.TextFeatures:
        """Embed tokenized captions in one pass; `parts` holds `global` and `local`, not normalised."""
        texts = self._cut(texts, self.text_selection.evaluation, 0)
        out = self.text(texts, self.text_selection.evaluation.request.traced(trace))
        parts = {"global": out.summary.float(), "local": self.text_head(*self.text_selection.choose(out, ~texts.mask))}
        embedding, seen = fused_embedding(parts, self.settings.fusion_weight), out.trace if trace else None
        return base.TextFeatures(embedding, out.tokens, texts, parts, seen)


def fused_embedding(parts: Mapping[str, Tensor], share: float) -> Embedded:
    """[sqrt(lambda) g ; sqrt(1 - lambda) u] of unit g and u: inner products are fused scores (ITSELF, Eq. 8)."""
    whole, part = F.normalize(parts["global"], dim=-1), F.normalize(parts["local"], dim=-1)
    return torch.cat([sqrt(share) * whole, sqrt(1 - share) * part], dim=-1)


def _scoring(settings: ItselfSettings, statistic: Statistic, tower: str, depth: int) -> Scoring:
    """The rule for a tower of `depth` layers."""
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
        given = layers[0] if key == "single_layer" else list(layers)
        remedy = f"; name a middle and a late one, for example {key} = [{max(1, round(depth * 5 / 12))}, {depth}]"
        told = f"method.{key} = {given}: the {tower} tower has layers 1 to {depth}"
        raise RecipeError(told + (remedy if key != "single_layer" else ""))
    return Scoring(statistic, layers, settings.discard, settings.rollout_order == "later_left", settings.query_row)

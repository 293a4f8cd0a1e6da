"""`aga`: RaSa whose hidden words are chosen by attention (AGM) and whose captions gain other words (TEM).

Knowing Where to Focus: Attention-Guided Alignment for Text-based Person Search, arXiv 2412.15106. AGM hides the words
that the caption's own class token looks at (Eq. 6 to 9); TEM puts words that the model finds as likely in their place
and trains contrast, matching and relation with the new caption (Eq. 10 and 11). Neither adds a parameter.
docs/methods/aga.md tells paper, release and ours apart."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor

from pickout.errors import RecipeError
from pickout.methods.base import ImageTower
from pickout.methods.fusion import Fusion, Given, Weak
from pickout.methods.fusion_model import FusionSettings
from pickout.methods.step_choices import Chooser, Hidden, total
from pickout.saliency.aggregation import layer_ema, layer_mean
from pickout.saliency.enrich import CandidateOrder, candidates, enrich
from pickout.saliency.masking import Normalisation, clip, probabilities, vacuous_probabilities, word_weights
from pickout.shapes import ALL_ROWS, Bool, Ids, Mask, Scores, TokenBatch
from pickout.text.tokenizer import Vocabulary

Source = Literal["online", "momentum"]  # which model is asked
Rows = Mapping[int, Scores]  # by text layer from 1: the class token's attention, heads averaged (AGA, Eq. 6)


class AgaSettings(FusionSettings):
    """Every choice of AGA, beside RaSa's. The defaults are the paper's where it can be built as printed."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "as_paper": {**FusionSettings.presets["as_paper"], "normalisation": "none"},
        "as_released": FusionSettings.presets["as_released"],
    }

    mask: Literal["agm", "random", "vacuous", "off"] = "agm"
    """Which words are hidden: `agm`, `random` (RaSa), `vacuous` (empty words alone) or `off` (AGA, table I)."""
    # Differs from the paper: it reads the pass of the contrast, whose caption may be a weak one or already enriched.
    attention_source: Source = "online"
    """Which model's text layers read the caption whose words are hidden, without gradient (AGA, section III.C)."""
    # The paper reads a pass of training, so dropout acts on the states below; the weights are read before their own.
    attention_dropout: bool = True
    """Whether dropout is on in the pass that is read; off, a caption has the same probabilities each time."""
    aggregation: Literal["ema", "mean", "last"] = "ema"  # how layers are fused (AGA, Eq. 7, table IV)
    beta: float = Field(default=0.95, ge=0, lt=1)  # of Eq. 7 (AGA, table VIII)
    debias: bool = False  # whether Eq. 7's result is divided by 1 - beta ** layers, which the paper does not do
    attention_temperature: float = Field(default=0.02, gt=0)  # tau of Eq. 8
    # Differs from the paper: as printed, Eq. 9 hides some 5 % of the words, not the 15 % of the text.
    normalisation: Normalisation = "mean"
    """What a word's weight is divided by before Eq. 9: `none` as printed, `mean`, `max` or `minmax`."""
    scale: float | None = Field(default=None, ge=0)
    """Factor on alpha2. None: 2/3 with `mean`, which makes 15 % the expected share of every caption, and else 1."""
    alpha1: float = 0.05  # the least probability of Eq. 9; may be negative (AGA, table VII)
    alpha2: float = 0.15  # what attention adds in Eq. 9
    redistribute: bool = True  # whether what clipping to [0, 1] takes from a word goes to the caption's others
    enrich: bool = True  # whether captions gain other words (AGA, TEM, table III)
    enrich_candidates: int = Field(default=5, ge=1)
    """k, how many of the likeliest words are looked at (AGA, Eq. 10, table VI)."""
    enrich_probability: float = Field(default=0.3, ge=0, le=1)  # p_tem (AGA, table V)
    enrich_unit: Literal["text", "word"] = "text"
    """Whether p_tem decides over a caption or over each word; the paper says both."""
    enrich_logits: Source = "momentum"  # whose guesses the words are; `online` costs one more pass
    enrich_order: CandidateOrder = "topk_then_drop"
    """Whether the original word is taken out of the k likeliest or before; the paper's figure 4 counts it in."""
    enrich_view: Literal["both", "online"] = "both"
    """Which model reads the new caption; with `online` the momentum model keeps the old one."""
    enrich_weak: bool = False  # whether weak captions are replaced too; the new caption is then a strong one
    # Differs from the paper: a fifth of the chosen words is not hidden (BERT's rule), and "masked words" leaves open
    # whether those are replaced too.
    enrich_positions: Literal["chosen", "hidden"] = "chosen"
    """Whether every chosen word is replaced, or only one that is hidden, not left as it was or made a random one."""
    # Differs from the paper: it is silent on special ids and on pieces within words; a caption needs whole words.
    enrich_special: bool = False  # whether special, unknown and unused ids may be proposed
    enrich_any_piece: bool = False
    """Whether pieces of words may be proposed, and be replaced within words; by default whole words by whole words."""

    @model_validator(mode="after")
    def _something_to_enrich(self) -> "AgaSettings":
        if self.enrich and self.mask != "off" and not self.hides_words:
            raise ValueError("enrich = true needs hidden words: word_weight above 0, mask = 'off' or enrich = false")
        return self

    @property
    def hides_words(self) -> bool:
        """Whether words are hidden, to be guessed."""
        return super().hides_words and self.mask != "off"

    @torch.no_grad()
    def attention_weights(self, rows: Rows, content_BT: Mask) -> Scores:
        """The weight of each word in its caption by the rows of all text layers; 0 at tokens that are no content, which
        take no part in any step (AGA, Eq. 6 to 8)."""
        in_order = [rows[layer] for layer in sorted(rows)]
        if self.aggregation == "ema":
            fused_BT = layer_ema(in_order, beta=self.beta, debias=self.debias)
        else:
            fused_BT = layer_mean(in_order if self.aggregation == "mean" else in_order[-1:])
        return word_weights(fused_BT, content_BT, self.attention_temperature)

    def guided_probabilities(self, rows: Rows, content_BT: Mask) -> Scores:
        """The probability that each word is hidden (AGM: AGA, Eq. 6 to 9); as `attention_weights`."""
        scale = self.scale if self.scale is not None else 2 / 3 if self.normalisation == "mean" else 1.0
        weights_BT, how = self.attention_weights(rows, content_BT), {"alpha1": self.alpha1, "alpha2": self.alpha2}
        raw_BT = probabilities(weights_BT, content_BT, normalisation=self.normalisation, scale=scale, **how)
        return clip(raw_BT, redistribute=self.redistribute)


class Aga(Fusion):
    """RaSa with attention-guided masking and text enrichment; arguments as in `MethodEntry.build`. `RecipeError` where
    whole words are to be proposed, and the tokenizer does not know them."""

    settings: AgaSettings

    def __init__(
        self, settings: AgaSettings, vision: ImageTower, text: Any, identities: int, vocabulary: Vocabulary
    ) -> None:
        if settings.enrich and not settings.enrich_any_piece and identities and vocabulary.whole_words is None:
            remedy = "use tokenizer.kind = 'wordpiece' or 'trained', or set enrich_any_piece = true"
            raise RecipeError(f"enrich = true: this tokenizer does not tell whole words from parts of words; {remedy}")
        super().__init__(settings, vision, text, identities, vocabulary)

    def masking_probability(self, texts: TokenBatch, content: Mask, rows: Rows | None = None) -> Scores:
        """By attention, evenly, or empty words alone (AGA, Eq. 6 to 9 and table I)."""
        rules = self.settings
        if rules.mask == "random":
            return super().masking_probability(texts, content)
        if rules.mask == "vacuous":
            return vacuous_probabilities(self.vacuous_positions(texts.ids, content), content, rules.mask_probability)
        if rows is not None:
            return rules.guided_probabilities(rows, content)
        # A model for use has no twin, so it asks itself.
        text = self.text if rules.attention_source == "online" or self.momentum is None else self.momentum.text
        mode = text.training
        text.train(mode and rules.attention_dropout)
        try:
            rows = text(texts, ALL_ROWS).trace.rows
        finally:
            text.train(mode)
        # Autocast would hand the casts of this pass, which have no gradient, to the passes that need one.
        torch.clear_autocast_cache()
        return rules.guided_probabilities(rows, content)

    def enrich(
        self, given: Given, hidden: Hidden | None, teacher: Tensor | None, chooser: Chooser, image_BND: Tensor
    ) -> Weak:
        """Captions with other words in the place of the hidden ones, where they are drawn (AGA, Eq. 10 and 11)."""
        rules = self.settings
        if not rules.enrich or hidden is None or teacher is None:
            return super().enrich(given, hidden, teacher, chooser, image_BND)
        replaceable = self.replaceable(given.strong.ids, given.content)
        if rules.enrich_positions == "hidden":
            replaceable = replaceable & (hidden.ids == self.mask_id)
        found = candidates(
            teacher if rules.enrich_logits == "momentum" else self._online_words(given, hidden, image_BND),
            given.strong.ids[hidden.chosen],
            self.candidate_ids(),
            replaceable[hidden.chosen],
            k=rules.enrich_candidates,
            order=rules.enrich_order,
        )
        words, decisions = (chooser.tokens(name, hidden.ids) for name in ("enriched_word", "enriched_token"))
        ids = enrich(
            given.strong.ids,
            hidden.chosen,
            found,
            uniform_BT=words,
            decision_BU=decisions if rules.enrich_unit == "word" else chooser.uniforms.rows["enriched"][:, None],
            allowed_B=torch.ones_like(given.replaced, dtype=torch.bool) if rules.enrich_weak else given.replaced == 0,
            probability=rules.enrich_probability,
        )
        changed = (ids != given.strong.ids).any(dim=1)
        row = changed[:, None]
        online = TokenBatch(torch.where(row, ids, given.weak.ids), torch.where(row, given.strong.mask, given.weak.mask))
        momentum = given.weak if rules.enrich_view == "online" else online
        share = float(total(changed.sum())) / given.part.whole
        return Weak(online, momentum, given.replaced.masked_fill(changed, 0), {"enriched_share": share})

    def candidate_ids(self) -> Bool[Tensor, " vocabulary"]:
        """Whole words, unless the options say otherwise."""
        rules = self.settings
        allowed = self.proposable if rules.enrich and rules.enrich_any_piece else super().candidate_ids()
        return allowed | ~self.proposable if rules.enrich and rules.enrich_special else allowed

    def replaceable(self, ids: Ids, content: Mask) -> Mask:
        """Words of one piece, unless the options say otherwise."""
        any_piece = self.settings.enrich and self.settings.enrich_any_piece
        return content if any_piece else super().replaceable(ids, content)

    def _online_words(self, given: Given, hidden: Hidden, image_BND: Tensor) -> Tensor:
        """The online model's logits at the hidden words, without gradient."""
        states = self.text(TokenBatch(hidden.ids, given.strong.mask)).tokens
        tokens = self.text.fuse(states, given.strong.mask, self.text.remember(image_BND)).tokens
        logits: Tensor = self.word_head(tokens[hidden.chosen], self.text.embeddings.words.weight)
        torch.clear_autocast_cache()
        return logits

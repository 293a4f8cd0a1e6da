"""The half of a step of `fusion` and `aga` without gradient: what the momentum model sees, guesses and proposes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from pickout.data.batching import Batch
from pickout.errors import RecipeError
from pickout.losses.fusion import replaced_labels
from pickout.methods.base import ImageTower, LossTerms, Progress
from pickout.methods.fusion_model import FusionModel, FusionSettings
from pickout.methods.step_choices import Chooser, Hidden, Part, draw_uniforms, find_part, total
from pickout.nn.fusion_encoder import fuse_by_length, read_by_length
from pickout.nn.gather import gather_with_gradient
from pickout.nn.transformer import TowerOutput
from pickout.saliency.masking import vacuous_positions, word_numbers, word_sizes
from pickout.saliency.vacuous_words import vacuous_table
from pickout.shapes import Bool, Embedded, Float, Ids, Ints, Mask, Scores, States, TokenBatch
from pickout.text.tokenizer import Vocabulary


@dataclass(frozen=True, slots=True)
class Given:
    """A batch ready for a step, its captions cut to the longest of all processes."""

    images: Float[Tensor, "batch *axes"]  # what the online model sees, as in `Batch`
    second: Float[Tensor, "batch *axes"]  # what the momentum model sees: another view, or the same where there is none
    strong: TokenBatch  # the captions as drawn; words of these are hidden and replaced
    weak: TokenBatch  # captions of the same people for contrast, matching and relation, mostly the strong ones
    replaced: Ints  # 1 where `weak` is another caption
    identity: Ints
    content: Mask  # true where a token of `strong` is a word piece
    part: Part
    rows: Mapping[int, Scores] | None = None
    """By text layer, the class token's attention in `strong`, where that was read already."""
    image: TowerOutput | None = None  # what one pass of each tower made of it, where a method needs that
    text: TowerOutput | None = None


@dataclass(frozen=True, slots=True)
class Weak:
    """The captions of contrast, matching and relation, after AGA has put other words into some."""

    online: TokenBatch  # what the online model reads
    momentum: TokenBatch  # what the momentum model reads
    replaced: Ints  # 1 for a weak pair
    logs: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plan:
    """What the online model is trained with."""

    given: Given
    chooser: Chooser
    tokens: Float[Tensor, "batch image_tokens width"]  # the online model's image tokens
    image: Embedded  # momentum features of the images, unit norm
    text: Embedded  # momentum features of the captions, unit norm
    weak: Weak
    hidden: Hidden | None  # captions with hidden words; None where no words are hidden
    teacher: Float[Tensor, "chosen vocabulary"] | None  # momentum logits at the chosen positions, in reading order
    sampled: Ids | None  # captions with replaced words; None where none are asked for
    labels: Ids | None  # which words were replaced
    logs: dict[str, float]

    @property
    def changed(self) -> list[Ids]:
        """The captions with hidden words and those with replaced words, as far as there are any."""
        return [ids for ids in (None if self.hidden is None else self.hidden.ids, self.sampled) if ids is not None]


def unit(features: Tensor) -> Tensor:
    """Float32 rows of norm one."""
    return F.normalize(features.float(), dim=-1)


class PlanningModel(FusionModel):
    """A `FusionModel` that prepares its steps; arguments as in `MethodEntry.build`."""

    vacuous: Tensor
    proposable: Tensor
    whole_words: Tensor
    continues: Tensor | None
    choices: Tensor

    def __init__(
        self, settings: FusionSettings, vision: ImageTower, text: Any, identities: int, vocabulary: Vocabulary
    ) -> None:
        super().__init__(settings, vision, text, identities)
        continues, whole = vocabulary.continues, vocabulary.whole_words
        if settings.whole_words and continues is None:
            raise RecipeError("whole_words = true: this tokenizer does not tell where words begin; use 'wordpiece'")
        special, sampled = vocabulary.special, settings.replaced_labels == "sampled"
        self.mask_id, self.ignored_ids = special.mask, (special.padding, special.start) if sampled else ()
        proposable = torch.from_numpy(vocabulary.proposable)
        ordinary, continued = settings.random_words == "ordinary", None if continues is None else continues.tolist()
        tables = {
            "vacuous": torch.from_numpy(vacuous_table(vocabulary.texts, continued)),
            "proposable": proposable,
            "whole_words": torch.from_numpy(np.zeros_like(vocabulary.proposable) if whole is None else whole),
            "continues": None if continues is None else torch.from_numpy(continues),
            "choices": proposable.nonzero().squeeze(1) if ordinary else torch.arange(vocabulary.size),
        }
        # What the vocabulary says is no weight: it moves with the model and is not saved.
        for name, table in tables.items():
            self.register_buffer(name, table, persistent=False)

    @property
    def whole_rows(self) -> bool:
        """Whether the states at padding matter, which they do to the released loss of hidden words alone (RaSa)."""
        return self.settings.distillation_axis == "sequence"

    def given(self, batch: Batch) -> Given:
        """A batch ready for a step; what it lacks of a second view or a weak caption is the first again."""
        weak = batch.texts if batch.weak_texts is None else batch.weak_texts
        part = find_part(batch.texts.mask, weak.mask)
        strong, weak = (TokenBatch(t.ids[:, : part.length], t.mask[:, : part.length]) for t in (batch.texts, weak))
        second = batch.images if batch.second_images is None else batch.second_images
        replaced = torch.zeros_like(batch.identity) if batch.replaced is None else batch.replaced
        return Given(batch.images, second, strong, weak, replaced, batch.identity, self.text.content(strong), part)

    def chooser(self, progress: Progress, part: Part, device: torch.device) -> Chooser:
        """What makes the choices of a step."""
        return Chooser(draw_uniforms(progress, part, self.text.context, device), self.mask_id, self.choices)

    @torch.no_grad()
    def plan(self, given: Given, chooser: Chooser, image_BND: States) -> Plan:
        """Everything of a step that needs no gradient; `image_BND` are the online model's image tokens."""
        twin, logs, masked = self.twin, dict[str, float](), list[Tensor]()
        tokens_m = twin.vision(given.second).tokens
        hidden = teacher = sampled = labels = None
        if self.settings.hides_words:
            hidden = self._hide(given, chooser, logs)
            masked.append(hidden.ids)
        if "replaced" in self.heads:
            rate = given.content.float() * self.settings.replace_probability
            masked.append(chooser.hide(given.strong.ids, given.content, rate, from_generator=True).ids)
        fused = self._twin_fused(masked, given, tokens_m)
        if hidden is not None:
            teacher = self._twin_words(fused[0][hidden.chosen])
        if "replaced" in self.heads:
            ids, content = given.strong.ids, given.content
            sampled = chooser.replace(ids, content, fused[-1], self._twin_words, self.text.vocabulary_size)
            labels = replaced_labels(sampled, ids, content, ignored_ids=self.ignored_ids)
        weak = self.enrich(given, hidden, teacher, chooser, image_BND)
        image_m = unit(twin.image_projection(tokens_m[:, 0]))
        text_m = unit(twin.text_projection(read_by_length(twin.text, weak.momentum, whole=self.whole_rows)[:, 0]))
        found = (weak, hidden, teacher, sampled, labels, logs | weak.logs)
        return Plan(given, chooser, image_BND, image_m, text_m, *found)

    def image_tokens(self, given: Given, progress: Progress) -> States:  # noqa: ARG002  (nothing here changes over time)
        """What the fusion layers read of the images, class token first."""
        return cast(Tensor, self.vision(given.images).tokens)

    def further(self, given: Given, progress: Progress) -> LossTerms:  # noqa: ARG002
        """Losses beside the five objectives."""
        return LossTerms({}, {})

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

    def enrich(
        self, given: Given, hidden: Hidden | None, teacher: Tensor | None, chooser: Chooser, image_BND: Tensor
    ) -> Weak:
        """The captions of contrast, matching and relation: the weak ones as they are."""
        del hidden, teacher, chooser, image_BND
        return Weak(given.weak, given.weak, given.replaced)

    def _hide(self, given: Given, chooser: Chooser, logs: dict[str, float]) -> Hidden:
        ids, content = given.strong.ids, given.content
        probability = self.masking_probability(given.strong, content, given.rows)
        numbers = self._word_numbers(ids, content) if self.settings.whole_words else None
        hidden = chooser.hide(ids, content, probability, numbers)
        vacuous = hidden.chosen & self.vacuous_positions(ids, content)
        sums = [part.float().sum() for part in (content, hidden.chosen, vacuous, probability)]
        tokens, chosen, empty, expected = total(torch.stack(sums)).tolist()
        logs |= {
            "hidden_share": chosen / max(1, tokens),
            "hidden_vacuous": empty / max(1, chosen),
            "hiding_largest": float(gather_with_gradient(probability.float().amax().reshape(1)).amax()),
            "hiding_mean": expected / max(1, tokens),
        }
        return hidden

    def _word_numbers(self, ids: Tensor, content: Tensor) -> Tensor | None:
        """The number of each token's word in its caption; None where pieces do not tell where words begin."""
        return None if self.continues is None else word_numbers(ids, content, self.continues)

    def _twin_fused(self, masked: list[Tensor], given: Given, tokens_m: Tensor) -> tuple[Tensor, ...]:
        """The momentum model's fused tokens of each list of masked captions."""
        if not masked:
            return ()
        text, mask = self.twin.text, given.strong.mask.repeat(len(masked), 1)
        states = read_by_length(text, TokenBatch(torch.cat(masked), mask), whole=self.whole_rows)
        image = torch.arange(len(given.identity), device=mask.device).repeat(len(masked))
        fused = fuse_by_length(text, states, mask, text.remember(tokens_m), image, whole=self.whole_rows)
        return fused.tokens.chunk(len(masked))

    def _twin_words(self, tokens: Tensor) -> Tensor:
        return cast(Tensor, self.twin.word_head(tokens, self.twin.text.embeddings.words.weight))

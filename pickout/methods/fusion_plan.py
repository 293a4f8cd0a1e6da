"""The half of a step of `fusion` and `aga` without gradient: what the momentum model sees, guesses and proposes."""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from pickout.data.batching import Batch
from pickout.losses.masked_words import DistillationAxis
from pickout.losses.replaced_words import replace_words, replaced_labels
from pickout.methods.base import Progress
from pickout.methods.by_length import fuse_by_length, read_by_length
from pickout.methods.fusion_model import FusionModel
from pickout.methods.processes import Part, find_part, report_of_all
from pickout.methods.step_choices import Chooser, Hidden, draw_uniforms
from pickout.nn.fusion_encoder import Fused, FusionEncoder
from pickout.nn.memory import ImageMemory
from pickout.saliency.hiding import report_mask, vacuous_positions, word_numbers, word_sizes
from pickout.saliency.masking import random_probabilities
from pickout.saliency.vacuous_words import vacuous_table
from pickout.shapes import Bool, Float, Int, TokenBatch
from pickout.text.vocabulary import Vocabulary


@dataclass(frozen=True, slots=True)
class Given:
    """A batch ready for a step, its captions cut to the longest of all processes.

    Args:
        images: what the online model sees.
        second: what the momentum model sees: another view, or the same where the batch has no other.
        strong: the captions as drawn; words of these are hidden and replaced.
        weak: captions of the same people for contrast, matching and relation, mostly the strong ones.
        replaced: 1 where `weak` is another caption. Shape: (batch,).
        identity: who is shown. Shape: (batch,).
        content: True where a token of `strong` is a word piece. Shape: (batch, tokens).
        part: of this process.
    """

    images: Float[Tensor, "batch 3 height width"]
    second: Float[Tensor, "batch 3 height width"]
    strong: TokenBatch
    weak: TokenBatch
    replaced: Int[Tensor, " batch"]
    identity: Int[Tensor, " batch"]
    content: Bool[Tensor, "batch tokens"]
    part: Part


@dataclass(frozen=True, slots=True)
class Weak:
    """The captions of contrast, matching and relation, after AGA has put other words into some.

    Args:
        online: what the online model reads.
        momentum: what the momentum model reads.
        replaced: 1 for a weak pair. Shape: (batch,).
        logs: numbers for the journal.
    """

    online: TokenBatch
    momentum: TokenBatch
    replaced: Int[Tensor, " batch"]
    logs: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plan:
    """What the online model is trained with.

    Args:
        image: momentum features of the images, unit norm. Shape: (batch, dimension).
        text: momentum features of the captions, unit norm. Shape: (batch, dimension).
        weak: captions of contrast, matching and relation.
        hidden: captions with hidden words; None where no words are hidden.
        teacher: momentum logits at the chosen positions, in reading order. Shape: (chosen, vocabulary).
        sampled: captions with replaced words; None where none are asked for. Shape: (batch, tokens).
        labels: which words were replaced. Shape: (batch, tokens).
        logs: numbers for the journal.
    """

    image: Float[Tensor, "batch dimension"]
    text: Float[Tensor, "batch dimension"]
    weak: Weak
    hidden: Hidden | None
    teacher: Float[Tensor, "chosen vocabulary"] | None
    sampled: Int[Tensor, "batch tokens"] | None
    labels: Int[Tensor, "batch tokens"] | None
    logs: dict[str, float]


@dataclass(frozen=True, slots=True)
class WordRules:
    """How words are hidden and replaced; see `FusionSettings` for each.

    Args:
        hide: whether words are hidden at all.
        probability: that a word is hidden where attention does not decide.
        whole: whether words are hidden whole.
        ordinary: whether a hidden word becomes an ordinary id only, when it becomes a random one.
        axis: what the student's soft-max runs over.
        replace: probability that a word is hidden from the generator of replaced words.
        ignore_sampled: whether words replaced by padding or start are not asked for.
    """

    hide: bool = True
    probability: float = 0.15
    whole: bool = False
    ordinary: bool = False
    axis: DistillationAxis = "vocabulary"
    replace: float = 0.3
    ignore_sampled: bool = False


def unit(features: Tensor) -> Tensor:
    """Float32 rows of norm one."""
    return F.normalize(features.float(), dim=-1)


class PlanningModel(FusionModel):
    """A `FusionModel` that prepares its steps; further arguments as there.

    Args:
        towers: the image tower and the fusion encoder.
        vocabulary: of the tokenizer.
        words: how words are hidden and replaced.
        model: further arguments of `FusionModel`.
    """

    vacuous: Tensor
    proposable: Tensor
    whole_words: Tensor
    continues: Tensor | None
    choices: Tensor

    def __init__(self, *towers: torch.nn.Module, vocabulary: Vocabulary, words: WordRules, **model: object) -> None:
        super().__init__(*towers, **model)  # type: ignore[arg-type]
        self.words, self.mask_id = words, vocabulary.special.mask
        self.released_ignored = (vocabulary.special.padding, vocabulary.special.start)
        proposable = torch.from_numpy(vocabulary.proposable)
        continues = None if vocabulary.continues is None else torch.from_numpy(vocabulary.continues)
        starts = None if vocabulary.continues is None else vocabulary.continues.tolist()
        whole = np.zeros_like(vocabulary.proposable) if vocabulary.whole_words is None else vocabulary.whole_words
        choices = proposable.nonzero().squeeze(1) if words.ordinary else torch.arange(vocabulary.size)
        # What the vocabulary says is no weight: it moves with the model and is not saved.
        self.register_buffer("vacuous", vacuous_table(vocabulary.texts, starts), persistent=False)
        self.register_buffer("proposable", proposable, persistent=False)
        self.register_buffer("whole_words", torch.from_numpy(whole), persistent=False)
        self.register_buffer("continues", continues, persistent=False)
        self.register_buffer("choices", choices, persistent=False)

    def given(self, batch: Batch) -> Given:
        """A batch ready for a step; what it lacks of a second view or a weak caption is the first again."""
        weak = batch.texts if batch.weak_texts is None else batch.weak_texts
        part = find_part(batch.texts.mask, weak.mask)
        strong, weak = (TokenBatch(t.ids[:, : part.length], t.mask[:, : part.length]) for t in (batch.texts, weak))
        return Given(
            images=batch.images,
            second=batch.images if batch.second_images is None else batch.second_images,
            strong=strong,
            weak=weak,
            replaced=torch.zeros_like(batch.identity) if batch.replaced is None else batch.replaced,
            identity=batch.identity,
            content=self.text.content(strong),
            part=part,
        )

    def chooser(self, progress: Progress, part: Part, device: torch.device) -> Chooser:
        """What makes the choices of a step."""
        return Chooser(draw_uniforms(progress, part, self.text.context, device), self.mask_id, self.choices)

    @torch.no_grad()
    def plan(self, given: Given, chooser: Chooser, image_BND: Float[Tensor, "batch tokens width"]) -> Plan:
        """Everything of a step that needs no gradient.

        Args:
            given: the batch.
            chooser: makes the choices.
            image_BND: the online model's image tokens.
        """
        twin, rows, logs = self.twin, len(given.identity), dict[str, float]()
        tokens_m = twin.vision(given.second).tokens
        masked: list[Tensor] = []
        hidden = None
        if self.words.hide:
            hidden = self._hide(given, chooser, logs)
            masked.append(hidden.ids)
        if "replaced" in self.heads:
            rate = random_probabilities(given.content, self.words.replace)
            masked.append(chooser.hide_from_generator(given.strong.ids, given.content, rate))
        fused = self._twin_fused(masked, given, tokens_m)
        teacher = None if hidden is None else self._twin_words(fused[0][hidden.chosen])
        sampled = labels = None
        if "replaced" in self.heads:
            words = chooser.sample(self._twin_words, fused[-1], given.content)
            sampled = replace_words(given.strong.ids, given.content, words)
            ignored = self.released_ignored if self.words.ignore_sampled else ()
            labels = replaced_labels(sampled, given.strong.ids, given.content, ignored_ids=ignored)
        weak = self.enrich(given, hidden, teacher, chooser, image_BND)
        image_m = unit(twin.image_projection(tokens_m[:, 0]))
        text_m = unit(twin.text_projection(self.read(twin.text, weak.momentum)[:, 0]))
        assert len(image_m) == rows
        return Plan(image_m, text_m, weak, hidden, teacher, sampled, labels, logs | weak.logs)

    def read(self, text: FusionEncoder, texts: TokenBatch) -> Float[Tensor, "rows tokens width"]:
        """The states of captions; at padding anything, unless the loss of hidden words reads it (RaSa)."""
        if self.words.axis == "sequence":
            states: Tensor = text(texts).tokens
            return states
        return read_by_length(text, texts)

    def fuse(
        self,
        text: FusionEncoder,
        states_RTD: Float[Tensor, "rows tokens width"],
        mask_RT: Bool[Tensor, "rows tokens"],
        memory: ImageMemory,
        image_R: Int[Tensor, " rows"],
        summary_rows: int = 0,
    ) -> Fused:
        """The fusion layers of one of the two models; arguments as in `FusionEncoder.fuse`, padding as in `read`."""
        if self.words.axis == "sequence":
            return text.fuse(states_RTD, mask_RT, memory, image_R, summary_rows=summary_rows)
        return fuse_by_length(text, states_RTD, mask_RT, memory, image_R, summary_rows=summary_rows)

    def masking_probability(
        self,
        texts: TokenBatch,  # noqa: ARG002
        content: Bool[Tensor, "batch tokens"],
    ) -> Float[Tensor, "batch tokens"]:
        """The probability that each token is hidden: the same for every word (RaSa).

        Args:
            texts: captions.
            content: True where a token is a word piece.
        """
        return random_probabilities(content, self.words.probability)

    def candidate_ids(self) -> Bool[Tensor, " vocabulary"]:
        """True for ids that may stand in for a word: whole words."""
        return self.whole_words

    def replaceable(
        self, ids: Int[Tensor, "batch tokens"], content: Bool[Tensor, "batch tokens"]
    ) -> Bool[Tensor, "batch tokens"]:
        """True at tokens that a whole word may stand in for: words of one piece; all where pieces do not tell."""
        numbers = self._word_numbers(ids, content)
        return content if numbers is None else content & (word_sizes(numbers) == 1)

    def vacuous_positions(
        self, ids: Int[Tensor, "batch tokens"], content: Bool[Tensor, "batch tokens"]
    ) -> Bool[Tensor, "batch tokens"]:
        """True at empty words."""
        return vacuous_positions(ids, content, self.vacuous, self._word_numbers(ids, content))

    def enrich(
        self,
        given: Given,
        hidden: Hidden | None,  # noqa: ARG002
        teacher: Float[Tensor, "chosen vocabulary"] | None,  # noqa: ARG002
        chooser: Chooser,  # noqa: ARG002
        image_BND: Float[Tensor, "batch tokens width"],  # noqa: ARG002
    ) -> Weak:
        """The captions of contrast, matching and relation: the weak ones as they are."""
        return Weak(given.weak, given.weak, given.replaced)

    def _hide(self, given: Given, chooser: Chooser, logs: dict[str, float]) -> Hidden:
        ids, content = given.strong.ids, given.content
        probability = self.masking_probability(given.strong, content)
        numbers = self._word_numbers(ids, content) if self.words.whole else None
        hidden = chooser.hide(ids, content, probability, numbers)
        vacuous = self.vacuous_positions(ids, content)
        report = report_of_all(report_mask(hidden.chosen, probability, content, vacuous))
        logs |= {
            "hidden_share": float(report.ratio),
            "hidden_vacuous": float(report.vacuous_share),
            "hiding_largest": float(report.largest),
            "hiding_mean": float(report.mean),
        }
        return hidden

    def _word_numbers(self, ids: Tensor, content: Tensor) -> Tensor | None:
        """The number of each token's word in its caption; None where pieces do not tell where words begin."""
        return None if self.continues is None else word_numbers(ids, content, self.continues)

    def _twin_fused(self, masked: list[Tensor], given: Given, tokens_m: Tensor) -> tuple[Tensor, ...]:
        """The momentum model's fused tokens of each list of masked captions."""
        if not masked:
            return ()
        twin, rows = self.twin, len(given.identity)
        mask = given.strong.mask.repeat(len(masked), 1)
        states = self.read(twin.text, TokenBatch(torch.cat(masked), mask))
        image = torch.arange(rows, device=mask.device).repeat(len(masked))
        return self.fuse(twin.text, states, mask, twin.text.remember(tokens_m), image).tokens.chunk(len(masked))

    def _twin_words(self, tokens: Tensor) -> Tensor:
        logits: Tensor = self.twin.word_head(tokens, self.twin.text.embeddings.words.weight)
        return logits

"""`fusion`: RaSa on ALBEF's model, the baseline that AGA builds on.

RaSa: Relation and Sensitivity Aware Representation Learning for Text-based Person Search, arXiv 2305.13653. Five
objectives share one image pass, one pass of the text layers over three captions a pair, and one pass of the fusion
layers over five rows a pair whose keys and values are projected once an image. docs/methods/aga.md tells papers,
release and ours apart."""

from dataclasses import dataclass, field
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional as F

from pickout.chance import Drawn
from pickout.data.batching import Batch
from pickout.losses import fusion
from pickout.losses.contrastive import contrastive, enqueue, positive_keys, with_queue
from pickout.losses.identity import IGNORED
from pickout.methods import step_choices
from pickout.methods.base import LossTerms, Progress
from pickout.methods.fusion_model import FusionModel
from pickout.methods.step_choices import Chooser, Hidden, Part
from pickout.nn.fusion_encoder import Fused, fuse_by_length, read_by_length
from pickout.nn.gather import gather, gather_with_gradient
from pickout.nn.transformer import TowerOutput
from pickout.shapes import Embedded, Float, Ids, Ints, Mask, Scalar, States, TokenBatch

TEMPERATURES = (0.001, 0.5)  # least and largest temperature in ALBEF's pre-training


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


class Fusion(FusionModel):
    """RaSa's five objectives; arguments as in `MethodEntry.build`."""

    def losses(self, batch: Batch, progress: Progress) -> LossTerms:
        """The five objectives, over the batches of all processes together. In training the momentum twin moves on
        before (at the first batch of an optimiser step) and the queues after."""
        given, alpha = self.given(batch), self.settings.alpha(progress)
        if self.training:
            with torch.no_grad():
                if self.settings.clamp_temperature:
                    self.temperature.clamp_(*TEMPERATURES)
                if progress.part == 0:
                    self.twin.follow(self, self.settings.momentum)
        chooser = self.chooser(progress, given.part, batch.identity.device)
        plan = self.plan(given, chooser, self.image_tokens(given, progress))
        # One pass reads the weak captions, those with hidden words and those with replaced words.
        ids = torch.cat([plan.weak.online.ids, *plan.changed])
        masks = torch.cat([plan.weak.online.mask, *[given.strong.mask] * len(plan.changed)])
        states = read_by_length(self.text, TokenBatch(ids, masks), whole=self.whole_rows).chunk(1 + len(plan.changed))
        contrast, negatives = self._contrast(plan, states[0], alpha)
        fused = self._fuse(plan, states, negatives)
        terms = {"contrastive": contrast, **self._fusion_terms(plan, fused, negatives, alpha)}
        weights, further = {name: self.settings.weights[name] for name in terms}, self.further(given, progress)
        logs = {**plan.logs, **further.logs, "temperature": self.temperature.item(), "alpha": alpha}
        return LossTerms({**terms, **further.terms}, {**weights, **further.weights}, logs)

    @property
    def whole_rows(self) -> bool:
        """Whether the states at padding matter, which they do to the released loss of hidden words alone (RaSa)."""
        return self.settings.distillation_axis == "sequence"

    def given(self, batch: Batch) -> Given:
        """A batch ready for a step; what it lacks of a second view or a weak caption is the first again."""
        weak = batch.texts if batch.weak_texts is None else batch.weak_texts
        part = step_choices.find_part(batch.texts.mask, weak.mask)
        strong, weak = (TokenBatch(t.ids[:, : part.length], t.mask[:, : part.length]) for t in (batch.texts, weak))
        second = batch.images if batch.second_images is None else batch.second_images
        replaced = torch.zeros_like(batch.identity) if batch.replaced is None else batch.replaced
        return Given(batch.images, second, strong, weak, replaced, batch.identity, self.text.content(strong), part)

    def chooser(self, progress: Progress, part: Part, device: torch.device) -> Chooser:
        """What makes the choices of a step."""
        uniforms = step_choices.draw_uniforms(progress, part, self.text.context, device)
        return Chooser(uniforms, self.mask_id, self.choices)

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
        fused: tuple[Tensor, ...] = ()
        if masked:
            mask = given.strong.mask.repeat(len(masked), 1)
            states = read_by_length(twin.text, TokenBatch(torch.cat(masked), mask), whole=self.whole_rows)
            image = torch.arange(len(tokens_m), device=mask.device).repeat(len(masked))
            memory = twin.text.remember(tokens_m)
            rows = fuse_by_length(twin.text, states, mask, memory, image, whole=self.whole_rows)
            fused = rows.tokens.chunk(len(masked))
        if hidden is not None:
            teacher = self._twin_words(fused[0][hidden.chosen])
        if "replaced" in self.heads:
            ids, content = given.strong.ids, given.content
            sampled = chooser.replace(ids, content, fused[-1], self._twin_words, self.text.vocabulary_size)
            labels = fusion.replaced_labels(sampled, ids, content, ignored_ids=self.ignored_ids)
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

    def enrich(
        self, given: Given, hidden: Hidden | None, teacher: Tensor | None, chooser: Chooser, image_BND: Tensor
    ) -> Weak:
        """The captions of contrast, matching and relation: the weak ones as they are."""
        del hidden, teacher, chooser, image_BND
        return Weak(given.weak, given.weak, given.replaced)

    def _hide(self, given: Given, chooser: Chooser, logs: dict[str, float]) -> Hidden:
        ids, content = given.strong.ids, given.content
        rows = None if given.text is None else given.text.trace.rows
        probability = self.masking_probability(given.strong, content, rows)
        numbers = self._word_numbers(ids, content) if self.settings.whole_words else None
        hidden = chooser.hide(ids, content, probability, numbers)
        vacuous = hidden.chosen & self.vacuous_positions(ids, content)
        sums = [part.float().sum() for part in (content, hidden.chosen, vacuous, probability)]
        tokens, chosen, empty, expected = step_choices.total(torch.stack(sums)).tolist()
        logs |= {
            "hidden_share": chosen / max(1, tokens),
            "hidden_vacuous": empty / max(1, chosen),
            "hiding_largest": float(gather_with_gradient(probability.float().amax().reshape(1)).amax()),
            "hiding_mean": expected / max(1, tokens),
        }
        return hidden

    def _twin_words(self, tokens: Tensor) -> Tensor:
        return cast(Tensor, self.twin.word_head(tokens, self.twin.text.embeddings.words.weight))

    def _contrast(
        self, plan: Plan, states_BTD: Float[Tensor, "batch length text_width"], alpha: float
    ) -> tuple[Scalar, tuple[Drawn, Drawn]]:
        """The contrast of the whole batch, and this process's hard negatives: images for captions, then captions."""
        rules = self.settings
        # Differs from the paper: keys are the whole batch's, not one device's, so the number of processes is no matter.
        image_WE = gather_with_gradient(unit(self.image_projection(plan.tokens[:, 0])))
        text_WE = gather_with_gradient(unit(self.text_projection(states_BTD[:, 0])))
        with torch.no_grad():
            image_m_WE, text_m_WE = gather_with_gradient(plan.image), gather_with_gradient(plan.text)
        identity_W = gather(plan.given.identity)
        features = image_WE, text_WE, image_m_WE, text_m_WE
        keys = with_queue(image_m_WE, self.image_queue), with_queue(text_m_WE, self.text_queue)
        positive = positive_keys(identity_W, torch.cat([identity_W, self.identity_queue]), one_hot=rules.one_hot)
        found = contrastive(
            *features, *keys, positive, temperature=self.temperature, alpha=alpha, directions=rules.directions
        )
        if self.training:
            queues = (self.image_queue, self.text_queue, self.identity_queue, self.queue_pointer)
            enqueue(*queues, image_m_WE, text_m_WE, identity_W)
        equal = fusion.same_caption(gather(plan.weak.online.ids)) if rules.exclude_equal_captions else None
        to_images, to_texts = (
            fusion.negative_weights(
                scores, identity_W, group=rules.negative_group, epsilon=rules.negative_guard, equal_captions_BB=equal
            )[plan.given.part.own]
            for scores in (found.text_to_image, found.image_to_text)
        )
        return found.loss, plan.chooser.negatives(to_images, to_texts)

    def _fuse(self, plan: Plan, states: tuple[Tensor, ...], negatives: tuple[Drawn, Drawn]) -> Fused:
        """One pass of up to five rows a pair: the pair, its two negatives, hidden words, replaced words. Of the first
        three only the class token is wanted. A negative that could not be drawn reads anything and counts nothing."""
        weak_BTD, mask_BT, part = states[0], plan.weak.online.mask, plan.given.part
        images = step_choices.find_partners(plan.tokens, negatives[0], part)
        own = torch.arange(images.start, images.start + part.rows, device=weak_BTD.device)
        rows = [(weak_BTD, mask_BT, own)] if {"matching", "relation"} & self.heads else []
        if "matching" in self.heads:
            texts = step_choices.find_partners(weak_BTD, negatives[1], part)
            bank_mask = gather(mask_BT.long()).bool() if texts.everyone else mask_BT
            rows.append((weak_BTD, mask_BT, images.index))
            rows.append((texts.bank[texts.index], bank_mask[texts.index], own))
        summaries = len(rows) * part.rows
        rows += [(changed_BTD, plan.given.strong.mask, own) for changed_BTD in states[1:]]
        read, masks, image = (torch.cat(parts) for parts in zip(*rows, strict=True))
        memory = self.text.remember(images.bank)
        return fuse_by_length(self.text, read, masks, memory, image, summary_rows=summaries, whole=self.whole_rows)

    def _fusion_terms(self, plan: Plan, fused: Fused, drawn: tuple[Drawn, Drawn], alpha: float) -> dict[str, Tensor]:
        """The terms of the fusion layers; their token means are over the tokens of all processes."""
        part, terms = plan.given.part, dict[str, Tensor]()
        rows, tokens = part.rows, list(fused.tokens.chunk(max(1, len(plan.changed))))
        if "matching" in self.heads:
            logits = self.matching_head(fused.summary[: 3 * rows])
            valid = torch.cat([torch.ones_like(drawn[0].valid), drawn[0].valid, drawn[1].valid])
            matches = torch.arange(3 * rows, device=valid.device) < rows
            terms["matching"] = fusion.matching_loss(logits, matches, valid, count=part.share(valid.sum()))
        if "relation" in self.heads:
            logits = self.relation_head(fused.summary[:rows])
            terms["relation"] = fusion.relation_loss(logits, plan.weak.replaced, count=part.whole / part.processes)
        if plan.hidden is not None and plan.teacher is not None:
            chosen, ids, table = plan.hidden.chosen, plan.given.strong.ids, self.text.embeddings.words.weight
            tokens_BTD, count = tokens.pop(0), part.share(chosen.sum())
            if self.whole_rows:
                labels = ids.masked_fill(~chosen, IGNORED)[:, : part.strong]
                logits = self.word_head(tokens_BTD[:, : part.strong], table)
                terms["words"] = fusion.masked_word_loss_over_sequence(logits, labels, plan.teacher, alpha, count=count)
            else:
                logits = self.word_head(tokens_BTD[chosen], table)
                terms["words"] = fusion.masked_word_loss(logits, ids[chosen], plan.teacher, alpha, count=count)
        if plan.labels is not None:
            count = part.share((plan.labels != IGNORED).sum())
            terms["replaced"] = fusion.replaced_word_loss(self.replaced_head(tokens.pop(0)), plan.labels, count=count)
        return {name: step_choices.mean_over_processes(loss) for name, loss in terms.items()}

"""`fusion`: RaSa on ALBEF's model, the baseline that AGA builds on.

RaSa: Relation and Sensitivity Aware Representation Learning for Text-based Person Search, arXiv 2305.13653. Five
objectives share one image pass, one pass of the text layers over three captions a pair, and one pass of the fusion
layers over five rows a pair whose keys and values are projected once an image. docs/methods/aga.md tells papers,
release and ours apart."""

import torch
from torch import Tensor

from pickout.data.batching import Batch
from pickout.draws import Drawn
from pickout.losses import fusion
from pickout.losses.contrastive import contrastive, enqueue, positive_keys, with_queue
from pickout.losses.identity import IGNORED
from pickout.methods.base import LossTerms, Progress
from pickout.methods.fusion_plan import Plan, PlanningModel, unit
from pickout.methods.step_choices import find_partners, mean_over_processes
from pickout.nn.fusion_encoder import Fused, fuse_by_length, read_by_length
from pickout.nn.gather import gather, gather_with_gradient
from pickout.shapes import Float, Scalar, TokenBatch

TEMPERATURES = (0.001, 0.5)  # least and largest temperature in ALBEF's pre-training


class Fusion(PlanningModel):
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
        states = self._read(plan)
        contrast, negatives = self._contrast(plan, states[0], alpha)
        fused = self._fuse(plan, states, negatives)
        terms = {"contrastive": contrast, **self._fusion_terms(plan, fused, negatives, alpha)}
        weights, further = {name: self.settings.weights[name] for name in terms}, self.further(given, progress)
        logs = {**plan.logs, **further.logs, "temperature": self.temperature.item(), "alpha": alpha}
        return LossTerms({**terms, **further.terms}, {**weights, **further.weights}, logs)

    def _read(self, plan: Plan) -> tuple[Tensor, ...]:
        """States of the weak captions, of those with hidden words and of those with replaced words, in one pass."""
        ids = torch.cat([plan.weak.online.ids, *plan.changed])
        masks = torch.cat([plan.weak.online.mask, *[plan.given.strong.mask] * len(plan.changed)])
        return read_by_length(self.text, TokenBatch(ids, masks), whole=self.whole_rows).chunk(1 + len(plan.changed))

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
        images = find_partners(plan.tokens, negatives[0], part)
        own = torch.arange(images.start, images.start + part.rows, device=weak_BTD.device)
        rows = [(weak_BTD, mask_BT, own)] if {"matching", "relation"} & self.heads else []
        if "matching" in self.heads:
            texts = find_partners(weak_BTD, negatives[1], part)
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
        if plan.hidden is not None:
            terms["words"] = self._word_loss(plan, tokens.pop(0), alpha)
        if plan.labels is not None:
            count = part.share((plan.labels != IGNORED).sum())
            terms["replaced"] = fusion.replaced_word_loss(self.replaced_head(tokens.pop(0)), plan.labels, count=count)
        return {name: mean_over_processes(loss) for name, loss in terms.items()}

    def _word_loss(self, plan: Plan, tokens_BTD: Float[Tensor, "batch length width"], alpha: float) -> Scalar:
        assert plan.hidden is not None and plan.teacher is not None
        chosen, ids, table = plan.hidden.chosen, plan.given.strong.ids, self.text.embeddings.words.weight
        count, length = plan.given.part.share(chosen.sum()), plan.given.part.strong
        if not self.whole_rows:
            logits_nV = self.word_head(tokens_BTD[chosen], table)
            return fusion.masked_word_loss(logits_nV, ids[chosen], plan.teacher, alpha, count=count)
        labels = ids.masked_fill(~chosen, IGNORED)[:, :length]
        logits_BTV = self.word_head(tokens_BTD[:, :length], table)
        return fusion.masked_word_loss_over_sequence(logits_BTV, labels, plan.teacher, alpha, count=count)

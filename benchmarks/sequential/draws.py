"""The random choices of a step by loops, from the same uniform numbers as `pickout.methods.step_choices`.

Everything random or chosen is written out once more, number by number, so that the fast step and the slow twin agree
only if both read the specification alike.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from pickout.methods.step_choices import Uniforms
from sequential.fusion import Draws


@dataclass(frozen=True)
class Loops:
    """Choices from uniform numbers; `size` ids, of which those that do not go on with a word may be proposed."""

    uniforms: Uniforms
    start: int
    end: int | None
    mask_id: int
    size: int
    ordinary: list[bool]
    continues: list[bool]
    replaced: Tensor
    beta: float = 0.95
    tau: float = 0.02
    alpha1: float = 0.05
    alpha2: float = 0.15
    scale: float = 2 / 3
    k: int = 5
    p_tem: float = 0.3

    def draws(self, *, aga: bool) -> Draws:
        if not aga:
            return Draws(self.mask, self.negatives, self.sample)
        return Draws(self.mask, self.negatives, self.sample, self.enrich, self.probabilities)

    def mask(self, ids: Tensor, probability: Tensor, purpose: str) -> tuple[Tensor, Tensor]:
        end = "" if purpose == "words" else "_replaced"
        masked, chosen = ids.clone(), torch.zeros_like(ids, dtype=torch.bool)
        for b, t in self._places(ids):
            if self._number(f"choose{end}", b, t) < float(probability[b, t]):
                chosen[b, t] = True
                kind = self._number(f"kind{end}", b, t)
                if kind < 0.8:
                    masked[b, t] = self.mask_id
                elif kind < 0.9:
                    masked[b, t] = int(self._number(f"word{end}", b, t) * self.size)
        return masked, chosen

    def negatives(self, images: Tensor, texts: Tensor) -> tuple[Tensor, Tensor]:
        drawn = []
        for purpose, weights in (("image", images), ("text", texts)):
            uniform = self.uniforms.rows[purpose]
            drawn.append(torch.tensor([_inverse(row, float(u)) for row, u in zip(weights, uniform, strict=True)]))
        return drawn[0], drawn[1]

    def sample(self, ids: Tensor, logits: Tensor) -> tuple[Tensor, Tensor]:
        sampled, labels = ids.clone(), torch.full_like(ids, -100)
        for b, t in self._places(ids):
            sampled[b, t] = _inverse(logits[b, t].softmax(0), self._number("sample", b, t))
            labels[b, t] = int(sampled[b, t] != ids[b, t])
        return sampled, labels

    def probabilities(self, rows: Tensor, content: Tensor) -> Tensor:
        """AGA, Eq. 7 to 9, one text after the other."""
        found = torch.zeros_like(content, dtype=torch.float32)
        for b in range(len(content)):
            words = [t for t in range(content.shape[1]) if content[b, t]]
            fused = dict.fromkeys(words, 0.0)
            for row in rows[:, b]:
                fused = {t: self.beta * fused[t] + (1 - self.beta) * float(row[t]) for t in words}
            whole = sum(math.exp(fused[t] / self.tau) for t in words)
            for t in words:
                weight = len(words) * math.exp(fused[t] / self.tau) / whole
                found[b, t] = min(1.0, self.alpha1 + self.scale * self.alpha2 * weight)
        return found

    def enrich(self, ids: Tensor, chosen: Tensor, logits: Tensor) -> tuple[Tensor, Tensor]:
        """AGA, Eq. 10 and 11, word by word."""
        enriched, which = ids.clone(), torch.zeros(len(ids), dtype=torch.bool)
        places = set(self._places(ids))
        for b, t in sorted(places):
            inside = t + 1 < ids.shape[1] and (b, t + 1) in places and self.continues[int(ids[b, t + 1])]
            if inside or (self.continues[int(ids[b, t])] and (b, t - 1) in places):
                continue
            if not chosen[b, t] or self.replaced[b] or float(self.uniforms.rows["enriched"][b]) >= self.p_tem:
                continue
            old = int(ids[b, t])
            allowed = [v for v in range(self.size) if self.ordinary[v] and not self.continues[v]]
            best = sorted(allowed, key=lambda v: -float(logits[b, t, v]))[: self.k]
            best = [v for v in best if v != old]
            if best:
                weights = logits[b, t, best].softmax(0)
                enriched[b, t] = best[_inverse(weights, self._number("enriched_word", b, t))]
                which[b] = True
        return enriched, which

    def _places(self, ids: Tensor) -> list[tuple[int, int]]:
        skipped = {0, self.start, self.end}
        return [(b, t) for b in range(len(ids)) for t in range(ids.shape[1]) if int(ids[b, t]) not in skipped]

    def _number(self, purpose: str, b: int, t: int) -> float:
        return float(self.uniforms.tokens[purpose][b, t])


def _inverse(weights: Tensor, uniform: float) -> int:
    """The first choice at which the running sum exceeds `uniform` times the whole; -1 where all are zero."""
    whole = float(weights.sum())
    running = 0.0
    for choice, weight in enumerate(weights.tolist()):
        running += weight
        if running > uniform * whole:
            return choice
    return -1

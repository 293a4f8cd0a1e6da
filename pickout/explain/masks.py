"""Random masks beside guided ones: which words each hides of a sentence, and how many of them are empty (AGA, table I
and figure 5)."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pickout.checkpoints.loaded_model import LoadedModel
from pickout.explain.cross_attention import fusion_model
from pickout.explain.pair import BATCH, Pair, text_batch
from pickout.methods.aga import Aga, AgaSettings
from pickout.methods.fusion_plan import PlanningModel
from pickout.saliency.hiding import choose_positions
from pickout.shapes import AttentionRequest, Float, TokenBatch


@dataclass(frozen=True, slots=True)
class Masked:
    """What one rule hides of a sentence.

    Args:
        probability: that each told word is hidden: of its likeliest piece. Shape: (told,).
        draws: for each draw the told words that are hidden, in part or whole.
    """

    probability: tuple[float, ...]
    draws: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class EmptyShare:
    """How much of what one rule hides is empty words (AGA, table I, Ratio_v).

    Args:
        expected: by the rule's probabilities, over all draws.
        counted: in one draw, as the paper counted.
        hidden: the share of all pieces that the draw hid.
    """

    expected: float
    counted: float
    hidden: float


def guided_weights(method: PlanningModel, texts: TokenBatch) -> Float[Tensor, "batch tokens"]:
    """The class token's attention over a caption's pieces as weights, by the method's own settings, or by AGA's where
    it has none (AGA, Eq. 6 to 8)."""
    rows = method.text(texts, AttentionRequest(rows="all")).trace.rows
    return _rules(method).attention_weights(rows, method.text.content(texts))


def mask_probabilities(method: PlanningModel, texts: TokenBatch) -> dict[str, Float[Tensor, "batch tokens"]]:
    """The probability that each piece is hidden, at `random` (RaSa) and `guided` by attention (AGA, Eq. 6 to 9)."""
    content = method.text.content(texts)
    rows = method.text(texts, AttentionRequest(rows="all")).trace.rows
    return {
        "random": content.float() * method.settings.mask_probability,
        "guided": _rules(method).guided_probabilities(rows, content),
    }


def _rules(method: PlanningModel) -> AgaSettings:
    return method.settings if isinstance(method, Aga) else AgaSettings()


@torch.no_grad()
def compare_masks(encoder: LoadedModel, pair: Pair, *, draws: int = 4, seed: int = 0) -> dict[str, Masked]:
    """What random and guided masks hide of a sentence, from equal random numbers (AGA, figure 5).

    Args:
        encoder: a fusion model.
        pair: the sentence and the crop.
        draws: how many masks of each kind.
        seed: draws them.

    Raises:
        UsageError: the method hides no words.
    """
    method, texts = fusion_model(encoder), text_batch(encoder, [pair.ids])
    content = method.text.content(texts).cpu().expand(draws, -1)
    uniform = torch.rand(draws, len(pair.ids), generator=torch.Generator().manual_seed(seed))
    found = {}
    for rule, probability in mask_probabilities(method, texts).items():
        likely = probability.cpu()
        chosen = choose_positions(likely.expand(draws, -1), uniform, content)
        places = [list(pair.words[number].positions) for number in pair.told]
        found[rule] = Masked(
            tuple(float(likely[0, place].max()) for place in places),
            tuple(tuple(told for told, place in enumerate(places) if bool(row[place].any())) for row in chosen),
        )
    return found


@torch.no_grad()
def empty_shares(encoder: LoadedModel, captions: Sequence[str], *, seed: int = 0) -> dict[str, EmptyShare]:
    """How many of the masked pieces are empty words, by our fixed list, for random and for guided masks.

    Args:
        encoder: a fusion model.
        captions: fixed sentences; AGA counts the first 100 of the test split.
        seed: of the draw that is counted.

    Raises:
        UsageError: the method hides no words.
    """
    method, generator = fusion_model(encoder), torch.Generator().manual_seed(seed)
    sums: dict[str, Tensor] = {}
    for start in range(0, len(captions), BATCH):
        ids = torch.from_numpy(encoder.tokenizer.encode(captions[start : start + BATCH]))
        texts = text_batch(encoder, list(ids))
        content = method.text.content(texts)
        empty = method.vacuous_positions(texts.ids, content)
        uniform = torch.rand(ids.shape, generator=generator).to(encoder.device)
        for rule, likely in mask_probabilities(method, texts).items():
            chosen = choose_positions(likely, uniform, content)
            parts = (likely * empty, likely, chosen & empty, chosen, content)
            sums[rule] = sums.get(rule, torch.zeros(5)) + torch.stack([part.float().sum().cpu() for part in parts])
    return {
        rule: EmptyShare(float(s[0] / s[1]), float(s[2] / s[3].clamp(min=1)), float(s[3] / s[4]))
        for rule, s in sums.items()
    }

"""A step of `aga` and of the release's order of passes on equal weights, for `train_step.py`."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from pickout.data.batching import Batch
from pickout.methods.aga import Aga, AgaSettings
from pickout.methods.base import Progress
from pickout.methods.model import build_model
from pickout.saliency.enrich import candidates, enrich
from pickout.saliency.masking import apply_mask
from pickout.shapes import TokenBatch
from pickout.text.tokenizer import SpecialTokens, Vocabulary, read_vocabulary
from pickout.train.recipe import Recipe
from sequential.fusion import Draws, Rates, Sequential
from sequential.state import inputs_of, leaves, released_state, sizes_of

PADDING, START, MASK = 0, 1, 2


@dataclass(frozen=True)
class Facts:
    vocabulary_size: int
    context: int
    special: SpecialTokens
    vocabulary: Vocabulary


def facts(recipe: Recipe, size: int) -> Facts:
    special = SpecialTokens(PADDING, START, None, MASK)
    vocabulary = read_vocabulary("wordpiece", ("[PAD]", "[CLS]", "[MASK]", *("word",) * (size - 3)), special)
    return Facts(size, recipe.model.tokenizer.context, special, vocabulary)


def batch_of(recipe: Recipe, size: int, rows: int) -> Batch:
    """Random pairs; captions of half to all of the context, every tenth weak."""
    generator = torch.Generator().manual_seed(0)
    context, image = recipe.model.tokenizer.context, recipe.model.image
    ids = torch.randint(3, size, (2, rows, context), generator=generator)
    ids[:, :, 0] = START
    lengths = torch.linspace(context // 2, context, rows).long()
    ids.masked_fill_(torch.arange(context) >= lengths[:, None], PADDING)
    images = torch.randn(2, rows, 3, image.height, image.width, generator=generator)
    replaced = torch.arange(rows) % 10 == 9
    strong, weak = ids[0], torch.where(replaced[:, None], ids[1], ids[0])
    return Batch(
        images[0],
        TokenBatch(strong, strong != PADDING),
        torch.arange(rows) // 2 * 2 if rows > 2 else torch.arange(rows),
        images[1],
        TokenBatch(weak, weak != PADDING),
        replaced.long(),
    )


def released_draws(proposable: Tensor, replaced: Tensor) -> Draws:
    """Draws from the global generator, row by row where the release draws so, all logits at once."""
    size = len(proposable)

    def mask(ids: Tensor, probability: Tensor, _purpose: str) -> tuple[Tensor, Tensor]:
        chosen = torch.bernoulli(probability.float()).bool()
        random = torch.randint(size, ids.shape)
        return apply_mask(ids, chosen, torch.rand(ids.shape), random, MASK), chosen

    def negatives(images: Tensor, texts: Tensor) -> tuple[Tensor, Tensor]:
        drawn = [torch.tensor([int(torch.multinomial(row, 1)) for row in weights]) for weights in (images, texts)]
        return drawn[0], drawn[1]

    def sample(ids: Tensor, logits: Tensor) -> tuple[Tensor, Tensor]:
        drawn = torch.multinomial(logits.softmax(-1).flatten(0, 1), 1).view(ids.shape)
        words = (ids != PADDING) & (ids != START)
        sampled = torch.where(words, drawn, ids)
        return sampled, (sampled != ids).long().masked_fill(~words, -100)

    def enriched(ids: Tensor, chosen: Tensor, logits: Tensor) -> tuple[Tensor, Tensor]:
        found = candidates(logits[chosen], ids[chosen], proposable, torch.ones_like(ids[chosen], dtype=torch.bool))
        made = enrich(
            ids,
            chosen,
            found,
            uniform_BT=torch.rand(ids.shape),
            decision_BU=torch.rand(len(ids), 1),
            allowed_B=replaced == 0,
        )
        return made, (made != ids).any(dim=1)

    def guided(rows: Tensor, content: Tensor) -> Tensor:
        return AgaSettings().guided_probabilities(dict(enumerate(rows, start=1)), content)

    return Draws(mask, negatives, sample, enriched, guided)


def sides(recipe: Recipe, size: int, rows: int, wanted: tuple[str, ...]) -> dict[str, Callable[[], float]]:
    """A step of each wanted side, which gives its loss; each call moves on from where the last one ended."""
    torch.manual_seed(0)
    method, batch = build_model(recipe.model, facts(recipe, size), 1500), batch_of(recipe, size, rows)
    assert isinstance(method, Aga)
    method.train()
    steps: dict[str, Callable[[], float]] = {}
    slow_names, names = ([name for name in wanted if name.startswith(side)] for side in ("release", "ours"))
    if slow_names:
        state = released_state(method)
        parameters = [state[name] for name in leaves(state)]
        dropout = recipe.model.text.dropout
        slow = Sequential(state, sizes_of(method, recipe.model.vision.heads, MASK, dropout), Rates())
        given = inputs_of(batch)
        draws = released_draws(method.proposable, given.replaced)
        steps |= {name: _step(name, parameters, lambda: slow.step(given, draws).total) for name in slow_names}
    if names:
        count = iter(range(2, 10**6))
        total = lambda: method.losses(batch, Progress(next(count), 2, 1, 2)).total  # noqa: E731
        steps |= {name: _step(name, [*method.parameters()], total) for name in names}
    return steps


def _step(name: str, parameters: list[Tensor], total: Callable[[], Tensor]) -> Callable[[], float]:
    def step() -> float:
        for parameter in parameters:
            parameter.grad = None
        with torch.autocast("cpu", torch.bfloat16, enabled=name.endswith("bf16")):
            loss = total()
        loss.backward()
        return loss.item()

    return step

"""RaSa's and AGA's training step the way the release orders it, on a plain state dict with the release's names.

The slow twin of `pickout.methods.fusion`, for its tests and for `train_step.py`. Nothing is shared: each pass projects
the image's keys and values anew, attention weights are written out, the word head runs at every position, the passes
follow one another, and the momentum update makes new tensors (section 5 of the specification, "RaSa's own order").
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional as F

from sequential.towers import Sizes, State, fuse, linear, read, see, words

TWINS = ("visual_encoder", "vision_proj", "text_encoder", "text_proj")


@dataclass(frozen=True)
class Inputs:
    """A batch: `second` is the image's other view, `weak` a caption of the same person, `replaced` where it differs."""

    images: Tensor
    second: Tensor
    strong: Tensor
    strong_mask: Tensor
    weak: Tensor
    weak_mask: Tensor
    identity: Tensor
    replaced: Tensor


@dataclass
class Draws:
    """The random choices of a step. Each is a function, so that a test can hand in recorded ones."""

    mask: Callable[[Tensor, Tensor, str], tuple[Tensor, Tensor]]
    """From ids, probabilities and the purpose ("words" or "replaced") to masked ids and chosen positions."""
    negatives: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
    """From the weights of images for each text and of texts for each image to one index each."""
    sample: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
    """From ids and the generator's logits to sampled ids and labels, -100 where ignored."""
    enrich: Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]] | None = None
    """From ids, chosen positions and momentum logits to enriched ids and which texts are enriched (AGA)."""
    probabilities: Callable[[Tensor, Tensor], Tensor] | None = None
    """From class rows (text layers, batch, tokens) and content to masking probabilities (AGA); None: 0.15."""


@dataclass(frozen=True)
class Rates:
    """The numbers of section 2.7 of the specification."""

    alpha: float = 0.4
    momentum: float = 0.995
    weights: tuple[float, ...] = (0.5, 1.0, 1.0, 0.5, 0.5)
    mask: float = 0.15
    replace: float = 0.3
    sequence_axis: bool = False
    group: int | None = None


@dataclass
class Outcome:
    """The five losses in the order of `Rates.weights`, and what was drawn and computed on the way."""

    losses: Tensor
    total: Tensor
    seen: dict[str, Tensor] = field(default_factory=dict)


def follow(state: State, momentum: float) -> None:
    """Move the momentum model: a new tensor for each of its weights."""
    for name in list(state):
        tower, _, rest = name.partition(".")
        if tower in TWINS and state[name].is_floating_point():
            twin = f"{tower}_m.{rest}"
            state[twin] = state[twin] * momentum + state[name].detach() * (1 - momentum)


def enqueue(state: State, image: Tensor, text: Tensor, identity: Tensor) -> None:
    """Write momentum features and identities at the pointer, with wrap-around."""
    size, pointer = state["image_queue"].shape[1], int(state["queue_ptr"])
    if size == 0:
        return
    place = (pointer + torch.arange(len(identity))) % size
    for name, value in (("image_queue", image.T), ("text_queue", text.T), ("idx_queue", identity[None])):
        state[name][:, place] = value
    state["queue_ptr"] = torch.tensor([(pointer + len(identity)) % size])


def contrast(state: State, found: Tensor, keys: Tensor, teacher: Tensor, target: Tensor, alpha: float) -> Tensor:
    """One direction: cross-entropy with the teacher's similarities and the identities as soft target."""
    with torch.no_grad():
        soft = alpha * (teacher @ keys / state["temp"]).softmax(1) + (1 - alpha) * target
    return -(soft * (found @ keys / state["temp"]).log_softmax(1)).sum(1).mean()


def negative_weights(similarity: Tensor, identity: Tensor, group: int | None) -> Tensor:
    """Soft-max of in-batch similarities plus a guard, zero for the same person and outside the block."""
    weights = similarity.softmax(1) + 1e-5
    weights = weights.masked_fill(identity[:, None] == identity[None], 0)
    if group is not None:
        block = torch.arange(len(identity), device=identity.device) // group
        weights = weights.masked_fill(block[:, None] != block[None], 0)
    return weights


def word_loss(logits: Tensor, teacher: Tensor, ids: Tensor, chosen: Tensor, rates: Rates) -> Tensor:
    """Cross-entropy with the hidden words and with the momentum model's guesses, over all positions' logits."""
    labels = torch.where(chosen, ids, -100)
    hard = F.cross_entropy(logits.flatten(0, 1), labels.flatten())
    student = logits.log_softmax(1 if rates.sequence_axis else -1)
    soft = -(student * teacher.softmax(-1)).sum(-1)[chosen].mean()
    return (1 - rates.alpha) * hard + rates.alpha * soft


class Sequential:
    """One training step after the other on `state`, which holds the online weights as leaves."""

    def __init__(self, state: State, sizes: Sizes, rates: Rates) -> None:
        self.state, self.sizes, self.rates = state, sizes, rates

    def step(self, given: Inputs, draws: Draws) -> Outcome:
        """The losses of one step; momentum model and queues have moved on afterwards."""
        state, sizes, rates = self.state, self.sizes, self.rates
        seen: dict[str, Tensor] = {}
        image = see(state, sizes, given.images)
        with torch.no_grad():
            follow(state, rates.momentum)
            image_m = see(state, sizes, given.second, "_m")
            content = (given.strong != sizes.start) & (given.strong != sizes.end) & given.strong_mask.bool()
            probabilities = content * rates.mask
            if draws.probabilities is not None:
                rows = read(state, sizes, given.strong, given.strong_mask)[1]
                probabilities = draws.probabilities(rows, content)
            masked, chosen = draws.mask(given.strong, probabilities, "words")
            teacher = self._words(masked, given.strong_mask, image_m, "_m")
            weak, weak_mask = given.weak, given.weak_mask
            if draws.enrich is not None:
                enriched, which = draws.enrich(given.strong, chosen, teacher)
                weak = torch.where(which[:, None], enriched, weak)
                weak_mask = torch.where(which[:, None], given.strong_mask, weak_mask)
            seen |= {"probabilities": probabilities, "masked": masked, "chosen": chosen, "weak": weak}
        states = read(state, sizes, weak, weak_mask)[0]
        contrast_loss, weights = self._contrast(given, image, image_m, states, weak, weak_mask)
        matching, relation = self._match(given, image, states, weak_mask, draws.negatives(*weights), seen)
        logits = self._words(masked, given.strong_mask, image, "")
        word = word_loss(logits, teacher, given.strong, chosen, rates)
        replaced = self._replace(given, image, image_m, content, draws, seen)
        losses = torch.stack([contrast_loss, matching, word, relation, replaced])
        return Outcome(losses, (losses * torch.tensor(rates.weights, device=losses.device)).sum(), seen)

    def _words(self, ids: Tensor, mask: Tensor, image: Tensor, m: str) -> Tensor:
        states = read(self.state, self.sizes, ids, mask, m)[0]
        return words(self.state, fuse(self.state, self.sizes, states, mask, image, m)[0], m)

    def _contrast(
        self, given: Inputs, image: Tensor, image_m: Tensor, states: Tensor, weak: Tensor, mask: Tensor
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        state, rates = self.state, self.rates
        with torch.no_grad():
            states_m = read(state, self.sizes, weak, mask, "_m")[0]
            image_hat = F.normalize(linear(state, "vision_proj_m", image_m[:, 0]), dim=-1)
            text_hat = F.normalize(linear(state, "text_proj_m", states_m[:, 0]), dim=-1)
            image_keys = torch.cat([image_hat.T, state["image_queue"].clone()], 1)
            text_keys = torch.cat([text_hat.T, state["text_queue"].clone()], 1)
            everyone = torch.cat([given.identity, state["idx_queue"][0]])
            same = (given.identity[:, None] == everyone[None]).float()
            target = same / same.sum(1, keepdim=True)
        v = F.normalize(linear(state, "vision_proj", image[:, 0]), dim=-1)
        t = F.normalize(linear(state, "text_proj", states[:, 0]), dim=-1)
        losses = [
            contrast(state, found, keys, guide, target, rates.alpha)
            for found, keys, guide in (
                (v, text_keys, image_hat),
                (t, image_keys, text_hat),
                (v, image_keys, image_hat),
                (t, text_keys, text_hat),
            )
        ]
        enqueue(state, image_hat, text_hat, given.identity)
        with torch.no_grad():
            size = len(v)
            to_images = negative_weights(t @ image_keys[:, :size] / state["temp"], given.identity, rates.group)
            to_texts = negative_weights(v @ text_keys[:, :size] / state["temp"], given.identity, rates.group)
        return torch.stack(losses).mean(), (to_images, to_texts)

    def _match(
        self,
        given: Inputs,
        image: Tensor,
        states: Tensor,
        mask: Tensor,
        negatives: tuple[Tensor, Tensor],
        seen: dict[str, Tensor],
    ) -> tuple[Tensor, Tensor]:
        state, sizes = self.state, self.sizes
        image_of, text_of = negatives
        good_image, good_text = image_of >= 0, text_of >= 0
        seen |= {"image_negative": image_of, "text_negative": text_of}
        positive, rows = fuse(state, sizes, states, mask, image)
        negative, _ = fuse(
            state,
            sizes,
            torch.cat([states[good_image], states[text_of[good_text]]]),
            torch.cat([mask[good_image], mask[text_of[good_text]]]),
            torch.cat([image[image_of[good_image]], image[good_text]]),
        )
        logits = linear(state, "itm_head", torch.cat([positive[:, 0], negative[:, 0]]))
        labels = torch.cat([given.identity.new_ones(len(positive)), given.identity.new_zeros(len(negative))])
        relations = linear(state, "prd_head", positive[:, 0])
        seen |= {"fused": positive, "matching": logits, "relations": relations, "looked": torch.stack(rows)}
        return F.cross_entropy(logits, labels), F.cross_entropy(relations, given.replaced)

    def _replace(
        self, given: Inputs, image: Tensor, image_m: Tensor, content: Tensor, draws: Draws, seen: dict[str, Tensor]
    ) -> Tensor:
        with torch.no_grad():
            masked, _ = draws.mask(given.strong, content * self.rates.replace, "replaced")
            generator = self._words(masked, given.strong_mask, image_m, "_m")
            sampled, labels = draws.sample(given.strong, generator)
            seen |= {"generator": generator, "sampled": sampled}
        states = read(self.state, self.sizes, sampled, given.strong_mask)[0]
        tokens, _ = fuse(self.state, self.sizes, states, given.strong_mask, image)
        return F.cross_entropy(linear(self.state, "mrtd_head", tokens).flatten(0, 1), labels.flatten())

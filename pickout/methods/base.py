"""What every method promises: losses to train it, one embedding per image and per caption, and its parameter groups."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import torch
from pydantic import model_validator
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from pickout.config import Settings
from pickout.data.batching import Batch
from pickout.nn.attention import ImageMemory
from pickout.nn.frozen import MultiStageTower, SentenceTower
from pickout.nn.towers import TextTransformer, VisionTransformer
from pickout.shapes import AttentionTrace, Embedded, Float, Ints, Mask, Pictures, Scalar, States, TokenBatch

ImageTower = VisionTransformer | MultiStageTower  # what a method can look at images with
TextTower = TextTransformer | SentenceTower  # what a method without second look can read captions with


@dataclass(frozen=True, slots=True)
class Progress:
    """Where training stands, for methods whose behaviour changes over time."""

    step: int  # the optimiser step about to be taken, from 1, counted over the whole run (also after a resume)
    epoch: int  # the current epoch, from 1
    steps_per_epoch: int
    epochs: int
    part: int = 0  # which of the batches that make up this optimiser step, from 0 (more than one with accumulation)
    seed: int = 0  # the recipe's seed, for methods that draw at random in their step


@dataclass(frozen=True, slots=True)
class LossTerms:
    """Named losses and their weights; the two have equal keys."""

    terms: Mapping[str, Scalar]
    weights: Mapping[str, float]  # the factor of each term in `total`
    logs: Mapping[str, float] = field(default_factory=dict)  # further numbers worth a line in the journal; no gradient

    def __post_init__(self) -> None:
        if self.terms.keys() != self.weights.keys():
            raise ValueError(f"terms {sorted(self.terms)} and weights {sorted(self.weights)} differ")

    @property
    def total(self) -> Scalar:
        """The weighted sum that is minimised."""
        return torch.stack([self.weights[name] * term for name, term in self.terms.items()]).sum()


@dataclass(frozen=True, slots=True)
class ImageFeatures:
    """What a method knows of a batch of images."""

    embedding: Embedded  # L2-normalised, float32; its inner product with a text embedding is the method's score
    tokens: States  # all tokens, class token first: in the joint space, or as `Method.remember` reads them
    parts: Mapping[str, Tensor] = field(default_factory=dict)
    """The method's own named vectors, not normalised, for example `global` and `local`. Shape of each: (batch, any)."""
    trace: AttentionTrace | None = None  # attention, when it was asked for


@dataclass(frozen=True, slots=True)
class TextFeatures:
    """What a method knows of a batch of captions; fields as in `ImageFeatures`, with the ids they came from."""

    embedding: Embedded
    tokens: States
    texts: TokenBatch
    parts: Mapping[str, Tensor] = field(default_factory=dict)
    trace: AttentionTrace | None = None


@dataclass(frozen=True, slots=True)
class ParameterGroup:
    """Parameters that share a learning rate and a weight decay, both factors of the recipe's."""

    name: str  # for the journal, for example `classifier.bias`
    parameters: list[nn.Parameter]
    learning_rate_scale: float = 1.0
    weight_decay_scale: float = 1.0


class PresetSettings(Settings):
    """Settings of a method with presets: named sets of values that take the place of its defaults. A number and its
    unit are one key, so that no recipe can keep the one while a preset changes the other."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]]
    """What each preset sets differently from the fields' defaults; a key given beside `preset` wins."""

    preset: Literal["recommended", "as_paper", "as_released"] = "recommended"
    """Fills in defaults: ours, the paper to the letter where that can be built, or the released program."""

    @model_validator(mode="before")
    @classmethod
    def _fill_in_the_preset(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        filled = {**cls.presets.get(str(values.get("preset")), {}), **values}
        # Behind a validator of this kind a list of TOML no longer passes for a tuple by itself.
        return {key: tuple(value) if isinstance(value, list) else value for key, value in filled.items()}


class Method(nn.Module, ABC):
    """A way to train and to score. See `pickout.methods.METHODS`."""

    settings: Any  # the method's own choices
    dimension: int  # length of the embedding
    candidates: int = 0
    """How many of the best images by embedding `match_pairs` looks at again; 0: the method has no second score."""

    @abstractmethod
    def losses(self, batch: Batch, progress: Progress) -> LossTerms:
        """The training losses of one batch."""

    @abstractmethod
    def encode_images(self, images: Pictures, *, trace: bool = False) -> ImageFeatures:
        """Embed prepared images. With `trace`, class rows of all layers are returned too."""

    @abstractmethod
    def encode_texts(self, texts: TokenBatch, *, trace: bool = False) -> TextFeatures:
        """Embed tokenized captions. With `trace`, end-of-text rows of all layers are returned too."""

    def remember(self, tokens: Float[Tensor, "images tokens width"]) -> ImageMemory:
        """What matching needs of images, from tokens as in `ImageFeatures`, computed once however many captions each is
        matched with; `NotImplementedError` where the method has no second score, as for `match_pairs`."""
        raise NotImplementedError(f"{type(self).__name__} does not match pairs")

    def match_pairs(self, memory: ImageMemory, states: States, mask: Mask, image: Ints) -> Float[Tensor, " batch"]:
        """A slower, better score of pairs: of an `image` of the memory, from `remember`, and the `states` of a caption,
        its tokens as in `TextFeatures`; the mask is True where a token is not padding."""
        raise NotImplementedError(f"{type(self).__name__} does not match pairs")

    def match(self, images: ImageFeatures, texts: TextFeatures) -> Float[Tensor, " batch"] | None:
        """The second score of the pairs of two equal-length batches; None where a method has none."""
        if self.candidates == 0:
            return None
        place = torch.arange(len(texts.texts), device=texts.tokens.device)
        return self.match_pairs(self.remember(images.tokens), texts.tokens, texts.texts.mask, place)

    def parameter_groups(self) -> list[ParameterGroup]:
        """Every trainable parameter, in exactly one group: what `settings.group_of` says of its name, a group's name,
        rate scale and decay scale."""
        groups: dict[str, ParameterGroup] = {}
        for name, parameter in self.named_parameters():
            if parameter.requires_grad:
                group, rate, decay = self.settings.group_of(name, parameter)
                groups.setdefault(group, ParameterGroup(group, [], rate, decay)).parameters.append(parameter)
        return list(groups.values())


class SeparableMethod(Method):
    """A method whose losses depend on the pairs of a batch only through what `represent` makes of each by itself. So a
    large batch can go through the towers in parts, with the gradients of the whole (GradCache, Gao et al. 2021)."""

    @abstractmethod
    def represent(self, batch: Batch, progress: Progress) -> tuple[Tensor, ...]:
        """What `compare` needs of each pair. Shape of each: (batch, any)."""

    @abstractmethod
    def compare(self, parts: tuple[Tensor, ...], identity: Ints, progress: Progress) -> LossTerms:
        """The losses of represented pairs, over the batches of all processes together."""

    def losses(self, batch: Batch, progress: Progress, chunk: int | None = None) -> LossTerms:
        """As in `Method`. With `chunk`, so many pairs at a time are represented, and again on the way back, when the
        gradient in what was made of them is known: activations are kept of one chunk alone."""
        chunk = chunk or len(batch)
        batches = [batch.part(start, start + chunk) for start in range(0, len(batch), chunk)]
        if len(batches) == 1:
            return self.compare(self.represent(batch, progress), batch.identity, progress)
        made: list[Any] = [checkpoint(self.represent, each, progress, use_reentrant=False) for each in batches]
        return self.compare(tuple(torch.cat(each) for each in zip(*made, strict=True)), batch.identity, progress)

"""A whole model from settings: two towers and the method that trains and scores with them."""

from typing import Any, Protocol, runtime_checkable

from pickout.config import Settings, nearest, parse_settings
from pickout.data.transforms import ImageSettings
from pickout.errors import RecipeError
from pickout.methods import METHODS
from pickout.methods.base import Method
from pickout.nn.frozen import SentenceTower
from pickout.nn.fusion_encoder import FusionEncoder, build_fusion_encoder
from pickout.nn.text import TextSettings, TextTower, build_text
from pickout.nn.vision import VisionSettings, build_vision
from pickout.text.tokenizer import TokenizerSettings
from pickout.text.vocabulary import SpecialTokens, Vocabulary


class ModelSettings(Settings):
    """Everything that decides what a model computes, apart from its weights and its tokenizer."""

    method: dict[str, Any]
    """The method: `name` selects it, the rest is read by its own settings class."""
    image: ImageSettings = ImageSettings()
    """How an image is prepared."""
    vision: VisionSettings = VisionSettings()
    """Sizes of the image tower."""
    text: TextSettings = TextSettings()
    """Sizes of the text tower."""
    tokenizer: TokenizerSettings = TokenizerSettings()
    """Where the tokenizer of a new run comes from; a saved run carries its own."""


@runtime_checkable
class TokenizerFacts(Protocol):
    """What a model must know of its tokenizer; a `Tokenizer` knows it."""

    @property
    def vocabulary_size(self) -> int:
        """How many ids there are."""

    @property
    def context(self) -> int:
        """Length of a row of ids."""

    @property
    def special(self) -> SpecialTokens:
        """Ids that stand for no text."""

    @property
    def vocabulary(self) -> Vocabulary:
        """What each id stands for."""


def method_settings(
    settings: ModelSettings, *, source: str = "model settings", prefix: str = "method"
) -> tuple[str, Settings]:
    """The method's name and its own settings, checked.

    Args:
        settings: of the whole model.
        source: what to call their origin in an error.
        prefix: dotted path of the `method` table inside the source.

    Raises:
        RecipeError: no name, a name that no method has (with the nearest one), or settings that do not fit.
    """
    values = dict(settings.method)
    name = values.pop("name", None)
    if not isinstance(name, str):
        raise RecipeError(f"{source}: missing key '{prefix}.name'{nearest('', METHODS)}")
    if name not in METHODS:
        raise RecipeError(f"{source}: unknown method '{name}'{nearest(name, METHODS)}")
    return name, parse_settings(METHODS[name].settings, values, source=source, prefix=prefix)


def build_model(
    settings: ModelSettings, tokenizer: TokenizerFacts, identities: int, *, source: str = "model settings"
) -> Method:
    """A method with towers at their starting weights.

    Args:
        settings: sizes and the method.
        tokenizer: fixes vocabulary and context of the text tower.
        identities: how many people the training split shows; 0 for a model that is only used.
        source: what to call the settings in an error.

    Raises:
        RecipeError: settings that fit nothing that can be built.
    """
    name, own = method_settings(settings, source=source)
    vision, text = settings.vision, settings.text
    if vision.embedding != text.embedding:
        raise RecipeError(
            f"{source}: vision.embedding = {vision.embedding} and text.embedding = {text.embedding} must be equal"
        )
    try:
        image_tower = build_vision(vision, height=settings.image.height, width=settings.image.width)
        text_tower = _text_tower(text, tokenizer, image_tower.channels, vision.branches)
    except ValueError as error:
        raise RecipeError(f"{source}: {error}") from None
    return METHODS[name].build(own, image_tower, text_tower, identities, tokenizer.vocabulary)


def _text_tower(
    settings: TextSettings, tokenizer: TokenizerFacts, memory_width: int, branches: int
) -> TextTower | FusionEncoder:
    size, context, special = tokenizer.vocabulary_size, tokenizer.context, tokenizer.special
    if settings.kind == "clip":
        return build_text(settings, vocabulary_size=size, context=context, start=special.start, end=special.end)
    if settings.kind == "sentence":
        return SentenceTower(
            vocabulary_size=size,
            context=context,
            width=settings.width,
            depth=settings.layers,
            heads=settings.heads,
            channels=memory_width,
            layers=settings.fusion_layers,
            embedding=settings.embedding,
            branches=branches,
            padding=special.padding,
            end=special.end,
        )
    return build_fusion_encoder(
        settings,
        vocabulary_size=size,
        context=context,
        memory_width=memory_width,
        padding=special.padding,
        start=special.start,
        end=special.end,
    )

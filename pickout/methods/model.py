"""A whole model from settings: two towers and the method that trains and scores with them."""

from typing import Any

from pickout.config import Settings, nearest, parse_settings
from pickout.data.transforms import ImageSettings
from pickout.errors import RecipeError
from pickout.methods import METHODS
from pickout.methods.base import ImageTower, Method, TextTower
from pickout.nn.frozen import MultiStageTower, SentenceTower
from pickout.nn.fusion_encoder import FusionEncoder
from pickout.nn.towers import TextSettings, TextTransformer, VisionSettings, VisionTransformer
from pickout.text.tokenizer import TokenizerSettings


class ModelSettings(Settings):
    """Everything that decides what a model computes, apart from its weights and its tokenizer."""

    method: dict[str, Any]  # the method: `name` selects it, the rest is read by its own settings class
    image: ImageSettings = ImageSettings()  # how an image is prepared
    vision: VisionSettings = VisionSettings()  # sizes of the image tower
    text: TextSettings = TextSettings()  # sizes of the text tower
    tokenizer: TokenizerSettings = TokenizerSettings()
    """Where the tokenizer of a new run comes from; a saved run carries its own."""


def method_settings(
    settings: ModelSettings, *, source: str = "model settings", prefix: str = "method"
) -> tuple[str, Settings]:
    """The method's name and its own settings, checked; errors call their origin `source`, and `prefix` is the dotted
    path of the `method` table inside it. `RecipeError`: no name, a name that no method has (with the nearest one), or
    settings that do not fit."""
    values = dict(settings.method)
    name = values.pop("name", None)
    if not isinstance(name, str):
        raise RecipeError(f"{source}: missing key '{prefix}.name'{nearest('', METHODS)}")
    if name not in METHODS:
        raise RecipeError(f"{source}: unknown method '{name}'{nearest(name, METHODS)}")
    return name, parse_settings(METHODS[name].settings, values, source=source, prefix=prefix)


def build_model(settings: ModelSettings, tokenizer: Any, identities: int, *, source: str = "model settings") -> Method:
    """A method with towers at their starting weights. `tokenizer` is a `Tokenizer`, or whatever has its `vocabulary`,
    `vocabulary_size`, `special` and `context`; `identities` how many people the training split shows, 0 for a model
    that is only used; `source` what to call the settings in an error. `RecipeError`: they fit nothing that can be
    built."""
    name, own = method_settings(settings, source=source)
    vision, text = settings.vision, settings.text
    if vision.embedding != text.embedding:
        unequal = f"vision.embedding = {vision.embedding} and text.embedding = {text.embedding}"
        raise RecipeError(f"{source}: {unequal} must be equal")
    size, plain = {"height": settings.image.height, "width": settings.image.width}, vision.kind in ("clip", "vit")
    try:
        image_tower: ImageTower = VisionTransformer(vision, **size) if plain else MultiStageTower(vision, **size)
        text_tower = _text_tower(text, tokenizer, image_tower.channels, vision.branches)
    except ValueError as error:
        raise RecipeError(f"{source}: {error}") from None
    return METHODS[name].build(own, image_tower, text_tower, identities, tokenizer.vocabulary)


def _text_tower(settings: TextSettings, tokenizer: Any, channels: int, branches: int) -> TextTower | FusionEncoder:
    size, context, special = tokenizer.vocabulary_size, tokenizer.context, tokenizer.special
    padding, start, end = special.padding, special.start, special.end
    if settings.kind == "clip":
        return TextTransformer(settings, vocabulary_size=size, context=context, start=start, end=end)
    if settings.kind == "sentence":
        kept = {"context": context, "channels": channels, "branches": branches}
        return SentenceTower(settings, vocabulary_size=size, **kept, padding=padding, end=end)
    if settings.positions < context:
        raise ValueError(f"text.positions = {settings.positions} is less than the tokenizer's context {context}")
    return FusionEncoder(settings, vocabulary_size=size, memory_width=channels, padding=padding, start=start, end=end)

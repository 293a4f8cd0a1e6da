"""From settings to the model of `fusion` and `aga`."""

from typing import Any

from pickout.data.training_pairs import Pairing
from pickout.errors import RecipeError
from pickout.methods.fusion import Fusion, Rules
from pickout.methods.fusion_plan import WordRules
from pickout.methods.fusion_settings import FusionSettings
from pickout.nn.fusion_encoder import FusionEncoder
from pickout.nn.vision import VisionTransformer
from pickout.text.vocabulary import Vocabulary


def pairing(settings: FusionSettings) -> Pairing:
    """What training items hold: two views of an image, and a caption of the same person (RaSa)."""
    return Pairing(second_view=True, weak_captions=settings.weak_positive)


def build_fusion(
    settings: FusionSettings, vision: VisionTransformer, text: Any, identities: int, vocabulary: Vocabulary
) -> Fusion:
    """RaSa over two towers; see `pickout.methods.Build`."""
    return Fusion(*fusion_towers(vision, text), **fusion_values(settings, identities, vocabulary))


def fusion_towers(vision: VisionTransformer, text: Any) -> tuple[VisionTransformer, FusionEncoder]:
    """The towers, if they are of the kinds that the fusion model needs.

    Raises:
        RecipeError: one of them is CLIP's.
    """
    if not isinstance(text, FusionEncoder):
        raise RecipeError(
            "model.text.kind = 'clip': this method fuses captions and images; set model.text.kind = 'bert'"
        )
    if vision.kind != "vit":
        raise RecipeError(
            f"model.vision.kind = '{vision.kind}': this method projects image tokens itself; "
            "set model.vision.kind = 'vit'"
        )
    return vision, text


def fusion_values(
    settings: FusionSettings, identities: int, vocabulary: Vocabulary, *, hide: bool = True
) -> dict[str, Any]:
    """The arguments of `Fusion` beside the towers.

    Args:
        settings: of the method.
        identities: training identities; 0 for a model that is only used.
        vocabulary: of the tokenizer.
        hide: whether words are hidden, where their loss has a weight.

    Raises:
        RecipeError: no term uses the fusion layers, or words cannot be told from pieces.
    """
    hide = hide and settings.word_weight > 0
    weights = {
        "contrastive": settings.contrastive_weight,
        "matching": settings.matching_weight,
        "words": settings.word_weight if hide else 0.0,
        "relation": settings.relation_weight,
        "replaced": settings.replaced_weight,
    }
    heads = {name for name in ("matching", "relation", "replaced") if weights[name] > 0}
    if not heads and not hide:
        raise RecipeError(
            "matching_weight, word_weight, relation_weight and replaced_weight are all 0; set one above 0"
        )
    if settings.whole_words and vocabulary.continues is None:
        raise RecipeError("whole_words = true: this tokenizer does not tell where words begin; use kind = 'wordpiece'")
    if hide or "replaced" in heads:
        heads.add("word")
    return {
        "rules": _rules(settings, weights),
        "vocabulary": vocabulary,
        "words": WordRules(
            hide=hide,
            probability=settings.mask_probability,
            whole=settings.whole_words,
            ordinary=settings.random_words == "ordinary",
            axis=settings.distillation_axis,
            replace=settings.replace_probability,
            ignore_sampled=settings.replaced_labels == "sampled",
        ),
        "heads": frozenset(heads),
        "train_words": hide,
        "trainable": identities > 0,
        "momentum_dropout": settings.momentum_dropout,
        "queue": settings.queue,
        "temperature": settings.temperature,
        "candidates": settings.candidates,
        "head_rate": settings.head_rate,
        "decay_positions": settings.decay_positions,
    }


def _rules(settings: FusionSettings, weights: dict[str, float]) -> Rules:
    return Rules(
        weights=weights,
        directions=settings.directions,
        one_hot=settings.one_hot,
        alpha=settings.distillation,
        ramp=settings.distillation_ramp,
        momentum=settings.momentum,
        clamp=settings.clamp_temperature,
        group=settings.negative_group or None,
        guard=settings.negative_guard,
        exclude_equal=settings.exclude_equal_captions,
    )

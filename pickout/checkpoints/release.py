"""The official `.pth` files of ITSELF, RDE and IRRA: a CLIP trunk under `base_model.` and heads of their own names."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from pickout.checkpoints import openai_clip
from pickout.checkpoints.imported import Imported, tower_sizes
from pickout.errors import CheckpointMismatch

TRUNK = "base_model."
"""What stands before CLIP's own key names."""

_GRAB = {
    "visul_emb_layer.fc.": "image_head.adapter.shortcut.",
    "texual_emb_layer.linear.": "text_head.adapter.shortcut.",
    "visul_emb_layer.mlp.layers.0.": "image_head.adapter.inner.",
    "texual_emb_layer.mlp.layers.0.": "text_head.adapter.inner.",
    "visul_emb_layer.mlp.layers.1.": "image_head.adapter.outer.",
    "texual_emb_layer.mlp.layers.1.": "text_head.adapter.outer.",
    "visul_emb_layer.mlp.bns.0.": "image_head.adapter.norm.",
    "texual_emb_layer.mlp.bns.0.": "text_head.adapter.norm.",
}
# ITSELF's files name the two branches `global` and `grab`; files from before its clean-up, `bge` and `tse`.
_BRANCHES = {"global": "global", "grab": "local", "bge": "global", "tse": "local"}
_HEADS = {
    "classifier_{}.": "{}_objective.heads.pair_classifier.",
    "classifier_id_{}.": "{}_objective.heads.identity_classifier.",
    "mlp_{}.0.": "{}_objective.heads.fusion.",
    "mlp_{}.1.": "{}_objective.heads.fusion_norm.",
}
_RENAMED = _GRAB | {
    theirs.format(branch): ours.format(name) for branch, name in _BRANCHES.items() for theirs, ours in _HEADS.items()
}
_DEAD = {
    "visul_emb_layer.linear.": "a layer that the released program never calls",
    "visul_emb_layer.mlp.bns.1.": "a normalisation that the released program never calls",
    "texual_emb_layer.mlp.bns.1.": "a normalisation that the released program never calls",
}
_MASKED_WORDS = ("cross_attn.", "cross_modal_transformer.", "ln_pre_t.", "ln_pre_i.", "ln_post.", "mlm_head.")
_IRRA_ONLY = dict.fromkeys(_MASKED_WORDS, "IRRA's masked-word branch, used in its training only")
_IRRA_ONLY["classifier."] = "IRRA's identity classifier, which has no mismatch class; used in its training only"


@dataclass(frozen=True, slots=True)
class _Release:
    """One of the three kinds of file."""

    format: str
    method: Mapping[str, Any]
    identities: int


def is_release(keys: Collection[str]) -> bool:
    """Whether the keys are those of a CLIP trunk with the prefix of this lineage."""
    return openai_clip.is_openai_clip({key.removeprefix(TRUNK) for key in keys if key.startswith(TRUNK)})


def translate(source: str, tensors: Mapping[str, Tensor]) -> Imported:
    """An official file under our names.

    Args:
        source: the file, for errors.
        tensors: its state dict.

    Raises:
        CheckpointMismatch: parts of the trunk or of a head are missing.
    """
    state, ignored, left_over = openai_clip.translate(tensors, TRUNK)
    for key, tensor in tensors.items():
        if key.startswith(TRUNK):
            continue
        name, reason = _renamed(key), _excuse(key)
        if name is not None:
            state[name] = tensor.float() if tensor.is_floating_point() else tensor
        elif reason is not None:
            ignored[key] = reason
        else:
            left_over.append(key)
    sizes = tower_sizes(source, state)
    release = _release(source, state, tensors)
    return Imported(
        format=release.format,
        method=release.method,
        vision=sizes.vision,
        text=sizes.text,
        image=sizes.image,
        identities=release.identities,
        state=state,
        left_over=tuple(left_over),
        ignored=ignored,
    )


def _release(source: str, state: Mapping[str, Tensor], keys: Collection[str]) -> _Release:
    """Tell the three apart by their heads."""
    pair = "global_objective.heads.pair_classifier.weight"
    alone = "global_objective.heads.identity_classifier.weight"
    heads = {"pair_loss": pair in state, "id_terms": alone in state}
    outputs = {int(state[key].shape[0]) for key in (pair, alone) if key in state}
    if len(outputs) > 1:
        raise CheckpointMismatch(f"{source}: its classifiers have {sorted(outputs)} outputs; they must agree")
    identities = outputs.pop() - 1 if outputs else 0
    if not any(key.startswith("image_head.") for key in state):
        if identities:
            return _Release("the global baseline of ITSELF", {"name": "dual", **heads}, identities)
        irra = any(key.startswith(tuple(_IRRA_ONLY)) for key in keys)
        method = {"name": "dual", "alignment": "sdm", "pair_loss": False, "id_terms": irra}
        return _Release("IRRA" if irra else "a CLIP trunk of the IRRA family", method, 0)
    outer, inner = state.get("image_head.adapter.outer.weight"), state.get("image_head.adapter.inner.weight")
    if outer is None or inner is None:
        raise CheckpointMismatch(f"{source}: the layers of its local branch are incomplete; it is a part of a model")
    local = {"name": "itself", "local_dimension": int(outer.shape[0]), "hidden": int(inner.shape[0])}
    if identities:
        return _Release("ITSELF", {**local, "preset": "as_released", **heads}, identities)
    return _Release("RDE", {**local, **_RDE}, 0)


_RDE: dict[str, Any] = {
    "selection": "last",
    "budget": "off",
    "fixed_ratio": 0.3,
    "eval_ratio": 0.3,
    "fusion_weight": 0.5,
    "pair_loss": False,
    "id_terms": False,
}
"""RDE in the words of `itself`: 30 % of the tokens by the last layer, the two cosines averaged, TAL alone."""


def _renamed(key: str) -> str | None:
    for theirs, ours in _RENAMED.items():
        if key.startswith(theirs):
            return ours + key.removeprefix(theirs)
    return None


def _excuse(key: str) -> str | None:
    for prefix, reason in (_DEAD | _IRRA_ONLY).items():
        if key.startswith(prefix):
            return reason
    return None

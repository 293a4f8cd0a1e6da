"""The official `.pth` files of ITSELF, RDE and IRRA: a CLIP trunk under `base_model.` and heads of their own names."""

from collections.abc import Collection, Mapping
from typing import Any

from torch import Tensor

from pickout.checkpoints.formats.clip_weights import OPENAI_IGNORED, OPENAI_TABLE, OPENAI_TELLING, TRANSPOSED
from pickout.checkpoints.formats.foreign_model import ForeignModel, clip_model
from pickout.checkpoints.formats.names import Names, Translation, prefixed
from pickout.errors import CheckpointMismatch

TRUNK = "base_model."
"""What stands before CLIP's own key names."""
TELLING = tuple(TRUNK + key for key in OPENAI_TELLING)
"""Keys that every file of the family has."""

_GRAB = {
    "visul_emb_layer.fc.*": "image_head.adapter.shortcut.*",
    "texual_emb_layer.linear.*": "text_head.adapter.shortcut.*",
    "visul_emb_layer.mlp.layers.0.*": "image_head.adapter.inner.*",
    "texual_emb_layer.mlp.layers.0.*": "text_head.adapter.inner.*",
    "visul_emb_layer.mlp.layers.1.*": "image_head.adapter.outer.*",
    "texual_emb_layer.mlp.layers.1.*": "text_head.adapter.outer.*",
    "visul_emb_layer.mlp.bns.0.*": "image_head.adapter.norm.*",
    "texual_emb_layer.mlp.bns.0.*": "text_head.adapter.norm.*",
}
_HEADS = {
    "classifier_{}.*": "{}_objective.heads.pair_classifier.*",
    "classifier_id_{}.*": "{}_objective.heads.identity_classifier.*",
    "mlp_{}.0.*": "{}_objective.heads.fusion.*",
    "mlp_{}.1.*": "{}_objective.heads.fusion_norm.*",
}
_DEAD = {
    "visul_emb_layer.linear.*": "a layer that the released program never calls",
    "visul_emb_layer.mlp.bns.1.*": "a normalisation that the released program never calls",
    "texual_emb_layer.mlp.bns.1.*": "a normalisation that the released program never calls",
}
_ATTENTION = ("in_proj_weight", "in_proj_bias", "out_proj.*")
_BLOCK = (*(f"attn.{key}" for key in _ATTENTION), "ln_1.*", "ln_2.*", "mlp.c_fc.*", "mlp.c_proj.*")
_IRRA_ONLY = dict.fromkeys(
    (
        *(f"cross_attn.{key}" for key in _ATTENTION),
        *(f"cross_modal_transformer.resblocks.#.{key}" for key in _BLOCK),
        *("ln_pre_t.*", "ln_pre_i.*", "ln_post.*", "mlm_head.dense.*", "mlm_head.ln.*", "mlm_head.fc.*"),
    ),
    "IRRA's masked-word branch, used in its training only",
) | {"classifier.*": "IRRA's identity classifier, which has no mismatch class; used in its training only"}
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


def family_names(keys: Collection[str]) -> Names:
    """The names of a file of the family. ITSELF's files call the two branches `global` and `grab`; files from before
    its clean-up, `bge` and `tse`."""
    old = any("_bge." in key or "_tse." in key for key in keys)
    branches = {"bge": "global", "tse": "local"} if old else {"global": "global", "grab": "local"}
    heads = {key.format(branch): ours.format(name) for branch, name in branches.items() for key, ours in _HEADS.items()}
    return Names(
        prefixed(OPENAI_TABLE, TRUNK) | _GRAB | heads,
        prefixed(OPENAI_IGNORED, TRUNK) | _DEAD | _IRRA_ONLY,
        frozenset(TRUNK + key for key in TRANSPOSED),
    )


def translate(source: str, tensors: Mapping[str, Tensor], stated: tuple[int, int] | None = None) -> ForeignModel:
    """An official file under our names.

    Args:
        source: the file, for errors.
        tensors: its state dict.
        stated: the image size that the user gives.

    Raises:
        CheckpointMismatch: parts of the trunk or of a head are missing.
    """
    weights = family_names(tensors).translate(tensors)
    format, method, identities = _release(source, weights)
    return clip_model(source, format, weights, stated=stated, method=method, identities=identities)


def _release(source: str, weights: Translation) -> tuple[str, dict[str, Any], int]:
    """Tell the kinds apart by their heads: name, method and identities."""
    state = weights.state
    pair = "global_objective.heads.pair_classifier.weight"
    alone = "global_objective.heads.identity_classifier.weight"
    heads = {"pair_loss": pair in state, "id_terms": alone in state}
    outputs = {len(state[key]) if state[key].ndim else 0 for key in (pair, alone) if key in state}
    if len(outputs) > 1:
        raise CheckpointMismatch(f"{source}: its classifiers have {sorted(outputs)} outputs; they must agree")
    if outputs and min(outputs) < 2:
        raise CheckpointMismatch(f"{source}: its classifiers have {outputs.pop()} outputs; they tell nobody apart")
    identities = outputs.pop() - 1 if outputs else 0
    if not any(key.startswith("image_head.") for key in state):
        if identities:
            return "the global baseline of ITSELF", {"name": "dual", **heads}, identities
        irra = any(reason in _IRRA_ONLY.values() for reason in weights.ignored.values())
        method = {"name": "dual", "alignment": "sdm", "pair_loss": False, "id_terms": irra}
        return "IRRA" if irra else "a CLIP trunk of the IRRA family", method, 0
    outer, inner = state.get("image_head.adapter.outer.weight"), state.get("image_head.adapter.inner.weight")
    if outer is None or inner is None or not outer.numel() or not inner.numel():
        raise CheckpointMismatch(f"{source}: the layers of its local branch are incomplete; it is a part of a model")
    local = {"name": "itself", "local_dimension": len(outer), "hidden": len(inner)}
    if identities:
        return "ITSELF", {**local, "preset": "as_released", **heads}, identities
    return "RDE", {**local, **_RDE}, 0

"""CLIP state dicts in OpenAI's and in Hugging Face's key names; and ITSELF, RDE and IRRA, which have OpenAI's under
`base_model.` and heads of their own names."""

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, get_args

from torch import Tensor

from pickout.checkpoints.formats import foreign_model
from pickout.checkpoints.formats.foreign_model import TABLES, UNUSED, Facts, ForeignModel, Names, Translation, prefixed
from pickout.errors import CheckpointError, CheckpointMismatch, CheckpointUnknown
from pickout.files import read_text
from pickout.nn.transformer import Activation

_TRANSPOSED = ("visual.proj", "text_projection")  # stored as (width, embedding) and multiplied from the right
OPENAI = Names(TABLES["openai"], UNUSED["openai"], frozenset(_TRANSPOSED), telling=TABLES["telling"]["openai"])
HUGGING_FACE = Names(TABLES["hugging_face"], UNUSED["hugging_face"], telling=TABLES["telling"]["hugging_face"])
_TRUNK = "base_model."  # what stands before CLIP's own key names


def read_config(path: Path) -> Facts:
    """The sizes in a `config.json` of a CLIP: image size, heads and activation."""
    try:
        config = json.loads(read_text(path))
        kind = config.get("model_type")
        if kind != "clip":
            raise CheckpointUnknown(f"{path}: the folder looks like a Hugging Face '{kind}' model; CLIP is supported")
        vision, text = config.get("vision_config") or {}, config.get("text_config") or {}
        activations = {part.get("hidden_act", "quick_gelu") for part in (vision, text)}
        norms = {part.get("layer_norm_eps", 1e-5) for part in (vision, text)}
        side, stride = _size(vision, "image_size", 224), _size(vision, "patch_size", 32)
        heads = _size(vision, "num_attention_heads", 12), _size(text, "num_attention_heads", 8)
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such file; a Hugging Face checkpoint needs it beside the weights") from None
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{path}: not a readable config ({error}); fetch it again") from None
    known = get_args(Activation)
    if len(activations) != 1 or not activations <= set(known) or norms != {1e-5}:
        why = f"{path}: hidden_act {sorted(activations)} with layer_norm_eps {sorted(norms)} cannot be computed;"
        raise CheckpointError(f"{why} one of {sorted(known)} in both towers and 1e-5 can")
    return Facts(((side, side), stride), *heads, activations.pop())


def _size(part: Mapping[str, Any], key: str, usual: int) -> int:
    value = part.get(key, usual)
    if type(value) is not int or not 0 < value <= 10_000:
        raise ValueError(f"{key} = {value!r}")
    return value


def family_names(keys: Collection[str]) -> Names:
    """The names of a file of the family. ITSELF's files call the two branches `global` and `grab`; files from before
    its clean-up, `bge` and `tse`."""
    old = any("_bge." in key or "_tse." in key for key in keys)
    branches = {"bge": "global", "tse": "local"} if old else {"global": "global", "grab": "local"}
    heads = {
        key.format(branch): ours.format(name)
        for branch, name in branches.items()
        for key, ours in TABLES["branch_heads"].items()
    }
    return Names(
        prefixed(TABLES["openai"], _TRUNK) | TABLES["local_branch"] | heads,
        prefixed(UNUSED["openai"], _TRUNK) | UNUSED["local_branch"] | UNUSED["irra"],
        frozenset(_TRUNK + key for key in _TRANSPOSED),
        telling=[_TRUNK + key for key in TABLES["telling"]["openai"]],
    )


def translate(source: str, tensors: Mapping[str, Tensor], facts: Facts) -> ForeignModel:
    """An official ITSELF, RDE or IRRA file under our names."""
    weights = family_names(tensors).translate(tensors)
    return foreign_model.clip_model(source, weights, facts, *_release(source, weights))


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
        irra = any(reason in UNUSED["irra"].values() for reason in weights.ignored.values())
        method = {"name": "dual", "alignment": "sdm", "pair_loss": False, "id_terms": irra}
        return "IRRA" if irra else "a CLIP trunk of the IRRA family", method, 0
    outer, inner = state.get("image_head.adapter.outer.weight"), state.get("image_head.adapter.inner.weight")
    if outer is None or inner is None or not outer.numel() or not inner.numel():
        raise CheckpointMismatch(f"{source}: the layers of its local branch are incomplete; it is a part of a model")
    local = {"name": "itself", "local_dimension": len(outer), "hidden": len(inner)}
    if identities:
        return "ITSELF", {**local, "preset": "as_released", **heads}, identities
    return "RDE", {**local, **TABLES["rde"]}, 0

"""Files of two families under our names. CLIP's: state dicts in OpenAI's and in Hugging Face's key names, and ITSELF,
RDE and IRRA, which have OpenAI's under `base_model.` and heads of their own names. ALBEF's: its pre-training and
retrieval checkpoints, RaSa's, and so AGA's, and the plain BERT and vision transformers that its towers are made of; the
momentum twin's tensors, which end in `_m` there, stand under `momentum.` here."""

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import replace
from math import isqrt
from pathlib import Path
from typing import Any, get_args

import torch
from torch import Tensor

from pickout.checkpoints.formats import foreign_model
from pickout.checkpoints.formats.foreign_model import TABLES, UNUSED, Facts, ForeignModel, Names, Translation, prefixed
from pickout.data.transforms import ImageSettings
from pickout.errors import CheckpointError, CheckpointMismatch, CheckpointUnknown
from pickout.files import read_text
from pickout.methods.model import ModelSettings
from pickout.nn.towers import TextSettings, VisionSettings
from pickout.nn.transformer import Activation
from pickout.text.tokenizer import TokenizerSettings

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


def itself_names(keys: Collection[str]) -> Names:
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


def read_itself(source: str, tensors: Mapping[str, Tensor], facts: Facts) -> ForeignModel:
    """An official ITSELF, RDE or IRRA file under our names."""
    weights = itself_names(tensors).translate(source, tensors)
    return foreign_model.clip_model(weights, facts, *_release(weights))


def _release(weights: Translation) -> tuple[str, dict[str, Any], int]:
    """Tell the kinds apart by their heads: name, method and identities."""
    state, source = weights.state, weights.source
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


CONTEXT = 50  # tokens of a caption in RaSa and AGA
_ONES = {"cls_token": 2, "pos_embed": 1}  # leading axes of length 1 that our tensors do without
_PREDICTIONS = "cls.predictions."
_COUNTERS = ("identity_queue", "queue_pointer")
VIT = Names(TABLES["vit"], UNUSED["vit"], telling=TABLES["telling"]["vit"])  # in timm's or DeiT's names
MINILM = Names(
    {key: name.replace("text.layer.", "text.trunk.") for key, name in TABLES["bert"].items() if "cross" not in key}
)  # MiniLM, as the frozen part of a sentence tower
_CROSS = re.compile(r"text_encoder\.(?:bert\.)?encoder\.layer\.([0-9]{1,4})\.crossattention\..+\.(?:weight|bias)")


def albef_names(keys: Collection[str]) -> Names:
    """The names of a file of the family; how many of its layers are text alone is told by where cross-attention is."""
    looks = [int(match[1]) for match in map(_CROSS.fullmatch, keys) if match]
    table, unused = dict(TABLES["albef"]), dict[str, str]()
    for twin, ours in (("", ""), ("_m", foreign_model.MOMENTUM)):
        image, text = f"visual_encoder{twin}.", f"text_encoder{twin}."
        inner = f"{text}bert." if any(key.startswith(f"{text}bert.") for key in keys) else text
        table |= prefixed(TABLES["vit"], image, ours) | prefixed(TABLES["bert"], inner, ours)
        table |= prefixed(TABLES["word_head"], text, ours)
        unused |= prefixed(UNUSED["vit"], image) | prefixed(UNUSED["bert"], inner)
        unused |= prefixed(UNUSED["word_head"], text)
    return Names(table, unused, split=min(looks, default=0))


def is_albef(keys: Collection[str]) -> bool:
    """Whether the keys are those of an ALBEF-like model: an image tower, and BERT layers some of which look at it."""
    return any(key.startswith("visual_encoder.blocks.") for key in keys) and albef_names(keys).split > 0


def is_bert(keys: Collection[str]) -> bool:
    """Whether the keys are those of a plain BERT, with or without its heads."""
    ends = {key.removeprefix("bert.") for key in keys}
    return "embeddings.word_embeddings.weight" in ends and not any("crossattention" in key for key in keys)


def read_albef(source: str, tensors: Mapping[str, Tensor]) -> ForeignModel:
    """A file of the ALBEF family under our names, the momentum twin's tensors under `momentum.`."""
    weights = _tied(albef_names(tensors).translate(source, without_ones(tensors)), tensors)
    state = weights.state
    for key in [key for key in state if key.startswith(foreign_model.MOMENTUM)]:
        # The twin of nothing: a key that only looks as if a training needed it.
        if weights.found.isdisjoint(weights.names.theirs(key.removeprefix(foreign_model.MOMENTUM))):
            weights.left_over.append(weights.spelled(key))
            del state[key]
    state.update({key: state[key].flatten() for key in _COUNTERS if key in state})
    shapes = weights.shapes(TABLES["sizes"]["albef"])
    width, patch = shapes["vision.patches.weight"][0], shapes["vision.patches.weight"][3]
    words, positions = shapes["text.embeddings.words.weight"][1], shapes["text.embeddings.positions.weight"][0]
    side = square_side(weights)
    if positions < foreign_model.SHORTEST:
        raise CheckpointMismatch(f"{source}: captions of {positions} tokens are too short for any tokenizer")
    shared: dict[str, Any] = {"embedding": shapes["image_projection.weight"][0], "activation": "gelu"}
    strides = {"patch": patch, "stride": patch}
    sizes = {
        "fusion_layers": weights.layers("text.fusion."),
        "feed_forward": shapes["text.text_layers.0.feed_forward.widen.weight"][0],
        "positions": positions,
    }
    rasa = any(key.startswith(("relation_head.", "replaced_head.")) for key in state)
    head = any(key.startswith("word_head.") for key in state)
    bare = {} if rasa or head else {"word_weight": 0.0, "replaced_weight": 0.0}
    context = min(CONTEXT, positions)
    settings = ModelSettings(
        method={"name": "fusion", **bare},
        vision=weights.tower(VisionSettings, "vision.transformer.layers.", width, kind="vit", **strides, **shared),
        text=weights.tower(TextSettings, "text.text_layers.", words, kind="bert", **sizes, **shared),
        image=weights.checked(ImageSettings, height=side * patch, width=side * patch, resample="bicubic"),
        tokenizer=TokenizerSettings(kind="wordpiece", context=context, closing=False, cleaning="albef", words=CONTEXT),
    )
    format = "RaSa" if rasa else "ALBEF" if head else "ALBEF, for retrieval"  # that has no masked-word head
    return ForeignModel(format, settings, 0, weights)


def bert_tensors(source: str, tensors: Mapping[str, Tensor], *, text_layers: int) -> Translation:
    """A BERT and its masked-word head under our names."""
    # Norms may be called gamma and beta, as in bert-base-uncased.
    spelled = {key: key.replace("Norm.gamma", "Norm.weight").replace("Norm.beta", "Norm.bias") for key in tensors}
    tensors = {spelled[key]: tensor for key, tensor in tensors.items()}
    inner = "bert." if any(key.startswith("bert.") for key in tensors) else ""
    table, unused = prefixed(TABLES["bert"], inner), prefixed(UNUSED["bert"], inner)
    names = Names(table | TABLES["word_head"], unused | UNUSED["word_head"], split=text_layers)
    return _tied(names.translate(source, tensors), tensors, alone=True)


def without_ones(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of vision transformers without the leading axes of length 1 that ours do without."""
    plain = {}
    for key, tensor in tensors.items():
        ones = _ONES.get(key.rpartition(".")[2], 0)
        plain[key] = tensor.reshape(tensor.shape[ones:]) if ones and tensor.shape[:ones] == (1,) * ones else tensor
    return plain


def square_side(weights: Translation) -> int:
    """Patches along a side of the square image that a position table is for; its first row is the class token's."""
    table = weights.state[foreign_model.POSITIONS]
    rows = len(table) if table.ndim else 0
    side = isqrt(max(rows - 1, 0))
    if side == 0 or side * side != rows - 1:
        raise CheckpointMismatch(f"{weights.source}: a position table of {rows} rows is no class token and a square")
    return side


def _tied(weights: Translation, tensors: Mapping[str, Tensor], *, alone: bool = False) -> Translation:
    """Hold the tied tensors of a word head against those that they share; they are then no news. One that is not there
    is told with all that is missing, but for a tower `alone`, which may lack some."""
    for key in [key for key in weights.ignored if _PREDICTIONS in key]:
        head, _, tied = key.rpartition(_PREDICTIONS)
        twin = foreign_model.MOMENTUM if head.startswith("text_encoder_m.") else ""
        shared = weights.state.get(twin + TABLES["tied"][_PREDICTIONS + tied])
        if alone if shared is None else not torch.equal(tensors[key].to(shared.dtype), shared):
            raise CheckpointMismatch(f"{weights.source}: '{key}' is not the tensor that it should share")
    return replace(weights, ignored={key: why for key, why in weights.ignored.items() if _PREDICTIONS not in key})

"""Which importer knows a file."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from pickout.checkpoints.formats import albef_family, clip_weights, itself_family
from pickout.checkpoints.formats.foreign_model import ForeignModel, clip_model
from pickout.checkpoints.formats.likeness import model_looks_like
from pickout.checkpoints.formats.names import Names
from pickout.checkpoints.weight_file import read_weights
from pickout.errors import CheckpointError, CheckpointUnknown

HF_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
"""Weight files of a Hugging Face folder, best first."""
_NEARLY = 0.5
"""Share of a file's keys that a format must know for a file to be called nearly of it, and"""
_FEW = 20
"""the least number of them."""


def import_file(path: Path, *, stated: tuple[int, int] | None = None) -> ForeignModel:
    """Read a foreign weight file, or the weight file of a Hugging Face folder, under our names.

    Args:
        path: the file or folder.
        stated: height and width in pixels that the user gives; taken for the model's own where its position table can
            be of that size.

    Raises:
        CheckpointUnknown: no importer knows it; says what it looks like.
        CheckpointUnsafe: a pickle that wants to run code, or a TorchScript archive.
        CheckpointTruncated: damaged.
        CheckpointMismatch: only a part of a model.
        CheckpointError: a file of the folder is missing.
    """
    file = read_weights(weights_in(path) if path.is_dir() else path)
    tensors, source = file.tensors, str(path)
    if tensors.keys() >= set(itself_family.TELLING):
        model = itself_family.translate(source, tensors, stated)
    elif tensors.keys() >= set(clip_weights.OPENAI_TELLING):
        model = clip_model(source, "OpenAI CLIP", clip_weights.OPENAI.translate(tensors), stated=stated)
    elif tensors.keys() >= set(clip_weights.HUGGING_FACE_TELLING):
        facts = clip_weights.read_config(file.path.parent / "config.json")
        model = clip_model(source, "Hugging Face CLIP", clip_weights.HUGGING_FACE.translate(tensors), facts)
    elif albef_family.is_albef(tensors):
        model = albef_family.translate(source, tensors)
    else:
        raise CheckpointUnknown(f"{file.path}: {_unknown(tensors)}")
    weights = replace(model.weights, ignored={**file.ignored, **model.weights.ignored})
    return replace(model, weights=weights)


def weights_in(folder: Path) -> Path:
    """The weight file of a Hugging Face folder."""
    for name in HF_WEIGHTS:
        if (folder / name).is_file():
            return folder / name
    shards = sorted(folder.glob("model-*-of-*.safetensors"))
    what = "weights in several parts, which are not supported" if shards else f"no {' or '.join(HF_WEIGHTS)}"
    raise CheckpointError(f"{folder}: {what}; fetch the whole folder again")


def nearly(tensors: Mapping[str, Tensor]) -> str | None:
    """What a state dict would be if it had the keys that tell its format, and which of these it lacks."""
    formats: dict[str, tuple[Names, tuple[str, ...]]] = {
        "an official ITSELF, RDE or IRRA file": (itself_family.family_names(tensors), itself_family.TELLING),
        "an OpenAI CLIP": (clip_weights.OPENAI, clip_weights.OPENAI_TELLING),
        "a Hugging Face CLIP": (clip_weights.HUGGING_FACE, clip_weights.HUGGING_FACE_TELLING),
        "a vision transformer in timm's names": (albef_family.VIT, albef_family.VIT_TELLING),
    }
    known = {name: names.known(tensors) for name, (names, _) in formats.items()}
    best = max(known, key=known.__getitem__)
    telling = formats[best][1]
    absent = [key for key in telling if key not in tensors]
    if known[best] < max(_NEARLY * len(tensors), _FEW) or not 0 < len(absent) < len(telling):
        return None
    return f"it is nearly {best}, but lacks {', '.join(absent)}"


def _unknown(tensors: Mapping[str, Tensor]) -> str:
    for is_half, half in ((albef_family.is_bert, "BERT"), (albef_family.is_vit, "a vision transformer")):
        if is_half(tensors):
            return (
                f"{half} alone, half of a fusion model; "
                'a training can start from both: --set \'train.initial=["BERT", "VIT"]\''
            )
    like = nearly(tensors) or f"it looks like {model_looks_like(tensors)}"
    return (
        f"no importer knows this file; {like}. Known: runs of Pickout, CLIP (OpenAI or Hugging Face names), and the "
        "official files of ITSELF, RDE, IRRA, ALBEF and RaSa"
    )

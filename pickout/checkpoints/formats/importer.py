"""Which importer knows a file."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from pickout.checkpoints.formats import albef_family, clip_family
from pickout.checkpoints.formats.foreign_model import ForeignModel, clip_model
from pickout.checkpoints.formats.names import Names
from pickout.checkpoints.weight_file import read_weights
from pickout.errors import CheckpointError, CheckpointUnknown

HF_WEIGHTS = ("model.safetensors", "pytorch_model.bin")  # weight files of a Hugging Face folder, best first

_MODELS = (
    ("visual.attnpool.", "a CLIP with a ResNet image tower; only vision transformers are supported"),
    ("lora_A", "a LoRA adapter without its base model"),
    ("visual_encoder.", "a model of the ALBEF or BLIP families"),
    ("vision_model.encoder.layers.", "the image half of a Hugging Face CLIP"),
    ("embeddings.word_embeddings.weight", "a BERT"),
    ("layer1.0.conv1.weight", "a torchvision ResNet"),
    ("blocks.0.attn.qkv.weight", "a timm or DINO vision transformer"),
)  # fragments of keys, the most telling first, and what has them


def import_file(path: Path, *, stated: tuple[int, int] | None = None) -> ForeignModel:
    """Read a foreign weight file, or that of a Hugging Face folder, under our names. A `stated` height and width are
    taken for the model's own where its position table can be of that size."""
    file = read_weights(weights_in(path) if path.is_dir() else path)
    tensors, source = file.tensors, str(path)
    if tensors.keys() >= set(clip_family.FAMILY_TELLING):
        model = clip_family.translate(source, tensors, stated)
    elif tensors.keys() >= set(clip_family.OPENAI_TELLING):
        model = clip_model(source, "OpenAI CLIP", clip_family.OPENAI.translate(tensors), stated=stated)
    elif tensors.keys() >= set(clip_family.HUGGING_FACE_TELLING):
        facts = clip_family.read_config(file.path.parent / "config.json")
        model = clip_model(source, "Hugging Face CLIP", clip_family.HUGGING_FACE.translate(tensors), facts)
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


def likeness(tensors: Mapping[str, Tensor]) -> str:
    """What a state dict nearly is, and which keys that tell its format it lacks; else what it looks like."""
    formats: dict[str, tuple[Names, tuple[str, ...]]] = {
        "an official ITSELF, RDE or IRRA file": (clip_family.family_names(tensors), clip_family.FAMILY_TELLING),
        "an OpenAI CLIP": (clip_family.OPENAI, clip_family.OPENAI_TELLING),
        "a Hugging Face CLIP": (clip_family.HUGGING_FACE, clip_family.HUGGING_FACE_TELLING),
        "a vision transformer in timm's names": (albef_family.VIT, albef_family.VIT_TELLING),
    }
    known = {name: sum(names.ours(key) is not None for key in tensors) for name, (names, _) in formats.items()}
    best = max(known, key=known.__getitem__)
    absent = [key for key in formats[best][1] if key not in tensors]
    # Nearly: half of the keys are the format's, and 20 at least.
    if known[best] >= max(len(tensors) / 2, 20) and 0 < len(absent) < len(formats[best][1]):
        return f"it is nearly {best}, but lacks {', '.join(absent)}"
    for fragment, name in _MODELS:
        if any(fragment in key for key in tensors):
            return f"it looks like {name}"
    return f"it looks like a state dict of {len(tensors)} tensors beginning with {', '.join(sorted(tensors)[:4])}"


def _unknown(tensors: Mapping[str, Tensor]) -> str:
    for is_half, half in ((albef_family.is_bert, "BERT"), (albef_family.is_vit, "a vision transformer")):
        if is_half(tensors):
            start = '--set \'train.initial=["BERT", "VIT"]\''
            return f"{half} alone, half of a fusion model; a training can start from both: {start}"
    return (
        f"no importer knows this file; {likeness(tensors)}. Known: runs of Pickout, CLIP (OpenAI or Hugging Face "
        "names), and the official files of ITSELF, RDE, IRRA, ALBEF and RaSa"
    )

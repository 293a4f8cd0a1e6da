"""What an unknown file or state dict looks like, so that an error can say it."""

from collections.abc import Collection

_FILES = (
    (b"version https://git-lfs", "a Git LFS pointer: the weights themselves were not fetched (git lfs pull)"),
    (b"<", "a web page or XML, perhaps an error page saved under this name"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"\x89HDF", "an HDF5 file (TensorFlow or Keras weights)"),
    (b"GGUF", "a GGUF file (llama.cpp)"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"\x89PNG", "a PNG picture"),
    (b"%PDF", "a PDF document"),
    (b"\x08", "an ONNX or another protobuf file"),
    (b"\xde", "a MessagePack file (Flax weights)"),
    (b"{", "JSON text"),
    (b"[", "JSON text"),
)

# Most telling first: a few key fragments, all of which must occur, and the name of what has them.
_MODELS = (
    (
        ("visual.attnpool.", "visual.layer1."),
        "a CLIP with a ResNet image tower; only vision transformers are supported",
    ),
    (("visual.trunk.",), "an open_clip model with a timm image tower"),
    (("lora_A",), "a LoRA adapter without its base model"),
    (("text_encoder.bert.", "visual_encoder."), "an ALBEF-family model (ALBEF, RaSa, TCL)"),
    (("text_decoder.", "visual_encoder."), "a BLIP model"),
    (("vision_model.head.probe",), "a SigLIP model"),
    (("vision_model.", "qformer."), "a BLIP-2 model"),
    (("vision_model.encoder.layers.",), "the image half of a Hugging Face CLIP"),
    (("text_model.encoder.layers.",), "the text half of a Hugging Face CLIP"),
    (("embeddings.word_embeddings.weight", "encoder.layer.0.attention."), "a BERT"),
    (("layer1.0.conv1.weight", "layer4."), "a torchvision ResNet"),
    (("blocks.0.attn.qkv.weight", "patch_embed.proj."), "a timm or DINO vision transformer"),
    (("features.0.", "classifier."), "a torchvision classifier (VGG, AlexNet, MobileNet)"),
    (("model.layers.0.self_attn.q_proj.weight",), "a language model of the Llama family"),
    (("transformer.h.0.",), "a GPT-2 family language model"),
    (("exp_avg",), "an optimizer state"),
)


def file_looks_like(head: bytes) -> str:
    """A guess from a file's first bytes; never empty."""
    for magic, name in _FILES:
        if head.startswith(magic):
            return name
    if all(byte in b"\t\n\r" or 32 <= byte < 127 for byte in head):
        return f"text beginning {head[:40].decode('ascii')!r}"
    return f"binary data beginning {head[:8].hex(' ')}"


def model_looks_like(keys: Collection[str]) -> str:
    """A guess from the keys of a state dict; never empty."""
    for fragments, name in _MODELS:
        if all(any(fragment in key for key in keys) for fragment in fragments):
            return name
    first = ", ".join(sorted(keys)[:4])
    return f"a state dict of {len(keys)} tensors beginning with {first}" if keys else "an empty state dict"

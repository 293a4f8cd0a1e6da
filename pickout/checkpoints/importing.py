"""Which importer knows a file, and where its tokenizer is."""

import json
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pickout.checkpoints import albef, bert_vit, hf_clip, openai_clip, release
from pickout.checkpoints.imported import Facts, Imported, Translated, at_size, tower_sizes
from pickout.checkpoints.reading import read_weights
from pickout.checkpoints.recognise import model_looks_like
from pickout.errors import CheckpointError, CheckpointUnknown, DataError
from pickout.text.build import build_tokenizer
from pickout.text.clip import clip_tokenizer
from pickout.text.tokenizer import Tokenizer, TokenizerSettings

HF_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
"""Weight files of a Hugging Face folder, best first."""

_WORDS = "vocab.txt"
_CLIP_MERGES = ("bpe_simple_vocab_16e6.txt.gz", "merges.txt", "tokenizer.json")


def import_file(path: Path, *, image: tuple[int, int] | None = None) -> Imported:
    """Read a foreign weight file, or the weight file of a Hugging Face folder, under our names.

    Args:
        path: the file or folder.
        image: height and width to use the model at, by default its own; the position table is resized to it.

    Raises:
        CheckpointUnknown: no importer knows it; says what it looks like.
        CheckpointUnsafe: a pickle that wants to run code, or a TorchScript archive.
        CheckpointTruncated: damaged.
        CheckpointMismatch: only a part of a model.
        CheckpointError: a file of the folder is missing.
    """
    file = read_weights(weights_in(path) if path.is_dir() else path)
    keys, source = file.tensors.keys(), str(path)
    if release.is_release(keys):
        imported = release.translate(source, file.tensors)
    elif openai_clip.is_openai_clip(keys):
        imported = _clip("OpenAI CLIP", source, openai_clip.translate(file.tensors), Facts())
    elif hf_clip.is_hf_clip(keys):
        facts = hf_clip.read_config(file.path.parent / "config.json")
        imported = _clip("Hugging Face CLIP", source, hf_clip.translate(file.tensors), facts)
    elif albef.is_albef(keys):
        imported = albef.translate(source, file.tensors)
    elif bert_vit.is_bert(keys) or bert_vit.is_vit(keys):
        half = "BERT" if bert_vit.is_bert(keys) else "a vision transformer"
        raise CheckpointUnknown(
            f"{file.path}: {half} alone, half of a fusion model; "
            'a training can start from both: --set \'train.initial=["BERT", "VIT"]\''
        )
    else:
        raise CheckpointUnknown(
            f"{file.path}: no importer knows this file; it looks like {model_looks_like(keys)}. Known: runs of "
            "Pickout, CLIP (OpenAI or Hugging Face names), and the official files of ITSELF, RDE, IRRA, ALBEF and RaSa"
        )
    imported = replace(imported, ignored={**file.ignored, **imported.ignored})
    return at_size(imported, image)


def find_tokenizer(path: Path, context: int, given: Path | None = None, also: tuple[Path, ...] = ()) -> Tokenizer:
    """CLIP's tokenizer for an imported file.

    Looked for in turn: the file given; `bpe_simple_vocab_16e6.txt.gz`, `merges.txt` or `tokenizer.json` beside the
    weights; the same in each folder of `also`.

    Args:
        path: the weight file or folder.
        context: length of a row.
        given: a file to use in any case.
        also: further folders.

    Raises:
        CheckpointError: none found, or not readable.
    """
    folders = (path if path.is_dir() else path.parent, *also)
    candidates = [given] if given else [folder / name for folder in folders for name in _CLIP_MERGES]
    for candidate in candidates:
        if given or candidate.is_file():
            try:
                return _read_merges(candidate, context)
            except DataError as error:
                raise CheckpointError(str(error)) from None
    raise CheckpointError(
        f"{path}: CLIP's tokenizer is not beside it; put bpe_simple_vocab_16e6.txt.gz (github.com/openai/CLIP, folder "
        "clip) or a Hugging Face merges.txt there, or run `pickout weights get clip-vit-base-patch16` once"
    )


def find_words(
    paths: Sequence[Path], settings: TokenizerSettings, given: Path | None = None, also: tuple[Path, ...] = ()
) -> Tokenizer:
    """BERT's tokenizer for imported files: the file given, or the first `vocab.txt` beside the weights or in `also`.

    Args:
        paths: the weight files or folders.
        settings: context, closing and cleaning.
        given: a vocabulary to use in any case.
        also: further folders.

    Raises:
        CheckpointError: none found, or not readable.
    """
    folders = (*(path if path.is_dir() else path.parent for path in paths), *also)
    file = given or next((folder / _WORDS for folder in folders if (folder / _WORDS).is_file()), None)
    if file is None:
        raise CheckpointError(
            f"{', '.join(map(str, paths))}: {_WORDS} is not beside it; put that of bert-base-uncased there, or run "
            "`pickout weights get bert-base-uncased` once, or name it (`tokenizer=`; in a recipe model.tokenizer.file)"
        )
    try:
        return build_tokenizer(settings.model_copy(update={"file": file}))
    except DataError as error:
        raise CheckpointError(str(error)) from None


def _read_merges(file: Path, context: int) -> Tokenizer:
    if file.suffix != ".json":
        return clip_tokenizer(file, context)
    try:
        pairs = json.loads(file.read_text(encoding="utf-8"))["model"]["merges"]
        lines = [pair if isinstance(pair, str) else " ".join(pair) for pair in pairs]
    except (OSError, UnicodeDecodeError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{file}: not a Hugging Face byte-pair tokenizer ({error})") from None
    with tempfile.TemporaryDirectory() as folder:
        merges = Path(folder) / "merges.txt"
        merges.write_text("\n".join([f"#version: {file}", *lines]), encoding="utf-8")
        return clip_tokenizer(merges, context)


def weights_in(folder: Path) -> Path:
    """The weight file of a Hugging Face folder.

    Raises:
        CheckpointError: none, or in several parts.
    """
    for name in HF_WEIGHTS:
        if (folder / name).is_file():
            return folder / name
    shards = sorted(folder.glob("model-*-of-*.safetensors"))
    what = "weights in several parts, which are not supported" if shards else f"no {' or '.join(HF_WEIGHTS)}"
    raise CheckpointError(f"{folder}: {what}; fetch the whole folder again")


def _clip(format: str, source: str, towers: Translated, facts: Facts) -> Imported:
    sizes = tower_sizes(source, towers.state, facts)
    return Imported(
        format=format,
        method={"name": "dual"},
        vision=sizes.vision,
        text=sizes.text,
        image=sizes.image,
        identities=0,
        state=towers.state,
        left_over=tuple(towers.left_over),
        ignored=towers.ignored,
    )

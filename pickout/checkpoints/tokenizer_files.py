"""Where the tokenizer of an imported file is: CLIP's merges, or BERT's vocabulary."""

from collections.abc import Sequence
from pathlib import Path

from pickout.checkpoints.named_weights import fetched_folders
from pickout.errors import CheckpointError, DataError
from pickout.text.build import build_tokenizer
from pickout.text.tokenizer import Tokenizer, TokenizerSettings

_WORDS = "vocab.txt"
_CLIP_MERGES = ("bpe_simple_vocab_16e6.txt.gz", "merges.txt", "tokenizer.json")


def find_tokenizer(paths: Sequence[Path], settings: TokenizerSettings, given: Path | None = None) -> Tokenizer:
    """The tokenizer of imported files.

    Looked for in turn: the file given; beside the weights; among the weights that were fetched by name. For CLIP it is
    `bpe_simple_vocab_16e6.txt.gz`, `merges.txt` or `tokenizer.json`, for BERT `vocab.txt`.

    Args:
        paths: the weight files or folders.
        settings: kind, context, closing and cleaning.
        given: a file to use in any case.

    Raises:
        CheckpointError: none found, or not readable.
    """
    clip = settings.kind == "clip"
    names = _CLIP_MERGES if clip else (_WORDS,)
    beside = [path if path.is_dir() else path.parent for path in paths]
    file = given or _first(beside, names) or _first(fetched_folders(), names)
    told = ", ".join(map(str, paths))
    if file is None and clip:
        raise CheckpointError(
            f"{told}: CLIP's tokenizer is not beside it; put bpe_simple_vocab_16e6.txt.gz (github.com/openai/CLIP, "
            "folder clip) or a Hugging Face merges.txt there, or run `pickout weights get clip-vit-base-patch16` once"
        )
    if file is None:
        raise CheckpointError(
            f"{told}: {_WORDS} is not beside it; put that of bert-base-uncased there, or run `pickout weights get "
            "bert-base-uncased` once, or name it (`tokenizer=`; in a recipe model.tokenizer.file)"
        )
    try:
        return build_tokenizer(settings.model_copy(update={"file": file}))
    except DataError as error:
        raise CheckpointError(str(error)) from None


def _first(folders: Sequence[Path], names: Sequence[str]) -> Path | None:
    return next((folder / name for folder in folders for name in names if (folder / name).is_file()), None)

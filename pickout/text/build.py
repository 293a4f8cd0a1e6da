"""Tokenizers from settings."""

from collections.abc import Iterable

from pickout.errors import RecipeError
from pickout.text.clip import clip_tokenizer
from pickout.text.tokenizer import Tokenizer, TokenizerSettings
from pickout.text.train import train_tokenizer
from pickout.text.wordpiece import wordpiece_tokenizer


def build_tokenizer(settings: TokenizerSettings, captions: Iterable[str] | None = None) -> Tokenizer:
    """The tokenizer that `settings` describe.

    Args:
        settings: kind, file and sizes.
        captions: the training captions; needed by kind `trained` only.

    Raises:
        RecipeError: the kind needs a file or captions that were not given.
        DataMissing: the vocabulary's file is not there.
        DataError: the vocabulary's file is damaged.
    """
    if settings.kind == "clip" and settings.cleaning != "none":
        raise RecipeError(f"tokenizer.cleaning = '{settings.cleaning}': CLIP's tokenizer takes captions as they are")
    if settings.kind == "trained":
        if captions is None:
            raise RecipeError("tokenizer.kind = 'trained': the vocabulary is learnt from training captions; none given")
        return train_tokenizer(
            captions,
            vocabulary_size=settings.vocabulary_size,
            context=settings.context,
            closing=settings.closing,
            cleaning=settings.cleaning,
            words=settings.words,
        )
    if settings.file is None:
        name = "bpe_simple_vocab_16e6.txt.gz" if settings.kind == "clip" else "vocab.txt"
        raise RecipeError(f"tokenizer.kind = '{settings.kind}': set tokenizer.file to the path of {name}")
    if settings.kind == "clip":
        return clip_tokenizer(settings.file, settings.context)
    return wordpiece_tokenizer(
        settings.file, settings.context, closing=settings.closing, cleaning=settings.cleaning, words=settings.words
    )

"""BERT's word-piece tokenizer, uncased."""

from pathlib import Path

from tokenizers import Tokenizer as Backend
from tokenizers import decoders, models, normalizers, pre_tokenizers

from pickout.errors import DataError, DataMissing
from pickout.files import read_text
from pickout.text.cleaning import Cleaning
from pickout.text.tokenizer import Tokenizer
from pickout.text.vocabulary import SpecialTokens, numbered

LONGEST_WORD = 100
"""Words of more characters become [UNK], as in BERT."""


def wordpiece_tokenizer(
    file: Path, context: int = 64, *, closing: bool = True, cleaning: Cleaning = "none", words: int | None = None
) -> Tokenizer:
    """BERT's tokenizer: lower-cased, accents stripped, words cut greedily from the left."""
    try:
        lines = read_text(file).split("\n")
    except (FileNotFoundError, IsADirectoryError):
        raise DataMissing(f"{file}: no such file; it is vocab.txt of bert-base-uncased") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: cannot be read as a word-piece vocabulary ({error})") from None
    entries = [line.rstrip("\r") for line in (lines[:-1] if lines[-1] == "" else lines)]
    vocabulary = numbered(file, entries)
    absent = [entry for entry in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]") if entry not in vocabulary]
    if absent:
        raise DataError(f"{file}: no word-piece vocabulary: lacks {', '.join(absent)}")
    backend = Backend(models.WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=LONGEST_WORD))
    backend.normalizer = normalizers.BertNormalizer(lowercase=True, strip_accents=True)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece(prefix="##", cleanup=False)
    special = SpecialTokens(
        padding=vocabulary["[PAD]"],
        start=vocabulary["[CLS]"],
        end=vocabulary["[SEP]"] if closing else None,
        mask=vocabulary["[MASK]"],
    )
    return Tokenizer("wordpiece", backend, special, context, cleaning=cleaning, words=words)

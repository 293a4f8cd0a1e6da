"""The three kinds of tokenizer: CLIP's byte pairs, BERT's word pieces, byte pairs learnt from captions."""

import json
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers, trainers
from tokenizers import Tokenizer as Backend

from pickout.errors import DataError, DataMissing, RecipeError
from pickout.files import gunzip, read_bytes, read_text
from pickout.text.cleaning import clean, clean_as_albef
from pickout.text.tokenizer import BLANK, SMALLEST, SpecialTokens, Tokenizer, TokenizerSettings

MERGES = 48894  # how many merges of the file CLIP uses: 49152 - 256 - 2
END_OF_WORD = "</w>"
SPLIT = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
"""What CLIP takes for a word: English endings, letters, single digits, runs of everything else but spaces."""
LONGEST_WORD = 100  # words of more characters become [UNK], as in BERT


def build_tokenizer(settings: TokenizerSettings, captions: Iterable[str] | None = None) -> Tokenizer:
    """The tokenizer that `settings` describe; kind `trained` is learnt from `captions`, the training split's.
    `RecipeError`: the kind needs a file or captions that were not given; `DataMissing`: the vocabulary's file is not
    there; `DataError`: the vocabulary's file is damaged."""
    if settings.kind == "clip" and settings.cleaning != "none":
        raise RecipeError(f"tokenizer.cleaning = '{settings.cleaning}': CLIP's tokenizer takes captions as they are")
    form: dict[str, Any] = settings.model_dump(include={"context", "closing", "cleaning", "words"})
    if settings.kind == "trained":
        if captions is None:
            raise RecipeError("tokenizer.kind = 'trained': the vocabulary is learnt from training captions; none given")
        return train_tokenizer(captions, settings.vocabulary_size, **form)
    if settings.file is None:
        name = "bpe_simple_vocab_16e6.txt.gz" if settings.kind == "clip" else "vocab.txt"
        raise RecipeError(f"tokenizer.kind = '{settings.kind}': set tokenizer.file to the path of {name}")
    if settings.kind == "clip":
        return clip_tokenizer(settings.file, settings.context)
    return wordpiece_tokenizer(settings.file, **form)


def clip_tokenizer(file: Path, context: int = 77) -> Tokenizer:
    """CLIP's tokenizer, with a mask token as IRRA, RDE and ITSELF add it. The last entry of CLIP's vocabulary gives its
    place to the mask, so with CLIP's file the ids are: padding 0, mask 49405, start 49406, end 49407. Text is
    lower-cased, HTML entities are resolved and white space is one space. `file` is `bpe_simple_vocab_16e6.txt.gz` of
    the CLIP release, or the `merges.txt` or `tokenizer.json` of a Hugging Face copy; a DataMissing where it is not
    there, a DataError where it holds no merges. `context` is a row's length."""
    merges = _read_merges(file)[:-1]
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    entries = [*letters, *(letter + END_OF_WORD for letter in letters), *("".join(pair) for pair in merges)]
    mask = len(entries)
    vocabulary = _numbered(file, [*entries, "<|mask|>", "<|startoftext|>", "<|endoftext|>"])
    steps = [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    backend = _byte_pairs(models.BPE(vocabulary, merges, end_of_word_suffix=END_OF_WORD), steps, blank=False)
    backend.decoder = decoders.Sequence([decoders.ByteLevel(), decoders.Replace(END_OF_WORD, " ")])
    special = SpecialTokens(0, start=mask + 1, end=mask + 2, mask=mask)
    return Tokenizer(TokenizerSettings(context=context), backend, special)


def wordpiece_tokenizer(file: Path, context: int = 64, **options: Any) -> Tokenizer:
    """BERT's tokenizer: lower-cased, accents stripped, words cut greedily from the left; `TokenizerSettings`' options.
    `file` is a `vocab.txt` with one entry a line (bert-base-uncased: 30522); a DataMissing where it is not there, a
    DataError where it is no text or lacks one of [PAD], [UNK], [CLS], [SEP], [MASK]."""
    try:
        lines = read_text(file).removesuffix("\n").split("\n")
    except (FileNotFoundError, IsADirectoryError):
        raise DataMissing(f"{file}: no such file; it is vocab.txt of bert-base-uncased") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: cannot be read as a word-piece vocabulary ({error})") from None
    vocabulary = _numbered(file, [line.rstrip("\r") for line in lines])
    absent = [entry for entry in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]") if entry not in vocabulary]
    if absent:
        raise DataError(f"{file}: no word-piece vocabulary: lacks {', '.join(absent)}")
    backend = Backend(models.WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=LONGEST_WORD))
    backend.normalizer = normalizers.BertNormalizer(lowercase=True, strip_accents=True)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece(prefix="##", cleanup=False)
    settings = TokenizerSettings(kind="wordpiece", context=context, **options)
    end = vocabulary["[SEP]"] if settings.closing else None
    special = SpecialTokens(vocabulary["[PAD]"], vocabulary["[CLS]"], end, vocabulary["[MASK]"])
    return Tokenizer(settings, backend, special)


def train_tokenizer(
    captions: Iterable[str], vocabulary_size: int = 2000, context: int = 77, **options: Any
) -> Tokenizer:
    """Learn byte pairs from captions. Equal captions give an equal tokenizer. Words are cut as CLIP cuts them and
    lower-cased. Ids: padding 0, then bytes and merges, then mask, start and end, so that the end is the largest id, as
    in CLIP. Few captions may give fewer entries than `vocabulary_size`, special ones included; a DataError where that
    is below `SMALLEST`. Options are those of `TokenizerSettings`."""
    if vocabulary_size < SMALLEST:
        raise DataError(f"vocabulary_size = {vocabulary_size}: at least {SMALLEST} entries are needed")
    settings = TokenizerSettings(kind="trained", context=context, **options)
    albef = settings.cleaning == "albef"
    texts = [(clean_as_albef(each, settings.words) if albef else clean(each, entities=True)).text for each in captions]
    letters = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=vocabulary_size - 4, initial_alphabet=letters, show_progress=False)
    # The blank before every word and mark makes "blue" in "grey-blue" the same piece as "blue" alone.
    steps = [normalizers.NFC(), normalizers.Lowercase()]
    learner = _byte_pairs(models.BPE(), steps, blank=True)
    learner.train_from_iterator(texts, trainer)
    learnt = json.loads(learner.to_str())["model"]
    ordered = sorted(learnt["vocab"], key=learnt["vocab"].__getitem__)
    mask = 1 + len(ordered)
    entries = ["<|padding|>", *ordered, "<|mask|>", "<|startoftext|>", "<|endoftext|>"]
    vocabulary = {entry: number for number, entry in enumerate(entries)}
    backend = _byte_pairs(models.BPE(vocabulary, [tuple(pair) for pair in learnt["merges"]]), steps, blank=True)
    backend.decoder = decoders.ByteLevel()
    # Ids that were a whole word of a caption: every word and mark begins with a blank, pieces that go on do not.
    whole: set[int] = set()
    for encoding in backend.encode_batch_fast(texts, add_special_tokens=False):
        begins = [entries[number].startswith(BLANK) for number in encoding.ids]
        alone = zip(encoding.ids, begins, [*begins, True][1:], strict=True)
        whole.update(number for number, begun, ended in alone if begun and ended)
    special = SpecialTokens(0, start=mask + 1, end=mask + 2 if settings.closing else None, mask=mask)
    return Tokenizer(settings, backend, special, frozenset(whole))


def _byte_pairs(model: models.BPE, steps: Sequence[normalizers.Normalizer], *, blank: bool) -> Backend:
    backend = Backend(model)
    backend.normalizer = normalizers.Sequence(list(steps))
    words = pre_tokenizers.Split(Regex(SPLIT), behavior="removed", invert=True)
    letters = pre_tokenizers.ByteLevel(add_prefix_space=blank, use_regex=False)
    backend.pre_tokenizer = pre_tokenizers.Sequence([words, letters])
    return backend


def _read_merges(file: Path) -> list[tuple[str, str]]:
    try:
        data = read_bytes(file)
        text = (gunzip(data) if data[:2] == b"\x1f\x8b" else data).decode("utf-8")
        if file.suffix == ".json":
            lines = [pair if isinstance(pair, str) else " ".join(pair) for pair in json.loads(text)["model"]["merges"]]
        else:
            lines = text.split("\n")[1:]  # the first line is a version
    except (FileNotFoundError, IsADirectoryError):
        of = "bpe_simple_vocab_16e6.txt.gz of github.com/openai/CLIP (folder clip) or merges.txt of a Hugging Face copy"
        raise DataMissing(f"{file}: no such file; it is {of}") from None
    except (OSError, EOFError, zlib.error, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"{file}: cannot be read as CLIP's merges ({error}); fetch it again") from None
    # A pair is two entries with a space between; the rest of the file is not used.
    pairs = [tuple(line.split(" ")) for line in lines[:MERGES] if line]
    if not pairs or any(len(pair) != 2 or not all(pair) for pair in pairs):
        raise DataError(f"{file}: not a list of byte-pair merges (two entries a line); fetch it again")
    return [(pair[0], pair[1]) for pair in pairs]


def _numbered(file: Path, entries: Sequence[str]) -> dict[str, int]:
    vocabulary = {entry: number for number, entry in enumerate(entries)}
    if len(vocabulary) < len(entries):
        twice = next(entry for number, entry in enumerate(entries) if vocabulary[entry] != number)
        raise DataError(f"{file}: the entry '{twice}' comes twice; fetch it again")
    return vocabulary

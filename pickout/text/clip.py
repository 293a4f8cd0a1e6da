"""CLIP's byte-pair tokenizer."""

import json
import zlib
from pathlib import Path

from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers
from tokenizers import Tokenizer as Backend

from pickout.errors import DataError, DataMissing
from pickout.files import gunzip, read_bytes
from pickout.text.tokenizer import Tokenizer
from pickout.text.vocabulary import SpecialTokens, numbered

MERGES = 48894
"""How many merges of the file CLIP uses: 49152 - 256 - 2."""

END_OF_WORD = "</w>"
SPLIT = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
"""What CLIP takes for a word: English endings, letters, single digits, runs of everything else but spaces."""


def clip_tokenizer(file: Path, context: int = 77) -> Tokenizer:
    """CLIP's tokenizer, with a mask token as IRRA, RDE and ITSELF add it."""
    merges = _read_merges(file)[:MERGES]
    alphabet = byte_characters()
    entries = [
        *alphabet,
        *(character + END_OF_WORD for character in alphabet),
        *("".join(pair) for pair in merges[:-1]),
    ]
    mask = len(entries)
    entries += ["<|mask|>", "<|startoftext|>", "<|endoftext|>"]
    vocabulary = numbered(file, entries)
    backend = Backend(models.BPE(vocabulary, merges[:-1], end_of_word_suffix=END_OF_WORD))
    backend.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    backend.decoder = decoders.Sequence([decoders.ByteLevel(), decoders.Replace(END_OF_WORD, " ")])
    return Tokenizer("clip", backend, SpecialTokens(0, start=mask + 1, end=mask + 2, mask=mask), context)


def byte_characters() -> list[str]:
    """A visible character for each byte, in the order of CLIP's first 256 vocabulary entries."""
    visible = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    return [chr(byte) for byte in visible] + [chr(256 + number) for number in range(256 - len(visible))]


def _read_merges(file: Path) -> list[tuple[str, str]]:
    try:
        data = read_bytes(file)
        text = (gunzip(data) if data[:2] == b"\x1f\x8b" else data).decode("utf-8")
        if file.suffix == ".json":
            lines = [pair if isinstance(pair, str) else " ".join(pair) for pair in json.loads(text)["model"]["merges"]]
        else:
            # The first line is a version.
            lines = text.split("\n")[1:]
    except (FileNotFoundError, IsADirectoryError):
        raise DataMissing(
            f"{file}: no such file; it is bpe_simple_vocab_16e6.txt.gz of github.com/openai/CLIP (folder clip), "
            "or merges.txt of a Hugging Face copy"
        ) from None
    except (OSError, EOFError, zlib.error, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"{file}: cannot be read as CLIP's merges ({error}); fetch it again") from None
    # A pair is two entries with a space between; the rest of the file is not used.
    pairs = [tuple(line.split(" ")) for line in lines[:MERGES] if line]
    if not pairs or any(len(pair) != 2 or not all(pair) for pair in pairs):
        raise DataError(
            f"{file}: not a list of byte-pair merges (two entries a line after a first line); fetch it again"
        )
    return [(pair[0], pair[1]) for pair in pairs]

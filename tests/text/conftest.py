"""Small vocabularies written by the tests, so that they run without any downloaded file."""

import gzip
from pathlib import Path

import pytest

from pickout.text.build import clip_tokenizer, train_tokenizer, wordpiece_tokenizer
from pickout.text.tokenizer import Tokenizer

MERGES = ["r e", "re d</w>", "b l", "bl u", "blu e</w>", "h a", "ha t</w>", "' s</w>", "j e"]
WORDPIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "red", "leg", "##ging", "##s", "hat", ".", "'", "s"]
CAPTIONS = [
    "A man wears a red shirt, blue trousers and white shoes.",
    "The woman carries a red handbag over a grey-blue jacket.",
    "A man with a red hat and blue jeans.",
]


@pytest.fixture
def merges(tmp_path: Path) -> Path:
    """A file in the form of `bpe_simple_vocab_16e6.txt.gz`."""
    file = tmp_path / "merges.txt.gz"
    file.write_bytes(gzip.compress(("#version: test\n" + "\n".join(MERGES) + "\n").encode()))
    return file


@pytest.fixture
def wordpieces(tmp_path: Path) -> Path:
    """A file in the form of BERT's `vocab.txt`."""
    file = tmp_path / "vocab.txt"
    file.write_text("\n".join(WORDPIECES) + "\n")
    return file


@pytest.fixture(params=["clip", "wordpiece", "trained"])
def tokenizer(request: pytest.FixtureRequest, merges: Path, wordpieces: Path) -> Tokenizer:
    """One tokenizer of each kind, with a context of twelve."""
    if request.param == "clip":
        return clip_tokenizer(merges, context=12)
    if request.param == "wordpiece":
        return wordpiece_tokenizer(wordpieces, context=12)
    return train_tokenizer(CAPTIONS, vocabulary_size=320, context=12)

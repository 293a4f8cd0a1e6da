"""CLIP's tokenizer: golden ids, and a slow twin that follows the published rules by loops."""

import gzip
import html
import itertools
import unicodedata
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pickout.errors import DataError, DataMissing
from pickout.text.build import clip_tokenizer
from pickout.text.tokenizer import Tokenizer

GOLDEN = {
    "a photo of a cat": [320, 1125, 539, 320, 2368],
    "A woman with a teal jacket, black leggings and sneakers.": [
        *[320, 2308, 593, 320, 22821, 6164, 267, 1449, 22895, 537, 17397, 269]
    ],
    "He's wearing grey-blue jeans & flip-flops.": [
        *[797, 568, 3309, 5046, 268, 1746, 10157, 261, 11035, 268, 29146, 269]
    ],
    "Café T-SHIRT 100%": [15304, 339, 268, 2523, 272, 271, 271, 260],
}


@pytest.fixture(scope="session")
def published(shared: Path) -> Tokenizer:
    return clip_tokenizer(shared / "vocab" / "bpe_simple_vocab_16e6.txt.gz")


def read_pairs(file: Path) -> list[tuple[str, ...]]:
    return [tuple(line.split(" ")) for line in gzip.decompress(file.read_bytes()).decode().split("\n")[1:48895] if line]


def split_by_loops(text: str) -> list[str]:
    """English endings, letters, single digits, runs of everything else but spaces."""

    def kind(character: str) -> str:
        if character.isspace():
            return "space"
        return {"L": "letter", "N": "digit"}.get(unicodedata.category(character)[0], "other")

    words, position = [], 0
    while position < len(text):
        ending = next((e for e in ("'s", "'t", "'re", "'ve", "'m", "'ll", "'d") if text.startswith(e, position)), None)
        stop = position + 1
        if ending:
            stop = position + len(ending)
        elif kind(text[position]) in ("letter", "other"):
            while stop < len(text) and kind(text[stop]) == kind(text[position]):
                stop += 1
        if kind(text[position]) != "space":
            words.append(text[position:stop])
        position = stop
    return words


def unquoted_by_loops(text: str) -> str:
    """Ours alone: a quote before a word that begins like an ending is a blank."""
    letters = list(text)
    for place, letter in enumerate(text):
        before, behind = text[place - 1 : place] if place else "", text[place + 1 :].lower()
        for ending in ("s", "t", "re", "ve", "m", "ll", "d"):
            rest = behind[len(ending) :]
            goes_on = rest[:1].isalnum() or (ending == "t" and rest[:1] != "_")
            if letter == "'" and not before.isalnum() and behind.startswith(ending) and goes_on:
                letters[place] = " "
    return "".join(letters)


def ids_by_loops(caption: str, pairs: list[tuple[str, ...]]) -> list[int]:
    """Join the earliest learnt pair of each word until none is left."""
    alphabet = [chr(code) for code in [*range(33, 127), *range(161, 173), *range(174, 256), *range(256, 256 + 68)]]
    entries = [*alphabet, *(character + "</w>" for character in alphabet), *("".join(pair) for pair in pairs[:-1])]
    of_byte = dict(zip(sorted(range(256), key=lambda b: (alphabet_rank(b), b)), alphabet, strict=True))
    ranks = {pair: rank for rank, pair in enumerate(pairs[:-1])}
    ids = []
    text = unicodedata.normalize("NFC", unquoted_by_loops(html.unescape(html.unescape(caption)))).lower()
    for word in split_by_loops(text):
        parts = [of_byte[byte] for byte in word.encode()]
        parts[-1] += "</w>"
        while len(parts) > 1:
            best = min(itertools.pairwise(parts), key=lambda pair: ranks.get(pair, 10**9))
            if best not in ranks:
                break
            joined, position = [], 0
            while position < len(parts):
                here = tuple(parts[position : position + 2]) == best
                joined.append("".join(best) if here else parts[position])
                position += 2 if here else 1
            parts = joined
        ids += [entries.index(part) for part in parts]
    return ids


def alphabet_rank(byte: int) -> int:
    """Visible bytes come first in CLIP's vocabulary."""
    return 0 if 33 <= byte <= 126 or 161 <= byte <= 172 or 174 <= byte <= 255 else 1


@pytest.mark.parametrize("caption", GOLDEN)
def test_golden_ids(published: Tokenizer, caption: str) -> None:
    row = published.encode([caption])[0].tolist()
    wanted = [49406, *GOLDEN[caption], 49407]
    assert row == wanted + [0] * (77 - len(wanted))


def test_the_mask_stands_in_place_of_the_last_entry(published: Tokenizer) -> None:
    special = published.special
    assert (special.padding, special.mask, special.start, special.end) == (0, 49405, 49406, 49407)
    assert published.vocabulary_size == 49408
    assert "jekyll</w>" not in published.pieces("jekyll")
    assert 49405 not in published.encode(["jekyll <|mask|> <|endoftext|>"])[0, 1:-1]


def test_words_gather_their_pieces(published: Tokenizer) -> None:
    words = {word.text: word.positions for word in published.words("He's in grey-blue &amp; teal leggings")}
    assert words["He's"] == (1, 2)
    assert words["grey"] == (4,) and words["-"] == (5,) and words["blue"] == (6,)
    assert words["&"] == (7,)
    assert words["teal"] == (8,) and words["leggings"] == (9,)


@pytest.mark.parametrize("text", ["'red'", "a 'Small' hat", "'t-shirt'", "the man 's coat", "I 'm", "he's", "'90s"])
def test_quotes_before_the_letters_of_an_ending_are_blanks(published: Tokenizer, shared: Path, text: str) -> None:
    pairs = _cached_pairs(shared / "vocab" / "bpe_simple_vocab_16e6.txt.gz")
    wanted = ids_by_loops(text, pairs)
    assert published.encode([text])[0].tolist()[1 : len(wanted) + 2] == [*wanted, 49407]


@settings(max_examples=80)
@given(caption=st.text("ared blueht's-é😀1.&;amp漢", max_size=30))
def test_equals_the_slow_twin_on_published_merges(published: Tokenizer, shared: Path, caption: str) -> None:
    pairs = _cached_pairs(shared / "vocab" / "bpe_simple_vocab_16e6.txt.gz")
    row = published.encode([caption])[0].tolist()
    wanted = ids_by_loops(caption, pairs)[:75]
    assert row[1 : 1 + len(wanted)] == wanted and row[1 + len(wanted)] == 49407


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=80)
@given(caption=st.text("ared blueht's-é😀1.&;ampŠñ", max_size=10))
def test_equals_the_slow_twin_on_small_merges(merges: Path, caption: str) -> None:
    tokenizer = clip_tokenizer(merges, context=200)
    row = tokenizer.encode([caption])[0].tolist()
    wanted = ids_by_loops(caption, read_pairs(merges))
    assert row[: len(wanted) + 2] == [tokenizer.special.start, *wanted, tokenizer.special.end]


def test_small_merges_keep_the_order_of_special_ids(merges: Path) -> None:
    tokenizer = clip_tokenizer(merges, context=9)
    assert tokenizer.vocabulary_size == 512 + 8 + 3
    assert tokenizer.special.ids() == (0, 520, 521, 522)
    assert tokenizer.pieces("Red's blue hat") == ["red</w>", "'s</w>", "blue</w>", "hat</w>"]


def test_merges_may_be_plain_text(tmp_path: Path, merges: Path) -> None:
    plain = tmp_path / "merges.txt"
    plain.write_bytes(gzip.decompress(merges.read_bytes()))
    assert clip_tokenizer(plain).to_json() == clip_tokenizer(merges).to_json()


def test_a_missing_file_says_where_it_comes_from(tmp_path: Path) -> None:
    with pytest.raises(DataMissing, match="openai/CLIP"):
        clip_tokenizer(tmp_path / "absent.txt.gz")


@pytest.mark.parametrize("content", [b"", b"\x1f\x8b broken", b"#version\nonlyone\n", b"\xff\xfe\x00", b"#v\na  b\n"])
def test_a_damaged_file_is_an_error_that_names_it(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "merges.txt.gz"
    file.write_bytes(content)
    with pytest.raises(DataError, match=r"merges\.txt\.gz"):
        clip_tokenizer(file)


def test_a_truncated_archive_is_an_error(tmp_path: Path, merges: Path) -> None:
    file = tmp_path / "short.gz"
    file.write_bytes(merges.read_bytes()[:-12])
    with pytest.raises(DataError, match=r"short\.gz"):
        clip_tokenizer(file)


_PAIRS: dict[Path, list[tuple[str, ...]]] = {}


def _cached_pairs(file: Path) -> list[tuple[str, ...]]:
    if file not in _PAIRS:
        _PAIRS[file] = read_pairs(file)
    return _PAIRS[file]

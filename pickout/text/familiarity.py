"""Which words of a sentence a model can know: what it cannot read, or was never taught, it cannot search for."""

import re
from collections import Counter
from collections.abc import Container, Iterable
from dataclasses import dataclass
from difflib import get_close_matches

from pickout.files import packaged_text
from pickout.text.tokenizer import WORD, Tokenizer

LEARNT = "words.txt"  # the file in a run, or the end of a file's name beside weights, that lists the learnt words

UNKNOWN = "[UNK]"  # the piece that stands for anything in a wordpiece vocabulary
_LETTERS = 2.0  # letters a piece on average below which a word of several pieces counts as unknown
_BYTES = 1.5
"""Pieces a letter from which a word counts as foreign; other scripts have two bytes or more for each letter."""
_LEAST = 2  # captions that a word stands in before it counts as learnt: once is no lesson, and often a misspelling
_ALIKE = 0.85  # `difflib`'s ratio from which a word is taken for another one misspelt
_SHORT = 5  # shorter words are one letter from too many others
_ENDINGS = tuple(map(re.compile, (r"['’]\w+$", r"n['’]t$", r"es$", r"s$")))
_FILLERS = frozenset(packaged_text("pickout.text", "fillers.txt").split())
"""What witnesses say that tells nothing of a person, or turns the sentence round, and plurals without an s."""


@dataclass(frozen=True, slots=True)
class Familiarity:
    """How much of a sentence is known. Where the learnt words are told, a word is unknown when it is none of them, in
    singular or plural. Else it is when it has a piece that stands for anything, or falls apart into two or more pieces
    of at most two letters on average. It is foreign when its pieces outnumber its letters, as bytes do in a script that
    the vocabulary was not made for."""

    words: int  # how many words the sentence has, punctuation not counted
    unknown: tuple[str, ...]  # the unknown words, foreign ones included, in order, each once
    foreign: float  # share of the words' letters that stand in foreign words
    strange: float  # share of the words that are unknown
    cut: int  # words behind the end of the context, which the model does not see
    meant: tuple[str, ...] = ()  # for each unknown word the learnt one that it is a misspelling of; "": none


def learnt_words(captions: Iterable[str]) -> list[str]:
    """The words that stand in two captions or more, in small letters, in order."""
    found = Counter(word for caption in captions for word in {each.lower() for each in WORD.findall(caption)})
    return sorted(word for word, number in found.items() if number >= _LEAST and word[0].isalnum())


def familiarity(tokenizer: Tokenizer, sentence: str, learnt: frozenset[str] | None = None) -> Familiarity:
    """How much of `sentence` the tokenizer knows; with `learnt`, how much of it a model was taught."""
    words = [word for word in tokenizer.words(sentence) if word.spoken]
    seen = [word for word in words if word.positions]
    pieces = tokenizer.pieces(sentence)
    letters, foreign, unknown = 0, 0, []
    for word in seen:
        own, length = [pieces[position - 1] for position in word.positions], len(word.text)
        # A piece that stands for anything costs as much as foreign letters.
        cost = 2 * length if UNKNOWN in own else len(own)
        letters += length
        foreign += length if cost >= _BYTES * length else 0
        if (cost > 1 and length / cost < _LETTERS) if learnt is None else not _is_learnt(word.text.lower(), learnt):
            unknown.append(word.text)
    named = tuple(dict.fromkeys(unknown))
    return Familiarity(
        words=len(words),
        unknown=named,
        foreign=foreign / letters if letters else 0.0,
        strange=len(unknown) / len(seen) if seen else 0.0,
        cut=len(words) - len(seen),
        meant=tuple(_meant(word.lower(), learnt or ()) for word in named),
    )


def _is_learnt(word: str, learnt: Container[str]) -> bool:
    forms = (word, f"{word}s", *(ending.sub("", word) for ending in _ENDINGS))
    return any(form in learnt or form in _FILLERS for form in forms)


def _meant(word: str, learnt: Iterable[str]) -> str:
    alike = [each for each in learnt if each[0] == word[0]] if len(word) >= _SHORT else ()
    return next(iter(get_close_matches(word, alike, 1, _ALIKE)), "")

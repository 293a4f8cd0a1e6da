"""Whether a tokenizer knows the words of a sentence: what a model cannot read, it cannot search for."""

from dataclasses import dataclass

from pickout.text.tokenizer import Tokenizer

UNKNOWN = "[UNK]"  # the piece that stands for anything in a wordpiece vocabulary
_LETTERS = 2.0  # letters a piece on average below which a word of several pieces counts as unknown
_BYTES = 1.5
"""Pieces a letter from which a word counts as foreign; other scripts have two bytes or more for each letter."""


@dataclass(frozen=True, slots=True)
class Familiarity:
    """How much of a sentence a tokenizer knows. A word is unknown when it has a piece that stands for anything, or when
    it falls apart into two or more pieces of at most two letters on average. It is foreign when its pieces outnumber
    its letters, as bytes do in a script that the vocabulary was not made for."""

    words: int  # how many words the sentence has, punctuation not counted
    unknown: tuple[str, ...]  # the unknown words, foreign ones included, in order, each once
    foreign: float  # share of the words' letters that stand in foreign words
    strange: float  # share of the words that are unknown
    cut: int  # words behind the end of the context, which the model does not see


def familiarity(tokenizer: Tokenizer, sentence: str) -> Familiarity:
    """How much of `sentence` the tokenizer knows."""
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
        if cost > 1 and length / cost < _LETTERS:
            unknown.append(word.text)
    return Familiarity(
        words=len(words),
        unknown=tuple(dict.fromkeys(unknown)),
        foreign=foreign / letters if letters else 0.0,
        strange=len(unknown) / len(seen) if seen else 0.0,
        cut=len(words) - len(seen),
    )

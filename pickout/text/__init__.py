"""Captions to tokens: CLIP's byte pairs, BERT's word pieces, small vocabularies learnt from captions. No torch."""

from pickout.text.build import build_tokenizer
from pickout.text.clip import clip_tokenizer
from pickout.text.tokenizer import Tokenizer, TokenizerSettings, Word
from pickout.text.train import train_tokenizer
from pickout.text.vocabulary import SpecialTokens
from pickout.text.wordpiece import wordpiece_tokenizer

__all__ = [
    "SpecialTokens",
    "Tokenizer",
    "TokenizerSettings",
    "Word",
    "build_tokenizer",
    "clip_tokenizer",
    "train_tokenizer",
    "wordpiece_tokenizer",
]

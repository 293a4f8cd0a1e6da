"""A small vocabulary learnt from captions, so that a model can be trained with nothing downloaded."""

import json
from collections.abc import Iterable

from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers, trainers
from tokenizers import Tokenizer as Backend

from pickout.errors import DataError
from pickout.text.cleaning import Cleaning, clean, clean_as_albef
from pickout.text.clip import SPLIT
from pickout.text.tokenizer import SMALLEST, Tokenizer
from pickout.text.vocabulary import BLANK, SpecialTokens


def train_tokenizer(
    captions: Iterable[str],
    vocabulary_size: int = 2000,
    context: int = 77,
    *,
    closing: bool = True,
    cleaning: Cleaning = "none",
    words: int | None = None,
) -> Tokenizer:
    """Learn byte pairs from captions. Equal captions give an equal tokenizer.

    Words are cut as CLIP cuts them and lower-cased. Ids: padding 0, then bytes and merges, then mask, start and end,
    so that the end is the largest id, as in CLIP. Few captions may give fewer entries than asked for.

    Args:
        captions: the captions of the training split.
        vocabulary_size: the most entries, special ones included.
        context: length of a row.
        closing: whether an end token closes a row.
        cleaning: what happens to a caption first.
        words: words kept by `albef` cleaning; None for all.

    Raises:
        DataError: `vocabulary_size` is below `SMALLEST`.
    """
    if vocabulary_size < SMALLEST:
        raise DataError(f"vocabulary_size = {vocabulary_size}: at least {SMALLEST} entries are needed")
    texts = [
        clean_as_albef(caption, words).text if cleaning == "albef" else clean(caption, entities=True).text
        for caption in captions
    ]
    learner = _backend(models.BPE())
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_size - 4,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=[],
        show_progress=False,
    )
    learner.train_from_iterator(texts, trainer)
    learnt = json.loads(learner.to_str())["model"]
    ordered = sorted(learnt["vocab"], key=learnt["vocab"].__getitem__)
    mask = 1 + len(ordered)
    entries = ["<|padding|>", *ordered, "<|mask|>", "<|startoftext|>", "<|endoftext|>"]
    model = models.BPE(
        {entry: number for number, entry in enumerate(entries)}, [(left, right) for left, right in learnt["merges"]]
    )
    special = SpecialTokens(0, start=mask + 1, end=mask + 2 if closing else None, mask=mask)
    backend = _backend(model)
    whole = _whole_words(backend, texts, entries)
    return Tokenizer("trained", backend, special, context, cleaning=cleaning, words=words, seen_whole=whole)


def _whole_words(backend: Backend, texts: list[str], entries: list[str]) -> frozenset[int]:
    """Ids that were a whole word of a caption: every word and mark begins with a blank, pieces that go on do not."""
    whole: set[int] = set()
    for encoding in backend.encode_batch_fast(texts, add_special_tokens=False):
        begins = [entries[number].startswith(BLANK) for number in encoding.ids]
        alone = zip(encoding.ids, begins, [*begins[1:], True], strict=True)
        whole.update(number for number, begun, ended in alone if begun and ended)
    return frozenset(whole)


def _backend(model: models.BPE) -> Backend:
    # The space before every word and mark makes "blue" in "grey-blue" the same piece as "blue" alone.
    backend = Backend(model)
    backend.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=True, use_regex=False),
        ]
    )
    backend.decoder = decoders.ByteLevel()
    return backend

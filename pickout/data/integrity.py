"""What is missing or odd in a data set, before anybody trains on it."""

import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pickout.data import data_set
from pickout.data.images import faults
from pickout.data.registry import reader_of
from pickout.errors import AnnotationError, DataMissing

EXAMPLES = 5  # the most examples that a finding gives

# Letters and signs that a caption in a European language may hold; others are junk in the known data sets.
_PLAIN = re.compile(r"[\t\n\r\x20-\x7e\xa0-\u024f\u2010-\u2027\u2030-\u203a\u20ac]*")
_CODE = re.compile(r"[{}<>\\]|https?:|&#?\w+;")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is missing or odd."""

    level: Literal["error", "warning"]  # `error` makes the data set unusable, `warning` does not
    kind: str  # a stable name for programs, for example `missing-images`
    message: str  # one sentence for people
    count: int  # how many records are affected
    examples: tuple[str, ...] = ()  # some of them


@dataclass(frozen=True, slots=True)
class Report:
    """The result of a check."""

    name: str  # the data set's name in the registry
    root: Path  # the folder that was checked
    splits: dict[str, data_set.Counts]  # size of each split; empty when nothing could be read
    findings: tuple[Finding, ...]  # errors first

    @property
    def usable(self) -> bool:
        """Whether no finding is an error."""
        return all(finding.level != "error" for finding in self.findings)


def check(name: str, root: Path, *, decode: bool = False, progress: Callable[[int, int], None] | None = None) -> Report:
    """Look for everything that is missing or odd in a data set, its own folder or its parent. `decode` also opens every
    image; `progress` is then called with images opened and images in all."""
    reader = reader_of(name)
    try:
        reading = reader.read(root)
    except (DataMissing, AnnotationError) as error:
        kind = _annotation_kind(error.field) if isinstance(error, AnnotationError) else "missing-data"
        return Report(name, root, {}, (Finding("error", kind, str(error), 1),))
    counts = {
        split: data_set.Counts(len({e.identity for e in found}), len(found), sum(len(e.captions) for e in found))
        for split in data_set.SPLITS
        if (found := [entry for entry in reading.entries if entry.split == split])
    }
    paths = sorted({entry.path for entry in reading.entries})
    files = {path: data_set.spelt_on_disk(reading.images, path) for path in paths}
    findings = [
        *_records(reading, files),
        *_captions(reading.entries),
        *_published(reader, counts),
        *(Finding("warning", "assumed", note, 1) for note in reading.notes),
        *(_undecodable(files, progress) if decode else ()),
    ]
    findings.sort(key=lambda finding: finding.level != "error")
    return Report(name, reading.file.parent, counts, tuple(findings))


def _finding(level: Literal["error", "warning"], kind: str, message: str, found: Sequence[str]) -> Iterator[Finding]:
    """A finding over `found`, unless there is nothing; its message begins with their number."""
    if found:
        yield Finding(level, kind, f"{len(found)} {message}", len(found), tuple(found[:EXAMPLES]))


def _annotation_kind(field: str | None) -> str:
    return f"annotation-{field}" if field else "annotation"


def _records(reading: data_set.Reading, files: Mapping[str, Path]) -> Iterator[Finding]:
    entries = reading.entries
    if all(entry.split != "train" for entry in entries):
        yield Finding("warning", "no-training", "no training split: the data set serves for evaluation only", 1)
    by_field: dict[str | None, list[AnnotationError]] = defaultdict(list)
    for problem in reading.problems:
        by_field[problem.field].append(problem)
    for field, problems in by_field.items():
        place = f"field '{field}'" if field else "record"
        message = f"{reading.file.name}: {len(problems)} records with a wrong {place}"
        told = [f"record {problem.record}: {problem.problem}" for problem in problems]
        yield Finding("error", _annotation_kind(field), message, len(told), tuple(told[:EXAMPLES]))
    missing = [entry.path for entry in entries if not data_set.is_file(files[entry.path])]
    message = f"of {len(entries)} images are missing below {reading.images}"
    yield from _finding("error", "missing-images", message, missing)
    splits: dict[int, set[str]] = defaultdict(set)
    for entry in entries:
        splits[entry.identity].add(entry.split)
    shared = [f"{who}: {', '.join(sorted(where))}" for who, where in sorted(splits.items()) if len(where) > 1]
    yield from _finding("warning", "shared-identities", "identities stand in more than one split", shared)
    times = Counter(entry.path for entry in entries)
    repeated = [f"{path}: {number} times" for path, number in times.items() if number > 1]
    yield from _finding("warning", "repeated-images", "images are listed more than once", repeated)


def _undecodable(files: Mapping[str, Path], progress: Callable[[int, int], None] | None) -> Iterator[Finding]:
    found: list[str] = []
    for done, (path, fault) in enumerate(zip(files, faults(files.values(), os.cpu_count()), strict=True), start=1):
        if fault is not None and fault.reason != "no such file":
            found.append(f"{path}: {fault.reason}")
        if progress is not None:
            progress(done, len(files))
    yield from _finding("error", "unreadable-images", "images cannot be decoded", found)


def _captions(entries: Sequence[data_set.Entry]) -> Iterator[Finding]:
    without = [entry.path for entry in entries if not entry.captions]
    yield from _finding("warning", "no-captions", "images have no caption", without)
    named = [(entry, caption) for entry in entries for caption in entry.captions]
    empty = [f"record {entry.record}" for entry, caption in named if not caption.strip()]
    yield from _finding("warning", "empty-captions", "captions are empty", empty)
    junk = [f"record {entry.record}: {caption!a}" for entry, caption in named if is_junk(caption)]
    yield from _finding("warning", "junk-captions", "captions hold foreign characters or pieces of code", junk)
    people: dict[str, set[int]] = defaultdict(set)
    for entry, caption in named:
        people[" ".join(caption.split()).casefold()].add(entry.identity)
    shared = sorted(((len(who), text) for text, who in people.items() if text and len(who) > 1), key=lambda x: -x[0])
    examples = [f"{number} identities: {text}" for number, text in shared]
    message = "captions stand, word for word, at more than one identity"
    yield from _finding("warning", "repeated-captions", message, examples)


def is_junk(caption: str) -> bool:
    """Whether a caption holds characters of no European language, control characters or pieces of code."""
    return _PLAIN.fullmatch(caption) is None or _CODE.search(caption) is not None


def _published(reader: data_set.Reader, found: dict[str, data_set.Counts]) -> Iterator[Finding]:
    for split, published in reader.published.items():
        here = found.get(split, data_set.Counts(0, 0, 0))
        told, expected = (
            f"{each.identities:,} identities, {each.images:,} images, {each.captions:,} captions"
            for each in (here, published)
        )
        if told != expected:
            yield Finding("warning", "counts", f"{split}: {told}; published: {expected}", 1)

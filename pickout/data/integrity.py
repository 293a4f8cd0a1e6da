"""What is missing or odd in a data set."""

import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pickout.data.annotation import SPLITS, Counts, Entry, Reader, Reading, training_identities
from pickout.data.images import open_image
from pickout.data.registry import reader_of
from pickout.errors import AnnotationError, DataError, DataMissing, ImageUnreadable

EXAMPLES = 5
"""The most examples that a finding gives."""

CLOSE = 20
"""So many captions more or less than published are known to happen between copies."""

# Letters and signs that a caption in a European language may hold; others are junk in the known data sets.
_PLAIN = re.compile(r"[\t\n\r\x20-\x7e\xa0-\u024f\u2010-\u2027\u2030-\u203a\u20ac]*")
_CODE = re.compile(r"[{}<>\\]|https?:|&#?\w+;")
_SPACES = re.compile(r"\s+")


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
    splits: dict[str, Counts]  # size of each split; empty when nothing could be read
    findings: tuple[Finding, ...]  # errors first

    @property
    def usable(self) -> bool:
        """Whether no finding is an error."""
        return all(finding.level != "error" for finding in self.findings)


def check(name: str, root: Path, *, decode: bool = False, progress: Callable[[int, int], None] | None = None) -> Report:
    """Look for everything that is missing or odd in a data set.

    Args:
        name: the data set's name in the registry.
        root: its own folder or its parent.
        decode: also open every image, which takes a while.
        progress: called with images opened and images in all.

    Raises:
        UsageError: no data set of that name.
    """
    reader = reader_of(name)
    try:
        reading = reader.read(root)
    except AnnotationError as error:
        return Report(name, root, {}, (Finding("error", _annotation_kind(error), str(error), 1),))
    except DataMissing as error:
        return Report(name, root, {}, (Finding("error", "missing-data", str(error), 1),))
    except DataError as error:
        return Report(name, root, {}, (Finding("error", "unreadable-data", str(error), 1),))
    findings = [*_all_findings(reader, reading), *(_undecodable(reading, progress) if decode else ())]
    findings.sort(key=lambda finding: finding.level != "error")
    return Report(name, reading.root, count(reading.entries), tuple(findings))


def count(entries: Iterable[Entry]) -> dict[str, Counts]:
    """Identities, images and captions of each split that has any."""
    by_split: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        by_split[entry.split].append(entry)
    return {
        split: Counts(len({e.identity for e in found}), len(found), sum(len(e.captions) for e in found))
        for split in SPLITS
        if (found := by_split[split])
    }


def _all_findings(reader: Reader, reading: Reading) -> Iterator[Finding]:
    yield from _problems(reading)
    yield from _missing(reading)
    yield from _numbering(reading.entries)
    yield from _shared_identities(reading.entries)
    yield from _repeated_images(reading.entries)
    yield from _captions(reading.entries)
    yield from _repeated_captions(reading.entries)
    yield from _published(reader, reading)
    for note in reading.notes:
        yield Finding("warning", "assumed", note, 1)


def _finding(level: Literal["error", "warning"], kind: str, message: str, found: Sequence[str]) -> Iterator[Finding]:
    """A finding over `found`, unless there is nothing. `{}` in the message becomes their number."""
    if found:
        yield Finding(level, kind, message.format(len(found)), len(found), tuple(found[:EXAMPLES]))


def _annotation_kind(error: AnnotationError) -> str:
    return f"annotation-{error.field}" if error.field else "annotation"


def _problems(reading: Reading) -> Iterator[Finding]:
    by_field: dict[str, list[AnnotationError]] = defaultdict(list)
    for problem in reading.problems:
        by_field[_annotation_kind(problem)].append(problem)
    for kind, problems in by_field.items():
        place = f"field '{problems[0].field}'" if problems[0].field else "record"
        message = f"{reading.file.name}: {{}} records with a wrong {place}"
        yield from _finding("error", kind, message, [_at(problem) for problem in problems])


def _at(problem: AnnotationError) -> str:
    return f"record {problem.record}: {problem.problem}"


def _missing(reading: Reading) -> Iterator[Finding]:
    # os.path.isfile: a name that the file system refuses is just missing.
    missing = [entry.path for entry in reading.entries if not os.path.isfile(reading.image(entry))]  # noqa: PTH113
    message = f"{{}} of {len(reading.entries)} images are missing below {reading.images}"
    yield from _finding("error", "missing-images", message, missing)


def _undecodable(reading: Reading, progress: Callable[[int, int], None] | None) -> Iterator[Finding]:
    files = {entry.path: reading.image(entry) for entry in reading.entries}
    paths = sorted(files)

    def reason(path: str) -> str | None:
        try:
            open_image(files[path])
        except ImageUnreadable as error:
            return None if error.reason == "no such file" else f"{path}: {error.reason}"
        return None

    found: list[str] = []
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        for done, problem in enumerate(pool.map(reason, paths), start=1):
            found += [problem] if problem else []
            if progress is not None:
                progress(done, len(paths))
    yield from _finding("error", "unreadable-images", "{} images cannot be decoded", found)


def _numbering(entries: Sequence[Entry]) -> Iterator[Finding]:
    known = training_identities(entries)
    if not known:
        yield Finding("warning", "no-training", "no training split: the data set serves for evaluation only", 1)
        return
    gaps = sorted(set(range(known[0], min(known[-1], known[0] + 10 * len(known)))) - set(known))
    if known[-1] - known[0] + 1 > len(known):
        message = f"training identities run from {known[0]} to {known[-1]} with gaps; they are numbered anew from 0"
        absent = known[-1] - known[0] + 1 - len(known)
        yield Finding("warning", "identity-gaps", message, absent, tuple(f"no {gap}" for gap in gaps[:EXAMPLES]))


def _shared_identities(entries: Sequence[Entry]) -> Iterator[Finding]:
    splits: dict[int, set[str]] = defaultdict(set)
    for entry in entries:
        splits[entry.identity].add(entry.split)
    shared = [f"{who}: {', '.join(sorted(where))}" for who, where in sorted(splits.items()) if len(where) > 1]
    yield from _finding("warning", "shared-identities", "{} identities stand in more than one split", shared)


def _repeated_images(entries: Sequence[Entry]) -> Iterator[Finding]:
    times = Counter(entry.path for entry in entries)
    repeated = [f"{path}: {number} times" for path, number in times.items() if number > 1]
    yield from _finding("warning", "repeated-images", "{} images are listed more than once", repeated)


def _captions(entries: Sequence[Entry]) -> Iterator[Finding]:
    without = [entry.path for entry in entries if not entry.captions]
    yield from _finding("warning", "no-captions", "{} images have no caption", without)
    named = [(entry.record, caption) for entry in entries for caption in entry.captions]
    empty = [f"record {record}" for record, caption in named if not caption.strip()]
    yield from _finding("warning", "empty-captions", "{} captions are empty", empty)
    junk = [f"record {record}: {caption!a}" for record, caption in named if is_junk(caption)]
    yield from _finding("warning", "junk-captions", "{} captions hold foreign characters or pieces of code", junk)


def is_junk(caption: str) -> bool:
    """Whether a caption holds characters of no European language, control characters or pieces of code."""
    return _PLAIN.fullmatch(caption) is None or _CODE.search(caption) is not None


def _repeated_captions(entries: Sequence[Entry]) -> Iterator[Finding]:
    people: dict[str, set[int]] = defaultdict(set)
    for entry in entries:
        for caption in entry.captions:
            people[_SPACES.sub(" ", caption).strip().casefold()].add(entry.identity)
    shared = [(text, who) for text, who in people.items() if text and len(who) > 1]
    shared.sort(key=lambda pair: -len(pair[1]))
    examples = [f"{len(who)} identities: {text}" for text, who in shared]
    message = "{} captions stand, word for word, at more than one identity"
    yield from _finding("warning", "repeated-captions", message, examples)


def _published(reader: Reader, reading: Reading) -> Iterator[Finding]:
    found = count(reading.entries)
    for split, published in reader.published.items():
        here = found.get(split, Counts(0, 0, 0))
        if here == published:
            continue
        same_people = (here.identities, here.images) == (published.identities, published.images)
        few = same_people and abs(here.captions - published.captions) <= CLOSE
        message = f"{split}: {_told(here)}; published: {_told(published)}"
        yield Finding("warning", "counts", f"{message} (copies differ so much)" if few else message, 1)


def _told(counts: Counts) -> str:
    return f"{counts.identities:,} identities, {counts.images:,} images, {counts.captions:,} captions"

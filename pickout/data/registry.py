"""Data sets by name, read, or checked for what is missing or odd. A new one in the field's usual form is an entry here
and a test; another form is a reader too."""

import json
import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pickout.config import nearest
from pickout.data import data_set
from pickout.data.images import faults
from pickout.data.own_data import TABLE
from pickout.errors import AnnotationError, DataMissing, UsageError
from pickout.files import packaged_table


@dataclass(frozen=True)
class CaptionFolder(data_set.Reader):
    """A folder with an annotation file and a folder of images."""

    folder: str  # the usual name of the data set's own folder
    # folders where images may lie, looked for in this order; the data set's own folder comes last
    image_folders: tuple[str, ...]
    path_field: str = "file_path"  # the record's field with the image's path
    camera: str = "(?!)"  # finds the camera's name in an image's path, as its first group
    camera_prefix: str = ""  # put before what was found

    def read(self, root: Path) -> data_set.Reading:
        """Read the annotation file: `root`, or in it, or in the data set's own folder there."""
        file = self._find(root.absolute())
        entries: list[data_set.Entry] = []
        problems: list[AnnotationError] = []
        for number, record in enumerate(_json_list(file)):
            try:
                entries.append(self._entry(data_set.RecordCheck(file, number), record))
            except AnnotationError as error:
                problems.append(error)
        return data_set.Reading(file, self._image_folder(file.parent, entries), entries, problems)

    def _find(self, root: Path) -> Path:
        if data_set.is_file(root):
            if root.name in self.files:
                return root
            raise self.missing(root, "is a file of another name")
        for file in (place / name for place in (root, root / self.folder) for name in self.files):
            if data_set.is_file(file):
                return file
        state = "no annotation file here" if os.path.isdir(root) else "no such folder"  # noqa: PTH112
        raise self.missing(root, state)

    def _image_folder(self, root: Path, entries: list[data_set.Entry]) -> Path:
        for name in self.image_folders:
            if (root / name).is_dir():
                return root / name
        if entries and data_set.spelt_on_disk(root, entries[0].path).is_file():
            return root
        names = " or ".join(f"{name}/" for name in self.image_folders)
        raise self.missing(root, f"the image folder {names} is missing")

    def _entry(self, check: data_set.RecordCheck, record: Any) -> data_set.Entry:
        wanted = ("split", "id", "captions", self.path_field)
        if not isinstance(record, dict):
            raise check.wrong(None, f"{data_set.show(record)}; expected an object with {', '.join(wanted)}")
        for name in wanted:
            if name not in record:
                raise check.wrong(name, f"missing{self._other_format(record)}")
        identity = record["id"]
        if isinstance(identity, float) and identity.is_integer():  # as data frames write whole numbers
            identity = int(identity)
        if type(identity) is not int or not 0 <= identity < 2**63:
            raise check.wrong("id", f"{data_set.show(identity)}; expected a whole number from 0")
        captions = record["captions"]
        if not isinstance(captions, list) or not all(isinstance(caption, str) for caption in captions):
            kind = "the string " if isinstance(captions, str) else ""
            raise check.wrong("captions", f"{kind}{data_set.show(captions)}; expected a list of strings")
        split, path = check.split(record["split"]), check.path(self.path_field, record[self.path_field])
        found = re.search(self.camera, path)
        camera = f"{self.camera_prefix}{found[1]}" if found else None
        return data_set.Entry(check.record, split, identity, path, tuple(map(data_set.sound, captions)), camera)

    def _other_format(self, record: dict[str, Any]) -> str:
        """What a record with another format's fields is."""
        if "split" not in record and {"id", "captions", "file_path"} <= record.keys():
            return "; a file without splits is CUHK-PEDES's first release: take reid_raw.json"
        for field, names in (("img_path", "rstpreid"), ("file_path", "cuhk-pedes or icfg-pedes")):
            if field != self.path_field and field in record:
                return f"; a file with {field} is another data set's: use the name {names}"
        return ""


def _json_list(file: Path) -> list[Any]:
    try:
        content = json.loads(data_set.read_text(file), object_pairs_hook=data_set.told_once)
    except json.JSONDecodeError as error:
        end = " (the file's end: it looks truncated)" if error.pos >= len(error.doc.rstrip()) else ""
        problem = f"not valid JSON at line {error.lineno}, column {error.colno}{end}: {error.msg}"
    except (RecursionError, ValueError) as error:
        problem = f"not usable JSON: {error}"
    else:
        if isinstance(content, list) and content:
            return content
        problem = f"holds {data_set.show(content)}; expected a list with a record an image"
    raise AnnotationError(file, None, None, problem)


def _reader(name: str, facts: dict[str, Any]) -> CaptionFolder:
    published = {split: data_set.Counts(*numbers) for split, numbers in facts.pop("published", {}).items()}
    files, folders = tuple(facts.pop("files")), tuple(facts.pop("image_folders", ["imgs"]))
    layout = f"{facts['folder']}/\n  {' or '.join(files)}\n  {folders[0]}/..."
    return CaptionFolder(name, files=files, layout=layout, published=published, image_folders=folders, **facts)


DATASETS: Mapping[str, data_set.Reader] = {
    **{name: _reader(name, facts) for name, facts in packaged_table("pickout.data", "data_sets.toml").items()},
    "table": TABLE,
}
"""Every reader by its data set's name."""


def reader_of(name: str) -> data_set.Reader:
    """The reader of a data set; a UsageError where none has that name."""
    if name not in DATASETS:
        raise UsageError(f"unknown data set '{name}'{nearest(name, DATASETS)}")
    return DATASETS[name]


def open_data(name: str, root: Path) -> data_set.DataSet:
    """Read a data set, in its own folder or the one that holds it under its usual name. No image is opened. Training
    identities become 0, 1, ... in ascending order; others stay as they are.
    `UsageError`: no data set of that name; `DataMissing`: the annotation file or the image folder is not there;
    `AnnotationError`: a record is wrong; the first one in the file is named."""
    reading = reader_of(name).read(root)
    if reading.problems:
        raise reading.problems[0]
    trained = sorted({entry.identity for entry in reading.entries if entry.split == "train"})
    ranks = {raw: rank for rank, raw in enumerate(trained)}
    records: dict[str, list[data_set.ImageRecord]] = {split: [] for split in data_set.SPLITS}
    for entry in reading.entries:
        identity = ranks[entry.identity] if entry.split == "train" else entry.identity
        image = data_set.spelt_on_disk(reading.images, entry.path)
        records[entry.split].append(data_set.ImageRecord(image, identity, entry.captions, entry.camera, entry.time))
    splits = {split: data_set.Split(name, split, tuple(found)) for split, found in records.items() if found}
    return data_set.DataSet(name, reading.file.parent, splits, tuple(reading.notes))


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

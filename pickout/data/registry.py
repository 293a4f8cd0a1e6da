"""Data sets by name. A new one in the field's usual form is an entry here and a test; another form is a reader too."""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pickout.config import nearest
from pickout.data import data_set
from pickout.data.own_data import TABLE
from pickout.errors import AnnotationError, UsageError
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

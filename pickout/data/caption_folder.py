"""The reader of data sets whose annotation is one JSON list with a record an image."""

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pickout.data.annotation import (
    FORMATS,
    Entry,
    Reader,
    Reading,
    RecordCheck,
    is_file,
    read_text,
    show,
    sound,
    spelt_on_disk,
    what_it_is,
)
from pickout.errors import AnnotationError


@dataclass(frozen=True)
class CaptionFolder(Reader):
    """A folder with an annotation file and a folder of images."""

    folder: str  # the usual name of the data set's own folder
    path_field: str = "file_path"  # the record's field with the image's path
    # folders where images may lie, looked for in this order; the data set's own folder comes last
    image_folders: tuple[str, ...] = ("imgs",)
    camera: str = "(?!)"  # finds the camera's name in an image's path, as its first group
    camera_prefix: str = ""  # put before what was found

    @property
    def layout(self) -> str:
        """The expected files, as a drawing for people."""
        return f"{self.folder}/\n  {' or '.join(self.files)}\n  {self.image_folders[0]}/..."

    def read(self, root: Path) -> Reading:
        """Read the annotation file: `root`, or in it, or in the data set's own folder there."""
        file = self._find(root.absolute())
        entries: list[Entry] = []
        problems: list[AnnotationError] = []
        for number, record in enumerate(_json_list(file)):
            try:
                entries.append(self._entry(RecordCheck(file, number), record))
            except AnnotationError as error:
                problems.append(error)
        return Reading(self.name, file, self._image_folder(file.parent, entries), entries, problems)

    def _find(self, root: Path) -> Path:
        if is_file(root):
            if root.name in self.files:
                return root
            raise self.missing(root, f"is a file{what_it_is(root.parent, [root.name])}")
        places = [root, root / self.folder]
        for place in places:
            for name in self.files:
                if is_file(place / name):
                    return place / name
        state = "no annotation file here" if os.path.isdir(root) else "no such folder"  # noqa: PTH112
        raise self.missing(root, state, places)

    def _image_folder(self, root: Path, entries: list[Entry]) -> Path:
        for name in self.image_folders:
            if (root / name).is_dir():
                return root / name
        if entries and spelt_on_disk(root, entries[0].path).is_file():
            return root
        names = " or ".join(f"{name}/" for name in self.image_folders)
        raise self.missing(root, f"the image folder {names} is missing")

    def _entry(self, check: RecordCheck, record: Any) -> Entry:
        if not isinstance(record, dict):
            raise check.wrong(None, f"{show(record)}; expected an object with split, id, captions, {self.path_field}")
        for name in ("split", "id", "captions", self.path_field):
            if name not in record:
                raise check.wrong(name, f"missing{self._other_format(record)}")
        identity = record["id"]
        if isinstance(identity, float) and identity.is_integer():  # as data frames write whole numbers
            identity = int(identity)
        if type(identity) is not int or not 0 <= identity < 2**63:
            raise check.wrong("id", f"{show(identity)}; expected a whole number from 0")
        captions = record["captions"]
        if not isinstance(captions, list) or not all(isinstance(caption, str) for caption in captions):
            kind = "the string " if isinstance(captions, str) else ""
            raise check.wrong("captions", f"{kind}{show(captions)}; expected a list of strings")
        split, path = check.split(record["split"]), check.path(self.path_field, record[self.path_field])
        found = re.search(self.camera, path)
        camera = f"{self.camera_prefix}{found[1]}" if found else None
        return Entry(check.record, split, identity, path, tuple(map(sound, captions)), camera)

    def _other_format(self, record: dict[str, Any]) -> str:
        """What a record with another format's fields is."""
        if "split" not in record and {"id", "captions", "file_path"} <= record.keys():
            return f"; a file without splits {FORMATS['caption_all.json']}"
        if self.path_field != "img_path" and "img_path" in record:
            return f"; a file with img_path {FORMATS['data_captions.json']}"
        if self.path_field != "file_path" and "file_path" in record:
            return "; a file with file_path is CUHK-PEDES's or ICFG-PEDES's: use the name cuhk-pedes or icfg-pedes"
        return ""


def _json_list(file: Path) -> list[Any]:
    try:
        content = json.loads(read_text(file))
    except json.JSONDecodeError as error:
        end = " (the file's end: it looks truncated)" if error.pos >= len(error.doc.rstrip()) else ""
        problem = (
            f"not valid JSON at line {error.lineno}, column {error.colno}, character {error.pos}{end}: {error.msg}"
        )
    except (RecursionError, ValueError) as error:
        problem = f"not usable JSON: {error}"
    else:
        if isinstance(content, list) and content:
            return content
        kind = "no record" if content == [] else "an object" if isinstance(content, dict) else show(content)
        problem = f"holds {kind}; expected a list with a record an image"
    raise AnnotationError(file, None, None, problem)

"""The reader of data sets whose annotation is one JSON list with a record an image."""

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pickout.data.annotation import Entry, Reader, Reading, RecordCheck, read_text, show, sound, spelt_on_disk
from pickout.errors import AnnotationError, DataMissing

FORMATS = {
    "reid_raw.json": "is CUHK-PEDES's (or a drawn street's): use the name cuhk-pedes or street",
    "data_captions.json": "is RSTPReid's: use the name rstpreid",
    "ICFG-PEDES.json": "is ICFG-PEDES's: use the name icfg-pedes",
    "ICFG_PEDES.json": "is ICFG-PEDES's: use the name icfg-pedes",
    "caption_all.json": "is CUHK-PEDES's first release, which has no splits: take reid_raw.json of the same archive",
    **{f"table{ending}": "is a table of own data: use the name table" for ending in (".csv", ".jsonl", ".parquet")},
}
"""What the annotation files of the field are, by their names, and what to do with each."""


@dataclass(frozen=True)
class CaptionFolder(Reader):
    """A folder with an annotation file and a folder of images."""

    folder: str  # the usual name of the data set's own folder
    path_field: str = "file_path"  # the record's field with the image's path
    # folders where images may lie, looked for in this order; the data set's own folder comes last
    image_folders: tuple[str, ...] = ("imgs",)
    camera: Callable[[str], str | None] = lambda _: None  # the camera's name from an image's path

    @property
    def layout(self) -> str:
        """The expected files, as a drawing for people."""
        files = " or ".join(self.files)
        return f"{self.folder}/\n  {files}\n  {self.image_folders[0]}/..."

    def read(self, root: Path) -> Reading:
        """Read the annotation file: `root`, or in it, or in the data set's own folder there; no image is opened."""
        file = self._find(root.absolute())
        entries: list[Entry] = []
        problems: list[AnnotationError] = []
        for number, record in enumerate(read_json_list(file)):
            try:
                entries.append(self._entry(RecordCheck(file, number), record))
            except AnnotationError as error:
                problems.append(error)
        images = self._image_folder(file.parent, entries)
        return Reading(self.name, file.parent, file, images, entries, problems)

    def _find(self, root: Path) -> Path:
        # os.path instead of Path: a name that the system refuses is just missing.
        if os.path.isfile(root):  # noqa: PTH113
            if root.name in self.files:
                return root
            raise self._missing(f"{root}: is a file{what_it_is(root.parent, [root.name])}")
        places = [root, root / self.folder]
        found = [place / name for place in places for name in self.files if os.path.isfile(place / name)]  # noqa: PTH113
        if not found:
            state = "no annotation file here" if os.path.isdir(root) else "no such folder"  # noqa: PTH112
            raise self._missing(f"{root}: {state}{''.join(what_it_is(place, FORMATS) for place in places)}")
        return found[0]

    def _missing(self, state: str) -> DataMissing:
        return DataMissing(f"{state}; {self.name} is expected as\n{self.layout}\n{self.request}")

    def _image_folder(self, root: Path, entries: list[Entry]) -> Path:
        folders = [root / name for name in self.image_folders]
        found = next((folder for folder in folders if os.path.isdir(folder)), None)  # noqa: PTH112
        if found is not None:
            return found
        if entries and spelt_on_disk(root, entries[0].path).is_file():
            return root
        names = " or ".join(f"{name}/" for name in self.image_folders)
        raise self._missing(f"{root}: the image folder {names} is missing")

    def _entry(self, check: RecordCheck, record: Any) -> Entry:
        if not isinstance(record, dict):
            raise check.wrong(None, f"{show(record)}; expected an object with split, id, captions, {self.path_field}")
        for name in ("split", "id", "captions", self.path_field):
            if name not in record:
                raise check.wrong(name, f"missing{self._other_format(record)}")
        identity = record["id"]
        if isinstance(identity, float) and identity.is_integer():  # as data frames write whole numbers
            identity = int(identity)
        if not isinstance(identity, int) or isinstance(identity, bool) or not 0 <= identity < 2**63:
            raise check.wrong("id", f"{show(identity)}; expected a whole number from 0")
        captions = record["captions"]
        if isinstance(captions, str):
            raise check.wrong("captions", f"the string {show(captions)}; expected a list of strings")
        if not isinstance(captions, list) or not all(isinstance(caption, str) for caption in captions):
            raise check.wrong("captions", f"{show(captions)}; expected a list of strings")
        split, path = check.split(record["split"]), check.path(self.path_field, record[self.path_field])
        return Entry(check.record, split, identity, path, tuple(map(sound, captions)), self.camera(path))

    def _other_format(self, record: dict[str, Any]) -> str:
        """What a record with another format's fields is."""
        if "split" not in record and {"id", "captions", "file_path"} <= record.keys():
            return f"; a file without splits {FORMATS['caption_all.json']}"
        if self.path_field != "img_path" and "img_path" in record:
            return f"; a file with img_path {FORMATS['data_captions.json']}"
        if self.path_field != "file_path" and "file_path" in record:
            return "; a file with file_path is CUHK-PEDES's or ICFG-PEDES's: use the name cuhk-pedes or icfg-pedes"
        return ""


def what_it_is(folder: Path, names: Mapping[str, str] | list[str]) -> str:
    """`, but reid_raw.json, which is ...` for the first of the field's annotation files that is in a folder."""
    # os.path instead of Path: a name that the system refuses is just missing.
    found = next((name for name in names if name in FORMATS and os.path.isfile(folder / name)), None)  # noqa: PTH113
    return "" if found is None else f", but {found}, which {FORMATS[found]}"


def read_json_list(file: Path) -> list[Any]:
    """The records of a JSON list."""
    try:
        content = json.loads(read_text(file))
    except json.JSONDecodeError as error:
        end = " (the file's end: it looks truncated)" if error.pos >= len(error.doc.rstrip()) else ""
        place = f"line {error.lineno}, column {error.colno}, character {error.pos}{end}"
        raise AnnotationError(file, None, None, f"not valid JSON at {place}: {error.msg}") from None
    except (RecursionError, ValueError) as error:
        raise AnnotationError(file, None, None, f"not usable JSON: {error}") from None
    if not isinstance(content, list):
        kind = "an object" if isinstance(content, dict) else show(content)
        raise AnnotationError(file, None, None, f"holds {kind}; expected a list with a record an image")
    if not content:
        raise AnnotationError(file, None, None, "holds no record")
    return content

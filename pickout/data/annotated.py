"""The reader of data sets whose annotation is one JSON list with a record an image."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pickout.data.reading import Entry, Reading, RecordCheck, show, sound
from pickout.errors import AnnotationError, DataMissing


def _no_camera(path: str) -> str | None:
    del path
    return None


@dataclass(frozen=True)
class AnnotatedFolder:
    """A folder with an annotation file and a folder of images. It satisfies `Reader`.

    Args:
        name: the data set's name in the registry.
        folder: the usual name of the data set's own folder.
        files: names that the annotation file may have, the usual one first.
        path_field: the record's field with the image's path.
        image_folders: folders where images may lie, looked for in this order; the data set's own folder comes last.
        camera: the camera's name from an image's path.
        source: where the data set can be had, one sentence.
    """

    name: str
    folder: str
    files: tuple[str, ...]
    path_field: str = "file_path"
    image_folders: tuple[str, ...] = ("imgs",)
    camera: Callable[[str], str | None] = _no_camera
    source: str = ""

    @property
    def layout(self) -> str:
        """The expected files, as a drawing for people."""
        files = " or ".join(self.files)
        return f"{self.folder}/\n  {files}\n  {self.image_folders[0]}/..."

    def read(self, root: Path) -> Reading:
        """Read the annotation file below `root`, the data set's own folder or its parent; no image is opened.

        Raises:
            DataMissing: the annotation file or the image folder is not there.
            AnnotationError: the file as a whole is no JSON list, or holds nothing.
        """
        file = self._find(root.absolute())
        entries: list[Entry] = []
        problems: list[AnnotationError] = []
        records = read_json_list(file)
        for number, record in enumerate(records):
            try:
                entries.append(self._entry(RecordCheck(file, number), record))
            except AnnotationError as error:
                problems.append(error)
        images = self._image_folder(file.parent, entries)
        return Reading(self.name, file.parent, file, images, entries, problems)

    def _find(self, root: Path) -> Path:
        # os.path instead of Path: a name that the system refuses is just missing.
        places = [parent / name for parent in (root, root / self.folder) for name in self.files]
        found = next((place for place in places if os.path.isfile(place)), None)  # noqa: PTH113
        if found is None:
            state = "no annotation file here" if os.path.isdir(root) else "no such folder"  # noqa: PTH112
            raise DataMissing(f"{root}: {state}; {self.name} is expected as\n{self.layout}\n{self.source}".rstrip())
        return found

    def _image_folder(self, root: Path, entries: list[Entry]) -> Path:
        folders = [root / name for name in self.image_folders]
        found = next((folder for folder in folders if os.path.isdir(folder)), None)  # noqa: PTH112
        if found is not None:
            return found
        if entries and os.path.isfile(root / entries[0].path):  # noqa: PTH113
            return root
        names = " or ".join(f"{name}/" for name in self.image_folders)
        raise DataMissing(
            f"{root}: the image folder {names} is missing; expected\n{self.layout}\n{self.source}".rstrip()
        )

    def _entry(self, check: RecordCheck, record: Any) -> Entry:
        if not isinstance(record, dict):
            raise check.wrong(None, f"{show(record)}; expected an object with split, id, captions, {self.path_field}")
        for name in ("split", "id", "captions", self.path_field):
            if name not in record:
                raise check.wrong(name, "missing")
        identity = record["id"]
        if not isinstance(identity, int) or isinstance(identity, bool) or not 0 <= identity < 2**63:
            raise check.wrong("id", f"{show(identity)}; expected a whole number from 0")
        captions = record["captions"]
        if isinstance(captions, str):
            raise check.wrong("captions", f"the string {show(captions)}; expected a list of strings")
        if not isinstance(captions, list) or not all(isinstance(caption, str) for caption in captions):
            raise check.wrong("captions", f"{show(captions)}; expected a list of strings")
        split, path = check.split(record["split"]), check.path(self.path_field, record[self.path_field])
        return Entry(check.record, split, identity, path, tuple(map(sound, captions)), self.camera(path))


def read_json_list(file: Path) -> list[Any]:
    """The records of a JSON list.

    Raises:
        AnnotationError: unreadable, not UTF-8, not JSON (with the place), not a list, or empty.
    """
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


def read_text(file: Path) -> str:
    """The text of an annotation file.

    Raises:
        AnnotationError: it cannot be read, or is not UTF-8.
    """
    try:
        return file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        problem = f"not UTF-8 text (byte {error.start}); save it as UTF-8"
    except OSError as error:
        problem = f"cannot be read ({error.strerror})"
    raise AnnotationError(file, None, None, problem)

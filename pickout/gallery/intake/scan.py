"""The image files below a folder, one at a time, what is passed over there, and which rows have lost their files."""

import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from pickout.data.images import SUFFIXES, is_image
from pickout.errors import DataMissing, UsageError

_OWN_PICTURES = {"calibration.png": "gallery.json", "cmc.png": "report.json"}  # and the file that lies beside each
_NOT_KEPT_BY_PEOPLE = frozenset(
    {"#recycle", "#snapshot", "$recycle.bin", "recycler", "recycled", "@recycle", "@eadir", "@tmp", "@__thumb"}
    | {"@recently-snapshot", "~snapshot", "lost+found", "system volume information", "found.000", "__macosx"}
)  # recycle bins, thumbnails and snapshots of storage boxes and systems; those that begin with a dot are hidden

_REMEDIES: dict[type[OSError], str] = {
    FileNotFoundError: "no such folder; give the folder that holds the crops",
    NotADirectoryError: "is a file; give the folder that holds the crops",
    PermissionError: "may not be read; check its permissions",
}


class Scan:
    """One pass over a folder. A file is taken for an image by its name's ending, or without one by its first bytes.
    Links to files are followed, links to folders are not. Patterns like `*_mask.png` or `thumbs` are held against each
    name and each path below the folder. Only one folder's names are held at a time."""

    def __init__(self, folder: Path, exclude: Sequence[str] = ()) -> None:
        for pattern in exclude:
            if not pattern.strip("/") or pattern.count("[") > pattern.count("]"):
                raise UsageError(f"exclude '{pattern}': expected a pattern like *_mask.png or thumbs, brackets closed")
        self._folder, self._exclude = folder, [pattern.rstrip("/") for pattern in exclude]
        self.passed_over = Counter({f"excluded by '{pattern}'": 0 for pattern in self._exclude})
        """How many files or folders were passed over so far, by kind: an ending, a folder's name, or words."""

    def files(self) -> Iterator[Path]:
        """Every image file below the folder, by name, folder after folder; `DataMissing` where it cannot be read."""
        waiting = _entries(self._folder)  # a list, not calls: folders may lie deeper than calls may
        while waiting:
            entry = waiting.pop()
            try:
                is_folder = entry.is_dir(follow_symlinks=False)
            except OSError:  # the list of names does not tell kinds here, and the name may not be looked at
                yield Path(entry.path)
                continue
            kind = self._kind(entry, is_folder)
            if kind is not None:
                self.passed_over[kind] += 1
            elif is_folder:
                try:
                    waiting += _entries(Path(entry.path))
                except DataMissing:
                    yield Path(entry.path)  # reading it as a file fails: it ends on the quarantine list
            else:
                yield Path(entry.path)

    def _kind(self, entry: "os.DirEntry[str]", is_folder: bool) -> str | None:
        """What an entry that is passed over is; None for one that is not."""
        name = entry.name
        for pattern in self._exclude:
            if fnmatchcase(name, pattern) or fnmatchcase(os.path.relpath(entry.path, self._folder), pattern):
                return f"excluded by '{pattern}'"
        if name.startswith("."):
            return "names that begin with a dot"
        if is_folder:
            return f"{name}/" if name.casefold() in _NOT_KEPT_BY_PEOPLE else None
        if name in _OWN_PICTURES and os.path.isfile(Path(entry.path).parent / _OWN_PICTURES[name]):  # noqa: PTH113
            return "Pickout's own pictures"
        ending = os.path.splitext(name)[1].lower()  # noqa: PTH122
        bare = not ending or ending[1:].isdigit()
        if ending not in SUFFIXES and not bare:
            return ending
        try:
            if entry.is_dir():
                return "links to folders"
        except OSError:  # a link that leads in a circle, for one: reading it tells what is wrong
            return None
        return None if not bare or is_image(Path(entry.path)) else ending or "without an ending"


def _entries(folder: Path) -> list["os.DirEntry[str]"]:
    """What lies in a folder, the last name first."""
    try:
        with os.scandir(folder) as found:
            return sorted(found, key=lambda entry: entry.name, reverse=True)
    except OSError as error:
        otherwise = f"cannot be read ({error.strerror}); check that its disk is there"
        raise DataMissing(f"{folder}: {_REMEDIES.get(type(error), otherwise)}") from None


def count_images(folder: Path, exclude: Sequence[str] = ()) -> int:
    """How many files a scan will give; `DataMissing` where the folder cannot be read."""
    return sum(1 for _ in Scan(folder, exclude).files())


def find_absent(
    root: Path, rows: Iterable[tuple[str, Path]], *, new: Collection[str], touched: Mapping[Path, Path]
) -> tuple[list[str], dict[Path, list[str]], int]:
    """Look for the files of all rows (id, file) below a folder. Gives the ids of those whose folder can be read, does
    not list them, and has other files of the gallery's; ids by folder that is not there, or has no file any more that
    was indexed: its disk may not be mounted; and how many could not be looked for, or lost their folder while the run
    was in it. Only "not found" is gone; any other error tells nothing. Rows that this run added (`new`) do not show
    that a folder is the one that it was. `touched` tells for each folder that this run read a file of, that file, and
    for what it could not read, itself."""
    gone, deserted, unseen = list[str](), dict[Path, list[str]](), 0
    missing, witnesses = dict[Path, list[tuple[str, str]]](), dict[Path, Path]()
    for identifier, file in rows:
        if not file.is_relative_to(root):
            continue
        there = _is_there(file)
        if there is None:
            unseen += 1
        elif not there:
            missing.setdefault(file.parent, []).append((identifier, file.name))
        elif identifier not in new:
            folder = file  # every folder on the way to it is the one that was indexed
            while folder != root and folder.parent not in witnesses:
                folder = folder.parent
                witnesses[folder] = file
    left = [place for place, file in touched.items() if not _is_there(file)]
    for folder, absent in missing.items():
        names = _names(folder)
        if names is None:
            unseen += len(absent)
            continue
        ids = [identifier for identifier, name in absent if name not in names]
        witness = witnesses.get(folder)
        # The witness comes after the list: a folder that went away in between is not taken for one without the files.
        if witness is not None and witness.relative_to(folder).parts[0] in names and _is_there(witness):
            gone += ids
            continue
        whole = folder  # the outermost folder in which no file is left that was indexed earlier
        while whole != root and whole.parent not in witnesses:
            whole = whole.parent
        unread = _names(root if whole == root else whole.parent) is None
        if unread or any(place.is_relative_to(whole) for place in left):
            unseen += len(ids)
        else:
            deserted.setdefault(whole, []).extend(ids)
    return gone, deserted, unseen


def _is_there(path: Path) -> bool | None:
    """None where that cannot be told."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return None
    return True


def _names(folder: Path) -> set[str] | None:
    """Names in a folder; empty where it is not there, None where it cannot be read."""
    try:
        return set(os.listdir(folder))  # noqa: PTH208
    except (FileNotFoundError, NotADirectoryError):
        return set()
    except OSError:
        return None

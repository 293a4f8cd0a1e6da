"""Rows whose files are gone, told apart from those whose files only cannot be seen."""

import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(slots=True)
class Absence:
    """Rows whose files were not found."""

    # ids of those whose folder can be read, does not list them, and has other files of the gallery's
    gone: list[str] = field(default_factory=list)
    # by folder, ids of those in a folder that is not there, or has no file any more that was indexed earlier. It
    # may be a disk that is not mounted
    deserted: dict[Path, list[str]] = field(default_factory=dict)
    # how many could not be looked for: a folder may not be read or fails, a path is too long, or a folder went
    # away while the run was in it
    unseen: int = 0


def find_absent(
    root: Path, rows: Iterable[tuple[str, Path]], *, new: Collection[str], touched: Mapping[Path, Path]
) -> Absence:
    """Look for the files of all rows below a folder. Only "not found" is gone; any other error tells nothing.

    Args:
        root: the folder that was indexed.
        rows: id and file of every row.
        new: ids of rows that this run added: they do not show that a folder is the one that it was.
        touched: for each folder that this run read a file of, that file; for what it could not read, itself.
    """
    found, missing = Absence(), dict[Path, list[tuple[str, str]]]()
    witnesses: dict[Path, Path] = {}
    for identifier, file in rows:
        there = _is_there(file) if file.is_relative_to(root) else True
        if there is None:
            found.unseen += 1
        elif not there:
            missing.setdefault(file.parent, []).append((identifier, file.name))
        elif identifier not in new and file.is_relative_to(root):
            folder = file  # every folder on the way to it is the one that was indexed
            while folder != root and folder.parent not in witnesses:
                folder = folder.parent
                witnesses[folder] = file
    left = [place for place, file in touched.items() if not _is_there(file)]
    for folder, absent in missing.items():
        names = _names(folder)
        if names is None:
            found.unseen += len(absent)
            continue
        ids = [identifier for identifier, name in absent if name not in names]
        witness = witnesses.get(folder)
        # The witness comes after the list: a folder that went away in between is not taken for one without the files.
        if witness is not None and witness.relative_to(folder).parts[0] in names and _is_there(witness):
            found.gone += ids
            continue
        whole = folder  # the outermost folder in which no file is left that was indexed earlier
        while whole != root and whole.parent not in witnesses:
            whole = whole.parent
        if (
            any(place.is_relative_to(whole) for place in left)
            or _names(root if whole == root else whole.parent) is None
        ):
            found.unseen += len(ids)
        else:
            found.deserted.setdefault(whole, []).extend(ids)
    return found


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

"""Which crops a change concerns: by filter, by id or by path."""

from collections.abc import Collection, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from pickout.errors import UsageError
from pickout.gallery.search.crop_names import is_end, possible_ids, possible_paths
from pickout.gallery.search.filters import Where, allowed, check_where
from pickout.gallery.storage.rows import Resident, composed
from pickout.gallery.storage.store import Store


def choose_rows(store: Store, resident: Resident, crops: Sequence[str], where: Where) -> list[str]:
    """Ids of the crops that are named and pass the filters; the path's order.

    Args:
        store: the gallery's rows.
        resident: the columns that filters read.
        crops: ids, absolute paths, or ends of paths from a folder on, in which `*` and `?` stand for any letters
            unless a crop has just this path; empty: every crop that passes the filters.
        where: filters; none of them: every crop that is named.

    Raises:
        UsageError: a text instead of a list, nothing was named and no filter set, a name that is no crop's, or a value
            that no crop has.
    """
    listed(crops)
    passed = allowed(where, resident)
    if not crops and passed is None:
        raise UsageError("every crop would be meant; name crops or set a filter")
    check_where(where, resident)
    ordered = resident.order.argsort()
    ids = [resident.ids[place].decode() for place in ordered if passed is None or passed[place]]
    if not crops:
        return ids
    files = dict(store.files())
    named: set[str] = set()
    for crop in crops:
        found = files.keys() & {crop} or _named(crop, files) or _fitting(crop, files)
        if not found:
            raise UsageError(f"'{crop}': no crop has this id or path; pickout search --json tells both")
        named |= found
    return [identifier for identifier in ids if identifier in named]


def listed(names: Collection[str]) -> Collection[str]:
    """`names` as they are, unless they are one text, whose letters would each be taken for a name.

    Raises:
        UsageError: a text.
    """
    if isinstance(names, str | bytes):
        raise UsageError(f"'{names}': expected a list, for example gallery.choose([...]), found one text")
    return names


def _named(crop: str, files: Mapping[str, Path]) -> set[str]:
    """Crops that are called so letter for letter."""
    return files.keys() & set(possible_ids(crop)) | {each for each, file in files.items() if is_end(crop, file)}


def _fitting(crop: str, files: Mapping[str, Path]) -> set[str]:
    """Crops whose path, or the end of it, has this pattern; brackets are letters of a name and nothing else."""
    end = str(Path(crop)) if crop.startswith("/") else f"*/{Path(crop)}"
    patterns = [composed(str(each)).replace("[", "[[]") for each in (end, *possible_paths(crop))]
    paths = {identifier: composed(str(file)) for identifier, file in files.items()}
    return {each for each, path in paths.items() if any(fnmatchcase(path, pattern) for pattern in patterns)}

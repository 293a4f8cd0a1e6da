"""What people call a crop: its id, its path, or the end of its path from a folder on."""

import os
from pathlib import Path

from pickout.gallery.storage.rows import composed, row_id


def possible_paths(name: str) -> list[Path]:
    """Absolute paths that a crop called so can have; none where the name cannot be that of a file.

    `pickout index` follows links and `..` in the path of its folder, but no link below it. So a path stands as it is
    written, with its folder's links followed, and with all links followed.
    """
    file = Path(name)
    try:
        places = (file.absolute(), Path(os.path.realpath(file.parent)) / file.name, Path(os.path.realpath(file)))
    except ValueError:  # no text that a file system knows
        return []
    return list(dict.fromkeys(places))


def possible_ids(name: str) -> list[str]:
    """Ids that a crop called so can have: the name itself, or those of its possible paths."""
    return [name, *map(row_id, possible_paths(name))]


def is_end(name: str, file: Path) -> bool:
    """Whether a name is a file's path, or the end of it from a folder on, in either of Unicode's forms."""
    whole, end = composed(str(file)), composed(str(Path(name)))
    return whole == end or whole.endswith(f"/{end}")

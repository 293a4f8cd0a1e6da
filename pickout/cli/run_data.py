"""The data set that a command means: as given, else the one that the run was trained on."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pickout.data.data_set import DataSet


def open_run_data(
    model: str, home: Path | None, data: str | None, root: Path | None, usage: str, *, speaks: bool = True
) -> "DataSet":
    """Read it, and say on standard error what its reader assumed.

    Args:
        model: as the user named it.
        home: its run folder, which tells what it was trained on; None for an imported file.
        data: the data set's name, if given.
        root: its folder, if given.
        usage: how to call the command with a data set.
        speaks: whether this process does; one of several is enough.

    Raises:
        UsageError: neither the user nor the run names a data set, or there is none of that name.
        DataError: it cannot be used.
    """
    from pickout.data.registry import open_data
    from pickout.errors import UsageError
    from pickout.evaluate.provenance import read_training

    training = read_training(home)
    name = data or training.data
    if name is None:
        raise UsageError(f"{model} does not say what it was trained on; name the data set: {usage}")
    own = training.root if name == training.data else None
    found = open_data(name, root or own or Path("data"))
    for note in found.notes if speaks else ():
        sys.stderr.write(f"note: {found.root}: {note}\n")
    return found

"""What the commands of `pickout explain` read and write."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pickout.checkpoints.loaded_model import LoadedModel
    from pickout.data.data_set import Split


def open_split(loaded: "LoadedModel", model: str, data: str | None, root: Path | None, split: str) -> "Split":
    """A split with captions of the data set that was named, or that the run was trained on.

    Raises:
        UsageError: there is no such split.
        DataError: no image of it has a caption.
    """
    from pickout.cli.run_data import open_run_data
    from pickout.data.training_pairs import with_captions
    from pickout.errors import UsageError
    from pickout.evaluate.protocol import run_folder

    opened = open_run_data(model, run_folder(loaded), data, root, f"{model} DATA ROOT")
    if split not in opened.splits:
        raise UsageError(f"{opened.name} has no split '{split}'; it has {', '.join(opened.splits)}")
    return with_captions(opened.splits[split])


def write(path: Path | None, option: str, content: Callable[[], str | bytes]) -> None:
    """Write a file that was asked for, whole or not at all.

    Args:
        path: None: nothing was asked for.
        option: what asked for it.
        content: makes it.

    Raises:
        UsageError: it cannot be written there.
    """
    from pickout.errors import UsageError
    from pickout.files import write_atomically

    if path is None:
        return
    try:
        write_atomically(path, content())
    except (IsADirectoryError, NotADirectoryError, FileExistsError, PermissionError) as error:
        raise UsageError(f"{option} {path}: cannot be written ({error.strerror})") from None


def png(picture: Any) -> bytes:
    """A Pillow picture as the bytes of a PNG file."""
    import io

    stream = io.BytesIO()
    picture.save(stream, "PNG", optimize=True)
    return stream.getvalue()


def progress(noun: str, *, shown: bool) -> Any:
    """A bar that is told how many are done and how many there are; a context manager."""
    from contextlib import contextmanager

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    @contextmanager
    def bar() -> Any:
        columns = (TextColumn(noun), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True, disable=not shown) as found:
            task = found.add_task(noun, total=None)
            yield lambda done, total: found.update(task, completed=done, total=total)

    return bar()

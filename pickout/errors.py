"""Every error that Pickout raises on purpose, in the user's words; the classes that follow an error's are its kinds.

A message names the file, the value and the remedy. The command line prints it after `error:` and exits with the
class's `exit_code`; a traceback that reaches a user is a bug.

Names in a message come from files of others, so every one is shown through `printable`; what stores a name keeps it."""

import copyreg
import unicodedata
from collections.abc import Sequence
from typing import Any, ClassVar

INTERRUPTED = 130, "interrupted; run the same command again to go on where it can"
"""Exit code after Ctrl-C, as shells expect, and what is said."""
_LONGEST = 4000  # characters of a message that are shown: names come in any length
_UNSEEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
"""Unicode's categories without a shape: control and format characters, lone surrogates, line separators."""


def printable(text: object, *, keep: str = "") -> str:
    """The `str` of `text` for a terminal or page: what has no shape is `�`, but for what to `keep`, as line ends."""
    letters = str(text)
    if letters.isprintable():
        return letters
    return "".join("�" if unicodedata.category(c) in _UNSEEN and c not in keep else c for c in letters)


def listed(names: Sequence[str], most: int) -> str:
    """The first names, so many at `most`, and how many more there are."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


class PickoutError(Exception):
    """The root: anything a user can mend. Bad input, unless a kind has another exit code."""

    exit_code: ClassVar[int] = 3

    def __str__(self) -> str:
        """The message, printable and of bounded length whatever names are in it; its own line ends stay."""
        text = super().__str__()
        if len(text) > _LONGEST:
            text = f"{text[: _LONGEST // 2]} ... {text[-_LONGEST // 2 :]}"
        return printable(text, keep="\n")

    def __reduce__(self) -> tuple[Any, ...]:
        """For another process; kinds are made from more than their message."""
        return copyreg.__newobj__, (type(self), *self.args), self.__dict__  # type: ignore[attr-defined]


class UsageError(PickoutError):
    """The command's words are wrong."""

    exit_code: ClassVar[int] = 2


class NothingFound(PickoutError):
    """The question was fine, the answer is empty."""

    exit_code: ClassVar[int] = 4


class RecipeError(PickoutError):
    """A recipe, a settings file or `--set` with an unknown key, a wrong type or an impossible value."""


class DataError(PickoutError):
    """A data set that cannot be used."""


class AnnotationError(DataError):
    """One record of an annotation file is wrong: the `record` by its position, from 0, or None for the file as a whole;
    the `field` by its name, or None for the whole record; the `problem` says what was found and what was expected."""

    def __init__(self, file: object, record: int | None, field: str | None, problem: str) -> None:
        place = ("" if record is None else f", record {record}") + ("" if field is None else f", field '{field}'")
        super().__init__(f"{file}{place}: {problem}")
        self.file, self.record, self.field, self.problem = file, record, field, problem


class DataMissing(DataError):
    """An expected file or folder is not there; says where to get it."""


class ImageUnreadable(DataError):
    """One image cannot be decoded, for a short `reason`; galleries quarantine it instead of stopping."""

    def __init__(self, path: object, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path, self.reason = path, reason


class CheckpointError(PickoutError):
    """A weight file that cannot be used."""


class CheckpointUnknown(CheckpointError):
    """No importer knows this file; says what it looks like."""


class CheckpointUnsafe(CheckpointError):
    """A pickle that would run code when loaded, or a TorchScript archive."""


class CheckpointTruncated(CheckpointError):
    """The file ends too early or is damaged."""


class CheckpointMismatch(CheckpointError):
    """Keys are missing, left over or of another shape; carries the report."""


class DownloadFailed(CheckpointError):
    """The hub did not give the file, or gave another one."""


class ExportRefused(CheckpointError):
    """Another program's vectors are too far from the model's own; says the numbers."""


class TrainingError(PickoutError):
    """A run that cannot start or go on."""


class LossNotFinite(TrainingError):
    """A loss term became NaN or infinite; names the step and the terms."""


class ResumeMismatch(TrainingError):
    """The folder holds a run of another recipe."""


class VideoError(PickoutError):
    """Recordings, a detector or a folder of crops that cannot be used."""


class VideoUnreadable(VideoError):
    """One recording that cannot be read at all."""


class GalleryError(PickoutError):
    """A gallery that cannot be used."""


class GalleryMissing(GalleryError):
    """There is no gallery at that path."""


class GalleryModelMismatch(GalleryError):
    """The gallery was built with another model."""


class GalleryDamaged(GalleryError):
    """The gallery's files were changed or are missing."""


class StorageFull(PickoutError):
    """No space left on the device; what was written before is whole."""


class AccessDenied(PickoutError):
    """The token may not do this."""


class NotKnown(AccessDenied):
    """No token was given, or one that is not valid."""


class NotThere(PickoutError):
    """There is no such thing, or none that the token may see: told alike."""


class ServerBusy(PickoutError):
    """Too much is waiting; `seconds` tells when to come back."""

    def __init__(self, message: str, seconds: int) -> None:
        super().__init__(message)
        self.seconds = seconds

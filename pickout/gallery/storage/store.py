"""Where rows live: what the rest of a gallery asks of it."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pickout.gallery.storage.rows import Known, Resident, Row
from pickout.gallery.vectors.held import Vectors

KEEP_VERSIONS = timedelta(hours=1)
"""A reader of another process may still be reading a version that is younger."""
KEEP_NONE = timedelta(milliseconds=1)
"""For tables that nobody reads. A millisecond, not none: for none the library warns of what is wanted here."""


class Store(Protocol):
    """Rows by id. Each `put` or `remove` happens as a whole or not at all, whenever the process dies."""

    @property
    def name(self) -> str:
        """What its table is called."""

    def count(self) -> int:
        """How many rows there are."""

    def put(self, rows: Sequence[Row]) -> None:
        """Add rows, or replace those of equal id."""

    def remove(self, ids: Iterable[str]) -> None:
        """Remove rows; unknown ids are ignored."""

    def fetch(self, ids: Iterable[str]) -> dict[str, Row]:
        """The rows of these ids, whole."""

    def fetch_tokens(self, ids: Iterable[str]) -> dict[str, NDArray[np.uint16]]:
        """Tokens (tokens, width) of these rows as bfloat16 bit patterns; rows without are left out."""

    def upgrade(self) -> None:
        """Bring a table of an older format to this one; changes no row."""

    def known(self) -> Iterator[Known]:
        """Every row's id, content and metadata."""

    def files(self) -> Iterator[tuple[str, Path]]:
        """Every row's id and absolute path."""

    def marks(self, ids: Iterable[str] | None = None) -> Iterator[tuple[str, bytes]]:
        """Every row's id and mark (see `pickout.gallery.storage.columns.row_mark`), or those of these rows."""

    def resident(self, vectors: Callable[[NDArray[np.bytes_]], Vectors] | None = None) -> Resident:
        """The columns that a search reads, in memory. The vectors, too, or what `vectors` makes of the ids."""

    def version(self) -> int:
        """A number that grows with each change, also by other processes."""

    def compact(self, keep: timedelta = KEEP_VERSIONS) -> None:
        """Merge small pieces on disk; changes no row. What only versions older than `keep` need goes."""

    def tidy(self, keep: timedelta = KEEP_VERSIONS) -> None:
        """As `compact`, once enough small pieces have gathered."""

    def erase(self, ids: Iterable[str]) -> None:
        """Remove rows, and every trace of these and of all rows removed or replaced before from the table's files."""

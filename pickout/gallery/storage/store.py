"""Rows in LanceDB."""

import errno
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import lancedb
import pyarrow as pa
import pyarrow.compute as pc

from pickout.errors import GalleryDamaged, GalleryError, PickoutError, StorageFull
from pickout.gallery.storage import rows as columns
from pickout.gallery.storage.memory import EVERY, MakeVectors, batches, read_resident, slices, taken, where_in
from pickout.gallery.storage.rows import Known, Located, Resident, Row, Values
from pickout.gallery.vectors.exact import Tokens

TABLE = "crops"  # name of a new gallery's table
FROM_BACKUP = "from a backup, and erase again what was erased since: a backup brings it back"
"""Goes with every advice to put files back."""

KEEP_VERSIONS = timedelta(hours=1)  # a reader of another process may still be reading a version that is younger
KEEP_NONE = timedelta(milliseconds=1)  # for tables that nobody reads; for none at all the library warns
_ATTEMPTS = 20
_LAST = 2**64 - 1  # the name of version v is this less v
_HINT = Path("_versions/latest_version_hint.json")  # names the newest version; each change writes it anew
_HALF_WRITTEN = re.compile(r"^\.tmp|#\d+$")  # names of files that LanceDB or the library below it is still writing
_TIDY_FROM, _MOST_PIECES = 0.25, 2000  # rows in small pieces as a share of the largest, and pieces, that are merged

_Found = TypeVar("_Found")


class Store:
    """Rows by id in a LanceDB table inside the gallery's folder. Each change happens as a whole or not at all; other
    processes' changes are seen. `GalleryDamaged` where there is no table (`create` makes an empty one), it cannot be
    read, or its vectors have another length than `dimension`."""

    def __init__(self, folder: Path, dimension: int, name: str = TABLE, *, create: bool = False) -> None:
        self.folder, self.dimension, self.name = folder.absolute(), dimension, name  # relative: may look an address
        self._files = self.folder / f"{name}.lance"
        self._schema = columns.row_schema(dimension)
        with lance_errors(self.folder):
            self._database = lancedb.connect(str(self.folder))
            if create:
                self._database.create_table(name, schema=self._schema, exist_ok=True)
        self._table = self._opened()
        found = self.read(lambda table: table.schema)
        # Columns came one after another: a table of any earlier version has the first of them.
        if len(found) <= len(columns.FIELDS) or found != pa.schema(list(self._schema)[: len(found)]):
            what = "its table has other columns than gallery.json says; index again into a new folder"
            raise GalleryDamaged(f"{self.folder}: {what}")

    def count(self) -> int:
        """How many rows there are."""
        return self.read(lambda table: int(table.count_rows()))

    def put(self, rows: Sequence[Row]) -> None:
        """Add rows, or replace those of equal id."""
        if not rows:
            return
        with self.latest() as table:
            merge = table.merge_insert("id").when_matched_update_all().when_not_matched_insert_all()
            merge.execute(columns.to_arrow(rows, self._schema))

    def remove(self, ids: Iterable[str]) -> None:
        """Remove rows; unknown ids are ignored."""
        for some in slices(ids):
            with self.latest() as table:
                table.delete(where_in("id", some))

    def fetch(self, ids: Iterable[str]) -> dict[str, Row]:
        """The rows of these ids, whole but for their tokens; sooner where they are `Located`."""
        names = [name for name in self._schema.names if name != "tokens"]
        return {row.id: row for row in self._each(columns.to_row, names, ids)}

    def fetch_tokens(self, ids: Iterable[str]) -> dict[str, Tokens]:
        """Tokens (tokens, width) of these rows as bfloat16 bit patterns; rows without are left out."""
        found: dict[str, Tokens] = {}
        for batch in self.scan(["id", "tokens"], ids, 128):
            with lance_errors(self.folder):
                tokens = batch["tokens"] if "tokens" in batch.schema.names else ()
                pairs = zip(batch["id"].to_pylist(), tokens, strict=False)
                found |= {key: columns.unpack_tokens(own.as_buffer()) for key, own in pairs if own.is_valid}
        return found

    def upgrade(self) -> None:
        """Bring a table of an older version to this one: its rows get empty new columns."""
        with self.latest() as table:
            if missing := [each for each in columns.ADDED_FIELDS if each[0] not in table.schema.names]:
                table.add_columns(pa.schema(missing))
                table.checkout_latest()

    def known(self, ids: Iterable[str] | None = None, *, by: str = "id") -> Iterator[Known]:
        """Every row's id, content and metadata, or those of some ids, or `by` content of some contents."""
        names = ["id", "content", *columns.METADATA]
        return self._each(lambda each: Known(each["id"], each["content"], columns.to_metadata(each)), names, ids, by)

    def files(self, below: Path | None = None) -> Iterator[tuple[str, Path]]:
        """Every row's id and absolute path; none is left out that lies below this folder, others may be."""
        inside = os.fsencode(below or "").rstrip(b"/") + b"/"
        above = pa.array([os.fsencode(each) for each in (below, *below.parents)] if below else [], pa.binary())
        for batch in self.scan(["id", "root", "path"]):
            with lance_errors(self.folder):
                wanted = pc.or_(pc.is_in(batch["root"], above), pc.starts_with(batch["root"], inside))
                rows = batch.filter(wanted).to_pylist()
            yield from ((row["id"], Path(os.fsdecode(row["root"])) / os.fsdecode(row["path"])) for row in rows)

    def present(self, ids: Iterable[str]) -> set[str]:
        """Those of these ids that have a row."""
        return set(self._each(lambda each: each["id"], ["id"], ids))

    def marks(self, ids: Iterable[str] | None = None) -> Iterator[tuple[str, bytes]]:
        """Every row's id and mark (see `row_mark`), or those of these rows."""
        names = ["id", *columns.MARKED]
        return self._each(lambda each: (each["id"], columns.row_mark(columns.to_row(each))), names, ids)

    def resident(self, vectors: MakeVectors | None = None, before: Resident | None = None) -> Resident:
        """The columns that a search reads; see `pickout.gallery.storage.memory.read_resident`."""
        self.version()  # raises where files of the newest version are gone
        return self.read(lambda table: read_resident(self.dimension, table, vectors, before))

    def version(self) -> int:
        """A number that grows with each change. Where files of the newest version are gone, so that an earlier one
        would be read, `GalleryDamaged` is raised."""
        with lance_errors(self.folder):
            try:  # first, since another process may write a newer one in between
                told = int(json.loads((self._files / _HINT).read_bytes())["version"])
            except (FileNotFoundError, ValueError, KeyError, TypeError, RecursionError):
                told = 0  # the library does not write it as a whole: a full disk leaves half
        version = self.read(lambda table: int(table.version))
        if told > version:
            what = f"files of its newest version are gone ({_HINT.name} tells {told}, there is {version})"
            so = f"what was removed since would be there again; put the folder back {FROM_BACKUP}"
            raise GalleryDamaged(f"{self.folder}: {what}, and {so}")
        return version

    def compact(self, keep: timedelta = KEEP_VERSIONS) -> None:
        """Merge the small pieces that many commits leave; changes no row. Versions older than `keep` go."""
        with self.latest() as table:
            table.optimize(cleanup_older_than=keep)
            for file in self._files.rglob("*"):  # those that a kill left unfinished, which LanceDB never deletes
                if _HALF_WRITTEN.search(file.name):
                    file.unlink(missing_ok=True)

    def tidy(self, keep: timedelta = KEEP_VERSIONS) -> None:
        """As `compact`, once the small pieces hold a quarter of what the largest does, or are very many: merging writes
        the whole table anew, so each row is written a few times and not with every commit."""
        with self.latest() as table:
            pieces = table.stats()["fragment_stats"]
            count, largest = pieces["num_fragments"], pieces["lengths"]["max"]
            small = table.count_rows() - largest
        if count > 1 and (small >= _TIDY_FROM * largest or count > _MOST_PIECES):
            self.compact(keep)

    def erase(self, ids: Iterable[str]) -> None:
        """Remove rows, and every trace of these and of all rows removed or replaced before from the table's files: it
        is written anew, then every earlier file is deleted, whatever its date. `GalleryError` where one cannot be; the
        rows are gone."""
        gone, before = pa.array(list(ids), pa.string()), self._all_files()
        again = "may hold what is being erased; the next change of the gallery tries again"
        with self.latest() as table:
            schema = table.schema
            kept = (
                batch.filter(pc.invert(pc.is_in(batch["id"], gone))).select(schema.names)
                for batch in table.search().limit(EVERY).to_batches()
            )
            reader = pa.RecordBatchReader.from_batches(schema, kept)
            self._table = self._database.create_table(self.name, data=reader, mode="overwrite")
        for file in before | {self._files / _HINT}:  # without the hint, readers list the versions that are there
            try:
                file.unlink(missing_ok=True)
            except OSError as error:
                raise GalleryError(f"{file}: cannot be deleted ({error.strerror}), and {again}") from None
        for emptied in {file.parent for file in before}:
            with suppress(OSError):  # most still hold files
                emptied.rmdir()
        if left := sorted(before & self._all_files()):
            raise GalleryError(f"{left[0]}: is there again after it was deleted, and {again}")

    def scan(
        self, names: Sequence[str], ids: Iterable[str] | None = None, at_once: int = 1000, by: str = "id"
    ) -> Iterator[pa.RecordBatch]:
        """These columns of all rows, held together (0.1 GB a million rows for an id with a path), or of the rows of
        some ids, or of contents where those are what they are named `by`, so many at once. Columns that an older table
        lacks are left out. Rows that are `Located` are taken from there."""
        if isinstance(ids, Located) and ids:
            places = ids
            found = self.read(lambda table: taken(table, names, places))
            yield from found.to_batches()
            ids = places.keys() - set(found["id"].to_pylist())
        for some in [None] if ids is None else slices(ids, at_once):
            yield from self.read(lambda table: list(batches(table, names, some, by)))  # noqa: B023

    def _each(
        self, make: Callable[[Values], _Found], names: Sequence[str], ids: Iterable[str] | None = None, by: str = "id"
    ) -> Iterator[_Found]:
        for batch in self.scan(names, ids, by=by):
            with lance_errors(self.folder):
                made = [make(values) for values in batch.to_pylist()]
            yield from made

    def read(self, read: Callable[[Any], _Found]) -> _Found:
        """`read` of the newest version; again where another process took away what it was reading: an erasure deletes
        the files of all versions before its own, so an error beside a newer version tells nothing."""
        for _ in range(_ATTEMPTS - 1):
            try:
                with self.latest() as table:
                    return read(table)
            except GalleryDamaged:
                # Not a version looked up before: a reader may be behind it, since it goes by the library's hint.
                if self._newest() <= self._table.version:
                    raise
        with self.latest() as table:
            return read(table)

    @contextmanager
    def latest(self) -> Iterator[Any]:
        """The LanceDB table, whose methods are untyped in part, with the changes of other processes."""
        with lance_errors(self.folder):
            self._table.checkout_latest()
            yield self._table

    def _opened(self) -> Any:
        before = self._newest()
        try:
            with lance_errors(self.folder):
                return self._database.open_table(self.name)
        except GalleryDamaged:
            if self._newest() == before:
                raise
        return self._opened()

    def _newest(self) -> int:
        """The newest version that has a file; -1 for none. Names of the files count downwards."""
        files = (self._files / "_versions").glob("*.manifest")
        return max((_LAST - int(file.stem) for file in files if file.stem.isdecimal()), default=-1)

    def _all_files(self) -> set[Path]:
        return {file for file in self._files.rglob("*") if not file.is_dir() or file.is_symlink()}


@contextmanager
def lance_errors(folder: Path) -> Iterator[None]:
    """Turn what LanceDB raises, panics among it, into our errors; it tells a full disk only in the text."""
    try:
        yield
    except PickoutError:
        raise
    except Exception as error:
        text = str(error)
        if "os error 28" in text or "No space left" in text or getattr(error, "errno", None) == errno.ENOSPC:
            remedy = "all rows written before are whole. Free some space and run the same command again"
            raise StorageFull(f"{folder}: no space left on the device; {remedy}") from error
        if "os error 13" in text or "os error 30" in text:
            raise GalleryError(f"{folder}: may not be written to; check its permissions") from error
        first = text.splitlines()[0] if text else type(error).__name__
        remedy = f"index again into a new folder, or put the folder back {FROM_BACKUP}"
        raise GalleryDamaged(f"{folder}: the table cannot be used ({first[:200]}); {remedy}") from error

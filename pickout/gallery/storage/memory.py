"""The columns of a table that a search holds in memory."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pickout.gallery.storage.rows import FACETS, LABEL, RESIDENT, Facet, Located, Resident, completed, row_schema
from pickout.gallery.vectors.exact import Floats, HeldVectors, Ids, Places, Rows, Seals, Vectors, damaged_rows

NO_TIME = np.datetime64("NaT", "us")  # stands in `Resident.times` for a crop without time
_SEAL = 16  # bytes of a row's seal, see `row_seal`

MakeVectors = Callable[[Any, Ids, Seals, Places, Rows], Vectors]
"""Given a version of the table, and its rows' ids (N,), seals (N, 2), places (N,) and order among equals (N,)."""

EVERY = 2**31 - 1  # rows
PLACE = "_rowid"  # the column, which LanceDB gives, of where a row stands: its piece and the row in it


def batches(table: Any, names: Sequence[str], ids: list[str] | None = None, by: str = "id") -> Iterator[pa.RecordBatch]:
    """These columns of one version, as far as it has them, piece by piece, of all rows or of those with these ids, or
    other values of what they are named `by`. No filter may name the tokens: it would read those of every row."""
    there = set(table.schema.names)  # each look at it is a call of the library's thread
    wanted = table.search() if ids is None else table.search().where(where_in(by, ids))
    wanted = wanted.select([name for name in names if name in there]).with_row_id(PLACE in names)
    yield from wanted.limit(len(ids) if ids is not None and by == "id" else EVERY).to_batches()


def taken(table: Any, names: Sequence[str], places: Located) -> pa.Table:
    """These columns, `id` among them, of rows by id that are still where an earlier version had them: a few times as
    fast as looking for their ids. Others are left out, as is what stands in their places now."""
    there = set(table.schema.names)
    rows = table.take_row_ids(list(places.values())).select([name for name in names if name in there]).to_arrow()
    return rows.filter(pc.is_in(rows["id"], pa.array(places, pa.string())))


def where_in(column: str, values: Iterable[str]) -> str:
    """The filter for rows with one of these values."""
    return "{} IN ({})".format(column, ", ".join("'" + value.replace("'", "''") + "'" for value in values))


def matrix(column: Any) -> Floats:
    """A column of vectors as an array (n, D)."""
    flat = column.flatten().to_numpy(zero_copy_only=False)
    return np.asarray(flat.reshape(-1, column.type.list_size), np.float32)


def vectors_at(table: Any, places: Places) -> Floats:
    """The vectors (n, D) of rows of the very version whose places these are."""
    order = places.argsort()  # rows come as they stand, however they are asked for
    rows = table.take_row_ids(places[order].tolist()).select(["vector"]).to_arrow()
    return matrix(rows["vector"].combine_chunks())[order.argsort()]


def read_resident(dimension: int, table: Any, vectors: MakeVectors | None, before: Resident | None) -> Resident:
    """The columns that a search reads, of one version of a table: 4 D bytes a row for the vectors of length D and about
    60 for the rest. `vectors` makes the vectors of rows, given what tells them apart; without, they are read and held,
    but for those of rows that are as they were when the table was read `before`."""
    old = None if before is None or vectors is not None else before.vectors
    held, filled = old if isinstance(old, HeldVectors) else None, 0
    reads = vectors is None and held is None
    schema = pa.schema([*map(row_schema(dimension).field, (*RESIDENT, "seal")), (PLACE, pa.uint64())])
    parts = [schema.empty_table()]
    whole = HeldVectors.room(table.count_rows() if reads else 0, dimension)
    for batch in batches(table, (*schema.names, *(["vector"] if reads else ()))):
        if reads:
            part = matrix(batch["vector"])
            whole[filled : filled + len(part)] = part
            filled += len(part)
        parts.append(completed(pa.Table.from_batches([batch]), schema))
    columns = pa.concat_tables(parts)
    digests = [each if each and len(each) == _SEAL else bytes(_SEAL) for each in columns["seal"].to_pylist()]
    seals, ids = np.frombuffer(b"".join(digests), np.uint64).reshape(-1, 2), np.array(columns["id"].to_numpy(), "S32")
    order = np.empty(len(ids), dtype=np.int64)
    order[pc.sort_indices(columns, [("root", "ascending"), ("path", "ascending")])] = np.arange(len(ids))
    stood = columns[PLACE].to_numpy()
    if vectors is not None:
        made = vectors(table, ids, seals, stood, order)
    elif held is None:
        made = HeldVectors(whole[:filled], seals, whole, damaged_rows(whole[:filled]))
    else:
        found = held.followed(seals, lambda new: vectors_at(table, stood[new]))
        made = found or read_resident(dimension, table, None, None).vectors
    times = np.full(len(ids), NO_TIME, dtype="datetime64[us]")
    times[pc.is_valid(columns["time"]).to_numpy()] = columns["time"].drop_null().to_numpy()
    facets = {**{name: _facet(columns[name]) for name in FACETS}, **_label_facets(columns["labels"])}
    return Resident(ids, made, facets, times, order, int(table.version), stood)


def slices(ids: Iterable[str], length: int = 1000) -> Iterator[list[str]]:
    """Ids, so many together."""
    every = list(ids)
    for start in range(0, len(every), length):
        yield every[start : start + length]


def _facet(column: pa.ChunkedArray) -> Facet:
    names = sorted(name for name in pc.unique(column).to_pylist() if name is not None)
    positions = pc.fill_null(pc.index_in(column, pa.array(names, pa.string())), -1)
    return Facet(tuple(names), positions.to_numpy().astype(np.int32))


def _label_facets(column: pa.ChunkedArray) -> dict[str, Facet]:
    """A facet for each label's name. Crops with equal labels share one text, which is read once."""
    texts = _facet(column)
    read = [json.loads(text) for text in texts.names]
    facets = {}
    for name in sorted({name for labels in read for name in labels}):
        own = _facet(pa.chunked_array([[labels.get(name) for labels in read]], pa.string()))
        facets[LABEL + name] = Facet(own.names, np.append(own.positions, np.int32(-1))[texts.positions])
    return facets

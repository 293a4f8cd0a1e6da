"""The portable form of a gallery: what lies in one, and its limits.

An export is a ZIP archive whose members are stored as they are, so that its size bounds what can come out of it:

    export.json                format, model, counts, and the SHA-256 of every member with rows
    rows-000000.parquet ...    rows, all columns of a gallery's table, plain and uncompressed
    crops/<SHA-256>.<ending>   the pictures, if wanted; each is named by its own hash

Audit, saved searches, quarantine and calibration stay with the gallery.
"""

import hashlib
import re
from collections.abc import Iterable
from datetime import datetime

import pyarrow as pa
from pydantic import Field

from pickout.config import Settings
from pickout.errors import printable
from pickout.gallery.storage.columns import ADDED_FIELDS, FIELDS
from pickout.gallery.storage.manifest import ModelFacts

PORTABLE_FORMAT = 1
"""Version of the file's layout that this code writes and reads."""
EXPORT = "export.json"
ROWS = re.compile(r"rows-\d{6}\.parquet")
"""Names of members with rows."""
CROP = re.compile(r"crops/([0-9a-f]{64})(\.[a-z]{3,4})")
"""Names of members that are pictures: SHA-256 and ending."""

LARGEST_EXPORT = 64 * 2**20
"""Bytes of `export.json` at most."""
LARGEST_ROWS = 64 * 2**20
"""Bytes of a member with rows at most."""
MOST_ROWS = 4096
"""Rows in one member at most."""
LARGEST_DIRECTORY = 256 * 2**20
"""Bytes of the archive's directory at most; reading it takes about five times as much memory."""
MOST_PICTURES = 1_500_000
"""So many pictures have a directory of that size."""
_LONGEST_NAME = 4096


class RowsMember(Settings):
    """A member of the archive that holds rows."""

    name: str = Field(pattern=rf"^{ROWS.pattern}$")
    """The member's name."""
    rows: int = Field(ge=1, le=MOST_ROWS)
    """How many rows it holds."""
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    """Digest of its bytes, hexadecimal."""


class Contents(Settings):
    """What `export.json` says."""

    format: int
    """Version of the file's layout."""
    created: datetime
    """When the export was made, UTC."""
    model: ModelFacts
    """The model that made every vector."""
    rows: int = Field(ge=0)
    """How many rows there are."""
    members: tuple[RowsMember, ...]
    """Where they are."""
    pictures: int = Field(ge=0)
    """How many pictures there are."""
    pictures_digest: str = Field(pattern=r"^[0-9a-f]{64}$")
    """Digest of the pictures' names, which are their own digests; see `digest_of_names`."""


def digest_of_names(names: Iterable[str]) -> str:
    """SHA-256 of names, sorted, a line each: none can be taken away or added without another digest."""
    digest = hashlib.sha256()
    for name in sorted(names):
        digest.update(f"{name}\n".encode())
    return digest.hexdigest()


def fits(model: ModelFacts) -> bool:
    """Whether this can be a model: its names can be shown."""
    names = (model.name, model.fingerprint, model.run or "")
    return all(printable(name) == name and len(name) <= _LONGEST_NAME for name in names)


def row_schema(dimension: int) -> pa.Schema:
    """The columns of a member with rows, for vectors of this length: those of a gallery's table."""
    return pa.schema([*FIELDS, ("vector", pa.list_(pa.float32(), dimension)), *ADDED_FIELDS])

"""Which crops an entry showed: commitments in the log, and the keys that open them beside it.

Each crop that was ever shown has a random key `K`. An entry with nonce `n` holds `HMAC-SHA256(K, n || id)` for each
crop that it showed. With the key anybody can check that an entry showed this crop; without it, the log does not tell
it from any other, nor that two entries showed the same one. Erasing a crop destroys its key, and the log forgets it.
"""

import hmac
import secrets
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from pickout.errors import GalleryDamaged, GalleryError, StorageFull
from pickout.files import own_file

KEYS = "audit-keys.sqlite"
_PATIENCE = 60.0  # seconds to wait for another process that writes keys


def commit(gallery: Path, ids: Sequence[str]) -> dict[str, Any]:
    """Commitments to `ids` as an entry holds them: `nonce`, and `shown` in the order of `ids`."""
    nonce = secrets.token_hex(16)
    if not ids:
        return {"nonce": nonce, "shown": []}
    with _opened(gallery) as database:
        if missing := [each for each in ids if _key(database, each) is None]:
            new = [(each, secrets.token_bytes(32)) for each in missing]
            with database:
                database.executemany("INSERT OR IGNORE INTO keys VALUES (?, ?)", new)
        # One that another process erases right now gets a key that nobody has.
        keys = [_key(database, each) or secrets.token_bytes(32) for each in ids]
    return {"nonce": nonce, "shown": [_commitment(key, nonce, each) for key, each in zip(keys, ids, strict=True)]}


def showed(entry: Mapping[str, Any], crop: str, key: bytes) -> bool:
    """Whether an entry of the log showed a crop whose key is `key`."""
    nonce, shown = entry.get("nonce"), entry.get("shown")
    return isinstance(nonce, str) and isinstance(shown, list) and _commitment(key, nonce, crop) in shown


def key_of(gallery: Path, crop: str) -> bytes | None:
    """A crop's key; None where it was never shown, or was erased."""
    if not (gallery / KEYS).exists():
        return None
    with _opened(gallery) as database:
        return _key(database, crop)


def crops_with_keys(gallery: Path) -> list[str]:
    """Ids of the crops that can be shown to have been shown."""
    if not (gallery / KEYS).exists():
        return []
    with _opened(gallery) as database:
        return [row[0] for row in database.execute("SELECT crop FROM keys")]


def forget(gallery: Path, ids: Iterable[str]) -> None:
    """Destroy the keys of crops; the file is written anew, so that no byte of them is left in it."""
    if not (gallery / KEYS).exists():
        return
    with _opened(gallery) as database:
        with database:
            database.executemany("DELETE FROM keys WHERE crop = ?", ((each,) for each in ids))
        database.execute("VACUUM")


def _commitment(key: bytes, nonce: str, crop: str) -> str:
    return hmac.digest(key, bytes.fromhex(nonce) + crop.encode(), "sha256").hex()


def _key(database: sqlite3.Connection, crop: str) -> bytes | None:
    found = database.execute("SELECT key FROM keys WHERE crop = ?", (crop,)).fetchone()
    return None if found is None else bytes(found[0])


@contextmanager
def _opened(gallery: Path) -> Iterator[sqlite3.Connection]:
    file = gallery / KEYS
    try:
        with own_file(file), closing(sqlite3.connect(file, timeout=_PATIENCE)) as database:
            # Deleted keys are overwritten. No log of changes beside the file, which would keep them.
            database.execute("PRAGMA secure_delete = ON")
            database.execute("PRAGMA temp_store = MEMORY")
            database.execute("PRAGMA synchronous = NORMAL")
            database.execute("CREATE TABLE IF NOT EXISTS keys (crop TEXT PRIMARY KEY, key BLOB NOT NULL) WITHOUT ROWID")
            yield database
    except OSError as error:
        raise GalleryError(f"{file}: cannot be opened ({error.strerror}); each search is recorded") from None
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_FULL:
            raise StorageFull(f"{file}: no space left on the device; free some and run again") from None
        raise GalleryError(f"{file}: cannot be used ({error}); check that you may write in the gallery") from None
    except sqlite3.DatabaseError as error:
        raise GalleryDamaged(
            f"{file}: garbled ({error}); put it back from a backup, or move it away: the log then proves no more which "
            "crops were shown until now"
        ) from None

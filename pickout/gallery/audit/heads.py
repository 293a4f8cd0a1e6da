"""What is wrong with an audit log, by itself and against signed heads, which a witness outside keeps; and proofs that a
later log goes on from an earlier: checkpoints and requests as public transparency logs have them (C2SP tlog-checkpoint,
signed-note with Ed25519 and tlog-witness), over the hash tree of RFC 6962 of the log's lines."""

import base64
import csv
import hashlib
import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple

from pickout.errors import GalleryDamaged, GalleryError, GalleryMissing, UsageError, printable
from pickout.files import atomic_path, storage_errors
from pickout.gallery.audit.log import MENDED, entry, is_cut, key_of, lines, showed

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

KEY = "audit-key.pem"
HEADS = "audit-heads.txt"  # the heads that were given out, one behind the other; `verify` holds the log against each
_ED25519 = b"\x01"
_COUNT = re.compile(r"\d{1,18}", re.ASCII)
_LARGEST = 100_000  # characters of a head or proof at most
_COLUMNS = ("number", "time", "user", "via", "purpose", "kind", "sentence", "where", "results", "rows", "details")
_RUNS = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet's formula begins with


class Head(NamedTuple):
    """A log's name, which says its key, how many entries it had, the tree's root over them, and the signed note."""

    origin: str
    size: int
    root: bytes
    text: str


def sign_head(gallery: Path, key_file: Path | None = None) -> Head:
    """The head of the log as it is now, signed and noted down in `audit-heads.txt`. The private key lies in the gallery
    unless `key_file` is given, and is made where there is none."""
    origin = verifier(gallery, key_file).partition("+")[0]
    leaves = [leaf(line) for line in lines(gallery)]
    top = root(leaves)
    text = sign_text(gallery, f"{origin}\n{len(leaves)}\n{_encoded(top)}\n", key_file)
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW
    with storage_errors(gallery / HEADS), os.fdopen(os.open(gallery / HEADS, flags, 0o600), "a") as file:
        file.write(text + "\n")
    return Head(origin, len(leaves), top, text)


def verifier(gallery: Path, key_file: Path | None = None) -> str:
    """The public key that a witness needs, as signed notes write it."""
    public = _private_key(key_file or gallery / KEY).public_key().public_bytes_raw()
    origin, identifier = _names(public)
    return f"{origin}+{identifier.hex()}+{_encoded(_ED25519 + public)}"


def proof(gallery: Path, old: Head, new: Head) -> str:
    """What shows a witness who kept `old` that the log of `new` goes on from there; an error where it does not."""
    leaves = [leaf(line) for line in lines(gallery)][: new.size]
    if old.size > len(leaves) or root(leaves[: old.size]) != old.root:
        raise GalleryDamaged(f"{gallery}: the log does not go on from that head; see pickout audit verify --head")
    hashes = "".join(f"{_encoded(each)}\n" for each in consistency(leaves, old.size))
    return f"old {old.size}\n{hashes}\n{new.text}"


def check_proof(old: Head, text: str, key: str) -> Head:
    """The new head that a proof ends with, after checking it as the witness who kept `old` does: without the log.
    UsageError where this is no proof, GalleryDamaged where the proof is wrong, or a signature is."""
    first, _, note = text.partition("\n\n")
    start, *hashes = first.splitlines() or [""]
    if start != f"old {old.size}":
        raise UsageError(f"a proof from 'old {old.size}' was expected, not '{start[:40]}'; ask for it with --since")
    new = read_head(note)
    check_signature(old, key)
    check_signature(new, key)
    if not goes_on(old.size, old.root, new.size, new.root, [_decoded(each) for each in hashes]):
        raise GalleryDamaged("the log does not go on from the earlier head: entries were changed, deleted or replaced")
    return new


def read_head(text: str) -> Head:
    """A head from its text; a UsageError where it is none."""
    rows = text[:_LARGEST].splitlines()
    if len(rows) < 5 or not _COUNT.fullmatch(rows[1]) or rows[3] or not rows[4].startswith("— "):
        raise UsageError("this is no head of an audit log; expected what pickout audit head prints")
    return Head(rows[0], int(rows[1]), _decoded(rows[2]), "\n".join(rows[:5]) + "\n")


def check_signature(head: Head, key: str) -> None:
    """Refuse a head that was not signed with the private half of `key`."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    public = _decoded(key.strip().split("+", 2)[-1])
    if len(public) != 33 or public[:1] != _ED25519:
        raise UsageError(f"'{key[:60]}' is no key; expected the one that pickout audit head tells")
    body, _, signatures = head.text.partition("\n\n")
    signature = _decoded(signatures.rpartition(" ")[2].strip())
    try:
        if (head.origin, signature[:4]) != _names(public[1:]):
            raise InvalidSignature
        Ed25519PublicKey.from_public_bytes(public[1:]).verify(signature[4:], f"{body}\n".encode())
    except InvalidSignature:
        why = "the head was changed, or the log and its key were replaced"
        raise GalleryDamaged(f"the head of {head.size} entries was not signed with this log's key: {why}") from None


def _private_key(file: Path) -> "Ed25519PrivateKey":
    try:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    except ModuleNotFoundError:
        raise GalleryError("signed heads need one more package: pip install 'pickout[serve]'") from None
    try:
        found = serialization.load_pem_private_key(file.read_bytes(), password=None)
        if isinstance(found, Ed25519PrivateKey):
            return found
    except FileNotFoundError:
        if not file.parent.is_dir():  # as of a gallery that was moved: no other log may take its name
            raise GalleryMissing(f"{file.parent}: no such folder; no key is made there") from None
        made = Ed25519PrivateKey.generate()
        form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        with atomic_path(file, private=True) as temporary:
            temporary.write_bytes(made.private_bytes(*form))
        return made
    except (OSError, ValueError, TypeError):
        pass
    raise GalleryDamaged(f"{file}: is no Ed25519 key without password in PEM; put it back from a backup")


def _names(public: bytes) -> tuple[str, bytes]:
    """The origin of a key's log, and the key's identifier in signed notes."""
    origin = f"pickout/audit/{hashlib.sha256(public).hexdigest()[:16]}"
    return origin, hashlib.sha256(origin.encode() + b"\n" + _ED25519 + public).digest()[:4]


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise UsageError(f"'{text[:60]}' is no base64; give the file as it was printed") from None


def leaf(line: bytes) -> bytes:
    """The hash of one entry, `SHA-256(0x00 || line)` (RFC 6962, 2.1)."""
    return hashlib.sha256(b"\x00" + line).digest()


def node(left: bytes, right: bytes) -> bytes:
    """The hash above two others, `SHA-256(0x01 || left || right)` (RFC 6962, 2.1)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def root(leaves: Sequence[bytes]) -> bytes:
    """The root over all leaves (RFC 6962, 2.1); of none, the hash of nothing."""
    if len(leaves) < 2:
        return leaves[0] if leaves else hashlib.sha256().digest()
    half = _half(len(leaves))
    return node(root(leaves[:half]), root(leaves[half:]))


def consistency(leaves: Sequence[bytes], old: int, *, whole: bool = True) -> list[bytes]:
    """The proof that the tree of the first `old` leaves is a beginning of the whole (RFC 6962, 2.1.2)."""
    if old in (0, len(leaves)):
        return [] if whole else [root(leaves)]
    half = _half(len(leaves))
    if old <= half:
        return [*consistency(leaves[:half], old, whole=whole), root(leaves[half:])]
    return [*consistency(leaves[half:], old - half, whole=False), root(leaves[:half])]


def _half(count: int) -> int:
    """The largest power of two that is less."""
    return 1 << (count - 1).bit_length() - 1


def goes_on(old: int, old_root: bytes, new: int, new_root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether `proof` shows that a tree of `new` leaves begins with one of `old` leaves (RFC 9162, 2.1.4.2)."""
    if old > new or (old == 0 and old_root != root(())):
        return False
    if old in (0, new):
        return not proof and (old < new or old_root == new_root)
    left = list(proof)

    def roots(old: int, new: int, whole: bool) -> tuple[bytes, bytes]:
        """The roots over the first `old` and all of `new` leaves, as `consistency` took them apart."""
        if old == new:
            return (old_root,) * 2 if whole else (left.pop(0),) * 2
        half = _half(new)
        if old <= half:
            first, second = roots(old, half, whole)
            return first, node(second, left.pop(0))
        first, second = roots(old - half, new - half, False)
        beside = left.pop(0)
        return node(beside, first), node(beside, second)

    with suppress(IndexError):  # too short
        return roots(old, new, True) == (old_root, new_root) and not left
    return False


def sign_text(gallery: Path, text: str, key_file: Path | None = None) -> str:
    """A text signed with the key of the gallery's log, as a signed note writes it. `GalleryDamaged`: the key cannot be
    used; `GalleryError`: a package is missing."""
    key = _private_key(key_file or gallery / KEY)
    origin, identifier = _names(key.public_key().public_bytes_raw())
    return f"{text}\n— {origin} {_encoded(identifier + key.sign(text.encode()))}\n"


class Examined(NamedTuple):
    """How many entries, the root over them, how many earlier heads they were held against, and what is wrong."""

    size: int
    root: bytes
    heads: int
    faults: tuple[str, ...]


def examine(gallery: Path, heads: Sequence[Head] = (), key_file: Path | None = None) -> Examined:
    """Hold a log against itself, the heads that it gave out, and heads that somebody else kept. Entries behind the last
    head can be changed unseen: hand out heads often. A GalleryError where the log cannot be read."""
    faults, every = list(log_faults(gallery)), list(heads)
    leaves = [leaf(line) for line in lines(gallery)]
    try:
        rows = (gallery / HEADS).read_text(encoding="utf-8").splitlines()
        every += [read_head("\n".join(rows[start : start + 5])) for start in range(0, len(rows), 6)]
    except FileNotFoundError:
        pass
    except (OSError, ValueError, UsageError):
        faults.append(printable(f"{gallery / HEADS}: garbled; the file was changed"))
    key = verifier(gallery, key_file) if every else ""
    for head in every:
        try:
            check_signature(head, key)
        except GalleryDamaged as error:
            faults.append(str(error))
            continue
        if head.size > len(leaves):
            faults.append(f"a head of {head.size} entries was signed, {len(leaves)} are left: the log was truncated")
        elif root(leaves[: head.size]) != head.root:
            faults.append(f"the first {head.size} entries are not those that were signed: changed, deleted or replaced")
    return Examined(len(leaves), root(leaves), len(every), tuple(dict.fromkeys(faults)))


def log_faults(gallery: Path) -> Iterator[str]:
    """Lines that are no entries. One that a kill cut off, and whose next writer said so, is none of them."""
    garbled = ""  # the digest of the line before, where that is no entry
    for number, line in enumerate(chain(lines(gallery), [b""])):
        values = entry(line)
        if garbled and (not values or (values.get("event"), values.get("sha256")) != (MENDED, garbled)):
            yield f"line {number} is garbled: the file was changed, or a write was cut off"
        garbled = hashlib.sha256(line).hexdigest() if values is None else ""
    if is_cut(gallery):
        yield "the last line is garbled: a write was cut off; the next search or change will say so in the log"


def entries_showing(gallery: Path, crop: str) -> list[tuple[int, dict[str, Any]]]:
    """The entries, with their numbers from 1, that provably showed a crop. None once it was erased."""
    if (key := key_of(gallery, crop)) is None:
        return []
    numbered = enumerate((entry(line) for line in lines(gallery)), start=1)
    return [(number, values) for number, values in numbered if values and showed(values, crop, key)]


def numbered_entries(gallery: Path, start: int = 1) -> Iterator[dict[str, Any]]:
    """Every entry from number `start` on, with its number; of a cut line only that it is one."""
    for number, line in enumerate(lines(gallery, start - 1), start=start):
        told = entry(line) or {"event": "cut line"}
        yield {"number": number} | told | {"number": number}  # it comes first, and no entry tells another one


def as_csv(entries: Iterator[dict[str, Any]]) -> Iterator[str]:
    """Entries as lines of CSV with a header. A cell that a spreadsheet would run gets a quote before it."""
    known = {*_COLUMNS, "change", "event", "nonce", "shown", "query"}
    writer = csv.writer(SimpleNamespace(write=str))  # which gives a row's text back
    yield writer.writerow(_COLUMNS)
    for values in entries:
        kind = values.get("change") or values.get("event") or "search"
        details = {name: value for name, value in values.items() if name not in known}
        told = {**values, "kind": kind, "details": details or ""}
        cells = [told.get(name, "") for name in _COLUMNS]
        texts = [json.dumps(cell) if isinstance(cell, dict) else str(cell) for cell in cells]
        yield writer.writerow([f"'{text}" if text.startswith(_RUNS) else text for text in texts])

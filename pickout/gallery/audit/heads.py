"""Signed heads of an audit log, to be kept by a witness outside, and proofs that a later log goes on from an earlier.

A head is a checkpoint as public transparency logs write it (C2SP tlog-checkpoint and signed-note, Ed25519): the log's
name, how many entries, the root of the hash tree, a signature. A proof is the request that such witnesses take (C2SP
tlog-witness): `old N`, the hashes, the new head.
"""

import base64
import binascii
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pickout.errors import GalleryDamaged, GalleryError, UsageError
from pickout.files import atomic_path, storage_errors
from pickout.gallery.audit.log import lines
from pickout.gallery.audit.tree import Hash, consistency, goes_on, leaf, root

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

KEY = "audit-key.pem"
HEADS = "audit-heads.txt"
"""The heads that were given out, one behind the other; `verify` holds the log against each."""
_ED25519 = b"\x01"
_LARGEST = 100_000
"""Characters of a head or proof at most."""


@dataclass(frozen=True, slots=True)
class Head:
    """How long a log was and what it held.

    Args:
        origin: the log's name, which says its key.
        size: entries.
        root: the hash tree's root over them.
        text: the signed note as it was read or written.
    """

    origin: str
    size: int
    root: Hash
    text: str


def sign_head(gallery: Path, key_file: Path | None = None) -> Head:
    """The head of the log as it is now, signed and noted down in `audit-heads.txt`.

    Args:
        gallery: the gallery's folder.
        key_file: where the private key lies; by default in the gallery, made where there is none.

    Raises:
        GalleryError: the log cannot be read, or the key cannot be used.
        StorageFull: no space left.
    """
    key = _private_key(key_file or gallery / KEY)
    leaves = [leaf(line) for line in lines(gallery)]
    public = key.public_key().public_bytes_raw()
    origin = _origin(public)
    body = f"{origin}\n{len(leaves)}\n{base64.b64encode(root(leaves)).decode()}\n"
    signature = base64.b64encode(_key_id(origin, public) + key.sign(body.encode())).decode()
    text = f"{body}\n— {origin} {signature}\n"
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW
    with storage_errors(gallery / HEADS), os.fdopen(os.open(gallery / HEADS, flags, 0o600), "a") as file:
        file.write(text + "\n")
    return Head(origin, len(leaves), root(leaves), text)


def verifier(gallery: Path, key_file: Path | None = None) -> str:
    """The public key that a witness needs, as signed notes write it."""
    public = _private_key(key_file or gallery / KEY).public_key().public_bytes_raw()
    origin = _origin(public)
    return f"{origin}+{_key_id(origin, public).hex()}+{base64.b64encode(_ED25519 + public).decode()}"


def proof(gallery: Path, old: Head, new: Head) -> str:
    """What shows a witness who kept `old` that the log of `new` goes on from there.

    Raises:
        GalleryDamaged: it does not.
    """
    leaves = [leaf(line) for line in lines(gallery)][: new.size]
    if old.size > len(leaves) or root(leaves[: old.size]) != old.root:
        raise GalleryDamaged(f"{gallery}: the log does not go on from that head; see pickout audit verify --head")
    hashes = "".join(f"{base64.b64encode(each).decode()}\n" for each in consistency(leaves, old.size))
    return f"old {old.size}\n{hashes}\n{new.text}"


def check_proof(old: Head, text: str, key: str) -> Head:
    """The new head that a proof ends with, after checking it as a witness does: without the log.

    Args:
        old: the head that the witness kept.
        text: the proof.
        key: the verifier key.

    Raises:
        UsageError: this is no proof.
        GalleryDamaged: the proof is wrong, or a signature is.
    """
    first, _, note = text.partition("\n\n")
    start, *hashes = first.splitlines() or [""]
    if start != f"old {old.size}":
        raise UsageError(
            f"this proof begins with '{start[:40]}', expected 'old {old.size}'; ask for another with --since"
        )
    new = read_head(note)
    check_signature(old, key)
    check_signature(new, key)
    if not goes_on(old.size, old.root, new.size, new.root, [_decoded(each) for each in hashes]):
        raise GalleryDamaged("the log does not go on from the earlier head: entries were changed, deleted or replaced")
    return new


def read_head(text: str) -> Head:
    """A head from its text.

    Raises:
        UsageError: it is none.
    """
    rows = text[:_LARGEST].splitlines()
    if len(rows) < 5 or not rows[1].isdecimal() or rows[3] or not rows[4].startswith("— "):
        raise UsageError("this is no head of an audit log; expected what pickout audit head prints")
    return Head(rows[0], int(rows[1]), _decoded(rows[2]), "\n".join(rows[:5]) + "\n")


def check_signature(head: Head, key: str) -> None:
    """Make sure that a head was signed with the private half of `key`.

    Raises:
        UsageError: `key` is no verifier key.
        GalleryDamaged: it was not.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    public = _decoded(key.strip().split("+", 2)[-1])
    if len(public) != 33 or public[:1] != _ED25519:
        raise UsageError(f"'{key[:60]}' is no key; expected the one that pickout audit head tells")
    body, _, signatures = head.text.partition("\n\n")
    signature = _decoded(signatures.rpartition(" ")[2].strip())
    try:
        if head.origin != _origin(public[1:]) or signature[:4] != _key_id(head.origin, public[1:]):
            raise InvalidSignature
        Ed25519PublicKey.from_public_bytes(public[1:]).verify(signature[4:], f"{body}\n".encode())
    except InvalidSignature:
        raise GalleryDamaged(
            f"the head of {head.size} entries was not signed with this log's key: the head was changed, or the log and "
            "its key were replaced"
        ) from None


def given_out(gallery: Path) -> list[Head]:
    """The heads in `audit-heads.txt`.

    Raises:
        GalleryDamaged: the file is garbled.
    """
    try:
        text = (gallery / HEADS).read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    except (OSError, ValueError):
        text = "garbled"
    rows = text.splitlines()
    try:
        return [read_head("\n".join(rows[start : start + 5])) for start in range(0, len(rows), 6)]
    except UsageError:
        raise GalleryDamaged(f"{gallery / HEADS}: garbled; the file was changed") from None


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
        made = Ed25519PrivateKey.generate()
        pem = made.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        with atomic_path(file, private=True) as temporary:
            temporary.write_bytes(pem)
        return made
    except (OSError, ValueError, TypeError):
        pass
    raise GalleryDamaged(f"{file}: is no Ed25519 key without password in PEM; put it back from a backup")


def _origin(public: bytes) -> str:
    return f"pickout/audit/{hashlib.sha256(public).hexdigest()[:16]}"


def _key_id(origin: str, public: bytes) -> bytes:
    return hashlib.sha256(origin.encode() + b"\n" + _ED25519 + public).digest()[:4]


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        raise UsageError(f"'{text[:60]}' is no base64; give the file as it was printed") from None


def sign_text(gallery: Path, text: str) -> str:
    """A text signed with the key of the gallery's log, as a signed note writes it.

    Raises:
        GalleryDamaged: the key cannot be used.
        GalleryError: a package is missing.
    """
    key = _private_key(gallery / KEY)
    public = key.public_key().public_bytes_raw()
    signature = base64.b64encode(_key_id(_origin(public), public) + key.sign(text.encode())).decode()
    return f"{text}\n— {_origin(public)} {signature}\n"

"""A case in one file that proves by itself that nobody changed it: a zip archive with a signed list of what is in it.

Members are stored as they are, behind `manifest.json` (each member's name, bytes and SHA-256, in order) and
`signature.txt` (a signed note over the manifest's SHA-256, Ed25519, with the key of the gallery's audit log). The
archive is written in one way only, so a verifier writes it again from its members and compares every byte: nothing can
hide between them. Verifying needs no server and no gallery."""

import hashlib
import io
import json
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from pickout.errors import DataError, GalleryDamaged, UsageError
from pickout.gallery.audit.heads import Head, check_signature, sign_text

MANIFEST, SIGNATURE, CASE = "manifest.json", "signature.txt", "case.json"
SCHEMA = "pickout.case/1"
_LARGEST = 2**26  # bytes of a manifest at most


@dataclass(frozen=True, slots=True)
class Verified:
    """What an archive says, and what is wrong with it."""

    case: dict[str, Any]  # the contents of `case.json`; empty where it cannot be read
    key: str  # the public key that it was signed with, as `pickout audit head --public` tells it
    members: int  # how many there are behind the signature
    faults: tuple[str, ...]  # what was changed, in words; none: nothing


class _Sink(io.RawIOBase):
    """Takes an archive's bytes; cannot be sought in, so that an archive is written in one way only."""

    def __init__(self, file: IO[bytes] | None = None) -> None:
        self._file, self.digest = file, hashlib.sha256()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.digest.update(data)
        if self._file is not None:
            self._file.write(data)
        return len(data)


def write_archive(file: IO[bytes], members: Sequence[tuple[str, bytes]], gallery: Path, key: str) -> str:
    """Write members by name, and a signed list of them; the SHA-256 of the whole file."""
    listed = [
        {"name": name, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for name, content in members
    ]
    manifest = json.dumps({"schema": SCHEMA, "key": key, "members": listed}, indent=1).encode()
    text = f"{SCHEMA}\n{hashlib.sha256(manifest).hexdigest()}\n"
    signature = sign_text(gallery, text).encode()
    sink = _Sink(file)
    _write(sink, [(MANIFEST, manifest), (SIGNATURE, signature), *members])
    return sink.digest.hexdigest()


def verify_archive(file: Path, key: str | None = None) -> Verified:
    """What is wrong with an archive, signed with the public `key` as somebody else told it, or None: with whichever it
    names. `DataError`: the file is not there; `UsageError`: `key` is no key."""
    if not file.is_file():
        raise DataError(f"{file}: {'is a folder' if file.is_dir() else 'no such file'}; give the archive of a case")
    try:
        with zipfile.ZipFile(file) as archive:
            return _examined(archive, file, key)
    except (zipfile.BadZipFile, OSError, EOFError, RuntimeError, NotImplementedError, ValueError) as error:
        return Verified({}, "", 0, (f"is no whole archive: it was cut off or overwritten ({error})",))


def _examined(archive: zipfile.ZipFile, file: Path, key: str | None) -> Verified:
    entries = archive.infolist()
    names = [each.filename for each in entries]
    if packed := [each.filename for each in entries if each.compress_type != zipfile.ZIP_STORED]:
        return Verified({}, "", len(names), tuple(f"{name}: was changed: another form" for name in packed))
    manifest, told = b"", dict[str, Any]()
    with suppress(KeyError, ValueError):
        if archive.getinfo(MANIFEST).file_size <= _LARGEST:
            manifest = archive.read(MANIFEST)
            told = json.loads(manifest)
    listed = told.get("members") if isinstance(told, dict) else None
    if not isinstance(listed, list) or not all(
        isinstance(each, dict) and isinstance(each.get("name"), str) for each in listed
    ):
        return Verified({}, "", len(names), (f"{MANIFEST} is missing or garbled",))
    own = str(told.get("key", ""))
    faults = [*_signature_faults(archive, manifest, own, key), *_name_faults(names, [each["name"] for each in listed])]
    case: dict[str, Any] = {}
    for each in listed:
        if names.count(each["name"]) != 1:
            continue
        entry = archive.getinfo(each["name"])
        if entry.file_size != each.get("bytes"):
            faults.append(f"{each['name']}: was changed: another size")
            continue
        content = archive.read(entry)
        if hashlib.sha256(content).hexdigest() != each.get("sha256"):
            faults.append(f"{each['name']}: was changed: another SHA-256")
        elif each["name"] == CASE and not isinstance(case := json.loads(content), dict):
            case = {}
            faults.append(f"{CASE}: is no case")
    if not faults:
        sink = _Sink()
        _write(sink, ((name, archive.read(name)) for name in names))
        with file.open("rb") as whole:
            if hashlib.file_digest(whole, "sha256").digest() != sink.digest.digest():
                faults.append("bytes were added or changed between, before or behind the members")
    return Verified(case, own, len(listed), tuple(faults))


def _signature_faults(archive: zipfile.ZipFile, manifest: bytes, own: str, key: str | None) -> Iterator[str]:
    """The signature against the key that the archive names, and that key against the one that was told."""
    if key is not None and key.strip() != own:
        yield f"signed with another key than yours: it names {own[:60] or 'none'}"
    text = f"{SCHEMA}\n{hashlib.sha256(manifest).hexdigest()}\n"
    try:
        note = archive.read(SIGNATURE).decode()
        body, _, _ = note.partition("\n— ")
        if body != text:
            yield f"{MANIFEST} is not the one that was signed"
        origin = own.partition("+")[0]
        # The audit's checker reads a head; what was signed here is the text before the signature's line.
        check_signature(Head(origin, len(manifest), b"", text + note[len(body) :]), own)
    except (KeyError, UnicodeDecodeError, UsageError):
        yield f"{SIGNATURE} is missing or garbled"
    except GalleryDamaged:
        yield "the signature is not of this key: the signature, the key or the list was replaced"


def _name_faults(names: Sequence[str], listed: Sequence[str]) -> Iterator[str]:
    expected = [MANIFEST, SIGNATURE, *listed]
    yield from (f"{name}: was removed or renamed" for name in expected if name not in names)
    yield from (f"{name}: was added or renamed" for name in dict.fromkeys(names) if name not in expected)
    yield from (f"{name}: is there more than once" for name in dict.fromkeys(names) if names.count(name) > 1)
    if sorted(names) == sorted(expected) and list(names) != expected:
        yield "the members stand in another order"


def _write(sink: _Sink, members: Iterable[tuple[str, bytes]]) -> None:
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as archive:
        for name, content in members:
            info = zipfile.ZipInfo(name)  # 1980: when it was made stands in case.json
            info.external_attr, info.create_system = 0o600 << 16, 3
            archive.writestr(info, content)

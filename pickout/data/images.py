"""Image files of any kind to one kind: RGB, 8 bit, upright. No torch."""

import io
import os
import stat
import struct
import threading
import warnings
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from pickout.errors import ImageUnreadable
from pickout.files import packaged_table

MAX_PIXELS = 80_000_000  # the most pixels an image may have; a small file can claim billions
MAX_BYTES = 8 * MAX_PIXELS  # the most that one image may take while it is decoded, and all that threads decode at once

_KINDS = packaged_table("pickout.data", "pictures.toml")
SUFFIXES, NOT_READ = (frozenset(_KINDS["endings"][which].split()) for which in ("read", "others"))
"""File names with these endings (in any case) are taken for images, or are of pictures of kinds that are not read."""
_FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF", "PPM", "AVIF")
"""Formats that Pillow reads without starting another program (it would hand EPS to Ghostscript)."""
_SIGNATURES = {kind: tuple(start.encode("latin-1") for start in starts) for kind, starts in _KINDS["starts"].items()}
_BRANDS = {brand.encode(): kind for kind, brands in _KINDS["brands"].items() for brand in brands.split()}
_BAND = 256  # rows of deep grey that are scaled at a time
_PNG_NOTES = frozenset({b"tEXt", b"zTXt", b"iTXt", b"iCCP"})
"""PNG chunks with texts and the colour profile. Pillow refuses a whole picture for one that unpacks to over 1 MiB."""
_PNG_EXIF = b"Raw profile type exif\0"  # the text in which ImageMagick keeps EXIF data, and so the orientation


def open_image(source: str | Path | bytes) -> Image.Image:
    """Decode an image file, a path or its content, whole, as RGB with 8 bits a channel.

    The EXIF orientation is applied, transparent pixels lie on white, 16-bit grey keeps its high byte, and of an
    animation the first frame is taken. Colour profiles are not applied. Nothing is ever warned about.
    `ImageUnreadable`: missing, not a file, no permission, empty, not an image, damaged or truncated; of more than
    `MAX_PIXELS`, or more than `MAX_BYTES` in memory, which is found before it is decoded."""
    name = "image" if isinstance(source, bytes) else str(source)
    try:
        with _DECODING.quietly(), _content(source) as content:
            return _decode(content)
    except _RefusedError as refusal:
        reason = str(refusal)
    except FileNotFoundError:
        reason = "no such file"
    except PermissionError:
        reason = "no permission to read it"
    except Image.DecompressionBombError:
        reason = f"more than {MAX_PIXELS} pixels; refused as a decompression bomb"
    except UnidentifiedImageError:
        kind = _kind(source)
        reason = f"{kind}, a format that is not read; convert it to JPEG or PNG"
        if kind is None or kind in _FORMATS:
            reason = "not an image, or of an unknown format"
    except MemoryError:
        reason = "too large for the memory"
    except Exception as error:  # Pillow's decoders raise almost any error on damaged data.
        reason = f"damaged or truncated ({error})" if str(error) else "damaged or truncated"
    raise ImageUnreadable(name, reason)


def faults(files: Iterable[Path], threads: int | None) -> Iterator[ImageUnreadable | None]:
    """What is wrong with each image, None where it can be read; in the order of `files`, which are opened together."""

    def fault(file: Path) -> ImageUnreadable | None:
        try:
            open_image(file)
        except ImageUnreadable as error:
            return error
        return None

    with ThreadPoolExecutor(threads) as pool:
        yield from pool.map(fault, files)


class _RefusedError(Exception):
    """Our own reason to refuse an image."""


class _Decoding:
    """What threads share while they decode: silence, and memory."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Start anew: in a forked process the threads that were decoding are gone."""
        self._changed = threading.Condition()
        self._inside, self._taken = 0, 0
        self._outer = warnings.catch_warnings()

    @contextmanager
    def quietly(self) -> Iterator[None]:
        """Silence Pillow's warnings while any thread decodes: `catch_warnings` alone is not safe in threads."""
        with self._changed:
            if self._inside == 0:
                self._outer = warnings.catch_warnings()
                self._outer.__enter__()
                warnings.filterwarnings("ignore", module=r"PIL(\.|$)")
            self._inside += 1
        try:
            yield
        finally:
            with self._changed:
                self._inside -= 1
                if self._inside == 0:
                    self._outer.__exit__(None, None, None)

    @contextmanager
    def room_for(self, size: int) -> Iterator[None]:
        """Wait until `size` bytes of `MAX_BYTES` are free, and hold them: a few large pictures would fill memory."""
        with self._changed:
            self._changed.wait_for(lambda: self._taken + size <= MAX_BYTES)
            self._taken += size
        try:
            yield
        finally:
            with self._changed:
                self._taken -= size
                self._changed.notify_all()


_DECODING = _Decoding()
os.register_at_fork(after_in_child=_DECODING.reset)


def kind_of(head: bytes) -> str | None:
    """The kind of picture that a file of these first 32 bytes is; None for anything else. Not all kinds are read."""
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[:2] == b"BM" and head[14:18] in (struct.pack("<I", size) for size in (12, 40, 52, 56, 64, 108, 124)):
        return "BMP"
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:12])
    return next((kind for kind, starts in _SIGNATURES.items() if head.startswith(starts)), None)


def is_image(file: Path) -> bool:
    """Whether a file is a picture that can be read, by its first bytes; False where it cannot be opened."""
    try:
        return _kind(file) in _FORMATS
    except (OSError, _RefusedError):
        return False


def _kind(source: str | Path | bytes) -> str | None:
    with _content(source) as content:
        return kind_of(content.read(32))


def without_notes(content: bytes) -> bytes:
    """A PNG without its texts and colour profile, none of which is used here; any other content as it is."""
    if kind_of(content[:32]) != "PNG":
        return content
    kept, place = [content[:8]], 8
    while place + 8 <= len(content):
        length = int.from_bytes(content[place : place + 4], "big")
        chunk = content[place : place + 12 + length]
        if chunk[4:8] not in _PNG_NOTES or chunk.startswith(_PNG_EXIF, 8):
            kept.append(chunk)
        place += 12 + length
    return b"".join([*kept, content[place:]])


def _content(source: str | Path | bytes) -> IO[bytes]:
    if isinstance(source, bytes):
        size = len(source)
    else:
        status = Path(source).stat()
        size = status.st_size
        if not stat.S_ISREG(status.st_mode):
            raise _RefusedError("a folder, not a file" if stat.S_ISDIR(status.st_mode) else "not an ordinary file")
    if size == 0:
        raise _RefusedError("empty file")
    return io.BytesIO(source) if isinstance(source, bytes) else Path(source).open("rb")


def _decode(content: IO[bytes]) -> Image.Image:
    start = content.read(32)
    content.seek(0)
    if kind_of(start) == "PNG":
        content = io.BytesIO(without_notes(content.read()))
    with Image.open(content, formats=_FORMATS) as image:
        width, height = image.size
        if width * height > MAX_PIXELS:
            raise _RefusedError(f"{width} x {height} pixels, more than {MAX_PIXELS}; refused as a decompression bomb")
        size = _memory(image)
        if size > MAX_BYTES:
            raise _RefusedError(f"{width} x {height} pixels take {size} bytes, more than {MAX_BYTES}; refused")
        with _DECODING.room_for(size):
            image.load()
            try:
                ImageOps.exif_transpose(image, in_place=True)
            except MemoryError:
                raise
            except Exception:  # Damaged EXIF data; the picture itself is whole.
                pass
            rgb = to_rgb(image)
            rgb.info.clear()
            return rgb


def _memory(image: Image.Image) -> int:
    """Bytes that decoding takes: the pixels as the file has them, what lies between, and RGB in 4 bytes."""
    if image.has_transparency_data:
        each = 4 + 4 + 1
    elif image.mode.startswith("I;16"):
        each = 2 + 1
    else:
        each = 1 if image.mode in ("1", "L", "P") else 4
    return image.width * image.height * (each + 4)


def to_rgb(image: Image.Image) -> Image.Image:
    """A decoded image of any mode as 8-bit RGB: transparency on white, 16-bit grey scaled down; always a copy."""
    if image.mode == "RGB" and "transparency" not in image.info:
        return image.copy()
    if image.mode.startswith(("I", "F")):
        return _from_deep(image)
    if image.has_transparency_data:
        layer = image if image.mode == "RGBA" else image.convert("RGBA")
        white = Image.new("RGB", layer.size, "white")
        white.paste(layer, mask=layer.getchannel("A"))
        return white
    return image.convert("RGB")


def _from_deep(image: Image.Image) -> Image.Image:
    """Grey of more than 8 bits: whole numbers above 255 are 16-bit, fractions up to 1 are shares of white."""

    def band(top: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        rows = image.crop((0, top, image.width, min(top + _BAND, image.height)))
        return np.nan_to_num(np.asarray(rows).astype(np.float32))

    tops = range(0, image.height, _BAND)
    largest = max((band(top).max(initial=0) for top in tops), default=0)
    if image.mode == "F":
        scale = 255.0 if largest <= 1 else 1.0
    else:
        scale = 1.0 if image.mode == "I" and largest <= 255 else 1 / 256
    grey = np.empty((image.height, image.width), np.uint8)
    for top in tops:
        grey[top : top + _BAND] = np.clip(band(top) * np.float32(scale), 0, 255)
    return Image.fromarray(grey).convert("RGB")

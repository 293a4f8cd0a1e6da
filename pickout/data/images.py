"""Image files of any kind to one kind: RGB, 8 bit, upright. No torch."""

import io
import os
import stat
import threading
import warnings
from pathlib import Path
from types import TracebackType
from typing import IO

import numpy as np
from PIL import Image, UnidentifiedImageError

from pickout.errors import ImageUnreadable

MAX_PIXELS = 80_000_000
"""The most pixels an image may have; a small file can claim billions."""

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".avif"})
"""File names with these endings (in any case) are taken for images."""

# Formats that Pillow reads without starting another program (it would hand EPS to Ghostscript).
_FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF", "PPM", "AVIF")
_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_WITH_ALPHA = frozenset({"RGBA", "RGBa", "LA", "La", "PA"})


def open_image(source: str | Path | bytes, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Decode an image file, whole, as RGB with 8 bits a channel.

    The EXIF orientation is applied, transparent pixels lie on white, 16-bit grey keeps its high byte, and of an
    animation the first frame is taken. Colour profiles are not applied. Nothing is ever warned about.

    Args:
        source: a path, or a file's content.
        max_pixels: refuse images with more pixels before decoding them.

    Raises:
        ImageUnreadable: missing, not a file, no permission, empty, not an image, damaged, truncated or too large.
    """
    name = "image" if isinstance(source, bytes) else str(source)
    try:
        with _QUIET, _content(source) as content:
            return _decode(content, max_pixels)
    except _RefusedError as refusal:
        reason = str(refusal)
    except FileNotFoundError:
        reason = "no such file"
    except PermissionError:
        reason = "no permission to read it"
    except Image.DecompressionBombError:
        reason = f"more than {max_pixels} pixels; refused as a decompression bomb"
    except UnidentifiedImageError:
        reason = "not an image, or of an unknown format"
    except MemoryError:
        reason = "too large for the memory"
    except Exception as error:  # Pillow's decoders raise almost any error on damaged data.
        reason = f"damaged or truncated ({error})" if str(error) else "damaged or truncated"
    raise ImageUnreadable(name, reason)


class _RefusedError(Exception):
    """Our own reason to refuse an image."""


class _Quiet:
    """Silences Pillow's warnings while any thread decodes: `warnings.catch_warnings` alone is not safe in threads."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Start anew: in a forked process the threads that were decoding are gone."""
        self._lock = threading.Lock()
        self._inside = 0
        self._outer = warnings.catch_warnings()

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._outer = warnings.catch_warnings()
                self._outer.__enter__()
                warnings.filterwarnings("ignore", module=r"PIL(\.|$)")
            self._inside += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._outer.__exit__(None, None, None)


_QUIET = _Quiet()
os.register_at_fork(after_in_child=_QUIET.reset)


def _content(source: str | Path | bytes) -> IO[bytes]:
    if isinstance(source, bytes):
        size, content = len(source), io.BytesIO(source)
        if size == 0:
            raise _RefusedError("empty file")
        return content
    status = Path(source).stat()
    if stat.S_ISDIR(status.st_mode):
        raise _RefusedError("a folder, not a file")
    if not stat.S_ISREG(status.st_mode):
        raise _RefusedError("not an ordinary file")
    if status.st_size == 0:
        raise _RefusedError("empty file")
    return Path(source).open("rb")


def _decode(content: IO[bytes], max_pixels: int) -> Image.Image:
    with Image.open(content, formats=_FORMATS) as image:
        width, height = image.size
        if width * height > max_pixels:
            raise _RefusedError(f"{width} x {height} pixels, more than {max_pixels}; refused as a decompression bomb")
        image.load()
        return _upright(to_rgb(image), image)


def to_rgb(image: Image.Image) -> Image.Image:
    """A decoded image of any mode as 8-bit RGB: transparency on white, 16-bit grey scaled down; always a copy."""
    if image.mode == "RGB" and "transparency" not in image.info:
        return image.copy()
    if image.mode.startswith(("I", "F")):
        return _from_deep(np.asarray(image))
    if image.mode in _WITH_ALPHA or "transparency" in image.info:
        layer = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    return image.convert("RGB")


def _from_deep(values: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> Image.Image:
    """Grey of more than 8 bits: whole numbers above 255 are 16-bit, fractions up to 1 are shares of white."""
    grey = np.nan_to_num(values.astype(np.float64))
    top = grey.max(initial=0)
    if values.dtype.kind == "f":
        grey = grey * 255 if top <= 1 else grey
    elif values.dtype.itemsize == 2 or top > 255:
        grey = grey // 256
    return Image.fromarray(np.clip(grey, 0, 255).astype(np.uint8)).convert("RGB")


def _upright(image: Image.Image, opened: Image.Image) -> Image.Image:
    try:
        turn = _TURNS.get(opened.getexif().get(_ORIENTATION, 1))
    except Exception:  # Damaged EXIF data; the picture itself is whole.
        turn = None
    image.info.clear()
    return image if turn is None else image.transpose(turn)

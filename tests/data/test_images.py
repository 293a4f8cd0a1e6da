"""Every kind of image file becomes upright 8-bit RGB, or a short reason why not."""

import io
import os
import struct
import threading
import time
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from pickout.data import images
from pickout.data.images import is_image, kind_of, open_image, to_rgb
from pickout.errors import ImageUnreadable


def picture(height: int = 40, width: int = 20) -> Image.Image:
    """Red above, blue below."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[: height // 2, :, 0] = 250
    pixels[height // 2 :, :, 2] = 250
    return Image.fromarray(pixels)


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def colours(image: Image.Image) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """A pixel above and one below."""
    return image.getpixel((image.width // 2, 3)), image.getpixel((image.width // 2, image.height - 4))


def is_red_over_blue(image: Image.Image) -> bool:
    above, below = colours(image)
    return image.mode == "RGB" and above[0] > 180 and above[2] < 70 and below[2] > 180 and below[0] < 70


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds almost nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF", "PPM", "AVIF"])
def test_each_format_opens_as_rgb(kind: str) -> None:
    assert is_red_over_blue(open_image(saved(picture(), kind)))


def test_a_path_and_its_content_open_alike(tmp_path: Path) -> None:
    file = tmp_path / "crop.png"
    file.write_bytes(saved(picture(), "PNG"))
    for source in (file, str(file), file.read_bytes()):
        assert open_image(source).tobytes() == picture().tobytes()


def test_cmyk_becomes_rgb() -> None:
    assert is_red_over_blue(open_image(saved(picture().convert("CMYK"), "JPEG", quality=95)))


@pytest.mark.parametrize("value", [0, 255, 256, 40_000, 65_535])
def test_sixteen_bit_grey_keeps_its_high_byte(value: int) -> None:
    deep = Image.fromarray(np.full((4, 4), value, np.uint16))
    assert open_image(saved(deep, "PNG")).getpixel((1, 1)) == (value // 256,) * 3
    assert open_image(saved(deep, "TIFF")).getpixel((1, 1)) == (value // 256,) * 3


def test_sixteen_bit_portable_grey_keeps_its_high_byte() -> None:
    content = b"P5 2 1 65535\n" + struct.pack(">HH", 65_535, 32_768)
    assert [open_image(content).getpixel((x, 0)) for x in (0, 1)] == [(255,) * 3, (128,) * 3]


def test_grey_of_fractions_is_a_share_of_white() -> None:
    shares = Image.fromarray(np.array([[0.0, 0.5, 1.0, np.nan]], np.float32))
    opened = open_image(saved(shares, "TIFF"))
    assert [opened.getpixel((x, 0))[0] for x in range(4)] == [0, 127, 255, 0]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_exif_orientation_is_applied(orientation: int) -> None:
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
    turned = picture() if orientation == 1 else picture().transpose(Image.Transpose(undo[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    opened = open_image(saved(turned, "JPEG", exif=exif, quality=95))
    assert opened.size == (20, 40)
    assert is_red_over_blue(opened)


def test_damaged_exif_data_do_not_matter() -> None:
    content = saved(picture(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff\x01", quality=95)
    assert is_red_over_blue(open_image(content))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
def test_transparent_pixels_lie_on_white(mode: str) -> None:
    image = Image.new("RGBA", (6, 6), (0, 0, 0, 0)).convert(mode)
    assert open_image(saved(image, "TIFF" if mode == "PA" else "PNG")).getpixel((2, 2)) == (255, 255, 255)


def test_a_palette_with_alpha_lies_on_white() -> None:
    image = Image.new("P", (6, 6), 1)
    image.putpalette([10, 20, 30, 200, 0, 0])
    content = saved(image, "PNG", transparency=bytes([255, 0]))
    assert open_image(content).getpixel((2, 2)) == (255, 255, 255)
    assert open_image(saved(image, "PNG")).getpixel((2, 2)) == (200, 0, 0)


def test_one_bit_and_grey_become_rgb() -> None:
    for mode in ("1", "L"):
        assert (
            open_image(saved(Image.new(mode, (4, 4), 255 if mode == "L" else 1), "PNG")).getpixel((0, 0)) == (255,) * 3
        )


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "MPO", "TIFF"])
def test_the_first_frame_of_an_animation_is_taken(kind: str) -> None:
    frames = [picture(), Image.new("RGB", (20, 40), "white")]
    content = saved(frames[0], kind, save_all=True, append_images=frames[1:])
    assert is_red_over_blue(open_image(content))


def test_what_cannot_be_read_has_a_short_reason(tmp_path: Path) -> None:
    jpeg = saved(picture(200, 100), "JPEG")
    files = {
        "empty.jpg": (b"", "empty"),
        "text.jpg": (b"this is no image", "not an image"),
        "half.jpg": (jpeg[: len(jpeg) // 2], "truncated"),
        "half.png": (saved(picture(200, 100), "PNG")[:120], "truncated"),
        "noise.jpg": (jpeg[:2] + bytes(range(256)) * 4, "not an image|damaged"),
        "bomb.png": (png_header(30_000, 30_000), "bomb"),
        "large.png": (png_header(10_000, 9_000), "10000 x 9000 pixels.*bomb"),
        "script.eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n", "not an image"),
    }
    for name, (content, reason) in files.items():
        file = tmp_path / name
        file.write_bytes(content)
        with pytest.raises(ImageUnreadable, match=reason) as caught:
            open_image(file)
        assert caught.value.path == str(file) and len(caught.value.reason) < 120
        assert caught.value.__cause__ is None and caught.value.__suppress_context__ is False


def test_pixels_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    content = saved(picture(40, 20), "PNG")
    monkeypatch.setattr(images, "MAX_PIXELS", 800)
    assert open_image(content).size == (20, 40)
    monkeypatch.setattr(images, "MAX_PIXELS", 799)
    with pytest.raises(ImageUnreadable, match="20 x 40 pixels, more than 799"):
        open_image(content)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    (tmp_path / "folder.jpg").mkdir()
    with pytest.raises(ImageUnreadable, match="a folder"):
        open_image(tmp_path / "folder.jpg")
    with pytest.raises(ImageUnreadable, match="no such file"):
        open_image(tmp_path / "absent.jpg")


def test_a_pipe_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(ImageUnreadable, match="not an ordinary file"):
        open_image(tmp_path / "pipe.jpg")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "crop.png"
    file.write_bytes(saved(picture(), "PNG"))
    file.chmod(0)
    with pytest.raises(ImageUnreadable, match="no permission"):
        open_image(file)


def test_permission_is_named_whoever_runs_the_tests(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "crop.png"
    file.write_bytes(saved(picture(), "PNG"))
    monkeypatch.setattr(Path, "open", lambda *_: (_ for _ in ()).throw(PermissionError(13, "Permission denied")))
    with pytest.raises(ImageUnreadable, match="no permission"):
        open_image(file)


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(
    kind=st.sampled_from(["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "AVIF"]),
    cut=st.floats(0, 1),
    flips=st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), max_size=6),
)
def test_damage_anywhere_gives_an_image_or_a_reason(kind: str, cut: float, flips: list[tuple[float, int]]) -> None:
    content = bytearray(saved(picture(), kind))
    for place, value in flips:
        content[int(place * len(content))] = value
    del content[int((0.3 + cut * 0.7) * len(content)) + 1 :]
    try:
        with patch.object(images, "MAX_PIXELS", 1_000_000):
            assert open_image(bytes(content)).mode == "RGB"
    except ImageUnreadable as error:
        assert error.reason


def test_nothing_is_warned_about_in_any_thread_and_filters_return() -> None:
    before = list(warnings.filters)
    content = saved(picture(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff\x01")
    failures: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(40):
                open_image(content)
                with pytest.raises(ImageUnreadable):
                    open_image(b"no image")
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert warnings.filters == before


def test_a_process_forked_while_a_thread_decodes_can_decode() -> None:
    content = saved(picture(), "PNG")
    with images._DECODING._changed, warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of a fork beside threads.
        child = os.fork()
        if child == 0:
            os._exit(0 if open_image(content).mode == "RGB" else 1)
    assert os.waitpid(child, 0)[1] == 0


def png_with(*chunks: tuple[bytes, bytes], image: Image.Image | None = None) -> bytes:
    """A PNG with further chunks behind its header."""
    content = saved(image or picture(), "PNG")
    packed = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return content[:33] + packed + content[33:]


LONG = zlib.compress(b"x" * (3 << 20))
NOTES = {
    "text": (b"zTXt", b"Comment\0\0" + LONG),
    "international text": (b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + LONG),
    "colour profile": (b"iCCP", b"ICC\0\0" + LONG),
    "plain text": (b"tEXt", b"Comment\0" + b"x" * (3 << 20)),
}


@pytest.mark.parametrize("note", NOTES)
def test_a_png_is_whole_however_long_its_texts_and_profile_are(note: str) -> None:
    assert open_image(png_with(NOTES[note])).tobytes() == picture().tobytes()


def test_texts_of_a_png_that_fill_memory_together_do_not_matter() -> None:
    notes = [(b"zTXt", b"Comment\0\0" + zlib.compress(b"x" * 1_000_000))] * 80
    assert is_red_over_blue(open_image(png_with(*notes)))


def test_the_orientation_in_a_pngs_text_is_kept_beside_a_long_one() -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    data = b"Exif\0\0" + exif.tobytes().removeprefix(b"Exif\0\0")
    told = b"Raw profile type exif\0\0" + zlib.compress(f"\nexif\n{len(data):8}\n{data.hex()}\n".encode())
    turned = picture().transpose(Image.Transpose.ROTATE_180)
    assert is_red_over_blue(open_image(png_with((b"zTXt", told), NOTES["text"], image=turned)))


def test_a_cut_or_damaged_png_is_still_refused_beside_long_texts() -> None:
    content = png_with(NOTES["text"], image=picture(200, 100))
    with pytest.raises(ImageUnreadable, match="truncated"):
        open_image(content[:-200])


HEADS = {
    "HEIC": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
    "JPEG XL": b"\xff\x0a" + b"\0" * 30,
    "JPEG 2000": b"\0\0\0\x0cjP  \r\n\x87\n",
    "PSD": b"8BPS\0\1",
}


@pytest.mark.parametrize("kind", HEADS)
def test_a_picture_of_a_kind_that_is_not_read_says_which(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "phone.jpg"
    file.write_bytes(HEADS[kind])
    with pytest.raises(ImageUnreadable, match=f"{kind}, a format that is not read; convert it to JPEG"):
        open_image(file)
    assert kind_of(HEADS[kind]) == kind and not is_image(file)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "AVIF"])
def test_a_picture_without_an_ending_is_known_by_its_first_bytes(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "0001"
    file.write_bytes(saved(picture(), kind))
    assert is_image(file) and is_red_over_blue(open_image(file))


def test_what_is_no_picture_is_none_whatever_it_is(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "text").write_text("BM is how this text begins")
    assert not any(is_image(tmp_path / name) for name in ("pipe", "folder", "empty", "text", "absent"))


def test_the_limit_counts_bytes() -> None:
    content = saved(Image.new("RGBA", (10, 10)), "PNG")
    header = png_header(9_000, 7_000)
    clear = header[:25] + b"\x06" + header[26:29] + struct.pack(">I", zlib.crc32(header[12:25] + b"\x06\0\0\0"))
    assert open_image(content).size == (10, 10)
    with pytest.raises(ImageUnreadable, match=r"9000 x 7000 pixels take 819000000 bytes, more than 640000000"):
        open_image(clear + header[33:])


def test_threads_decode_no_more_than_the_limit_together(monkeypatch: pytest.MonkeyPatch) -> None:
    content = saved(Image.fromarray(np.zeros((64, 64), np.uint16)), "PNG")
    monkeypatch.setattr(images, "MAX_BYTES", 2 * 7 * 64 * 64)
    inside, most, deep = 0, 0, images._from_deep

    def watched(image: Image.Image) -> Image.Image:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        time.sleep(0.01)
        inside -= 1
        return deep(image)

    monkeypatch.setattr(images, "_from_deep", watched)
    with ThreadPoolExecutor(8) as pool:
        assert [image.size for image in pool.map(open_image, [content] * 16)] == [(64, 64)] * 16
    assert most == 2 and images._DECODING._taken == 0


def test_a_palette_with_transparent_colours_lies_on_white() -> None:
    clear = Image.new("RGBA", (8, 8), (200, 0, 0, 0))
    clear.paste((0, 0, 200, 255), (0, 0, 4, 8))
    seen = np.asarray(to_rgb(clear.quantize()))
    assert seen[0, 7].tolist() == [255, 255, 255] and seen[0, 0].tolist() == [0, 0, 200]

"""Single crops, looked at, explained, and in the frame of the recording that they were cut from. Knows no HTTP."""

import io
import threading
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from pickout.errors import GalleryError, ImageUnreadable, NotThere, UsageError
from pickout.gallery.audit.log import record_event
from pickout.gallery.intake.picture import digest, read_file
from pickout.gallery.search.search import Hit
from pickout.gallery.storage.rows import Row
from pickout.pages import picture_bytes
from pickout.serve.access import Action, Actor, permit
from pickout.serve.answers import Crop
from pickout.serve.blurring import blurred, blurred_jpeg
from pickout.serve.hosting import Hosted
from pickout.serve.service import Service
from pickout.serve.settings import ServeSettings

_EXPLAINED = 500  # explanations that are kept in memory: they take seconds, and are looked at again
_WIDEST = 1600  # pixels of a frame that is shown, at most
_ALIKE = 0.6  # correlation of a crop with what its box shows, from which it is the same recording
_PEEK = (12, 24)

_turn = threading.Semaphore(2)  # decoding takes every core that it gets
_explaining = threading.Lock()  # so does explaining; whoever asks for the same waits for it


def explained(service: Service, actor: Actor, hosted: Hosted, identifier: str, sentence: str) -> dict[str, Any]:
    """Why a crop has its score for a sentence. Recorded."""
    row = seen_row(actor, hosted, identifier)
    service.policy.judge([sentence])
    from pickout.checkpoints.loaded_model import LoadedModel
    from pickout.explain.explanation import explain, measurement_file
    from pickout.explain.ways import read_measurement

    if not isinstance(hosted.encoder, LoadedModel):
        raise GalleryError(f"the model {hosted.encoder.name} of this gallery cannot be explained")
    with Image.open(io.BytesIO(own_bytes(row))) as picture:
        shown = blurred(picture) if actor.blurred else picture.convert("RGB")
    record_event(hosted.path, "explained", [row.id], sentence=sentence)
    file = measurement_file(hosted.encoder)
    measured_at = file.stat().st_mtime_ns if file.exists() else None
    key = (hosted.encoder.fingerprint, measured_at, row.content, sentence, actor.blurred)
    with _explaining:
        if (found := service.explained.get(key)) is None:
            found = explain(hosted.encoder, sentence, shown, measurement=read_measurement(file)).as_json()
            service.explained = dict([*service.explained.items()][1 - _EXPLAINED :]) | {key: found}
        return found


def seen_row(actor: Actor, hosted: Hosted, identifier: str) -> Row:
    """A crop that somebody may see."""
    (row,) = hosted.found([identifier])
    permit(actor, Action.IMAGE, hosted.name, [row])
    assert row is not None
    return row


def own_picture(actor: Actor, hosted: Hosted, identifier: str, *, blur: bool) -> tuple[bytes, str]:
    """A crop's own file, and its media type. Recorded."""
    row = seen_row(actor, hosted, identifier)
    content = own_bytes(row)
    record_event(hosted.path, "original looked at", [row.id])
    if blur or actor.blurred:
        return blurred_jpeg(content), "image/jpeg"
    with Image.open(io.BytesIO(content)) as picture:
        return content, Image.MIME.get(picture.format or "", "application/octet-stream")


def told_row(row: Row) -> dict[str, Any]:
    """A crop without any path of the server."""
    return {key: value for key, value in Hit.of(row, 1, 0.0).as_json().items() if key in Crop.model_fields}


def own_bytes(row: Row) -> bytes:
    """The bytes that were indexed, and no others: a file that was swapped since is not given out."""
    try:
        content = read_file(row.file)
    except ImageUnreadable:
        content = b""
    if digest(content) != row.content:
        raise ImageUnreadable("the original", "is gone or has changed since it was indexed")
    return content


def draw_frame(actor: Actor, hosted: Hosted, row: Row, settings: ServeSettings, *, blur: bool) -> bytes:
    """The frame with the crop's box, as a JPEG. With `blur`, and for a token that sees blurred faces only, whatever is
    not in the box is made unrecognisable. Recorded. `NotThere`: its recording is not at hand, or is another one."""
    told = row.metadata
    if told.video is None or told.frame is None or told.box is None:
        raise NotThere("this gallery does not say from which frame of which recording this crop was cut")
    place = _place(actor, told.video, settings)
    if find_spec("av") is None:
        raise UsageError("to show frames of recordings the server needs more packages: pip install 'pickout[video]'")
    from pickout.video.frames import read_still

    with _turn:
        picture = Image.fromarray(read_still(place, told.frame))
    left, top, width, height = told.box
    box = (max(0, left), max(0, top), min(picture.width, left + width), min(picture.height, top + height))
    if box[0] >= box[2] or box[1] >= box[3] or _likeness(picture.crop(box), row) < _ALIKE:
        raise NotThere(f"{place.name}: its frame {told.frame} does not show this crop; is it another recording?")
    record_event(hosted.path, "frame looked at", [row.id])
    return picture_bytes(_drawn(picture, box, hidden=blur or actor.blurred), quality=85)


def _place(actor: Actor, video: str, settings: ServeSettings) -> Path:
    """Where a recording lies; for others than the owner below a folder of recordings: a crop may name any file."""
    stated = Path(video)
    parts = stated.parts[stated.is_absolute() :]
    with suppress(OSError, ValueError):
        if actor.token is None and stated.exists():
            return stated
    for folder in (folder.resolve() for folder in (*settings.recordings, *settings.folders)):
        for place in (stated, *(folder.joinpath(*parts[first:]) for first in range(len(parts)))):
            with suppress(OSError, ValueError):
                if place.resolve().is_relative_to(folder) and place.resolve() != folder and place.exists():
                    return place
    name = stated.name if "://" not in video else "a camera's stream"
    raise NotThere(f"the recording is not at hand ({name}); give its folder to pickout serve --recordings")


def _likeness(cut: Image.Image, row: Row) -> float:
    """Correlation of two pictures' brightness, from -1 to 1; flat pictures are like anything."""
    with Image.open(io.BytesIO(row.thumbnail)) as crop:
        sides = [np.asarray(each.convert("L").resize(_PEEK), dtype=np.float64) for each in (cut, crop)]
    first, second = (side - side.mean() for side in sides)
    norm = float(np.linalg.norm(first) * np.linalg.norm(second))
    return float((first * second).sum()) / norm if norm > 1.0 else 1.0


def _drawn(picture: Image.Image, box: tuple[int, int, int, int], *, hidden: bool) -> Image.Image:
    """The frame with a box drawn around the crop, not larger than it may be."""
    if hidden:
        person = blurred(picture.crop(box))
        small = picture.resize((max(1, picture.width // 40), max(1, picture.height // 40)), Image.Resampling.BOX)
        picture = small.resize(picture.size, Image.Resampling.BILINEAR).filter(ImageFilter.GaussianBlur(12))
        picture.paste(person, box[:2])
    scale = min(1.0, _WIDEST / picture.width)
    if scale < 1.0:
        picture = picture.resize((_WIDEST, max(1, round(scale * picture.height))), Image.Resampling.LANCZOS)
    pen, thick = ImageDraw.Draw(picture), max(2, picture.width // 300)
    left, top, right, bottom = (round(scale * side) for side in box)
    for colour, out in (("black", thick + 1), ("#ffd21f", thick)):
        pen.rectangle((left - out, top - out, right + out, bottom + out), outline=colour, width=out)
    return picture

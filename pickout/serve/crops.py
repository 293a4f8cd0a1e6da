"""Single crops of a service's galleries, looked at and explained. Knows no HTTP."""

import io
import threading
from typing import Any

from PIL import Image

from pickout.errors import GalleryError, ImageUnreadable
from pickout.gallery.audit.log import record_event
from pickout.gallery.intake.picture import digest, read_file
from pickout.gallery.search.search import Hit
from pickout.gallery.storage.rows import Row
from pickout.serve.access import Action, Actor, permit
from pickout.serve.blurring import blurred, blurred_jpeg
from pickout.serve.hosting import Hosted
from pickout.serve.service import Service, told_hit

_EXPLAINED = 500  # explanations that are kept in memory: they take seconds, and are looked at again


class Crops:
    """What is made of single crops."""

    def __init__(self, service: Service) -> None:
        self._policy = service.policy
        self._explained: dict[tuple[object, ...], dict[str, Any]] = {}
        self._explaining = threading.Lock()
        service.on_erasing.append(lambda _: self._explained.clear())

    def explain(self, actor: Actor, hosted: Hosted, identifier: str, sentence: str) -> dict[str, Any]:
        """Why a crop has its score for a sentence. Recorded."""
        row = seen_row(actor, hosted, identifier)
        self._policy.judge([sentence])
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
        with self._explaining:  # one takes every core; whoever asks for the same waits for it
            if key not in self._explained:
                found = explain(hosted.encoder, sentence, shown, measurement=read_measurement(file)).as_json()
                self._explained = dict([*self._explained.items()][1 - _EXPLAINED :]) | {key: found}
            return self._explained[key]


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
    return {key: value for key, value in told_hit(Hit.of(row, 1, 0.0)).items() if key in _ROW}


_ROW = ("id", "width", "height", "camera", "time", "video", "frame", "box", "track", "labels")


def own_bytes(row: Row) -> bytes:
    """The bytes that were indexed, and no others: a file that was swapped since is not given out."""
    try:
        content = read_file(row.file)
    except ImageUnreadable:
        content = b""
    if digest(content) != row.content:
        raise ImageUnreadable("the original", "is gone or has changed since it was indexed")
    return content

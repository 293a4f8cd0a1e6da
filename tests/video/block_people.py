"""Recordings of coloured blocks that walk, and a detector that finds them."""

from fractions import Fraction

import av
import numpy as np

from pickout.video.boxes import detections

COLOURS = {"teal": (0, 160, 150), "red": (200, 30, 30)}


class BlockDetector:
    """Finds blocks of the colours above: one box a colour."""

    def detect(self, image):
        boxes = []
        for colour in COLOURS.values():
            seen = np.abs(image.astype(int) - colour).max(axis=2) < 60
            rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
            if len(rows) > 20:
                boxes.append([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])
        return detections(np.array(boxes, dtype=np.float32).reshape(-1, 4), np.full(len(boxes), 0.9, np.float32))


def frame_at(seconds, size=(120, 160)):
    """Teal walks from 1 s to 4 s, red from 7.5 s to 10 s; a stripe on its jacket makes a crop of each moment unlike."""
    image = np.full((*size, 3), 110, np.uint8)
    image[90:] = 70
    for colour, (begin, end) in zip(COLOURS.values(), ((1, 4), (7.5, 10)), strict=True):
        if begin <= seconds < end:
            left = round(10 + (seconds - begin) * 30)
            image[25:95, left : left + 24] = colour
            stripe = 30 + round((seconds - begin) * 12)
            image[stripe : stripe + 14, left + 4 : left + 20] = np.asarray(colour) + 40
    return image


def write_video(file, seconds=12, rate=10, codec="mpeg4", times=None, draw=frame_at, metadata=None, options=None):
    """A recording of `draw` at the given times, or at `rate` frames a second."""
    times = [number / rate for number in range(round(seconds * rate))] if times is None else times
    with av.open(str(file), "w", options=options or {}) as container:
        container.metadata.update(metadata or {})
        stream = container.add_stream(codec, rate=rate)
        image = draw(times[0])
        stream.width, stream.height = image.shape[1], image.shape[0]
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "rgb8" if codec == "gif" else "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000 if codec != "mpeg4" else rate)
        if codec != "gif":
            stream.bit_rate = 2_000_000
        for time in times:
            frame = av.VideoFrame.from_ndarray(draw(time), format="rgb24")
            frame.pts, frame.time_base = round(time / stream.codec_context.time_base), stream.codec_context.time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return file

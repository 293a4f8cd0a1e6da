"""Faces blurred by where a head is in a crop of a whole person: no face is looked for, so no angle hides one."""

import io
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFilter

from pickout.pages import picture_bytes

_HEAD = 0.24  # share of a crop's height, from the top, for a standing person's head; with room for a loose crop
_STRENGTH = 0.35  # radius of the blur over the head's height: what is left says where a head is, not whose


def blurred(picture: Image.Image) -> Image.Image:
    """A copy of a crop whose head region is blurred beyond recognition, over the whole width. The region is the top
    quarter. Of people who sit, bend or are cut off it may be the wrong place: look at what a camera gives first."""
    image = picture.convert("RGB")
    height = max(1, round(_HEAD * image.height))
    head = image.crop((0, 0, image.width, height))
    # Few pixels first: a blur alone can be undone in part.
    small = head.resize((max(1, image.width // 12), max(1, height // 12)), Image.Resampling.BOX)
    head = small.resize(head.size, Image.Resampling.BILINEAR).filter(ImageFilter.GaussianBlur(_STRENGTH * height / 2))
    mask = Image.new("L", head.size, 255)
    ImageDraw.Draw(mask).line([(0, height - 1), (image.width, height - 1)], fill=128)
    image.paste(head, (0, 0), mask)
    return image


def blurred_jpeg(content: bytes) -> bytes:
    """The same from and to the bytes of a file."""
    with Image.open(io.BytesIO(content)) as picture:
        return picture_bytes(blurred(picture), quality=85)


def redacted_jpeg(content: bytes, boxes: Sequence[Sequence[float]], *, head: bool = True) -> bytes:
    """A crop as it may leave: the head region blurred unless told otherwise, and boxes (left, top, width and height as
    shares of the crop) made one colour each, so that what stood there cannot be got back."""
    with Image.open(io.BytesIO(content)) as picture:
        image = blurred(picture) if head else picture.convert("RGB")
    for left, top, width, height in boxes:
        start = (round(left * image.width), round(top * image.height))
        end = (round((left + width) * image.width), round((top + height) * image.height))
        box = (*start, min(image.width, end[0]), min(image.height, end[1]))
        if box[0] < box[2] and box[1] < box[3]:
            one = image.crop(box).resize((1, 1), Image.Resampling.BOX)
            image.paste(one.resize((box[2] - box[0], box[3] - box[1])), box)
    return picture_bytes(image, quality=90)

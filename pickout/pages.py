"""Pages made from templates, each one file that needs nothing else (no script, no request to anywhere), and figures."""

import base64
import io
import math
from collections.abc import Sequence
from functools import cache
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from pickout.errors import printable


def render(package: str, template: str, **facts: Any) -> str:
    """The template of a package with these facts; what is printed through `shown` is made printable, all is escaped."""
    return str(_environment(package).get_template(template).render(**facts))


@cache
def _environment(package: str) -> Any:
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    loader = ChoiceLoader([PackageLoader(package, ""), PackageLoader("pickout", "")])  # `head.html` is the package's
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.filters["shown"] = printable
    return environment


def new_figure(width: float, height: float) -> Any:
    """An empty figure of so many inches."""
    # Not pyplot: its global state warns when many figures are drawn, and would need a display.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=150, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def open_axes(axes: Any, **grid: Any) -> None:
    """Axes with a pale grid, open at the top and to the right."""
    axes.grid(color="#d9d9d9", linewidth=0.6, **grid)
    axes.spines[["top", "right"]].set_visible(False)


def figure_bytes(figure: Any) -> bytes:
    """A figure as a PNG file."""
    stream = io.BytesIO()
    # Without the library's version inside, equal findings give equal bytes.
    figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()


def tile(panels: Sequence[tuple[str, Image.Image]], *, across: int = 6) -> Image.Image:
    """Pictures of one size in rows of at most `across`, each with its text, of one line or more, below."""
    font, margin = ImageFont.load_default(size=14), 10
    sizes = [ImageDraw.Draw(Image.new("L", (1, 1))).multiline_textbbox((0, 0), text, font) for text, _ in panels]
    wide = max(max(image.width, math.ceil(size[2])) for (_, image), size in zip(panels, sizes, strict=True)) + margin
    high = max(image.height for _, image in panels) + math.ceil(max(size[3] for size in sizes)) + margin + 4
    columns = min(across, len(panels))
    sheet = Image.new("RGB", (wide * columns + margin, high * math.ceil(len(panels) / columns) + margin), "white")
    pen = ImageDraw.Draw(sheet)
    for number, (text, image) in enumerate(panels):
        row, column = divmod(number, columns)
        left, top = margin + column * wide, margin + row * high
        sheet.paste(image, (left, top))
        pen.text((left, top + image.height + 2), text, fill="black", font=font)
    return sheet


def picture_bytes(image: Image.Image, kind: str = "JPEG", **how: Any) -> bytes:
    """A picture as a file; `how` as for Pillow."""
    stream = io.BytesIO()
    image.save(stream, kind, **how)
    return stream.getvalue()


def picture_address(image: Image.Image, kind: str = "JPEG", **how: Any) -> str:
    """A picture as an address that holds it; `how` as for Pillow."""
    return bytes_address(picture_bytes(image, kind, **how), kind)


def bytes_address(content: bytes, kind: str = "JPEG") -> str:
    """A picture file's bytes as an address."""
    return f"data:image/{kind.lower()};base64,{base64.b64encode(content).decode('ascii')}"

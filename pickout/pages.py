"""Pages made from templates, each one file that needs nothing else: no script, no request to anywhere."""

import base64
import io
from functools import cache
from typing import Any

from PIL import Image

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


def picture_address(image: Image.Image, kind: str = "JPEG", **how: Any) -> str:
    """A picture as an address that holds it; `how` as for Pillow."""
    stream = io.BytesIO()
    image.save(stream, kind, **how)
    return bytes_address(stream.getvalue(), kind)


def bytes_address(content: bytes, kind: str = "JPEG") -> str:
    """A picture file's bytes as an address."""
    return f"data:image/{kind.lower()};base64,{base64.b64encode(content).decode('ascii')}"

"""Details on cloth: necklines, lapels, buttons, zips, pockets, prints, quilting, faded and torn jeans."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pickout.synthetic.surfaces import Paint, Part, Pixels, Surface, linear, mottled

Array = NDArray[np.floating[Any]]
Mask = NDArray[np.bool_]


def paint_details(surface: Surface, place: Array, pixels: Pixels, out: Paint) -> None:
    """Paint every detail of `surface`; `place` is in its frame (torso lengths, or head heights for a hat)."""
    if surface.part in (Part.UPPER, Part.OUTER):
        _front(surface, place, out)
        _neck(surface, place, out)
        if "logo" in surface.details and surface.second is not None:
            _logo(surface, place, out)
    elif surface.part == Part.LOWER:
        _trousers(surface, place, pixels, out)
    elif surface.part == Part.HEADWEAR:
        _hat(surface, place, out)
    elif surface.part == Part.BAG:
        _bag(surface, pixels, out)
    if "ribs" in surface.details:
        out.shade *= np.where(pixels.hem < 0.05, np.float32(0.86), np.float32(1.0))
    if "pleats" in surface.details:
        fold = np.mod(_angle(place) * np.float32(3.6), np.float32(1.0))
        out.shade *= np.where(place[1] < 0.2, np.float32(0.78) + np.float32(0.36) * fold, np.float32(1.0))
    if "quilted" in surface.details:
        wave = np.abs(np.sin(pixels.v * np.float32(np.pi / 0.075)))
        out.shade *= 0.62 + 0.48 * np.sqrt(wave)
    if "umbrella" in surface.details:
        angle = np.arctan2(place[0], place[2])
        out.shade *= 0.80 + 0.25 * np.abs(np.cos(4.0 * angle))


def _darken(out: Paint, mask: Mask, factor: float) -> None:
    out.shade *= np.where(mask, np.float32(factor), np.float32(1.0))


def _front(surface: Surface, place: Array, out: Paint) -> None:
    x, y, z = place
    aside, ahead = np.abs(x), (z > 0.0) & (np.abs(x) < 0.42)
    details = surface.details
    closed = "open" not in details
    if closed and "zip" in details:
        _darken(out, ahead & (aside < 0.014) & (y < 0.97), 0.55)
    if closed and ("buttons" in details or "placket" in details):
        low = 0.62 if "placket" in details else -0.9
        line = ahead & (np.abs(x - 0.02) < 0.008) & (y > low)
        dots = ahead & (aside < 0.016) & (np.mod(y, 0.13) < 0.032) & (y > low) & (y < 0.95)
        _darken(out, line, 0.80)
        bright = sum(surface.rgb) > 1.2
        out.colour = np.where(
            dots, out.colour * np.float32(0.35 if bright else 1.0) + (0.0 if bright else 0.10), out.colour
        )
    if "pockets" in details:
        flap = ahead & (np.abs(y - 0.10 - 0.1 * (aside - 0.25)) < 0.012) & (aside > 0.14) & (aside < 0.32)
        _darken(out, flap, 0.65)
    if "pouch" in details:
        edge = np.where(y > 0.18, 0.24 - 0.55 * (y - 0.18), np.float32(0.24))
        rim = ahead & (y > 0.02) & (y < 0.36) & (np.abs(aside - edge) < 0.014)
        _darken(out, rim | (ahead & (np.abs(y - 0.36) < 0.012) & (aside < 0.14)), 0.70)
    if "waist" in details:
        _darken(out, np.abs(y - 0.36) < 0.028, 0.78)


def _neck(surface: Surface, place: Array, out: Paint) -> None:
    if surface.under is None:
        return
    x, y, z = place
    aside, details = np.abs(x), surface.details
    ahead = (z > 0.0) & (aside < 0.30) & (y > 0.4)
    if "round neck" in details:
        hole = ahead & (np.square(x / 0.135) + np.square((y - 1.0) / 0.085) < 1.0)
    elif "low neck" in details:
        hole = (aside < 0.30) & (
            np.square(x / 0.20) + np.square((y - 1.02) / (0.24 if "open" not in details else 0.2)) < 1.0
        )
        strap = np.square(x / 0.24) + np.square((y - 1.02) / 0.27) < 1.0
        hole |= (y > 0.80) & ~strap & (aside > 0.30 - 0.35 * (y - 0.80))
    elif "v neck" in details:
        hole = ahead & (aside < 0.42 * (y - 0.76 - 0.08 * (surface.seed % 3 - 1)))
    elif "collar" in details and surface.part == Part.UPPER:
        hole = ahead & (aside < 0.34 * (y - 0.87))
        _darken(out, ahead & (np.abs(aside - 0.34 * (y - 0.87) - 0.085) < 0.012) & (y > 0.88), 0.78)
    elif "lapels" in details:
        hole = ahead & (aside < 0.36 * (y - 0.50)) & ("open" not in details)
        edge = 0.36 * (y - 0.50) + np.where(y < 0.86, 0.05 + 0.22 * np.clip(y - 0.5, 0.0, 0.4), np.float32(0.10))
        _darken(out, ahead & (np.abs(aside - edge) < 0.013) & (y > 0.5), 0.66)
    else:
        return
    out.colour = np.where(hole, linear(surface.under), out.colour)
    _darken(out, hole, 0.88)
    out.part[hole] = int(Part.UPPER) if surface.part == Part.OUTER else int(Part.SKIN)


def _logo(surface: Surface, place: Array, out: Paint) -> None:
    assert surface.second is not None
    x, y, z = place
    kind = surface.seed % 4
    if kind == 0:
        shape = (np.abs(x) < 0.20) & (y > 0.58) & (y < 0.72) & (mottled(x, y, 330.0, surface.seed) > -0.35)
    elif kind == 1:
        shape = np.square(x / 0.15) + np.square((y - 0.64) / 0.16) < 1.0
        shape &= mottled(x, y, 220.0, surface.seed) > -0.2
    elif kind == 2:
        shape = (np.abs(x - 0.13) < 0.06) & (np.abs(y - 0.72) < 0.055)
    else:
        rows = np.mod(y - 0.5, 0.085) < 0.05
        shape = (np.abs(x) < 0.19) & (y > 0.5) & (y < 0.72) & rows & (mottled(x, y * 0.2, 420.0, surface.seed) > -0.4)
    back = surface.seed % 5 == 0 and kind != 2
    shape &= (z < 0.0) | (z > 0.0) if back else z > 0.0
    out.colour = np.where(shape, linear(surface.second), out.colour)


def _trousers(surface: Surface, place: Array, pixels: Pixels, out: Paint) -> None:
    x, y, z = place
    aside, details = np.abs(x), surface.details
    if "fade" in details:
        worn = np.exp(-np.square((y + 0.55) / 0.32)) * (0.65 + 0.35 * np.sign(z))
        out.colour *= 1.0 + 0.22 * worn + 0.10 * mottled(pixels.u, pixels.v, 160.0, surface.seed)
    if "pockets" in details:
        behind = (z < -0.02) & (y > -0.28) & (y < -0.02) & (aside > 0.05) & (aside < 0.23)
        inner = (y > -0.25) & (y < -0.045) & (aside > 0.068) & (aside < 0.212)
        _darken(out, behind & ~inner, 0.74)
        slant = (z > 0.0) & (np.abs(aside - 0.20 - 0.35 * (0.02 - y)) < 0.010) & (y > -0.16) & (y < 0.12)
        _darken(out, slant, 0.70)
    if details & {"seams", "crease", "pockets"}:
        _darken(out, (aside < 0.012) & (y < 0.2) & (y > -0.30), 0.72)
        _darken(out, (y > 0.18) & (y < 0.205), 0.80)
    if "torn" in details:
        ragged = mottled(pixels.u, pixels.v * 2.2, 230.0, surface.seed)
        hole = (z > 0.0) & (np.abs(y + 0.86) < 0.13) & (ragged > 0.15)
        out.colour = np.where(hole, out.colour * 0.35 + 0.38, out.colour)


def _hat(surface: Surface, place: Array, out: Paint) -> None:
    _, y, z = place
    if "beanie" in surface.details:
        fold = y < 0.22 + 0.12 * z
        _darken(out, np.abs(y - 0.22 - 0.12 * z) < 0.022, 0.68)
        out.shade *= np.where(fold, np.float32(1.0), 0.92 + 0.10 * np.sin(_angle(place) * 40.0))
    elif surface.details & {"brimmed hat", "sun hat"}:
        band = (y > 0.235) & (y < 0.32) & (np.hypot(place[0], z) < 0.46)
        _darken(out, band, 0.35 if sum(surface.rgb) > 0.9 else 1.8)
    elif "cap" in surface.details and surface.seed % 2:
        mark = (z > 0.25) & (np.square(place[0] / 0.12) + np.square((y - 0.36) / 0.07) < 1.0)
        out.colour = np.where(mark, np.float32(0.75) - out.colour * 0.7, out.colour)


def _angle(place: Array) -> Array:
    """Angle about the up axis of places (3, n)."""
    return np.asarray(np.arctan2(place[0], place[2]))


def _bag(surface: Surface, pixels: Pixels, out: Paint) -> None:
    if "backpack" in surface.details:
        _darken(out, np.mod(pixels.v, 0.16) < 0.010, 0.62)
    elif "suitcase" in surface.details:
        out.shade *= 0.88 + 0.16 * (np.mod(pixels.u, 0.06) < 0.042)
    else:
        _darken(out, np.abs(np.mod(pixels.v, 0.2) - 0.05) < 0.006, 0.7)

"""Colour of surfaces: cloth with patterns and details, skin, faces, hair and shoes.

A painter gets the visible pixels of one surface and answers their colour (linear light) and the shade of their folds.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pickout.synthetic.surfaces import Paint, Part, Pixels, Surface, folded, linear, local, mottled
from pickout.synthetic.trimmings import paint_details

Array = NDArray[np.floating[Any]]


def paint(surface: Surface, pixels: Pixels) -> Paint:
    """Colour `pixels` of `surface`."""
    count = len(pixels.u)
    start = Paint(
        np.broadcast_to(linear(surface.rgb), (3, count)).copy(),
        np.ones(count, dtype=np.float32),
        np.full(count, int(surface.part), dtype=np.uint8),
    )
    _PAINTERS[surface.style](surface, pixels, start)
    return start


def _plain(surface: Surface, pixels: Pixels, out: Paint) -> None:
    out.shade *= 1.0 + 0.05 * mottled(pixels.u, pixels.v, 150.0, surface.seed)


def _cloth(surface: Surface, pixels: Pixels, out: Paint) -> None:
    if surface.second is not None:
        mask = _pattern(surface, pixels)
        if mask is not None:
            out.colour += mask * (linear(surface.second) - out.colour)
    if surface.folds:
        lit = folded(pixels.u, pixels.v, 105.0, surface.seed)
        fine = folded(pixels.v, pixels.u, 190.0, surface.seed + 3)
        out.shade *= np.clip(1.0 + np.float32(0.34 * surface.folds) * (lit + 0.5 * fine), 0.45, 1.5)
    weave = 0.22 if "knit" in surface.details else (0.02, 0.03, 0.06, 0.11)[surface.seed // 7 % 4]
    out.shade *= 1.0 + np.float32(weave) * mottled(pixels.u * 0.6, pixels.v, 700.0, surface.seed)
    out.shade *= np.where(pixels.hem < 0.014, np.float32(0.74), np.float32(1.0))
    if surface.details:
        paint_details(surface, local(surface, pixels), pixels, out)


def _pattern(surface: Surface, pixels: Pixels) -> Array | None:
    u, v, seed = pixels.u, pixels.v, surface.seed
    period = 0.03 + 0.10 * (seed % 17) / 16
    if surface.pattern == "striped":
        along = u if seed % 5 == 0 else v
        return np.asarray(np.mod(along, period) < period * 0.45, dtype=np.float32)
    if surface.pattern == "checked":
        across, down = np.mod(u, period) < period * 0.42, np.mod(v, period) < period * 0.42
        return np.asarray(across * np.float32(0.5) + down * np.float32(0.5))
    if surface.pattern == "dotted":
        row = np.floor(v / (0.72 * period))
        x = np.mod(u + row * 0.5 * 0.72 * period, 0.72 * period) - 0.36 * period
        y = np.mod(v, 0.72 * period) - 0.36 * period
        return np.asarray(x * x + y * y < (0.20 * period) ** 2, dtype=np.float32)
    if surface.pattern in ("floral", "camouflage"):
        scale = 260.0 if surface.pattern == "floral" else 110.0
        value = mottled(u, v, scale, seed)
        return np.asarray(np.clip((value - 0.18) * 8.0, 0.0, 1.0))
    if surface.pattern == "colour block":
        y = local(surface, pixels)[1]
        low, high = ((0.40, 0.62), (0.55, 2.0), (-2.0, 0.45))[seed % 3]
        return np.asarray((y > low) & (y < high), dtype=np.float32)
    return None


def _skin(surface: Surface, pixels: Pixels, out: Paint) -> None:
    out.shade *= 1.0 + 0.05 * mottled(pixels.u, pixels.v, 120.0, surface.seed)


def _hair(surface: Surface, pixels: Pixels, out: Paint) -> None:
    x, y, z = local(surface, pixels)
    around = np.arctan2(x, -z + np.float32(1e-4))
    if "curly" in surface.details:
        strand = mottled(x + z, y, 260.0, surface.seed) * 1.3
    else:
        wave = 0.10 * np.sin(y * 9.0) if "wavy" in surface.details else 0.0
        strand = mottled(around + wave, y * 0.12, 190.0, surface.seed)
        strand = strand + 0.5 * mottled(around + wave, y * 0.10, 420.0, surface.seed + 1)
    out.shade *= np.clip(1.0 + 0.30 * strand, 0.5, 1.7)
    band = np.exp(-np.square((y - 0.30) / 0.12)) + 0.4 * np.exp(-np.square((y + 0.25) / 0.20))
    out.colour += np.float32(0.030) * band * np.clip(strand + 0.6, 0.0, 1.5)
    if surface.seed % 6 == 0:
        out.colour *= 1.0 + np.clip(-0.35 - y, 0.0, 0.8) * np.float32(1.4)


def _face(surface: Surface, pixels: Pixels, out: Paint) -> None:
    x, y, z = local(surface, pixels)
    aside = np.abs(x)
    ahead = z > 0.12
    smooth = surface.axes.astype(np.float32).T @ np.stack([x * 1.5, y * 0.9, z])
    smooth /= np.sqrt(smooth[0] ** 2 + smooth[1] ** 2 + smooth[2] ** 2)
    pixels.normal[:] = 0.35 * pixels.normal + 0.65 * smooth
    hair = np.zeros(3, dtype=np.float32)[:, None] if surface.second is None else linear(surface.second)
    warm = np.exp(-(np.square((aside - 0.17) / 0.10) + np.square((y + 0.13) / 0.10)))
    out.colour *= 1.0 + np.array([[0.10], [-0.06], [-0.06]], dtype=np.float32) * warm
    out.shade *= 1.0 - 0.32 * np.exp(-(np.square((aside - 0.14) / 0.085) + np.square((y - 0.045) / 0.06))) * ahead
    eye = ahead & (np.square((aside - 0.145) / 0.062) + np.square((y - 0.02) / 0.030) < 1.0)
    brow = ahead & (np.square((aside - 0.145) / 0.085) + np.square((y - 0.115) / 0.024) < 1.0)
    mouth = ahead & (np.square(aside / 0.105) + np.square((y + 0.285) / 0.030) < 1.0)
    below_nose = ahead & (np.square(aside / 0.06) + np.square((y + 0.155) / 0.025) < 1.0)
    out.colour = np.where(eye, out.colour * np.float32(0.22), out.colour)
    out.colour = np.where(brow, out.colour * 0.35 + hair * 0.65, out.colour)
    lips = np.array(
        [[0.80], [0.42], [0.42]] if "lips" in surface.details else [[0.72], [0.55], [0.55]], dtype=np.float32
    )
    out.colour = np.where(mouth, out.colour * lips, out.colour)
    out.shade *= np.where(below_nose, np.float32(0.72), np.float32(1.0))
    if "beard" in surface.details:
        chin = (y < -0.16 + 0.5 * np.clip(aside - 0.12, 0.0, 0.2)) & ~mouth & (z > -0.05) & (y > -0.60)
        chin &= ~((y > -0.20) & (aside < 0.05))
        out.colour = np.where(chin, out.colour * 0.30 + hair * 0.70, out.colour)
    if "bald" not in surface.details:
        rough = mottled(x, y, 300.0, surface.seed)
        aslant = 0.09 * (surface.seed % 5 - 2) * x
        grown = aslant - y + 0.95 * z <= 0.05 - 0.02 * (surface.seed % 4) + 0.03 * rough
        cover = np.float32(0.75 if "cropped" in surface.details else 1.0)
        out.colour = np.where(grown, out.colour * (1 - cover) + hair * cover * (1.0 + 0.2 * rough), out.colour)
        out.part[grown] = int(Part.HAIR)
    _glasses(surface, (aside, y, z), out)


def _glasses(surface: Surface, place: tuple[Array, Array, Array], out: Paint) -> None:
    aside, y, z = place
    if not surface.details & {"glasses", "sunglasses"}:
        return
    lens = np.square((aside - 0.15) / 0.125) + np.square((y - 0.02) / 0.085)
    front = z > 0.10
    temple = (np.abs(y - 0.05) < 0.022) & (z > -0.10) & (aside > 0.2)
    bridge = front & (aside < 0.06) & (np.abs(y - 0.045) < 0.015)
    dark = (front & (lens < 1.0)) if "sunglasses" in surface.details else (front & (lens < 1.0) & (lens > 0.50))
    shown = dark | temple | bridge
    out.colour = np.where(shown, np.float32(0.012), out.colour)
    out.part[shown] = int(Part.ACCESSORY)


def _shoe(surface: Surface, pixels: Pixels, out: Paint) -> None:
    _, y, z = local(surface, pixels)
    kind = next(iter(surface.details))
    sole = y < (0.026 if kind in ("trainers", "boots") else 0.012)
    if surface.second is not None:
        out.colour = np.where(sole, linear(surface.second), out.colour)
    if kind == "trainers":
        laces = (z > 0.03) & (z < 0.12) & (pixels.normal[1] > 0.6) & (y > 0.055)
        stripe = np.mod(z, 0.03) < 0.012
        out.colour = np.where(laces & stripe, out.colour * 0.5 + 0.35, out.colour)
    out.shade *= 1.0 + 0.08 * mottled(z, y, 300.0, surface.seed)


_PAINTERS: dict[str, Callable[[Surface, Pixels, Paint], None]] = {
    "plain": _plain,
    "cloth": _cloth,
    "skin": _skin,
    "hair": _hair,
    "face": _face,
    "shoe": _shoe,
}

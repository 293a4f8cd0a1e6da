"""Colour of surfaces: cloth with patterns and details, skin, faces, hair and shoes.

Details are placed in the surface's frame, in torso lengths, or in head heights for heads and hats."""

from typing import Any

import numpy as np

from pickout.synthetic.surfaces import Array, Mask, Paint, Part, Pixels, Surface, linear, local, mottled

_F = np.float32


def paint(surface: Surface, pixels: Pixels) -> Paint:
    """Colour `pixels` of `surface`."""
    out = Paint(surface, len(pixels.u))
    if surface.style in _PAINTERS:
        _PAINTERS[surface.style](surface, pixels, out)
    else:
        fine = 120.0 if surface.style == "skin" else 150.0
        out.shade *= 1.0 + 0.05 * mottled(pixels.u, pixels.v, fine, surface.seed)
    return out


def _darken(out: Paint, mask: Mask, factor: float) -> None:
    out.shade *= np.where(mask, _F(factor), _F(1.0))


def _tint(out: Paint, mask: Mask, colour: Array | np.floating[Any]) -> None:
    out.colour = np.where(mask, colour, out.colour)


def _oval(x: Array, y: Array, wide: float, high: float) -> Array:
    """Squared distance from the middle in half-axes: below 1 inside."""
    return np.asarray(np.square(x / wide) + np.square(y / high))


def _cloth(surface: Surface, pixels: Pixels, out: Paint) -> None:
    u, v, seed = pixels.u, pixels.v, surface.seed
    if surface.second is not None and surface.pattern != "plain":
        out.colour += _pattern(surface, pixels) * (linear(surface.second) - out.colour)
    if surface.folds:
        lit = mottled(u, v, 105.0, seed, folds=True) + 0.5 * mottled(v, u, 190.0, seed + 3, folds=True)
        out.shade *= np.clip(1.0 + _F(0.34 * surface.folds) * lit, 0.45, 1.5)
    weave = 0.22 if "knit" in surface.details else (0.02, 0.03, 0.06, 0.11)[seed // 7 % 4]
    out.shade *= 1.0 + _F(weave) * mottled(u * 0.6, v, 700.0, seed)
    _darken(out, pixels.hem < 0.014, 0.74)
    if surface.details:
        _details(surface, local(surface, pixels), pixels, out)


def _pattern(surface: Surface, pixels: Pixels) -> Array:
    """How much of the second colour shows, 0 to 1."""
    u, v, seed = pixels.u, pixels.v, surface.seed
    period = 0.03 + 0.10 * (seed % 17) / 16
    if surface.pattern == "striped":
        return np.asarray(np.mod(u if seed % 5 == 0 else v, period) < period * 0.45, dtype=_F)
    if surface.pattern == "checked":
        across, down = np.mod(u, period) < period * 0.42, np.mod(v, period) < period * 0.42
        return np.asarray(across * _F(0.5) + down * _F(0.5))
    if surface.pattern == "dotted":
        x = np.mod(u + np.floor(v / (0.72 * period)) * 0.5 * 0.72 * period, 0.72 * period) - 0.36 * period
        y = np.mod(v, 0.72 * period) - 0.36 * period
        return np.asarray(x * x + y * y < (0.20 * period) ** 2, dtype=_F)
    if surface.pattern == "colour block":
        y = local(surface, pixels)[1]
        low, high = ((0.40, 0.62), (0.55, 2.0), (-2.0, 0.45))[seed % 3]
        return np.asarray((y > low) & (y < high), dtype=_F)
    value = mottled(u, v, 260.0 if surface.pattern == "floral" else 110.0, seed)
    return np.asarray(np.clip((value - 0.18) * 8.0, 0.0, 1.0))


def _details(surface: Surface, place: Array, pixels: Pixels, out: Paint) -> None:
    details, (x, y, z) = surface.details, place
    match surface.part:
        case Part.UPPER | Part.OUTER:
            _trunk(surface, place, out)
            if "logo" in details and surface.second is not None:
                _tint(out, _logo(surface.seed, place), linear(surface.second))
        case Part.LOWER:
            _trousers(surface, place, pixels, out)
        case Part.HEADWEAR if "beanie" in details:
            _darken(out, np.abs(y - 0.22 - 0.12 * z) < 0.022, 0.68)
            out.shade *= np.where(y < 0.22 + 0.12 * z, _F(1.0), 0.92 + 0.10 * np.sin(np.arctan2(x, z) * 40.0))
        case Part.HEADWEAR if details & {"brimmed hat", "sun hat"}:
            band = (y > 0.235) & (y < 0.32) & (np.hypot(x, z) < 0.46)
            _darken(out, band, 0.35 if sum(surface.rgb) > 0.9 else 1.8)
        case Part.HEADWEAR if "cap" in details and surface.seed % 2:
            _tint(out, (z > 0.25) & (_oval(x, y - 0.36, 0.12, 0.07) < 1.0), _F(0.75) - out.colour * 0.7)
        case Part.BAG if "backpack" in details:
            _darken(out, np.mod(pixels.v, 0.16) < 0.010, 0.62)
        case Part.BAG if "suitcase" in details:
            out.shade *= 0.88 + 0.16 * (np.mod(pixels.u, 0.06) < 0.042)
        case Part.BAG:
            _darken(out, np.abs(np.mod(pixels.v, 0.2) - 0.05) < 0.006, 0.7)
    if "ribs" in details:
        _darken(out, pixels.hem < 0.05, 0.86)
    around = np.arctan2(x, z)
    if "pleats" in details:
        fold = np.mod(around * _F(3.6), _F(1.0))
        out.shade *= np.where(y < 0.2, _F(0.78) + _F(0.36) * fold, _F(1.0))
    if "quilted" in details:
        out.shade *= 0.62 + 0.48 * np.sqrt(np.abs(np.sin(pixels.v * _F(np.pi / 0.075))))
    if "umbrella" in details:
        out.shade *= 0.80 + 0.25 * np.abs(np.cos(4.0 * around))


def _trunk(surface: Surface, place: Array, out: Paint) -> None:
    """Zip, buttons, pockets and waist; and the hole at the neck, through which what is below shows, with its collar."""
    x, y, z = place
    aside, details = np.abs(x), surface.details
    ahead = (z > 0.0) & (aside < 0.42)
    closed = "open" not in details
    if closed and "zip" in details:
        _darken(out, ahead & (aside < 0.014) & (y < 0.97), 0.55)
    if closed and details & {"buttons", "placket"}:
        low = 0.62 if "placket" in details else -0.9
        dots = ahead & (aside < 0.016) & (np.mod(y, 0.13) < 0.032) & (y > low) & (y < 0.95)
        _darken(out, ahead & (np.abs(x - 0.02) < 0.008) & (y > low), 0.80)
        _tint(out, dots, out.colour * _F(0.35) if sum(surface.rgb) > 1.2 else out.colour + 0.10)
    if "pockets" in details:
        flap = ahead & (np.abs(y - 0.10 - 0.1 * (aside - 0.25)) < 0.012) & (aside > 0.14) & (aside < 0.32)
        _darken(out, flap, 0.65)
    if "pouch" in details:
        edge = np.where(y > 0.18, 0.24 - 0.55 * (y - 0.18), _F(0.24))
        rim = ahead & (y > 0.02) & (y < 0.36) & (np.abs(aside - edge) < 0.014)
        _darken(out, rim | (ahead & (np.abs(y - 0.36) < 0.012) & (aside < 0.14)), 0.70)
    if "waist" in details:
        _darken(out, np.abs(y - 0.36) < 0.028, 0.78)
    if surface.under is None:
        return
    ahead = (z > 0.0) & (aside < 0.30) & (y > 0.4)
    if "round neck" in details:
        hole = ahead & (_oval(x, y - 1.0, 0.135, 0.085) < 1.0)
    elif "low neck" in details:
        hole = (aside < 0.30) & (_oval(x, y - 1.02, 0.20, 0.24 if closed else 0.2) < 1.0)
        hole |= (y > 0.80) & ~(_oval(x, y - 1.02, 0.24, 0.27) < 1.0) & (aside > 0.30 - 0.35 * (y - 0.80))
    elif "v neck" in details:
        hole = ahead & (aside < 0.42 * (y - 0.76 - 0.08 * (surface.seed % 3 - 1)))
    elif "collar" in details and surface.part == Part.UPPER:
        hole = ahead & (aside < 0.34 * (y - 0.87))
        _darken(out, ahead & (np.abs(aside - 0.34 * (y - 0.87) - 0.085) < 0.012) & (y > 0.88), 0.78)
    elif "lapels" in details:
        hole = ahead & (aside < 0.36 * (y - 0.50)) & closed
        edge = 0.36 * (y - 0.50) + np.where(y < 0.86, 0.05 + 0.22 * np.clip(y - 0.5, 0.0, 0.4), _F(0.10))
        _darken(out, ahead & (np.abs(aside - edge) < 0.013) & (y > 0.5), 0.66)
    else:
        return
    _tint(out, hole, linear(surface.under))
    _darken(out, hole, 0.88)
    out.part[hole] = int(Part.UPPER) if surface.part == Part.OUTER else int(Part.SKIN)


def _logo(seed: int, place: Array) -> Mask:
    """Writing, a blot, a badge or lines on the chest, now and then on the back."""
    x, y, z = place
    kind = seed % 4
    if kind == 0:
        shape = (np.abs(x) < 0.20) & (y > 0.58) & (y < 0.72) & (mottled(x, y, 330.0, seed) > -0.35)
    elif kind == 1:
        shape = (_oval(x, y - 0.64, 0.15, 0.16) < 1.0) & (mottled(x, y, 220.0, seed) > -0.2)
    elif kind == 2:
        shape = (np.abs(x - 0.13) < 0.06) & (np.abs(y - 0.72) < 0.055)
    else:
        shape = (np.abs(x) < 0.19) & (y > 0.5) & (y < 0.72) & (np.mod(y - 0.5, 0.085) < 0.05)
        shape &= mottled(x, y * 0.2, 420.0, seed) > -0.4
    return np.asarray(shape if seed % 5 == 0 and kind != 2 else shape & (z > 0.0))


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
        _tint(out, (z > 0.0) & (np.abs(y + 0.86) < 0.13) & (ragged > 0.15), out.colour * 0.35 + 0.38)


def _hair(surface: Surface, pixels: Pixels, out: Paint) -> None:
    x, y, z = local(surface, pixels)
    if "curly" in surface.details:
        strand = mottled(x + z, y, 260.0, surface.seed) * 1.3
    else:
        wave = np.arctan2(x, -z + _F(1e-4)) + (0.10 * np.sin(y * 9.0) if "wavy" in surface.details else 0.0)
        strand = mottled(wave, y * 0.12, 190.0, surface.seed)
        strand = strand + 0.5 * mottled(wave, y * 0.10, 420.0, surface.seed + 1)
    out.shade *= np.clip(1.0 + 0.30 * strand, 0.5, 1.7)
    band = np.exp(-np.square((y - 0.30) / 0.12)) + 0.4 * np.exp(-np.square((y + 0.25) / 0.20))
    out.colour += _F(0.030) * band * np.clip(strand + 0.6, 0.0, 1.5)
    if surface.seed % 6 == 0:
        out.colour *= 1.0 + np.clip(-0.35 - y, 0.0, 0.8) * _F(1.4)


def _face(surface: Surface, pixels: Pixels, out: Paint) -> None:
    x, y, z = local(surface, pixels)
    aside, ahead, details = np.abs(x), z > 0.12, surface.details
    smooth = surface.axes.astype(_F).T @ np.stack([x * 1.5, y * 0.9, z])
    smooth /= np.sqrt(smooth[0] ** 2 + smooth[1] ** 2 + smooth[2] ** 2)
    pixels.normal[:] = 0.35 * pixels.normal + 0.65 * smooth
    hair = linear(surface.second or (0.0, 0.0, 0.0))
    warm = np.exp(-_oval(aside - 0.17, y + 0.13, 0.10, 0.10))
    out.colour *= 1.0 + np.array([[0.10], [-0.06], [-0.06]], dtype=_F) * warm
    out.shade *= 1.0 - 0.32 * np.exp(-_oval(aside - 0.14, y - 0.045, 0.085, 0.06)) * ahead
    mouth = ahead & (_oval(aside, y + 0.285, 0.105, 0.030) < 1.0)
    lips = [[0.80], [0.42], [0.42]] if "lips" in details else [[0.72], [0.55], [0.55]]
    _tint(out, ahead & (_oval(aside - 0.145, y - 0.02, 0.062, 0.030) < 1.0), out.colour * _F(0.22))
    brow = ahead & (_oval(aside - 0.145, y - 0.115, 0.085, 0.024) < 1.0)
    _tint(out, brow, out.colour * 0.35 + hair * 0.65)
    _tint(out, mouth, out.colour * np.array(lips, dtype=_F))
    _darken(out, ahead & (_oval(aside, y + 0.155, 0.06, 0.025) < 1.0), 0.72)
    if "beard" in details:
        chin = (y < -0.16 + 0.5 * np.clip(aside - 0.12, 0.0, 0.2)) & ~mouth & (z > -0.05) & (y > -0.60)
        _tint(out, chin & ~((y > -0.20) & (aside < 0.05)), out.colour * 0.30 + hair * 0.70)
    if "bald" not in details:
        rough = mottled(x, y, 300.0, surface.seed)
        aslant = 0.09 * (surface.seed % 5 - 2) * x
        grown = aslant - y + 0.95 * z <= 0.05 - 0.02 * (surface.seed % 4) + 0.03 * rough
        cover = _F(0.75 if "cropped" in details else 1.0)
        _tint(out, grown, out.colour * (1 - cover) + hair * cover * (1.0 + 0.2 * rough))
        out.part[grown] = int(Part.HAIR)
    if details & {"glasses", "sunglasses"}:
        lens, front = _oval(aside - 0.15, y - 0.02, 0.125, 0.085), z > 0.10
        temple = (np.abs(y - 0.05) < 0.022) & (z > -0.10) & (aside > 0.2)
        bridge = front & (aside < 0.06) & (np.abs(y - 0.045) < 0.015)
        shown = (front & (lens < 1.0) & (lens > (-1.0 if "sunglasses" in details else 0.50))) | temple | bridge
        _tint(out, shown, _F(0.012))
        out.part[shown] = int(Part.ACCESSORY)


def _shoe(surface: Surface, pixels: Pixels, out: Paint) -> None:
    _, y, z = local(surface, pixels)
    if surface.second is not None:
        _tint(out, y < (0.026 if surface.details & {"trainers", "boots"} else 0.012), linear(surface.second))
    if "trainers" in surface.details:
        laces = (z > 0.03) & (z < 0.12) & (pixels.normal[1] > 0.6) & (y > 0.055)
        _tint(out, laces & (np.mod(z, 0.03) < 0.012), out.colour * 0.5 + 0.35)
    out.shade *= 1.0 + 0.08 * mottled(z, y, 300.0, surface.seed)


_PAINTERS = {"cloth": _cloth, "hair": _hair, "face": _face, "shoe": _shoe}

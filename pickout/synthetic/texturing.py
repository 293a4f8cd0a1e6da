"""Render a posed avatar: its own texture for skin, its relief under the colours and patterns that the person wears."""

import numpy as np
from numpy.typing import NDArray

from pickout.synthetic.attributes import Garment, Outer, Person
from pickout.synthetic.avatars import LINEAR, Avatar, Shell
from pickout.synthetic.cloth import paint
from pickout.synthetic.garments import CLOTH
from pickout.synthetic.gltf import unit
from pickout.synthetic.posing import Posed
from pickout.synthetic.rasteriser import Hits, rasterise
from pickout.synthetic.render import Layer, Light, seen_places, shade
from pickout.synthetic.solids import Rays
from pickout.synthetic.surfaces import Array, Part, Pixels, Surface, linear

_COVERED = {"three-quarter": 0.55, "long": 1.1}
"""How much of the forearm a sleeve painted on a bare arm covers."""


def render_avatar(avatar: Avatar, posed: Posed, person: Person, rays: Rays, light: Light) -> Layer:
    """The avatar in its pose, dressed as `person`, as `rays` see it in `light`."""
    height, width = rays.shape
    colour, normals = np.zeros((2, height * width, 3), dtype=np.float32)
    part = np.zeros(height * width, dtype=np.uint8)
    depth = np.full(height * width, np.inf, dtype=np.float32)
    tone = np.ones(height * width, dtype=np.float32)
    for shell, places, bent in zip(avatar.shells, posed.places, posed.normals, strict=True):
        hits = rasterise(places, shell.triangles, rays)
        closer = hits.depth < depth[hits.pixel]
        hits = Hits(hits.pixel[closer], hits.triangle[closer], hits.share[:, closer], hits.depth[closer])
        depth[hits.pixel], normals[hits.pixel] = hits.depth, unit(hits.spread(bent, shell.triangles))
        colour[hits.pixel], tone[hits.pixel], part[hits.pixel] = _painted(avatar, shell, person, hits)
    seen = np.flatnonzero(part)
    grid, world = depth.reshape(height, width), seen_places(rays, seen, depth[seen])
    gloss = np.where(part[seen] == Part.HAIR, np.float32(0.25), np.float32(0.06))
    look = (colour[seen].T, tone[seen], gloss)
    colour[seen] = shade(look, normals[seen].T, world, (grid, seen), rays.position, light).T
    return Layer(colour.reshape(height, width, 3), part.reshape(height, width), grid)


def _painted(avatar: Avatar, shell: Shell, person: Person, hits: Hits) -> tuple[Array, Array, NDArray[np.uint8]]:
    """Linear colour, shade of folds and part of each hit."""
    size = len(shell.part)
    column, row = ((hits.spread(shell.uv, shell.triangles) * size).astype(np.intp) % size).T
    colour, part, relief = LINEAR[shell.colour[row, column]], shell.part[row, column], shell.relief[row, column]
    rest = hits.spread(shell.place, shell.triangles)
    tone = np.ones(len(part), dtype=np.float32)
    colour[part == Part.SKIN] *= np.float32(0.86 + 0.28 * (person.seed % 101) / 100)
    _layered(avatar, person, rest, part)
    for kind, garment in ((Part.UPPER, person.upper), (Part.OUTER, person.outer), (Part.LOWER, person.lower)):
        inside = part == kind
        if garment is not None and inside.any():
            done = paint(_surface(avatar, person, garment, kind), _cloth_pixels(avatar, rest[inside]))
            colour[inside] = done.colour.T * relief[inside, None]
            tone[inside] = done.shade
    for kind, plain in ((Part.SHOES, person.shoes.colour), (Part.HAIR, person.hair.colour)):
        inside = part == kind
        colour[inside] = linear(plain.rgb)[:, 0] * relief[inside, None]
    return colour, tone, part


def _layered(avatar: Avatar, person: Person, rest: Array, part: NDArray[np.uint8]) -> None:
    """Cloth that the texture lacks: sleeves on bare arms, a garment over the top, a dress for top and shorts."""
    shoulder, elbow, wrist = (float(avatar.at(f"Left{name}")[0]) for name in ("Arm", "ForeArm", "Hand"))
    aside = np.abs(rest[:, 0])
    arm = (aside > shoulder * 0.98) & (rest[:, 1] > 0.7 * avatar.height)
    outer = None if avatar.outfit.top.over else person.outer
    sleeve = "long" if outer is not None and outer.sleeve == "long" else person.upper.sleeve
    if avatar.outfit.top.sleeve == "short" and sleeve in _COVERED:
        end = elbow + _COVERED[sleeve] * (wrist - elbow)
        part[arm & (aside < end) & (part == Part.SKIN)] = int(Part.UPPER)
    if person.lower is None:
        part[part == Part.LOWER] = int(Part.UPPER)
    if outer is None:
        return
    over = part == Part.UPPER
    if outer.sleeve == "none":
        over &= ~arm
    if outer.open:
        pelvis, neck = float(avatar.at("Hips")[1]), float(avatar.at("Neck")[1])
        gap = 0.050 + 0.03 * ((person.seed >> 5) % 8) / 7 + 0.03 * (neck - rest[:, 1]) / (neck - pelvis)
        over &= (rest[:, 2] < 0.0) | (aside > gap)
    part[over] = int(Part.OUTER)


def _surface(avatar: Avatar, person: Person, garment: Garment | Outer, part: Part) -> Surface:
    """The garment's cloth, placed on the body at rest; seams and buttons of its own kind are the texture's."""
    pelvis = 0.5 * (avatar.at("LeftUpLeg") + avatar.at("RightUpLeg"))
    details: set[str] = set()
    if isinstance(garment, Garment):
        details |= {"logo"} if garment.logo else set()
    elif not avatar.outfit.top.over:
        details = {"zip", "pockets", "quilted", "buttons"}.intersection(CLOTH["details"][garment.kind])
        details |= {"open"} if garment.open else set()
    return Surface(
        style="cloth",
        rgb=garment.colour.rgb,
        part=part,
        second=None if garment.second is None else garment.second.rgb,
        pattern=garment.pattern,
        details=frozenset(details),
        origin=pelvis,
        axes=np.eye(3) / float(avatar.at("Neck")[1] - pelvis[1]),
        folds=0.35,
        seed=person.seed + int(part) * 977,
    )


def _cloth_pixels(avatar: Avatar, rest: Array) -> Pixels:
    """Cloth coordinates of places on the body at rest: around and along the trunk, an arm or a leg."""
    x, y, z = rest.T
    aside = np.abs(x)
    shoulder, hips = avatar.at("LeftArm").astype(np.float32), avatar.at("LeftUpLeg").astype(np.float32)
    arm = (aside > shoulder[0]) & (y > 0.7 * avatar.height)
    leg = (y < hips[1] - 0.06) & (avatar.outfit.bottom.kind is not None)
    u = np.arctan2(x, z - np.float32(0.02)) * np.float32(0.13)
    u = np.where(arm, np.arctan2(y - shoulder[1], z - shoulder[2]) * np.float32(0.05), u)
    u = np.where(leg, np.arctan2(aside - hips[0], z - hips[2]) * np.float32(0.075), u)
    v = np.where(arm, aside - shoulder[0], shoulder[1] - y)
    far = np.full(len(u), np.inf, dtype=np.float32)
    # Cloth is lit by the pose's normals, so its painter needs none here.
    return Pixels(rest.T, np.zeros_like(rest.T), u, v, far)

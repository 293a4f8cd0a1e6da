"""Avatars: rigged, textured bodies read from a folder, with a map of what each place of the texture shows."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pickout.errors import DataError, DataMissing
from pickout.synthetic.colours import skin_place, to_lab
from pickout.synthetic.gltf import Skin, read_gltf
from pickout.synthetic.outfits import OUTFITS, Outfit
from pickout.synthetic.rasteriser import rasterise
from pickout.synthetic.raycast import Rays
from pickout.synthetic.surfaces import Part

__all__ = ["Avatar", "Shell", "Take", "find_avatars", "load_avatar"]

Array = NDArray[np.floating[Any]]
Parts = NDArray[np.uint8]

Take = Literal["all", "train", "held-out"]

_TEXELS = 512
_HAIR = "h_wig"
_BODY = "H_DDS_HighRes"
_EYES = ("h_L_eye", "h_R_eye")


@dataclass(frozen=True, slots=True, eq=False)
class Shell:
    """One mesh of an avatar, at rest in the world: x to the person's left, y up, z forward, metres.

    Args:
        place: of each vertex. Shape: (n, 3).
        normal: Shape: (n, 3).
        uv: Shape: (n, 2).
        joint: numbers of the nodes that move each vertex. Shape: (n, 4).
        weight: how much each does. Shape: (n, 4).
        triangles: Shape: (m, 3).
        colour: linear light of each texel. Shape: (texels, texels, 3).
        relief: brightness of each texel over the middle of its part's, for cloth in another colour.
            Shape: (texels, texels).
        part: a `Part` at each texel. Shape: (texels, texels).
    """

    place: Array
    normal: Array
    uv: Array
    joint: NDArray[np.intp]
    weight: Array
    triangles: NDArray[np.int32]
    colour: Array
    relief: Array
    part: Parts


@dataclass(frozen=True, slots=True, eq=False)
class Avatar:
    """A body that can be posed and dressed in other colours.

    Args:
        name: of its file, without the ending.
        outfit: what it wears.
        joints: names of the skeleton's nodes with their numbers, and places at rest. Shape of each place: (3,).
        parents: the name of the node above each.
        height: metres, without hair.
        skin: as in `Person.skin`, from the texture.
        shells: its meshes.
    """

    name: str
    outfit: Outfit
    joints: dict[str, tuple[int, Array]]
    parents: dict[str, str]
    height: float
    skin: float
    shells: tuple[Shell, ...]

    def at(self, joint: str) -> Array:
        """Where a joint is at rest. Shape: (3,)."""
        return self.joints[joint][1]


def find_avatars(folder: Path, take: Take = "all") -> tuple[Path, ...]:
    """The files of the avatars in `folder` whose outfits are known, in the order of their names.

    Args:
        take: `train` and `held-out` part the bodies, whatever they wear: every fifth is held out.

    Raises:
        DataMissing: no such folder, or no avatar to take in it.
    """
    remedy = "fetch avatars from https://github.com/c-frame/valid-avatars-glb, or draw without --avatars"
    if not folder.is_dir():
        raise DataMissing(f"{folder}: no such folder; {remedy}")
    bodies = sorted({_body_of(name) for name in OUTFITS})
    held_out = frozenset(bodies[2::5])
    wanted = {"all": frozenset(bodies), "train": frozenset(bodies) - held_out, "held-out": held_out}[take]
    found = tuple(
        path for path in sorted(folder.glob("*.glb")) if path.stem in OUTFITS and _body_of(path.stem) in wanted
    )
    if not found:
        which = "" if take == "all" else f" of the part {take!r}"
        raise DataMissing(
            f"{folder}: no avatar{which} that is known by its outfit, such as {next(iter(OUTFITS))}.glb; {remedy}"
        )
    return found


def _body_of(name: str) -> str:
    """The same body comes in several outfits: `White_M_2_Casual` and `White_M_2_Medi`."""
    return name.rpartition("_")[0]


@lru_cache(maxsize=256)
def load_avatar(path: Path) -> Avatar:
    """Read an avatar, at most once a process.

    Raises:
        DataError: the file is broken, or its skeleton has other names.
        DataMissing: a package that reads it is not installed.
    """
    joints, skins = read_gltf(path)
    world = joints.world()
    outfit = OUTFITS[path.stem]
    by_name = {skin.name: skin for skin in skins}
    try:
        body = by_name[_BODY]
        places = {name: (number, world[number, :3, 3]) for number, name in enumerate(joints.names)}
        eyes = [_at_rest(by_name[name], world) for name in _EYES]
        trunk = _at_rest(body, world)
        colour, part = _parted(
            body, trunk[0], outfit, places, float(np.mean([eye[0][:, 1].mean() for eye in eyes])), _HAIR in by_name
        )
    except KeyError as error:
        raise DataError(f"{path}: has no mesh or joint named {error}, so it is no avatar of VALID") from None
    shells = [_shell(body, trunk, colour, part)]
    for name, (place, normal) in zip(_EYES, eyes, strict=True):
        skin = by_name[name]
        shells.append(_shell(skin, (place, normal), colour, np.full_like(part, int(Part.SKIN))))
    if _HAIR in by_name:
        wig = by_name[_HAIR]
        picture = _small(wig.texture)
        shells.append(_shell(wig, _at_rest(wig, world), picture, np.full(picture.shape[:2], int(Part.HAIR), np.uint8)))
    above = {name: joints.names[up] for name, up in zip(joints.names, joints.parents, strict=True) if up >= 0}
    tone = skin_place(np.median(np.power(colour[part == Part.SKIN], 1 / 2.2), axis=0))
    return Avatar(path.stem, outfit, places, above, float(trunk[0][:, 1].max()), tone, tuple(shells))


def _at_rest(skin: Skin, world: Array) -> tuple[Array, Array]:
    """Places and normals in the world, at rest."""
    moves = (world @ skin.inverse).astype(np.float32)
    blend = np.einsum("nk,nkij->nij", skin.weight, moves[skin.joint])
    place = np.einsum("nij,nj->ni", blend[:, :3, :3], skin.position) + blend[:, :3, 3]
    normal = np.einsum("nij,nj->ni", blend[:, :3, :3], skin.normal)
    return place, normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)


def _shell(skin: Skin, rest: tuple[Array, Array], colour: Array, part: Parts) -> Shell:
    relief = np.ones(part.shape, dtype=np.float32)
    bright = colour.mean(axis=2)
    for value in np.unique(part):
        inside = part == value
        # The floor keeps the grain of a nearly black texture from turning into blotches.
        level = np.median(bright[inside]) + 0.012
        relief[inside] = np.clip((bright[inside] + 0.012) / level, 0.3, 1.9)
    return Shell(
        rest[0], rest[1], skin.uv, skin.joint, skin.weight, _both_sides(skin), colour.astype(np.float32), relief, part
    )


def _both_sides(skin: Skin) -> NDArray[np.int32]:
    """Hair is seen from inside as well."""
    return np.concatenate([skin.triangles, skin.triangles[:, ::-1]]) if skin.name == _HAIR else skin.triangles


def _small(texture: NDArray[np.uint8]) -> Array:
    """Linear light of a texture, at `_TEXELS` texels a side. Shape: (texels, texels, 3)."""
    picture = Image.fromarray(texture[..., :3]).resize((_TEXELS, _TEXELS), Image.Resampling.BOX)
    return np.asarray(np.power(np.asarray(picture, dtype=np.float32) / 255.0, np.float32(2.2)))


def _parted(
    body: Skin, place: Array, outfit: Outfit, joints: dict[str, tuple[int, Array]], eyes: float, wig: bool
) -> tuple[Array, Parts]:
    """Colour and part of each texel of the body."""
    colour = _small(body.texture)
    where, known = _unwrapped(body, place)
    lab = to_lab(np.power(colour, 1 / 2.2)) * (0.6, 1.0, 1.0)
    part = np.full(known.shape, int(Part.SKIN), dtype=np.uint8)
    part[known] = _Regions(where[known], lab[known], outfit, joints, eyes, float(place[:, 1].max()), wig).parts()
    return colour, _spread(part, known)


def _unwrapped(body: Skin, place: Array) -> tuple[Array, NDArray[np.bool_]]:
    """The place on the body of each texel, and which texels are used."""
    grid = (np.arange(_TEXELS, dtype=np.float32) + 0.5) / _TEXELS
    rays = Rays(np.zeros(3), np.diag([1.0, 1.0, 1.0]), grid, grid)
    flat = np.column_stack([body.uv, np.ones(len(body.uv), dtype=np.float32)]).astype(np.float32)
    where = np.zeros((_TEXELS * _TEXELS, 3), dtype=np.float32)
    known = np.zeros(_TEXELS * _TEXELS, dtype=bool)
    for turned in (body.triangles, body.triangles[:, ::-1]):
        hits = rasterise(flat, turned, rays)
        where[hits.pixel] = hits.spread(place, turned)
        known[hits.pixel] = True
    return where.reshape(_TEXELS, _TEXELS, 3), known.reshape(_TEXELS, _TEXELS)


def _spread(part: Parts, known: NDArray[np.bool_]) -> Parts:
    """Parts with the used texels' values carried over their seams."""
    part = part.copy()
    for _ in range(3):
        for axis in (0, 1):
            for step in (1, -1):
                edge = np.roll(known, step, axis) & ~known
                part[edge] = np.roll(part, step, axis)[edge]
                known = known | edge
    return part


class _Regions:
    """What places on a body show: by where they are at rest, and by which garment's colour theirs is nearest."""

    def __init__(
        self,
        where: Array,
        lab: Array,
        outfit: Outfit,
        joints: dict[str, tuple[int, Array]],
        eyes: float,
        height: float,
        wig: bool,
    ) -> None:
        self.x, self.y, self.z = np.abs(where[:, 0]), where[:, 1] / height, where[:, 2]
        self.lab, self.outfit, self.wig = lab, outfit, wig
        self.eyes = eyes / height
        self.neck = float(joints["Neck"][1][1]) / height
        self.shoulder, self.elbow, self.wrist = (
            float(joints[f"Left{name}"][1][0]) for name in ("Arm", "ForeArm", "Hand")
        )
        self.depth, self.toes = float(joints["Head"][1][2]), float(joints["LeftToeBase"][1][2]) - 0.02
        self.arm = (self.x > self.shoulder) & (self.y > 0.7)
        self.head = (self.y > self.neck - 0.012) & (self.x < self.shoulder * 0.8)
        self.legs = (self.y < 0.52) & ~self.arm
        self.trunk = ~self.arm & ~self.head & ~self.legs
        self.skin = self._middle(self.arm & (self.x > self.wrist + 0.03))
        self.upper = self._middle((self.y > 0.64) & (self.y < 0.76) & (self.z < 0.0) & ~self.arm)
        self.lower = self._middle((self.y > 0.38) & (self.y < 0.45) & ~self.arm)

    def _middle(self, mask: NDArray[np.bool_]) -> Array:
        return np.asarray(np.median(self.lab[mask], axis=0))

    def _near(self, colour: Array) -> Array:
        """How far each place's colour is from `colour`, at most 60."""
        return np.asarray(np.minimum(np.linalg.norm(self.lab - colour, axis=1), 60.0))

    def _edge(
        self, along: Array, mask: NDArray[np.bool_], below: Array, above: Array, reach: tuple[float, float]
    ) -> float:
        """The place along `along`, within `reach`, that best parts the colours `below` and `above`."""
        steps = np.linspace(*reach, 49)
        gain = (self._near(above) - self._near(below))[mask]
        total = [float(gain[along[mask] < step].sum()) for step in steps]
        return float(steps[int(np.argmax(total))])

    def parts(self) -> Parts:
        top = int(Part.OUTER if self.outfit.top.over else Part.UPPER)
        part = np.full(len(self.y), top, dtype=np.uint8)
        self._trunk(part)
        self._legs(part)
        self._arms(part, top)
        self._head(part, top)
        return part

    def _trunk(self, part: Parts) -> None:
        below = ~self.arm & (self.y < 0.7)
        if self.outfit.bottom.kind is None:
            below[:] = False
        elif self.outfit.top.hem:
            part[below & (self.y < self.outfit.top.hem)] = int(Part.LOWER)
        else:
            hem = self._edge(self.y, below, self.lower, self.upper, (0.50, 0.66))
            near = below & (np.abs(self.y - hem) < 0.035)
            lower = below & (self.y < hem)
            if np.linalg.norm(self.lower - self.upper) > 12:
                lower = np.where(near, self._near(self.lower) < self._near(self.upper), lower)
            part[lower] = int(Part.LOWER)
        chest = self.trunk & (self.y > 0.66) & (self.z > 0.0) & (self.x < 0.12)
        if self.outfit.top.over:
            inner = chest & (self._near(self.upper) > 14)
            part[inner] = int(Part.UPPER)
        bare = chest & (self.y > self.neck - 0.10) & (self._near(self.skin) < 16)
        part[bare & (self._near(self.skin) < self._near(self.upper))] = int(Part.SKIN)

    def _legs(self, part: Parts) -> None:
        legs, outfit = ~self.arm & (self.y < 0.5), self.outfit
        toes = legs & (self.y < 0.05) & (self.z > self.toes)
        shoes = self._middle(toes)
        ends = {"thigh": (0.28, 0.42), "knee": (0.22, 0.34), "calf": (0.12, 0.27)}
        if outfit.bottom.kind is None or outfit.bottom.length in ends:
            hem = outfit.top.hem
            if outfit.bottom.kind is not None:
                low, high = ends[outfit.bottom.length]
                hem = -self._edge(-self.y, legs, self.lower, self.skin, (-high, -low))
            part[legs & (self.y < hem)] = int(Part.SKIN)
            top = self._edge(self.y, legs & (self.y < hem - 0.02), shoes, self.skin, (0.015, 0.09))
            part[legs & (self.y < top)] = int(Part.SHOES)
        elif outfit.shoes == "boots":
            top = self._edge(self.y, legs, shoes, self.lower, (0.08, 0.16))
            part[legs & (self.y < top)] = int(Part.SHOES)
        else:
            # Wide trousers reach the ground behind the toes.
            part[legs & (self.y < 0.06) & (self._near(shoes) < self._near(self.lower))] = int(Part.SHOES)
            part[toes | (legs & (self.y < 0.008))] = int(Part.SHOES)
        if outfit.shoes in ("flats", "sandals"):
            part[legs & (self.y < 0.06) & (self._near(self.skin) < 18)] = int(Part.SKIN)

    def _arms(self, part: Parts, top: int) -> None:
        end = self.wrist - 0.01
        if self.outfit.top.sleeve == "short":
            reach = (self.shoulder + 0.03, self.elbow + 0.03)
            end = self._edge(self.x, self.arm, self.upper, self.skin, reach)
        elif self.outfit.top.sleeve == "long":
            end = self._edge(self.x, self.arm, self.upper, self.skin, (self.wrist - 0.06, self.wrist + 0.03))
        part[self.arm] = np.where(self.x[self.arm] < end, top, int(Part.SKIN))

    def _head(self, part: Parts, top: int) -> None:
        face = self._middle(self.head & (np.abs(self.y - self.eyes + 0.02) < 0.02) & (self.z > self.depth + 0.05))
        part[self.head] = int(Part.SKIN)
        collar = self.head & (self.y < self.neck + 0.03)
        part[collar & (self._near(self.upper) < np.minimum(self._near(face), self._near(self.skin)))] = top
        above = self.y > self.eyes + 0.022
        behind = (self.z < self.depth + 0.035) & (self.y > self.eyes - 0.075)
        hair = self.head & (above | behind)
        # Hair painted on the skull is darker than the skin; beneath a wig all of the skull is hair.
        if self.wig:
            hair &= (self.y > self.eyes + 0.05) | (self.z < self.depth - 0.01)
        else:
            hair &= self._near(face) > 16
        if self.outfit.hair[0] != "bald":
            part[hair] = int(Part.HAIR)

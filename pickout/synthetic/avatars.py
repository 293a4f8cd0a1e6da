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
from pickout.synthetic.regions import Parts, Regions
from pickout.synthetic.solids import Rays
from pickout.synthetic.surfaces import Part

Array = NDArray[np.floating[Any]]

Take = Literal["all", "train", "held-out"]

_TEXELS = 512
LINEAR = np.power(np.arange(256, dtype=np.float32) / 255.0, np.float32(2.2))
"""Linear light of a byte of sRGB."""
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
        colour: sRGB of each texel. Shape: (texels, texels, 3).
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
    colour: NDArray[np.uint8]
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
    # In the order of sex, so that men and women are held out alike.
    bodies = [body for _, body in sorted({(outfit.sex, _body_of(name)) for name, outfit in OUTFITS.items()})]
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
    tone = skin_place(np.median(colour[part == Part.SKIN], axis=0) / 255.0)
    return Avatar(path.stem, outfit, places, above, float(trunk[0][:, 1].max()), tone, tuple(shells))


def _at_rest(skin: Skin, world: Array) -> tuple[Array, Array]:
    """Places and normals in the world, at rest."""
    moves = (world @ skin.inverse).astype(np.float32)
    blend = np.einsum("nk,nkij->nij", skin.weight, moves[skin.joint])
    place = np.einsum("nij,nj->ni", blend[:, :3, :3], skin.position) + blend[:, :3, 3]
    normal = np.einsum("nij,nj->ni", blend[:, :3, :3], skin.normal)
    return place, normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)


def _shell(skin: Skin, rest: tuple[Array, Array], colour: NDArray[np.uint8], part: Parts) -> Shell:
    relief = np.ones(part.shape, dtype=np.float32)
    bright = LINEAR[colour].mean(axis=2)
    for value in np.unique(part):
        inside = part == value
        # The floor keeps the grain of a nearly black texture from turning into blotches.
        level = np.median(bright[inside]) + 0.012
        relief[inside] = np.clip((bright[inside] + 0.012) / level, 0.3, 1.9)
    return Shell(rest[0], rest[1], skin.uv, skin.joint, skin.weight, _both_sides(skin), colour, relief, part)


def _both_sides(skin: Skin) -> NDArray[np.int32]:
    """Hair is seen from inside as well."""
    return np.concatenate([skin.triangles, skin.triangles[:, ::-1]]) if skin.name == _HAIR else skin.triangles


def _small(texture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A texture at `_TEXELS` texels a side. Shape: (texels, texels, 3)."""
    return np.asarray(Image.fromarray(texture[..., :3]).resize((_TEXELS, _TEXELS), Image.Resampling.BOX))


def _parted(
    body: Skin, place: Array, outfit: Outfit, joints: dict[str, tuple[int, Array]], eyes: float, wig: bool
) -> tuple[NDArray[np.uint8], Parts]:
    """Colour and part of each texel of the body."""
    colour = _small(body.texture)
    where, known = _unwrapped(body, place)
    lab = to_lab(colour / 255.0) * (0.6, 1.0, 1.0)
    part = np.full(known.shape, int(Part.SKIN), dtype=np.uint8)
    part[known] = Regions(where[known], lab[known], outfit, joints, eyes, float(place[:, 1].max()), wig).parts()
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

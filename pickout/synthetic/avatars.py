"""Avatars: rigged, textured bodies read from a folder, with a map of what each place of the texture shows."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pickout.errors import DataError, DataMissing
from pickout.synthetic.colours import skin_place, to_lab
from pickout.synthetic.gltf import Skin, read_gltf, unit
from pickout.synthetic.outfits import OUTFITS, Outfit
from pickout.synthetic.rasteriser import rasterise
from pickout.synthetic.regions import Parts, Regions
from pickout.synthetic.solids import Rays
from pickout.synthetic.surfaces import Array, Part

Take = Literal["all", "train", "held-out"]
LINEAR = np.power(np.arange(256, dtype=np.float32) / 255.0, np.float32(2.2))
"""Linear light of a byte of sRGB."""
_TEXELS = 512
_BODY, _HAIR, _EYES = "H_DDS_HighRes", "h_wig", ("h_L_eye", "h_R_eye")


@dataclass(frozen=True, slots=True, eq=False)
class Shell:
    """One mesh of an avatar, at rest in the world: x to the person's left, y up, z forward, metres."""

    place: Array  # of each vertex. Shape: (n, 3)
    normal: Array  # Shape: (n, 3)
    uv: Array  # Shape: (n, 2)
    joint: NDArray[np.intp]  # numbers of the nodes that move each vertex. Shape: (n, 4)
    weight: Array  # how much each does. Shape: (n, 4)
    triangles: NDArray[np.int32]  # Shape: (m, 3)
    colour: NDArray[np.uint8]  # sRGB of each texel. Shape: (texels, texels, 3)
    relief: Array  # brightness of each texel over the middle of its part's. Shape: (texels, texels)
    part: Parts  # a `Part` at each texel. Shape: (texels, texels)

    def bent(self, moves: Array) -> tuple[Array, Array]:
        """Places and normals as the nodes move them from rest; `moves` has the shape (nodes, 4, 4)."""
        return _blended(moves, self.joint, self.weight, self.place, self.normal)


@dataclass(frozen=True, slots=True, eq=False)
class Avatar:
    """A body that can be posed and dressed in other colours."""

    name: str  # of its file, without the ending
    outfit: Outfit
    joints: dict[str, tuple[int, Array]]  # the skeleton's nodes: number, and place at rest, shape (3,)
    parents: dict[str, str]  # the name of the node above each
    height: float  # metres, without hair
    skin: float  # as in `Person.skin`, from the texture
    shells: tuple[Shell, ...]

    def at(self, joint: str) -> Array:
        """Where a joint is at rest. Shape: (3,)."""
        return self.joints[joint][1]


def find_avatars(folder: Path, take: Take = "all") -> tuple[Path, ...]:
    """The files of the avatars in `folder` whose outfits are known, in the order of their names.

    Args:
        folder: where they lie.
        take: `train` and `held-out` part the bodies, whatever they wear: every fifth is held out.

    Raises:
        DataMissing: no such folder, or no avatar to take in it.
    """
    remedy = "fetch avatars from https://github.com/c-frame/valid-avatars-glb, or draw without --avatars"
    if not folder.is_dir():
        raise DataMissing(f"{folder}: no such folder; {remedy}")
    # The same body comes in several outfits: `White_M_2_Casual` and `White_M_2_Medi`. In the order of sex, so that men
    # and women are held out alike.
    bodies = [body for _, body in sorted({(outfit.sex, name.rpartition("_")[0]) for name, outfit in OUTFITS.items()})]
    held_out = frozenset(bodies[2::5])
    wanted = {"all": frozenset(bodies), "train": frozenset(bodies) - held_out, "held-out": held_out}[take]
    known = (path for path in sorted(folder.glob("*.glb")) if path.stem in OUTFITS)
    found = tuple(path for path in known if path.stem.rpartition("_")[0] in wanted)
    if not found:
        which = "" if take == "all" else f" of the part {take!r}"
        name = next(iter(OUTFITS))
        raise DataMissing(f"{folder}: no avatar{which} that is known by its outfit, such as {name}.glb; {remedy}")
    return found


@lru_cache(maxsize=256)
def load_avatar(path: Path) -> Avatar:
    """Read an avatar, at most once a process.

    Raises:
        DataError: the file is broken, or its skeleton has other names.
        DataMissing: a package that reads it is not installed.
    """
    joints, skins = read_gltf(path)
    by_name, rest = {skin.name: skin for skin in skins}, {}
    for skin in skins:
        moves = (joints.world @ skin.inverse).astype(np.float32)
        place, normal = _blended(moves, skin.joint, skin.weight, skin.position, skin.normal)
        rest[skin.name] = place, unit(normal)
    places = {name: (number, joints.world[number, :3, 3]) for number, name in enumerate(joints.names)}
    try:
        body, (place, _) = by_name[_BODY], rest[_BODY]
        eyes = float(np.mean([rest[name][0][:, 1].mean() for name in _EYES]))
        colour, part = _small(body.texture), np.full((_TEXELS, _TEXELS), int(Part.SKIN), dtype=np.uint8)
        where, known = _unwrapped(body, place)
        lab = to_lab(colour / 255.0) * (0.6, 1.0, 1.0)
        height, wig = float(place[:, 1].max()), _HAIR in by_name
        part[known] = Regions(where[known], lab[known], OUTFITS[path.stem], places, eyes, height, wig).parts()
    except KeyError as error:
        raise DataError(f"{path}: has no mesh or joint named {error}, so it is no avatar of VALID") from None
    part = _spread(part, known)
    shells = [_shell(body, rest[_BODY], colour, part)]
    shells += [_shell(by_name[name], rest[name], colour, np.full_like(part, int(Part.SKIN))) for name in _EYES]
    if wig:
        hair = np.full_like(part, int(Part.HAIR))
        shells.append(_shell(by_name[_HAIR], rest[_HAIR], _small(by_name[_HAIR].texture), hair))
    above = {name: joints.names[up] for name, up in zip(joints.names, joints.parents, strict=True) if up >= 0}
    tone = skin_place(np.median(colour[part == Part.SKIN], axis=0) / 255.0)
    return Avatar(path.stem, OUTFITS[path.stem], places, above, height, tone, tuple(shells))


def _blended(
    moves: Array, joint: NDArray[np.intp], weight: Array, position: Array, normal: Array
) -> tuple[Array, Array]:
    """Places and normals of vertices that several nodes move."""
    blend = np.einsum("nk,nkij->nij", weight, moves[joint])
    place = np.einsum("nij,nj->ni", blend[:, :3, :3], position) + blend[:, :3, 3]
    return place, np.einsum("nij,nj->ni", blend[:, :3, :3], normal)


def _shell(skin: Skin, rest: tuple[Array, Array], colour: NDArray[np.uint8], part: Parts) -> Shell:
    relief = np.ones(part.shape, dtype=np.float32)
    bright = LINEAR[colour].mean(axis=2)
    for value in np.unique(part):
        inside = part == value
        # The floor keeps the grain of a nearly black texture from turning into blotches.
        level = np.median(bright[inside]) + 0.012
        relief[inside] = np.clip((bright[inside] + 0.012) / level, 0.3, 1.9)
    # Hair is seen from inside as well.
    sides = [skin.triangles, skin.triangles[:, ::-1]] if skin.name == _HAIR else [skin.triangles]
    return Shell(*rest, skin.uv, skin.joint, skin.weight, np.concatenate(sides), colour, relief, part)


def _small(texture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A texture at `_TEXELS` texels a side. Shape: (texels, texels, 3)."""
    return np.asarray(Image.fromarray(texture[..., :3]).resize((_TEXELS, _TEXELS), Image.Resampling.BOX))


def _unwrapped(body: Skin, place: Array) -> tuple[Array, NDArray[np.bool_]]:
    """The place on the body of each texel, and which texels are used."""
    grid = (np.arange(_TEXELS, dtype=np.float32) + 0.5) / _TEXELS
    rays = Rays(np.zeros(3), np.diag([1.0, 1.0, 1.0]), grid, grid)
    flat = np.column_stack([body.uv, np.ones(len(body.uv), dtype=np.float32)]).astype(np.float32)
    where = np.zeros((_TEXELS * _TEXELS, 3), dtype=np.float32)
    known = np.zeros(_TEXELS * _TEXELS, dtype=bool)
    for turned in (body.triangles, body.triangles[:, ::-1]):
        hits = rasterise(flat, turned, rays)
        where[hits.pixel], known[hits.pixel] = hits.spread(place, turned), True
    return where.reshape(_TEXELS, _TEXELS, 3), known.reshape(_TEXELS, _TEXELS)


def _spread(part: Parts, known: NDArray[np.bool_]) -> Parts:
    """Parts with the used texels' values carried over their seams."""
    part = part.copy()
    for step, axis in [(1, 0), (-1, 0), (1, 1), (-1, 1)] * 3:
        edge = np.roll(known, step, axis) & ~known
        part[edge] = np.roll(part, step, axis)[edge]
        known = known | edge
    return part

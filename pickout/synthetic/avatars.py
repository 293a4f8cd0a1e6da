"""Avatars: rigged, textured bodies read from a folder, with a map of what each place of the texture shows."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pickout.errors import DataError, DataMissing
from pickout.synthetic.gltf import Joint, Skin, read_gltf
from pickout.synthetic.habits import skin_place, to_lab
from pickout.synthetic.outfits import OUTFITS, Outfit
from pickout.synthetic.render import rasterise
from pickout.synthetic.solids import Rays
from pickout.synthetic.surfaces import Array, Mask, Part

Parts = NDArray[np.uint8]
Take = Literal["all", "train", "held-out"]
LINEAR = np.power(np.arange(256, dtype=np.float32) / 255.0, np.float32(2.2))  # linear light of a byte of sRGB
_TEXELS = 512
_BODY, _HAIR, _EYES = "H_DDS_HighRes", "h_wig", ("h_L_eye", "h_R_eye")
_ENDS = {"thigh": (0.28, 0.42), "knee": (0.22, 0.34), "calf": (0.12, 0.27)}  # between which heights trousers end


class Shell:
    """One mesh of an avatar and what its texture shows: colour (sRGB) and `Part` of each texel, and its relief, that is
    the brightness over the middle of its part's. Shapes: (texels, texels, 3), (texels, texels), (texels, texels)."""

    def __init__(self, skin: Skin, colour: NDArray[np.uint8], part: Parts) -> None:
        self.skin, self.colour, self.part = skin, colour, part
        self.relief = np.ones(part.shape, dtype=np.float32)
        bright = LINEAR[colour].mean(axis=2)
        for value in np.unique(part):
            inside = part == value
            # The floor keeps the grain of a nearly black texture from turning into blotches.
            level = np.median(bright[inside]) + 0.012
            self.relief[inside] = np.clip((bright[inside] + 0.012) / level, 0.3, 1.9)


@dataclass(frozen=True, slots=True, eq=False)
class Avatar:
    """A body that can be posed and dressed in other colours."""

    name: str  # of its file, without the ending
    outfit: Outfit
    joints: dict[str, Joint]
    height: float  # metres, without hair
    skin: float  # as in `Person.skin`, from the texture
    shells: tuple[Shell, ...]

    def at(self, joint: str) -> Array:
        """Where a joint is at rest. Shape: (3,)."""
        return self.joints[joint].place


def find_avatars(folder: Path, take: Take = "all") -> tuple[Path, ...]:
    """The files of the avatars in `folder` whose outfits are known, in the order of their names. `train` and `held-out`
    part the bodies, whatever they wear: every fifth is held out. A DataMissing where none is."""
    remedy = "fetch avatars from https://github.com/c-frame/valid-avatars-glb, or draw without --avatars"
    if not folder.is_dir():
        raise DataMissing(f"{folder}: no such folder; {remedy}")
    # The same body comes in several outfits: `White_M_2_Casual` and `White_M_2_Medi`. In the order of sex, so that men
    # and women are held out alike.
    bodies = [body for _, body in sorted({(outfit.sex, name.rpartition("_")[0]) for name, outfit in OUTFITS.items()})]
    held_out = bodies[2::5]
    wanted = {"all": bodies, "train": set(bodies).difference(held_out), "held-out": held_out}[take]
    known = (path for path in sorted(folder.glob("*.glb")) if path.stem in OUTFITS)
    found = tuple(path for path in known if path.stem.rpartition("_")[0] in wanted)
    if not found:
        which = "" if take == "all" else f" of the part {take!r}"
        name = next(iter(OUTFITS))
        raise DataMissing(f"{folder}: no avatar{which} that is known by its outfit, such as {name}.glb; {remedy}")
    return found


@lru_cache(maxsize=256)
def load_avatar(path: Path) -> Avatar:
    """Read an avatar, at most once a process; errors as of `read_gltf`, and a DataError where its names are others."""
    joints, skins = read_gltf(path)
    by_name = {skin.name: skin for skin in skins}
    try:
        body, eyeballs = by_name[_BODY], [by_name[name] for name in _EYES]
        colour, part = _small(body.texture), np.full((_TEXELS, _TEXELS), int(Part.SKIN), dtype=np.uint8)
        where, known = _unwrapped(body)
        lab = to_lab(colour / 255.0) * (0.6, 1.0, 1.0)
        part[known] = _Regions(where[known], lab[known], OUTFITS[path.stem], joints, by_name).parts()
    except KeyError as error:
        raise DataError(f"{path}: has no mesh or joint named {error}, so it is no avatar of VALID") from None
    # What texels show is carried over the seams of the texture.
    for step, axis in [(1, 0), (-1, 0), (1, 1), (-1, 1)] * 3:
        edge = np.roll(known, step, axis) & ~known
        part[edge] = np.roll(part, step, axis)[edge]
        known = known | edge
    shells = [Shell(body, colour, part)]
    shells += [Shell(skin, colour, np.full_like(part, int(Part.SKIN))) for skin in eyeballs]
    if _HAIR in by_name:
        # Hair is seen from inside as well.
        hair = by_name[_HAIR]
        hair = replace(hair, triangles=np.concatenate([hair.triangles, hair.triangles[:, ::-1]]))
        shells.append(Shell(hair, _small(hair.texture), np.full_like(part, int(Part.HAIR))))
    tone = skin_place(np.median(colour[part == Part.SKIN], axis=0) / 255.0)
    return Avatar(path.stem, OUTFITS[path.stem], joints, float(body.place[:, 1].max()), tone, tuple(shells))


def _small(texture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A texture at `_TEXELS` texels a side. Shape: (texels, texels, 3)."""
    return np.asarray(Image.fromarray(texture[..., :3]).resize((_TEXELS, _TEXELS), Image.Resampling.BOX))


def _unwrapped(body: Skin) -> tuple[Array, Mask]:
    """The place on the body of each texel, and which texels are used."""
    grid = (np.arange(_TEXELS, dtype=np.float32) + 0.5) / _TEXELS
    rays = Rays(np.zeros(3), np.diag([1.0, 1.0, 1.0]), grid, grid)
    flat = np.column_stack([body.uv, np.ones(len(body.uv), dtype=np.float32)]).astype(np.float32)
    where = np.zeros((_TEXELS * _TEXELS, 3), dtype=np.float32)
    known = np.zeros(_TEXELS * _TEXELS, dtype=bool)
    for turned in (body.triangles, body.triangles[:, ::-1]):
        hits = rasterise(flat, turned, rays)
        where[hits.pixel], known[hits.pixel] = hits.spread(body.place, turned), True
    return where.reshape(_TEXELS, _TEXELS, 3), known.reshape(_TEXELS, _TEXELS)


class _Regions:
    """What places on a body show: by `where` they are at rest (n, 3), metres, and by which garment's colour theirs,
    `lab` (n, 3), is nearest. Heights are held as parts of the body's."""

    def __init__(
        self, where: Array, lab: Array, outfit: Outfit, joints: Mapping[str, Joint], skins: Mapping[str, Skin]
    ) -> None:
        height = float(skins[_BODY].place[:, 1].max())
        self.x, self.y, self.z = np.abs(where[:, 0]), where[:, 1] / height, where[:, 2]
        self.lab, self.outfit, self.wig = lab, outfit, _HAIR in skins
        self.eyes = float(np.mean([skins[name].place[:, 1].mean() for name in _EYES])) / height
        self.top = int(Part.OUTER if outfit.top.over else Part.UPPER)
        self.neck = float(joints["Neck"].place[1]) / height
        bones = ("LeftArm", "LeftForeArm", "LeftHand")
        self.shoulder, self.elbow, self.wrist = (float(joints[name].place[0]) for name in bones)
        self.depth, self.toes = float(joints["Head"].place[2]), float(joints["LeftToeBase"].place[2]) - 0.02
        self.arm = (self.x > self.shoulder) & (self.y > 0.7)
        self.head = (self.y > self.neck - 0.012) & (self.x < self.shoulder * 0.8)
        self.skin = self._middle(self.arm & (self.x > self.wrist + 0.03))
        self.upper = self._middle((self.y > 0.64) & (self.y < 0.76) & (self.z < 0.0) & ~self.arm)
        self.lower = self._middle((self.y > 0.38) & (self.y < 0.45) & ~self.arm)

    def parts(self) -> Parts:
        part = np.full(len(self.y), self.top, dtype=np.uint8)
        self._trunk(part)
        self._legs(part)
        low, high = self.wrist - 0.06, self.wrist + 0.03
        if self.outfit.top.sleeve == "short":
            low, high = self.shoulder + 0.03, self.elbow + 0.03
        part[self.arm & (self.x >= self._edge(self.x, self.arm, self.upper, self.skin, low, high))] = int(Part.SKIN)
        self._head(part)
        return part

    def _middle(self, mask: Mask) -> Array:
        return np.asarray(np.median(self.lab[mask], axis=0))

    def _near(self, colour: Array) -> Array:
        """How far each place's colour is from `colour`, at most 60."""
        return np.asarray(np.minimum(np.linalg.norm(self.lab - colour, axis=1), 60.0))

    def _edge(self, along: Array, mask: Mask, below: Array, above: Array, low: float, high: float) -> float:
        """The place along `along`, from `low` to `high`, that best parts the colours `below` and `above`."""
        steps = np.linspace(low, high, 49)
        gain = (self._near(above) - self._near(below))[mask]
        return float(steps[int(np.argmax([float(gain[along[mask] < step].sum()) for step in steps]))])

    def _trunk(self, part: Parts) -> None:
        below, hem, bottom = ~self.arm & (self.y < 0.7), self.outfit.top.hem, self.outfit.bottom
        if bottom.kind is not None and hem:
            part[below & (self.y < hem)] = int(Part.LOWER)
        elif bottom.kind is not None:
            hem = self._edge(self.y, below, self.lower, self.upper, 0.50, 0.66)
            lower = below & (self.y < hem)
            if np.linalg.norm(self.lower - self.upper) > 12:
                near = below & (np.abs(self.y - hem) < 0.035)
                lower = np.where(near, self._near(self.lower) < self._near(self.upper), lower)
            part[lower] = int(Part.LOWER)
        chest = ~self.arm & ~self.head & (self.y > 0.66) & (self.z > 0.0) & (self.x < 0.12)
        if self.outfit.top.over:
            part[chest & (self._near(self.upper) > 14)] = int(Part.UPPER)
        bare = chest & (self.y > self.neck - 0.10) & (self._near(self.skin) < 16)
        part[bare & (self._near(self.skin) < self._near(self.upper))] = int(Part.SKIN)

    def _legs(self, part: Parts) -> None:
        legs, outfit, bottom = ~self.arm & (self.y < 0.5), self.outfit, self.outfit.bottom
        toes = legs & (self.y < 0.05) & (self.z > self.toes)
        shoes = self._middle(toes)
        if bottom.kind is None or bottom.length in _ENDS:
            hem = outfit.top.hem
            if bottom.kind is not None:
                low, high = _ENDS[bottom.length]
                hem = -self._edge(-self.y, legs, self.lower, self.skin, -high, -low)
            part[legs & (self.y < hem)] = int(Part.SKIN)
            top = self._edge(self.y, legs & (self.y < hem - 0.02), shoes, self.skin, 0.015, 0.09)
            part[legs & (self.y < top)] = int(Part.SHOES)
        elif outfit.shoes == "boots":
            part[legs & (self.y < self._edge(self.y, legs, shoes, self.lower, 0.08, 0.16))] = int(Part.SHOES)
        else:
            # Wide trousers reach the ground behind the toes.
            part[legs & (self.y < 0.06) & (self._near(shoes) < self._near(self.lower))] = int(Part.SHOES)
            part[toes | (legs & (self.y < 0.008))] = int(Part.SHOES)
        if outfit.shoes in ("flats", "sandals"):
            part[legs & (self.y < 0.06) & (self._near(self.skin) < 18)] = int(Part.SKIN)

    def _head(self, part: Parts) -> None:
        face = self._middle(self.head & (np.abs(self.y - self.eyes + 0.02) < 0.02) & (self.z > self.depth + 0.05))
        part[self.head] = int(Part.SKIN)
        collar = self.head & (self.y < self.neck + 0.03)
        part[collar & (self._near(self.upper) < np.minimum(self._near(face), self._near(self.skin)))] = self.top
        behind = (self.z < self.depth + 0.035) & (self.y > self.eyes - 0.075)
        hair = self.head & ((self.y > self.eyes + 0.022) | behind)
        # Hair painted on the skull is darker than the skin; beneath a wig all of the skull is hair.
        if self.wig:
            hair &= (self.y > self.eyes + 0.05) | (self.z < self.depth - 0.01)
        else:
            hair &= self._near(face) > 16
        if self.outfit.hair[0] != "bald":
            part[hair] = int(Part.HAIR)

"""Read a glTF 2.0 binary file: skinned meshes with one texture each, and the skeleton that moves them.

Formats: glTF 2.0 (Khronos, 2.0.1), EXT_meshopt_compression, EXT_texture_webp and KHR_mesh_quantization."""

import io
import json
import struct
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pickout.errors import DataError, DataMissing
from pickout.synthetic.surfaces import Array

_TYPES = {5120: "i1", 5121: "u1", 5122: "i2", 5123: "u2", 5125: "u4", 5126: "f4"}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}
_READ = {"EXT_meshopt_compression", "EXT_texture_webp", "KHR_mesh_quantization"}


@dataclass(frozen=True, slots=True, eq=False)
class Skin:
    """A skinned mesh, at rest in the world: metres, y up, z forward."""

    name: str  # the mesh's name in the file
    place: Array  # of each vertex. Shape: (n, 3)
    normal: Array  # unit normals. Shape: (n, 3)
    uv: Array  # place in the texture, 0 to 1, v down. Shape: (n, 2)
    joint: NDArray[np.intp]  # numbers of the nodes that move each vertex. Shape: (n, 4)
    weight: Array  # how much each does, sum 1. Shape: (n, 4)
    triangles: NDArray[np.int32]  # Shape: (m, 3)
    texture: NDArray[np.uint8]  # sRGB, with alpha as fourth channel. Shape: (height, width, 4)

    def bent(self, moves: Array) -> tuple[Array, Array]:
        """Places and normals as the nodes move them from rest; `moves` has the shape (nodes, 4, 4)."""
        blend = np.einsum("nk,nkij->nij", self.weight, moves[self.joint])
        place = np.einsum("nij,nj->ni", blend[:, :3, :3], self.place) + blend[:, :3, 3]
        return place, np.einsum("nij,nj->ni", blend[:, :3, :3], self.normal)


class Joint(NamedTuple):
    """A node of the file."""

    number: int
    parent: str | None  # the name of the node above
    place: Array  # at rest in the world. Shape: (3,)


def read_gltf(path: Path) -> tuple[dict[str, Joint], list[Skin]]:
    """The skeleton by the nodes' names and the skinned, textured meshes of a `.glb` file. A DataError where it is no
    whole glTF 2.0 binary or needs an extension that is not read, a DataMissing where it needs `meshoptimizer`."""
    try:
        file = _File(path.read_bytes())
        foreign = set(file.header.get("extensionsRequired", ())) - _READ
        if foreign:
            raise DataError(f"{path}: needs the glTF extension {', '.join(sorted(foreign))}, which is not read")
        return file.joints(), file.skins()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error})") from None
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RuntimeError, struct.error) as error:
        raise DataError(f"{path}: not a whole glTF 2.0 binary file ({error}); fetch it again or leave it out") from None


def unit(vectors: Array) -> Array:
    """Each row at length 1. Shape: (n, k) to (n, k)."""
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-6))


class _File:
    def __init__(self, blob: bytes) -> None:
        magic, version, length = struct.unpack_from("<4sII", blob)
        if magic != b"glTF" or version != 2:
            raise ValueError("no glTF 2 header")
        if length > len(blob):
            raise ValueError(f"{len(blob)} of {length} bytes")
        size, _ = struct.unpack_from("<I4s", blob, 12)
        self.header: dict[str, Any] = json.loads(blob[20 : 20 + size])
        self._binary = blob[28 + size : length]
        self._bytes, self._pixels = cache(self._view), cache(self._image)
        self._nodes = self.header["nodes"]
        self._parents = {child: number for number, node in enumerate(self._nodes) for child in node.get("children", ())}
        self._world = np.stack([*map(self._matrix, range(len(self._nodes)))])  # from each node's space to the world's

    def joints(self) -> dict[str, Joint]:
        names, up = [node.get("name", "") for node in self._nodes], self._parents
        above = [names[up[number]] if number in up else None for number in range(len(names))]
        return {names[n]: Joint(n, above[n], self._world[n, :3, 3]) for n in range(len(names))}

    def _matrix(self, number: int) -> Array:
        """From a node's space to the world's. Shape: (4, 4)."""
        node, matrix = self._nodes[number], np.eye(4)
        if "matrix" in node:
            matrix = np.array(node["matrix"], dtype=np.float64).reshape(4, 4).T
        else:
            x, y, z, w = node.get("rotation", (0.0, 0.0, 0.0, 1.0))
            turn = np.array([
                [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
                [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
                [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
            ])  # fmt: skip
            matrix[:3, :3] = turn * np.array(node.get("scale", (1.0, 1.0, 1.0)))
            matrix[:3, 3] = node.get("translation", (0.0, 0.0, 0.0))
        return self._matrix(self._parents[number]) @ matrix if number in self._parents else matrix

    def skins(self) -> list[Skin]:
        nodes = [node for node in self._nodes if "mesh" in node and "skin" in node]
        found = [self._skin(node, part) for node in nodes for part in self.header["meshes"][node["mesh"]]["primitives"]]
        if not found:
            raise ValueError("no skinned mesh in it")
        return found

    def _skin(self, node: dict[str, Any], part: dict[str, Any]) -> Skin:
        names = ("POSITION", "NORMAL", "TEXCOORD_0", "WEIGHTS_0", "JOINTS_0")
        place, normal, uv, weight, joint = (self._values(part["attributes"][name]) for name in names)
        skin = self.header["skins"][node["skin"]]
        bones = np.array(skin["joints"], dtype=np.intp)
        inverse = np.zeros_like(self._world)
        # glTF stores matrices column by column.
        inverse[bones] = self._values(skin["inverseBindMatrices"]).reshape(-1, 4, 4).transpose(0, 2, 1)
        triangles = self._values(part["indices"]).astype(np.int32).reshape(-1, 3)
        if triangles.max(initial=0) >= len(place):
            raise ValueError("a triangle of vertices that are not there")
        weight = weight / np.maximum(weight.sum(axis=1, keepdims=True), 1e-6)
        name, bone = self.header["meshes"][node["mesh"]].get("name", ""), bones[joint.astype(np.intp)]
        number = self.header["materials"][part["material"]]["pbrMetallicRoughness"]["baseColorTexture"]["index"]
        texture = self.header["textures"][number]
        picture = self._pixels(texture.get("extensions", {}).get("EXT_texture_webp", texture)["source"])
        stored = Skin(name, place, unit(normal), uv, bone, weight, triangles, picture)
        place, normal = stored.bent((self._world @ inverse).astype(np.float32))
        return replace(stored, place=place, normal=unit(normal))

    def _image(self, number: int) -> NDArray[np.uint8]:
        with Image.open(io.BytesIO(self._bytes(self.header["images"][number]["bufferView"]))) as image:
            return np.asarray(image.convert("RGBA"))

    def _values(self, number: int) -> Array:
        """An accessor's numbers, as the shader sees them. Shape: (count, width)."""
        accessor = self.header["accessors"][number]
        kind, width, count = np.dtype(_TYPES[accessor["componentType"]]), _WIDTHS[accessor["type"]], accessor["count"]
        stride = self.header["bufferViews"][accessor["bufferView"]].get("byteStride", kind.itemsize * width)
        place = (self._bytes(accessor["bufferView"]), accessor.get("byteOffset", 0), (stride, kind.itemsize))
        values: Array = np.ndarray((count, width), kind, *place).astype(np.float32)
        if accessor.get("normalized"):
            values = np.maximum(values / np.float32(np.iinfo(kind).max), np.float32(-1.0))
        return values

    def _view(self, number: int) -> bytes:
        view = self.header["bufferViews"][number]
        packed = view.get("extensions", {}).get("EXT_meshopt_compression")
        place = packed or view
        start = place.get("byteOffset", 0)
        data = self._binary[start : start + place["byteLength"]]
        if len(data) < place["byteLength"]:
            raise ValueError("its buffer is cut short")
        return data if packed is None else _unpacked(packed, data)


def _unpacked(packed: dict[str, Any], data: bytes) -> bytes:
    try:
        import meshoptimizer
    except ImportError:
        raise DataMissing("avatars need a package more: pip install 'pickout[render]', or draw without them") from None
    count, stride = packed["count"], packed["byteStride"]
    if packed["mode"] == "TRIANGLES":
        # The decoder writes 32-bit numbers whatever the stride says.
        wide = meshoptimizer.decode_index_buffer(count, 4, data)
        return np.asarray(wide.astype(np.uint16 if stride == 2 else np.uint32)).tobytes()
    if packed["mode"] != "ATTRIBUTES":
        raise ValueError(f"meshopt mode {packed['mode']}")
    rows = meshoptimizer.decode_vertex_buffer(count, stride, data, dtype=np.dtype((np.void, stride)))
    ends = {"OCTAHEDRAL": "oct", "QUATERNION": "quat", "EXPONENTIAL": "exp"}
    kind = packed.get("filter", "NONE")
    return bytes(rows if kind == "NONE" else getattr(meshoptimizer, f"decode_filter_{ends[kind]}")(rows, count, stride))

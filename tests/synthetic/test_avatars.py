"""Rendered people: the reader on files made here, the rasteriser on known shapes, the avatars where they are."""

import io
import json
import struct
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pickout.errors import DataError, DataMissing
from pickout.synthetic.attributes import View
from pickout.synthetic.avatars import find_avatars, load_avatar
from pickout.synthetic.cameras import NEUTRAL_CAMERA
from pickout.synthetic.drawing import draw_crop
from pickout.synthetic.gltf import read_gltf
from pickout.synthetic.outfits import OUTFITS, sample_wearer
from pickout.synthetic.posing import Posed
from pickout.synthetic.render import rasterise
from pickout.synthetic.settings import AvatarSettings
from pickout.synthetic.solids import Rays
from pickout.synthetic.street import StreetSettings, draw_street
from pickout.synthetic.surfaces import Part

CORNERS = np.array([[0, 0, 0], [32767, 0, 0], [0, 16384, 0]], dtype="<i2")


def glb(header: dict[str, object], binary: bytes) -> bytes:
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(binary), b"BIN\0") + binary
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks


def triangle(**changes: object) -> bytes:
    """A skinned triangle of quantised corners with a red texture; its one joint stands a metre up, turned about y."""
    picture = io.BytesIO()
    Image.new("RGB", (4, 4), (255, 0, 0)).save(picture, "PNG")
    normals = np.tile(np.array([[0, 0, 127, 0]], dtype="i1"), (3, 1))
    inverse = np.eye(4, dtype="<f4")
    inverse[1, 3] = -1.0
    parts = [
        np.pad(CORNERS, ((0, 0), (0, 1))).tobytes(),
        normals.tobytes(),
        np.array([[0, 0], [255, 0], [0, 255]], dtype="u1").tobytes() + b"\0\0",
        np.zeros((3, 4), dtype="u1").tobytes(),
        np.tile(np.array([255, 0, 0, 0], dtype="u1"), (3, 1)).tobytes(),
        inverse.T.tobytes(),
        np.array([0, 1, 2, 0], dtype="<u2").tobytes(),
        picture.getvalue(),
    ]
    starts = np.cumsum([0, *map(len, parts)])
    views: list[dict[str, object]] = [
        {"buffer": 0, "byteOffset": int(start), "byteLength": len(part)}
        for start, part in zip(starts, parts, strict=False)
    ]
    views[0]["byteStride"], views[1]["byteStride"] = 8, 4
    accessors = [
        {"bufferView": 0, "componentType": 5122, "count": 3, "type": "VEC3", "normalized": True},
        {"bufferView": 1, "componentType": 5120, "count": 3, "type": "VEC3", "normalized": True},
        {"bufferView": 2, "componentType": 5121, "count": 3, "type": "VEC2", "normalized": True},
        {"bufferView": 3, "componentType": 5121, "count": 3, "type": "VEC4"},
        {"bufferView": 4, "componentType": 5121, "count": 3, "type": "VEC4", "normalized": True},
        {"bufferView": 5, "componentType": 5126, "count": 1, "type": "MAT4"},
        {"bufferView": 6, "componentType": 5123, "count": 3, "type": "SCALAR"},
    ]
    names = ("POSITION", "NORMAL", "TEXCOORD_0", "JOINTS_0", "WEIGHTS_0")
    turned = [0.0, float(np.sqrt(0.5)), 0.0, float(np.sqrt(0.5))]
    header: dict[str, object] = {
        "asset": {"version": "2.0"},
        "buffers": [{"byteLength": sum(map(len, parts))}],
        "bufferViews": views,
        "accessors": accessors,
        "meshes": [
            {
                "name": "a",
                "primitives": [{"attributes": dict(zip(names, range(5), strict=True)), "indices": 6, "material": 0}],
            }
        ],
        "materials": [{"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}}}],
        "textures": [{"source": 0}],
        "images": [{"bufferView": 7, "mimeType": "image/png"}],
        "skins": [{"joints": [1], "inverseBindMatrices": 5}],
        "nodes": [{"mesh": 0, "skin": 0}, {"name": "bone", "translation": [0, 1, 0], "rotation": turned}],
    }
    return glb(header | changes, b"".join(parts))


def test_a_skinned_triangle_is_read_as_written(tmp_path: Path) -> None:
    (tmp_path / "a.glb").write_bytes(triangle())
    joints, (skin,) = read_gltf(tmp_path / "a.glb")
    assert list(joints) == ["", "bone"]
    # At rest a quarter turn about y takes x to -z; the joint's height is taken away and given back.
    assert np.allclose(skin.place, [[0, 0, 0], [0, 0, -1], [0, 16384 / 32767, 0]], atol=1e-6)
    assert np.allclose(skin.uv, [[0, 0], [1, 0], [0, 1]])
    assert skin.triangles.tolist() == [[0, 1, 2]]
    assert skin.texture.shape == (4, 4, 4)
    assert np.allclose(skin.normal, [[1, 0, 0]] * 3, atol=1e-6)


@pytest.mark.parametrize(
    ("blob", "words"),
    [
        (b"", "not a whole glTF"),
        (b"not a model at all, just text", "not a whole glTF"),
        (triangle()[:-40], "not a whole glTF"),
        (triangle(skins=[]), "not a whole glTF"),
        (triangle(nodes=["bone"]), "not a whole glTF"),
        (triangle(nodes=[{"name": "bone"}]), "no skinned mesh"),
        (triangle(extensionsRequired=["KHR_draco_mesh_compression"]), "KHR_draco_mesh_compression"),
    ],
)
def test_a_broken_or_foreign_file_is_named(blob: bytes, words: str, tmp_path: Path) -> None:
    file = tmp_path / "AIAN_F_1_Busi.glb"
    file.write_bytes(blob)
    with pytest.raises(DataError, match=words) as caught:
        read_gltf(file)
    assert str(file) in str(caught.value)


def test_a_model_with_other_joints_is_no_avatar(tmp_path: Path) -> None:
    (tmp_path / "AIAN_F_1_Busi.glb").write_bytes(triangle())
    with pytest.raises(DataError, match="no avatar of VALID"):
        load_avatar(tmp_path / "AIAN_F_1_Busi.glb")


def test_without_the_decoder_the_message_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    views = [{"extensions": {"EXT_meshopt_compression": {"byteOffset": 0, "byteLength": 4, "count": 1}}}] * 8
    (tmp_path / "a.glb").write_bytes(triangle(bufferViews=views))
    monkeypatch.setitem(sys.modules, "meshoptimizer", None)
    with pytest.raises(DataMissing, match=r"pickout\[render\]"):
        read_gltf(tmp_path / "a.glb")


def test_a_folder_without_avatars_is_named_and_nothing_is_begun(tmp_path: Path) -> None:
    for folder in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(DataMissing, match="without --avatars"):
            draw_street(StreetSettings(avatars=AvatarSettings(folder=folder)), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_held_out_bodies_are_in_no_other_part(tmp_path: Path) -> None:
    for name in OUTFITS:
        (tmp_path / f"{name}.glb").touch()
    (tmp_path / "somebody.glb").touch()
    parts = {take: {path.stem for path in find_avatars(tmp_path, take)} for take in ("train", "held-out", "all")}
    bodies = {take: {name.rpartition("_")[0] for name in names} for take, names in parts.items()}
    assert parts["all"] == set(OUTFITS) == parts["train"] | parts["held-out"]
    assert not bodies["train"] & bodies["held-out"]
    assert {OUTFITS[name].sex for name in parts["held-out"]} == {"man", "woman"}
    assert 6 <= len(parts["held-out"]) <= 16


def test_the_nearer_of_two_squares_is_seen_and_backs_are_not() -> None:
    rays = Rays(np.array([0.0, 0.0, 4.0]), np.diag([1.0, 1.0, -1.0]), np.linspace(-1, 1, 64), np.linspace(1, -1, 64))
    square = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]], dtype=np.float32)
    points = np.concatenate([square, square * 0.5 + (0.0, 0.0, 1.0)]).astype(np.float32)
    faces = np.array([[0, 1, 2], [0, 2, 3], [4, 5, 6], [4, 6, 7]], dtype=np.int32)
    hits = rasterise(points, faces, rays)
    # Half a metre either side at a depth of 3 is 1/6 to each side of 64 pixels over 2.
    assert np.isclose((hits.triangle >= 2).sum(), (64 / 6) ** 2, rtol=0.15)
    assert np.isclose(len(hits.pixel), (64 / 4) ** 2, rtol=0.1)
    assert np.allclose(hits.share.sum(axis=0), 1.0, atol=1e-5)
    assert np.allclose(np.where(hits.triangle >= 2, 3.0, 4.0), hits.depth, atol=1e-4)
    place = hits.spread(points, faces)
    rows, columns = np.divmod(hits.pixel, 64)
    assert np.allclose(place[:, 0], hits.depth * rays.xs[columns], atol=1e-4)
    assert np.allclose(place[:, 1], hits.depth * rays.ys[rows], atol=1e-4)
    assert len(rasterise(points, faces[:, ::-1], rays).pixel) == 0


@pytest.fixture(scope="module")
def files(shared: Path) -> tuple[Path, ...]:
    pytest.importorskip("meshoptimizer")
    return find_avatars(shared / "avatars")[::9]


def view_of(seed: int) -> View:
    generator = np.random.default_rng(seed)
    from pickout.synthetic.people import sample_person, sample_view

    view = sample_view(generator, sample_person(generator), NEUTRAL_CAMERA)
    return replace(view, occluder=None, passers=0, zoom=0.95, shift=(0.0, 0.0), carried=None)


def test_an_avatar_shows_what_its_person_wears(files: tuple[Path, ...]) -> None:
    for seed, file in enumerate(files):
        avatar = load_avatar(file)
        person = replace(sample_wearer(np.random.default_rng(seed), avatar.outfit, avatar.skin), bag=None, scarf=None)
        view = replace(view_of(seed), yaw=180.0)
        drawing = draw_crop(person, view, NEUTRAL_CAMERA, (192, 96), avatar=avatar)
        assert np.array_equal(drawing.image, draw_crop(person, view, NEUTRAL_CAMERA, (192, 96), avatar=avatar).image)
        shown = {part: int((drawing.parts == part).sum()) for part in Part}
        top = Part.OUTER if person.outer is not None else Part.UPPER
        assert shown[top] > 700 and shown[Part.SHOES] > 20, file
        assert (shown[Part.LOWER] > 400) == (person.lower is not None), file
        worn = (person.outer or person.upper).colour.rgb
        if (person.outer or person.upper).pattern == "plain":
            seen = np.median(drawing.image[drawing.parts == top], axis=0) / 255
            assert np.abs(seen - worn).max() < 0.16, (file, seen, worn)


def test_a_posed_avatar_stands_on_the_ground_as_tall_as_its_person(files: tuple[Path, ...]) -> None:
    for seed, file in enumerate(files):
        avatar = load_avatar(file)
        person = sample_wearer(np.random.default_rng(seed), avatar.outfit, avatar.skin)
        posed = Posed(avatar, person, replace(view_of(seed), pose="standing"))
        body = posed.places[0]
        assert body[:, 1].min() == pytest.approx(0.0, abs=1e-5)
        assert body[:, 1].max() == pytest.approx(person.height, abs=0.06)
        for limb in (*posed.skeleton.arms, *posed.skeleton.legs):
            assert np.linalg.norm(body - limb.bottom, axis=1).min() < 0.09


def test_a_street_of_avatars_reads_like_any_other(files: tuple[Path, ...], tmp_path: Path) -> None:
    settings = StreetSettings(
        identities=2, val_identities=0, test_identities=0, images=1, avatars=AvatarSettings(folder=files[0].parent)
    )
    draw_street(settings, tmp_path / "street", workers=1)
    lines = [json.loads(line) for line in (tmp_path / "street" / "attributes.jsonl").read_text().splitlines()]
    assert all(line["avatar"] in OUTFITS for line in lines)
    queries = [json.loads(line) for line in (tmp_path / "street" / "queries.jsonl").read_text().splitlines()]
    assert [line["file_path"] for line in queries] == [line["file_path"] for line in lines]
    assert all(len(line["queries"]) == 4 for line in queries)

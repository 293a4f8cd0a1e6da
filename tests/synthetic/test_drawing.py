"""Drawn crops: repeatable, whole, showing what the person wears in colours that keep their names."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from pickout.synthetic.attributes import Carried, Occluder, Shade
from pickout.synthetic.cameras import NEUTRAL_CAMERA, sample_cameras
from pickout.synthetic.drawing import draw_crop
from pickout.synthetic.habits import nearest_colour
from pickout.synthetic.people import sample_person, sample_view
from pickout.synthetic.surfaces import Part

SIZE = (96, 32)


def sampled(count, seed=0, camera=NEUTRAL_CAMERA):
    generator = np.random.default_rng(seed)
    for _ in range(count):
        person = sample_person(generator)
        yield person, replace(sample_view(generator, person, camera), occluder=None, zoom=0.95, shift=(0.0, 0.0))


def test_equal_arguments_give_equal_pixels():
    camera = sample_cameras(np.random.default_rng(0), 1)[0]
    for person, view in sampled(4, 1, camera):
        view = replace(view, passers=1, occluder=Occluder("passer-by", 0.1, 0.3, 5))
        first, second = draw_crop(person, view, camera, SIZE), draw_crop(person, view, camera, SIZE)
        assert np.array_equal(first.image, second.image)
        assert np.array_equal(first.parts, second.parts)


def test_another_seed_of_the_view_changes_place_and_noise_but_not_the_person():
    person, view = next(sampled(1))
    first = draw_crop(person, view, NEUTRAL_CAMERA, SIZE)
    second = draw_crop(person, replace(view, seed=view.seed + 1), NEUTRAL_CAMERA, SIZE)
    shown = first.parts != Part.BACKGROUND
    assert np.array_equal(first.parts, second.parts)
    assert not np.array_equal(first.image[~shown], second.image[~shown])


def test_no_person_view_or_camera_breaks_the_drawing():
    cameras = sample_cameras(np.random.default_rng(3), 5)
    generator = np.random.default_rng(4)
    with np.errstate(invalid="raise", divide="raise"):
        for index in range(60):
            camera = cameras[index % 5]
            person = sample_person(generator)
            drawing = draw_crop(person, sample_view(generator, person, camera), camera, SIZE)
            assert drawing.image.shape == (*SIZE, 3) and drawing.image.dtype == np.uint8
            assert drawing.parts.shape == SIZE and drawing.parts.max() <= max(Part)
            assert drawing.image.std() > 8


@pytest.mark.parametrize("kind", ["pole", "railing", "bush", "car", "passer-by", "bin", "box edge"])
def test_every_occluder_hides_something_and_never_all(kind):
    hidden = []
    for place in (0.15, 0.85):
        for person, view in sampled(3, 6):
            view = replace(view, occluder=Occluder(kind, place, 0.35, view.seed))
            parts = draw_crop(person, view, NEUTRAL_CAMERA, SIZE).parts
            hidden.append(float((parts == Part.OCCLUDER).mean()))
            assert (parts == Part.UPPER).any() or (parts == Part.OUTER).any()
    assert max(hidden) > 0.02 and max(hidden) < 0.7


@pytest.mark.parametrize("place", ["wall", "shop front", "pavement", "road", "crossing", "park", "corridor", "square"])
def test_every_background_is_drawn_differently_from_view_to_view(place):
    person, view = next(sampled(1, 2))
    crops = [draw_crop(person, replace(view, background=place, seed=s), NEUTRAL_CAMERA, SIZE) for s in range(4)]
    behind = crops[0].parts == Part.BACKGROUND
    means = [crop.image[behind].astype(float).mean(axis=0) for crop in crops]
    assert max(np.abs(a - means[0]).max() for a in means[1:]) > 4


def test_the_mask_shows_what_the_person_wears():
    found: Counter[str] = Counter()
    worn: Counter[str] = Counter()
    for person, view in sampled(90, 7):
        parts = set(np.unique(draw_crop(person, view, NEUTRAL_CAMERA, SIZE).parts).tolist())
        assert Part.SKIN in parts and Part.SHOES in parts
        wanted = {Part.OUTER: person.outer, Part.HEADWEAR: person.headwear}
        if not person.dress and (person.outer is None or person.outer.length in ("waist", "hip")):
            wanted[Part.LOWER] = person.lower
        if person.outer is None:
            wanted[Part.UPPER] = person.upper
        for part, thing in wanted.items():
            worn[part.name] += thing is not None
            found[part.name] += thing is not None and part in parts
            assert thing is not None or part == Part.LOWER or part not in parts
    assert worn["OUTER"] > 20 and worn["HEADWEAR"] > 8
    assert all(found[name] == worn[name] for name in worn)


def test_a_carried_thing_is_seen_from_its_side():
    person, view = next(sampled(1, 3))
    red = Shade("red", (0.8, 0.1, 0.1))
    for hand, yaw in (("right", 90.0), ("left", 270.0)):
        held = replace(
            view, yaw=yaw, carried=Carried("shopping bag", red, hand, "carried"), arms=("hanging", "hanging")
        )
        nearer = (draw_crop(person, held, NEUTRAL_CAMERA).parts == Part.CARRIED).sum()
        away = replace(held, yaw=(yaw + 180.0) % 360.0)
        assert nearer > 150
        assert nearer >= (draw_crop(person, away, NEUTRAL_CAMERA).parts == Part.CARRIED).sum()


def fidelity(pairs):
    """Share of plain garments whose median colour is nearest to their own word, and among the nearest two."""
    first, second, count = 0, 0, 0
    for person, view, camera in pairs:
        drawing = draw_crop(person, view, camera, SIZE)
        for part, garment in ((Part.UPPER, person.upper), (Part.OUTER, person.outer), (Part.LOWER, person.lower)):
            shown = drawing.parts == part
            if garment is None or garment.pattern != "plain" or garment.kind == "jeans" or shown.sum() < 70:
                continue
            if getattr(garment, "logo", False):
                continue
            red, green, blue = (np.median(drawing.image[shown], axis=0) / 255).tolist()
            names = nearest_colour((red, green, blue))
            first, second = first + (names[0] == garment.colour.name), second + (garment.colour.name in names[:2])
            count += 1
    assert count > 80
    return first / count, second / count


def test_cloth_keeps_its_colour_name_in_neutral_light():
    first, second = fidelity((person, view, NEUTRAL_CAMERA) for person, view in sampled(110, 11))
    assert first > 0.88 and second > 0.95


@pytest.mark.parametrize(("clear", "least"), [(True, (0.65, 0.80)), (False, (0.33, 0.62))], ids=["clear", "veiled"])
def test_cloth_mostly_keeps_its_colour_name_under_cameras_without_a_veil(clear, least):
    cameras = [each for each in sample_cameras(np.random.default_rng(12), 26) if (each.haze == 0.0) == clear]
    pairs = ((person, view, cameras[index % len(cameras)]) for index, (person, view) in enumerate(sampled(110, 13)))
    first, second = fidelity(pairs)
    assert first > least[0] and second > least[1]


def test_light_shades_the_body_round():
    lit = replace(NEUTRAL_CAMERA, light=(-0.9, 0.3, 0.316), ambient=0.4)
    differences = []
    for person, view in sampled(12, 15):
        parts = (draw := draw_crop(person, replace(view, yaw=180.0), lit)).parts
        body = np.isin(parts, (Part.UPPER, Part.OUTER))
        columns = np.nonzero(body.any(axis=0))[0]
        middle = (columns[0] + columns[-1]) // 2
        grey = draw.image.mean(axis=2)
        differences.append(grey[:, :middle][body[:, :middle]].mean() - grey[:, middle:][body[:, middle:]].mean())
    assert np.mean(differences) > 8

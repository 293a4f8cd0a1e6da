"""Sampled people, views and poses: repeatable, varied, and anatomically sound."""

from dataclasses import replace

import numpy as np
import pytest

from pickout.synthetic.bodies import Skeleton
from pickout.synthetic.cameras import NEUTRAL_CAMERA, sample_cameras
from pickout.synthetic.habits import COLOURS, nearest_colour, sample_shade
from pickout.synthetic.people import sample_person, sample_view


def people(count, seed=0):
    generator = np.random.default_rng(seed)
    return [sample_person(generator) for _ in range(count)]


def views(count, seed=0):
    generator = np.random.default_rng(seed)
    for _ in range(count):
        person = sample_person(generator)
        yield person, sample_view(generator, person, NEUTRAL_CAMERA)


def test_equal_seeds_give_equal_people_cameras_and_views():
    assert people(20, 3) == people(20, 3)
    assert list(views(20, 3)) == list(views(20, 3))
    assert sample_cameras(np.random.default_rng(1), 4) == sample_cameras(np.random.default_rng(1), 4)
    assert people(20, 3) != people(20, 4)


def test_every_colour_word_is_worn_and_nearest_to_its_own_centre():
    worn = {person.upper.colour.name for person in people(1500)}
    assert worn == set(COLOURS)
    assert all(nearest_colour(tone.rgb)[0] == name for name, tone in COLOURS.items())


@pytest.mark.parametrize("name", sorted(COLOURS))
def test_a_shade_stays_nameable(name):
    generator = np.random.default_rng(5)
    names = [nearest_colour(sample_shade(generator, name).rgb) for _ in range(60)]
    assert np.mean([order[0] == name for order in names]) > 0.85
    assert all(name in order[:3] for order in names)


def test_clothes_of_one_person_go_together():
    for person in people(800):
        assert (person.lower is None or person.lower.kind == "leggings") == person.dress or person.lower is not None
        if person.dress:
            assert person.lower is None or person.lower.kind == "leggings"
        else:
            assert person.lower is not None
        if person.sex == "man":
            assert not person.dress and person.shoes.kind != "heels"
            assert person.lower is not None and person.lower.kind != "skirt"
        else:
            assert not person.beard
        patterned = person.upper.pattern != "plain" or person.upper.logo
        assert (person.upper.second is not None) == patterned
        assert person.outer is None or (person.outer.sleeve == "none") == (person.outer.kind == "vest")


def test_sexes_seasons_and_directions_are_all_common():
    crowd = people(600)
    assert 0.4 < np.mean([person.sex == "woman" for person in crowd]) < 0.6
    assert 0.15 < np.mean([person.outer is not None for person in crowd]) < 0.65
    ways = [round(view.yaw / 45) % 8 for _, view in views(600)]
    assert all(ways.count(way) > 10 for way in range(8))


def test_a_hand_that_pulls_a_bag_carries_nothing_else():
    seen = 0
    for person, view in views(1500):
        if person.bag is not None and person.bag.worn == "hand" and view.carried is not None:
            assert view.carried.hand != person.bag.side
            seen += 1
    assert seen > 5


def test_limbs_keep_their_lengths_in_every_pose():
    for person, view in views(300):
        pose = Skeleton(person, view)
        for arm in pose.arms:
            assert np.linalg.norm(arm.middle - arm.top) == pytest.approx(pose.size.upper_arm, rel=1e-6)
            assert np.linalg.norm(arm.bottom - arm.middle) == pytest.approx(pose.size.forearm, rel=1e-6)
        for leg in pose.legs:
            assert np.linalg.norm(leg.middle - leg.top) == pytest.approx(pose.size.thigh, rel=1e-6)
            assert np.linalg.norm(leg.bottom - leg.middle) == pytest.approx(pose.size.shank, rel=1e-6)


def test_frames_stay_right_angled():
    for person, view in views(100, 2):
        pose = Skeleton(person, view)
        frames = [pose.pelvis_frame, pose.chest_frame, pose.head_frame, *(leg.frame for leg in pose.legs)]
        for frame in frames:
            assert np.allclose(frame @ frame.T, np.eye(3), atol=1e-9)
            assert np.linalg.det(frame) == pytest.approx(1.0)


def test_knees_and_elbows_bend_only_the_human_way():
    for person, view in views(300, 1):
        pose = Skeleton(person, view)
        ahead = pose.pelvis_frame[2]
        for leg in pose.legs:
            straight = leg.top + (leg.bottom - leg.top) * (pose.size.thigh / (pose.size.thigh + pose.size.shank))
            assert float((leg.middle - straight) @ ahead) > -0.01


def test_the_lower_foot_stands_on_the_ground_and_the_head_is_at_the_top():
    for person, view in views(200, 4):
        pose = Skeleton(person, replace(view, lean=0.0, pose="standing"))
        lowest = min(float(leg.bottom[1]) for leg in pose.legs)
        assert pose.size.ankle * 0.9 < lowest < pose.size.ankle * 1.6
        top = float(pose.head[1]) + 0.5 * pose.size.head
        assert top == pytest.approx(person.height, rel=0.05)


def test_yaw_turns_the_body_towards_the_named_side():
    person, view = next(views(1))
    for yaw, expected in ((0.0, (0, 1)), (90.0, (1, 0)), (180.0, (0, -1))):
        turned = replace(view, yaw=yaw, pose="standing")
        ahead = Skeleton(person, turned).pelvis_frame[2]
        assert np.allclose(ahead[[0, 2]], expected, atol=1e-6)

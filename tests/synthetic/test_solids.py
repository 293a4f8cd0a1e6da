"""Closed-form intersections agree with marching along the ray in small steps."""

import math

import numpy as np
import pytest

from pickout.synthetic.solids import LEVELS, Box, Cone, Ellipsoid, Loft, Rays, box, cone, ellipsoid, loft
from pickout.synthetic.surfaces import Part, Surface

GREY = Surface("plain", (0.5, 0.5, 0.5), Part.UPPER)
AHEAD = np.array([0.0, 0.0, 1.0])


def rays(height=11, width=8, eye_height=1.6):
    position = np.array([0.1, eye_height, 5.0])
    forward = np.array([0.0, 1.0, 0.0]) - position
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, [0.0, 1.0, 0.0])
    right /= np.linalg.norm(right)
    basis = np.stack([right, np.cross(right, forward), forward])
    xs = np.linspace(-0.11, 0.11, width, dtype=np.float32)
    ys = np.linspace(0.17, -0.17, height, dtype=np.float32)
    return Rays(position, basis, xs, ys)


def inside(solid, point):
    """Whether a world point lies in `solid`, by loops and without algebra of rays."""
    x, y, z = (sum(solid.axes[i][k] * (point[k] - solid.origin[k]) for k in range(3)) for i in range(3))
    if isinstance(solid, Ellipsoid):
        return x * x + y * y + z * z < 1.0
    if isinstance(solid, Box):
        return max(abs(x), abs(y), abs(z)) < 1.0
    if isinstance(solid, Cone):
        for step in range(101):
            share = step / 100
            radius = solid.start + share * (solid.end - solid.start)
            if x * x + (y - share * solid.length) ** 2 + z * z < radius * radius:
                return True
        return False
    level = min(max(y / solid.length * (LEVELS - 1), 0.0), LEVELS - 1.0)
    wide, deep, shift = (float(np.interp(level, range(LEVELS), t)) for t in (solid.wide, solid.deep, solid.shift))
    return 0.0 <= y <= solid.length and (x / wide) ** 2 + ((z - shift) / deep) ** 2 < 1.0


def depth_by_marching(solid, view, row, column, near=4.0, far=6.2, step=0.02):
    way = view.basis[2] + float(view.xs[column]) * view.basis[0] + float(view.ys[row]) * view.basis[1]
    t = near
    while t < far:
        if inside(solid, view.position + t * way):
            low, high = t - step, t
            for _ in range(30):
                middle = 0.5 * (low + high)
                low, high = (low, middle) if inside(solid, view.position + middle * way) else (middle, high)
            return high
        t += step
    return math.inf


def fast_depth(solid, view):
    return solid.depth(view, (slice(0, view.shape[0]), slice(0, view.shape[1])))


def check(solid, view, tolerance):
    fast = fast_depth(solid, view)
    hits = 0
    for row in range(view.shape[0]):
        for column in range(view.shape[1]):
            slow = depth_by_marching(solid, view, row, column)
            if math.isinf(slow):
                grazing = np.isfinite(fast[row, column])
                assert not grazing or _near_edge(solid, view, row, column), (row, column)
            elif np.isfinite(fast[row, column]):
                assert abs(slow - fast[row, column]) < tolerance, (row, column, slow, fast[row, column])
                hits += 1
            else:
                assert _near_edge(solid, view, row, column), (row, column)
    return hits


def _near_edge(solid, view, row, column):
    """A ray that grazes: one of its near neighbours hits and another misses."""
    found = set()
    for dx in (-0.004, 0.0, 0.004):
        for dy in (-0.004, 0.0, 0.004):
            nudged = Rays(view.position, view.basis, view.xs + np.float32(dx), view.ys + np.float32(dy))
            found.add(math.isinf(depth_by_marching(solid, nudged, row, column)))
    return len(found) == 2


def turned(degrees):
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[c, 0.0, -s], [0.0, 1.0, 0.0], [s, 0.0, c]])


def test_ellipsoid_is_hit_where_marching_enters_it():
    piece = ellipsoid(GREY, np.array([0.05, 1.1, 0.1]), turned(35.0), (0.25, 0.5, 0.15))
    assert check(piece.solid, rays(), 2e-4) > 12


def test_capsule_and_rounded_cone_are_hit_where_marching_enters_them():
    upright = cone(GREY, np.array([0.0, 0.6, 0.0]), np.array([0.1, 1.5, 0.2]), (0.2, 0.2), AHEAD)
    tapering = cone(GREY, np.array([-0.2, 1.5, 0.1]), np.array([0.25, 0.7, -0.1]), (0.28, 0.1), AHEAD)
    assert check(upright.solid, rays(), 1e-3) > 12
    assert check(tapering.solid, rays(), 1e-3) > 12


def test_box_is_hit_where_marching_enters_it():
    piece = box(GREY, np.array([0.0, 1.0, 0.0]), turned(25.0), (0.3, 0.4, 0.1))
    assert check(piece.solid, rays(), 2e-4) > 12


def test_loft_is_hit_where_marching_enters_it():
    profile = ([0.18, 0.14, 0.2, 0.1], [0.12, 0.1, 0.13, 0.08], [0.0, 0.0, 0.02, 0.0])
    piece = loft(GREY, np.array([0.0, 0.5, 0.0]), turned(20.0), [0.0, 0.3, 0.7, 1.0], profile)
    level = rays(eye_height=1.05)
    assert isinstance(piece.solid, Loft)
    assert check(piece.solid, level, 4e-3) > 10


def test_plane_cuts_the_far_half_of_an_ellipsoid_away():
    centre = np.array([0.0, 1.0, 0.0])
    whole = fast_depth(ellipsoid(GREY, centre, np.eye(3), (0.3, 0.3, 0.3)).solid, rays())
    upper = ellipsoid(GREY, centre, np.eye(3), (0.3, 0.3, 0.3), (0.0, -1.0, 0.0, 0.0)).solid
    cut = fast_depth(upper, rays())
    kept = np.isfinite(cut)
    assert 0 < kept.sum() < np.isfinite(whole).sum()
    assert np.array_equal(cut[kept], whole[kept])


def test_uncapped_cone_ends_flat():
    start, end = np.array([0.0, 1.4, 0.0]), np.array([0.0, 0.8, 0.0])
    capped = fast_depth(cone(GREY, start, end, (0.2, 0.2), AHEAD).solid, rays())
    flat = fast_depth(cone(GREY, start, end, (0.2, 0.2), AHEAD, caps=(False, False)).solid, rays())
    assert np.isfinite(flat).sum() < np.isfinite(capped).sum()


@pytest.mark.parametrize("radii", [(0.2, 0.1), (0.1, 0.2)])
def test_rectangle_covers_every_pixel_that_is_hit(radii):
    piece = cone(GREY, np.array([-0.2, 1.5, 0.1]), np.array([0.25, 0.7, -0.1]), radii, AHEAD)
    view = rays(60, 40)
    (place,) = view.rectangles(piece.balls, np.array([0]))
    hit = np.isfinite(fast_depth(piece.solid, view))
    hit[place] = False
    assert not hit.any()


def test_a_solid_behind_the_camera_or_beside_the_picture_has_no_rectangle():
    behind = ellipsoid(GREY, np.array([0.0, 1.0, 9.0]), np.eye(3), (0.3, 0.3, 0.3))
    beside = ellipsoid(GREY, np.array([4.0, 1.0, 0.0]), np.eye(3), (0.3, 0.3, 0.3))
    assert rays().rectangles(np.concatenate([behind.balls, beside.balls]), np.array([0, 1])) == [None, None]

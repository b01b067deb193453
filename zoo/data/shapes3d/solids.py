"""Where a ray meets a cube, a cylinder, a sphere or a capsule that stands on the floor around the vertical axis.

All are convex, so that a ray is inside between two distances, in units of its direction's length, which is free. Each function
returns the first and the outward normal there; infinity where the ray misses, or starts inside or beyond.
"""

from __future__ import annotations

import numba
import numpy as np

CUBE, CYLINDER, SPHERE, CAPSULE = range(4)
SIDE = 1.0
"""Side of the cube of scale 1, in the units of the room; the cylinder is as high and as wide."""
BALL = 0.55
"""Radius of the sphere of scale 1."""
PILL, TALL = 0.4, 1.3
"""Radius and height of the capsule of scale 1."""


@numba.njit(cache=True, nogil=True)
def first_hit(shape, scale, ox, oy, oz, dx, dy, dz):
    """Where the ray o + t d first meets one of the solids: t, and the unit normal (x, y, z)."""
    if shape == CUBE:
        return _box(SIDE / 2 * scale, SIDE * scale, ox, oy, oz, dx, dy, dz)
    if shape == CYLINDER:
        return _cylinder(SIDE / 2 * scale, SIDE * scale, ox, oy, oz, dx, dy, dz)
    if shape == SPHERE:
        return _sphere(BALL * scale, BALL * scale, ox, oy, oz, dx, dy, dz)
    return _capsule(PILL * scale, TALL * scale, ox, oy, oz, dx, dy, dz)


@numba.njit(cache=True, nogil=True)
def _slab(low, high, o, d):
    """The two distances between which one coordinate is in [low, high]; the first is the larger one if it never is."""
    if d == 0:
        return (-np.inf, np.inf) if low <= o <= high else (np.inf, -np.inf)
    first, second = (low - o) / d, (high - o) / d
    return (first, second) if first < second else (second, first)


@numba.njit(cache=True, nogil=True)
def _round(radius, a, b, c):
    """The two distances between which a t^2 + 2 b t + c < radius^2, for a point and direction of squared lengths c and a."""
    if a == 0:
        return (-np.inf, np.inf) if c <= radius * radius else (np.inf, -np.inf)
    under = b * b - a * (c - radius * radius)
    if under < 0:
        return np.inf, -np.inf
    root = np.sqrt(under)
    return (-b - root) / a, (-b + root) / a


@numba.njit(cache=True, nogil=True)
def _box(half, height, ox, oy, oz, dx, dy, dz):
    x0, x1 = _slab(-half, half, ox, dx)
    y0, y1 = _slab(-half, half, oy, dy)
    z0, z1 = _slab(0.0, height, oz, dz)
    start = max(x0, y0, z0)
    if start > min(x1, y1, z1) or start <= 0:
        return np.inf, 0.0, 0.0, 0.0
    if start == x0:
        return start, -np.sign(dx), 0.0, 0.0
    if start == y0:
        return start, 0.0, -np.sign(dy), 0.0
    return start, 0.0, 0.0, -np.sign(dz)


@numba.njit(cache=True, nogil=True)
def _cylinder(radius, height, ox, oy, oz, dx, dy, dz):
    side0, side1 = _round(radius, dx * dx + dy * dy, ox * dx + oy * dy, ox * ox + oy * oy)
    z0, z1 = _slab(0.0, height, oz, dz)
    start = max(side0, z0)
    if start > min(side1, z1) or start <= 0:
        return np.inf, 0.0, 0.0, 0.0
    if start == side0:
        return start, (ox + start * dx) / radius, (oy + start * dy) / radius, 0.0
    return start, 0.0, 0.0, -np.sign(dz)


@numba.njit(cache=True, nogil=True)
def _sphere(radius, center, ox, oy, oz, dx, dy, dz):
    up = oz - center
    start, end = _round(radius, dx * dx + dy * dy + dz * dz, ox * dx + oy * dy + up * dz, ox * ox + oy * oy + up * up)
    if start > end or start <= 0:
        return np.inf, 0.0, 0.0, 0.0
    return start, (ox + start * dx) / radius, (oy + start * dy) / radius, (up + start * dz) / radius


@numba.njit(cache=True, nogil=True)
def _capsule(radius, height, ox, oy, oz, dx, dy, dz):
    start, end = _round(radius, dx * dx + dy * dy, ox * dx + oy * dy, ox * ox + oy * oy)
    if start > end:
        return np.inf, 0.0, 0.0, 0.0
    # A ray that enters the endless cylinder below or above the straight part can only enter by that end's ball.
    at = oz + start * dz if start > -np.inf else -np.inf * np.sign(dz)
    if at < radius:
        return _sphere(radius, radius, ox, oy, oz, dx, dy, dz)
    if at > height - radius:
        return _sphere(radius, height - radius, ox, oy, oz, dx, dy, dz)
    if start <= 0:
        return np.inf, 0.0, 0.0, 0.0
    return start, (ox + start * dx) / radius, (oy + start * dy) / radius, 0.0

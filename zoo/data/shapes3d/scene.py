"""A room, a light and a camera: how much of each surface's color every pixel has.

Lengths are in units of the cube of scale 1. The room has its floor at z = 0 and no ceiling, and turns with object and light
before the camera, as seen from one that turns about the object.
"""

from __future__ import annotations

import numba
import numpy as np

from zoo.data.shapes3d.solids import first_hit

SIDE = 64
"""Pixels along a side."""
FLOOR, WALL, OBJECT, SKY = range(4)
"""The surfaces that have a color each."""
SURFACES = 4

ROOM, TOP = 3.3, 1.9
"""Half the width of the room, and the height of its walls: at orientation 0 two corners lie at the edges of the image."""
DISTANCE, HEIGHT, AIM = 2.7, 1.65, 0.62
"""How far the camera is from the axis and above the floor, and the height on the axis that it looks at."""
VIEW = np.tan(np.radians(30.0))
"""Half the width of the image over its distance."""
LIGHT = (-1.6, -2.6, 4.5)
LAMP = 0.45
"""Half the width of the square light, by which the shadow is soft."""
AMBIENT = 0.42
"""Share of the light reflected by a surface that faces the lamp; the rest is Lambert's cosine."""
DARKER = 0.35
"""How much darker the sky is at the zenith."""
RAYS = 16
"""Rays to a pixel, each in a row and a column of its own: even an edge along the pixels moves by sixteenths of its contrast."""
LAMP_SIDE = 4
"""Points of the lamp along a side, one for each ray."""


@numba.njit(cache=True, nogil=True)
def cast(shape, scale, orientation):
    """Light of each surface in a pixel, (SURFACES, SIDE, SIDE) in float32, that its color is to be multiplied by.

    Parameters
    ----------
    shape, scale : ndarray
        Shape and scale of the object.
    orientation : ndarray
        Angle of the view in degrees.
    """
    light = np.zeros((SURFACES, SIDE, SIDE), np.float32)
    angle = np.radians(orientation)
    cx, cy, cz = DISTANCE * np.sin(angle), -DISTANCE * np.cos(angle), HEIGHT
    down = (HEIGHT - AIM) / np.hypot(DISTANCE, HEIGHT - AIM)
    level = np.sqrt(1 - down * down)
    for i in range(SIDE):
        for j in range(SIDE):
            for ray in range(RAYS):
                row = 8 * (ray & 1) + 2 * (ray & 2) + (ray & 4) // 2 + ray // 8  # the bits of the column in reverse
                across = (2 * (j + (ray + 0.5) / RAYS) / SIDE - 1) * VIEW
                along = (1 - 2 * (i + (row + 0.5) / RAYS) / SIDE) * VIEW
                ahead = level + along * down
                dx = across * np.cos(angle) - ahead * np.sin(angle)
                dy = across * np.sin(angle) + ahead * np.cos(angle)
                dz = along * level - down
                # Each ray of a pixel sees another point of the lamp, in an order that does not follow the rays.
                point = 7 * ray % RAYS
                lx = LIGHT[0] + LAMP * ((2 * (point % LAMP_SIDE) + 1) / LAMP_SIDE - 1)
                ly = LIGHT[1] + LAMP * ((2 * (point // LAMP_SIDE) + 1) / LAMP_SIDE - 1)
                surface, value = _seen(shape, scale, cx, cy, cz, dx, dy, dz, lx, ly, LIGHT[2])
                light[surface, i, j] += value / RAYS
    return light


@numba.njit(cache=True, nogil=True)
def _seen(shape, scale, cx, cy, cz, dx, dy, dz, lx, ly, lz):
    """The surface that a ray from within the room meets first, and its light."""
    t, nx, ny, nz = first_hit(shape, scale, cx, cy, cz, dx, dy, dz)
    if t < np.inf:
        return OBJECT, _lambert(cx + t * dx, cy + t * dy, cz + t * dz, nx, ny, nz, lx, ly, lz)
    tx = ((ROOM if dx > 0 else -ROOM) - cx) / dx if dx != 0 else np.inf
    ty = ((ROOM if dy > 0 else -ROOM) - cy) / dy if dy != 0 else np.inf
    tz = -cz / dz if dz < 0 else np.inf
    if tz < min(tx, ty):
        x, y = cx + tz * dx, cy + tz * dy
        if first_hit(shape, scale, x, y, 0.0, lx - x, ly - y, lz)[0] < 1:
            return FLOOR, AMBIENT
        return FLOOR, _lambert(x, y, 0.0, 0.0, 0.0, 1.0, lx, ly, lz)
    t = min(tx, ty)
    z = cz + t * dz
    if z > TOP:
        return SKY, 1 - DARKER * dz / np.sqrt(dx * dx + dy * dy + dz * dz)
    if tx < ty:
        return WALL, _lambert(cx + t * dx, cy + t * dy, z, -np.sign(dx), 0.0, 0.0, lx, ly, lz)
    return WALL, _lambert(cx + t * dx, cy + t * dy, z, 0.0, -np.sign(dy), 0.0, lx, ly, lz)


@numba.njit(cache=True, nogil=True)
def _lambert(x, y, z, nx, ny, nz, lx, ly, lz):
    """Light at a point with a unit normal, in [AMBIENT, 1]."""
    lx, ly, lz = lx - x, ly - y, lz - z
    cosine = (nx * lx + ny * ly + nz * lz) / np.sqrt(lx * lx + ly * ly + lz * lz)
    return AMBIENT + (1 - AMBIENT) * max(0.0, cosine)

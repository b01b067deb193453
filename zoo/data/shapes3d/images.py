"""Images from factors: the light of a geometry is cast once and kept, colors are put on it for each image."""

from __future__ import annotations

import numba
import numpy as np

from zoo.data.shapes3d.factors import FACTORS, checked_factors
from zoo.data.shapes3d.scene import SIDE, SURFACES, cast

SKY_COLOR = (0.72, 0.83, 0.95)
SAME = 1e-6
"""Closer to a grid value than this fraction of the factor's range, a scale or orientation is taken for it (float32 is)."""

_SCALE, _SHAPE, _ORIENTATION = FACTORS[3:]
_GEOMETRIES = (_SCALE.size, _SHAPE.size, _ORIENTATION.size)
_PIXELS = SIDE * SIDE


class _Lights:
    """The light of the grid's 480 geometries, 31 MB when all have been asked for."""

    def __init__(self) -> None:
        number = int(np.prod(_GEOMETRIES))
        self.light = np.empty((number, SURFACES, _PIXELS), np.float32)  # pages that are never written take no memory
        self.known = np.zeros(number, bool)

    def __call__(self, geometry: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Light (k, SURFACES, pixels), and which of them each (scale, shape, orientation) of (n, 3) takes."""
        places, on_grid = _places(geometry)
        for place in np.unique(places[on_grid & ~self.known[places]]):
            i, j, k = np.unravel_index(place, _GEOMETRIES)
            self.light[place] = _light((_SCALE.values[i], j, _ORIENTATION.values[k]))
            self.known[place] = True  # last: another thread may cast it too, but none reads it half written
        if on_grid.all():
            return self.light, places
        used, kept = np.unique(places[on_grid], return_inverse=True)
        between, new = np.unique(geometry[~on_grid], axis=0, return_inverse=True)
        taken = np.empty(len(geometry), np.int64)
        taken[on_grid], taken[~on_grid] = kept, len(used) + new.ravel()
        return np.concatenate([self.light[used], [_light(one) for one in between]]), taken


_lights = _Lights()


def render(factors: np.ndarray) -> np.ndarray:
    """Images (n, 64, 64, 3) float32 in [0, 1], red, green, blue, of factors (n, 6) in the order of ``FACTORS``.

    Scale and orientation may lie between those of the grid; rays are then cast for each such geometry, which takes two
    milliseconds. One thread is used, and others run meanwhile: threads may share the work.

    Raises
    ------
    InputError
        If the factors have another shape, are not finite or out of range, or a shape is not a whole number.
    """
    factors = checked_factors(factors)
    colors = np.empty((len(factors), SURFACES, 3), np.float32)
    colors[:, :3] = _hue_colors(factors[:, :3])
    colors[:, 3] = SKY_COLOR
    return _paint(*_lights(factors[:, 3:]), colors).reshape(-1, SIDE, SIDE, 3)


class Images:
    """Images (n, 64, 64, 3) that are rendered when they are indexed: only their factors are kept.

    Parameters
    ----------
    factors : ndarray of shape (n, 6)
        Factors of each image, as ``render`` takes them.
    """

    def __init__(self, factors: np.ndarray) -> None:
        self.factors = checked_factors(factors)

    def __len__(self) -> int:
        return len(self.factors)

    def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray:
        """Render the images of some rows, (m, 64, 64, 3) in float32."""
        return render(self.factors[rows])


def _hue_colors(hue: np.ndarray) -> np.ndarray:
    """Red, green and blue (..., 3) of hues on the circle of circumference 1, saturated and bright."""
    distance = np.abs((6 * hue[..., None] - np.array([0.0, 2.0, 4.0]) + 3) % 6 - 3)  # to the primary color, of 3 at most
    return np.clip(2 - distance, 0, 1)


def _places(geometry: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Number of the grid's geometry nearest to each (scale, shape, orientation) of (n, 3), and whether it is the same."""
    low = np.array([factor.low for factor in FACTORS[3:]])
    width = np.array([factor.high - factor.low for factor in FACTORS[3:]])
    places = (geometry - low) / width
    last = np.array(_GEOMETRIES) - 1
    nearest = np.rint(places * last).astype(np.int64)
    return np.ravel_multi_index(tuple(nearest.T), _GEOMETRIES), np.all(np.abs(places - nearest / last) <= SAME, axis=1)


def _light(geometry: tuple[float, float, float] | np.ndarray) -> np.ndarray:
    """Light (SURFACES, pixels) of one (scale, shape, orientation)."""
    scale, shape, orientation = geometry
    return cast(int(shape), float(scale), float(orientation)).reshape(SURFACES, _PIXELS)


@numba.njit(cache=True, nogil=True)
def _paint(light, taken, colors):
    """Sum over surfaces (n, pixels, 3) their light, of table ``taken`` (n,), times their colors (n, SURFACES, 3)."""
    n, pixels = len(taken), light.shape[2]
    images = np.empty((n, pixels, 3), np.float32)
    for image in range(n):
        of, one = colors[image], light[taken[image]]
        for pixel in range(pixels):
            floor, wall, thing, sky = one[0, pixel], one[1, pixel], one[2, pixel], one[3, pixel]
            # A loop over the three channels would cost four times as much: this is one vector operation on several pixels.
            images[image, pixel, 0] = of[0, 0] * floor + of[1, 0] * wall + of[2, 0] * thing + of[3, 0] * sky
            images[image, pixel, 1] = of[0, 1] * floor + of[1, 1] * wall + of[2, 1] * thing + of[3, 1] * sky
            images[image, pixel, 2] = of[0, 2] * floor + of[1, 2] * wall + of[2, 2] * thing + of[3, 2] * sky
    return images

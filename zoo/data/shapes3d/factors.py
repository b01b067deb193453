"""The six factors of Shapes3D and their published grid (Burgess & Kim 2018, github.com/google-deepmind/3d-shapes)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zoo.errors import InputError

SHAPES = ("cube", "cylinder", "sphere", "capsule")
"""Solids by the value of the factor ``shape``."""


@dataclass(frozen=True)
class Factor:
    """One factor of variation.

    Attributes
    ----------
    values : tuple of float
        The factor's values on the grid.
    low, high : float
        Limits between which any value can be rendered, but for the shape, which has none between.
    unit : str
        Unit of the factor, "1" for dimensionless.
    """

    name: str
    values: tuple[float, ...]
    low: float
    high: float
    unit: str = "1"

    @property
    def size(self) -> int:
        """Number of values on the grid."""
        return len(self.values)


_HUES = tuple(number / 10 for number in range(10))  # 1 is 0 again
FACTORS = (
    Factor("floor_hue", _HUES, 0.0, 1.0),
    Factor("wall_hue", _HUES, 0.0, 1.0),
    Factor("object_hue", _HUES, 0.0, 1.0),
    Factor("scale", tuple(np.linspace(0.75, 1.25, 8).tolist()), 0.75, 1.25),
    Factor("shape", tuple(map(float, range(len(SHAPES)))), 0.0, len(SHAPES) - 1.0),
    Factor("orientation", tuple(np.linspace(-30, 30, 15).tolist()), -30.0, 30.0, "deg"),
)
"""The factors in the published order, in which the last varies fastest."""
SIZES = tuple(factor.size for factor in FACTORS)
GRID = int(np.prod(SIZES))
"""Number of images on the grid: 480,000."""

_LOW, _HIGH = np.array([(factor.low, factor.high) for factor in FACTORS]).T
_SHAPE = [factor.name for factor in FACTORS].index("shape")


def grid_factors(index: np.ndarray) -> np.ndarray:
    """Factors (n, 6) of the images (n,) of the grid, in the order of ``FACTORS``.

    Raises
    ------
    InputError
        If an index is not a whole number from 0 to 479,999.
    """
    index = np.asarray(index)
    if index.ndim != 1 or (index.size and index.dtype.kind not in "iu"):
        raise InputError(f"index: expected whole numbers of shape (n,), given {index.dtype} of shape {index.shape}")
    if np.any((index < 0) | (index >= GRID)):
        at = int(np.flatnonzero((index < 0) | (index >= GRID))[0])
        raise InputError(f"index: expected 0 to {GRID - 1}, given {index[at]} at {at}")
    places = np.unravel_index(index.astype(np.int64), SIZES)
    return np.stack([np.array(factor.values)[place] for factor, place in zip(FACTORS, places, strict=True)], axis=1)


def checked_factors(factors: np.ndarray) -> np.ndarray:
    """The factors as (n, 6) float64.

    Raises
    ------
    InputError
        If they have another shape, are not finite or out of range, or a shape is not a whole number.
    """
    factors = np.asarray(factors)
    if factors.ndim != 2 or factors.shape[1] != len(FACTORS):
        names = ", ".join(factor.name for factor in FACTORS)
        raise InputError(f"factors: expected shape (n, {len(FACTORS)}), that is {names}, given {factors.shape}")
    if factors.dtype.kind not in "fiu":
        raise InputError(f"factors: expected numbers, given {factors.dtype}")
    factors = factors.astype(np.float64)
    outside = ~((factors >= _LOW) & (factors <= _HIGH))  # so that NaN is outside
    outside[:, _SHAPE] |= factors[:, _SHAPE] != np.floor(factors[:, _SHAPE])
    if outside.any():
        row, column = map(int, np.argwhere(outside)[0])
        factor, given = FACTORS[column], factors[row, column]
        wanted = f"one of 0, 1, 2, 3 ({', '.join(SHAPES)})" if column == _SHAPE else f"{factor.low:g} to {factor.high:g}"
        unit = "" if factor.unit == "1" else f" {factor.unit}"
        raise InputError(f"{factor.name}: expected {wanted}{unit}, given {given:g} in row {row}")
    return factors

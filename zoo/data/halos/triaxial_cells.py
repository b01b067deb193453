"""Mean density of triaxial halos in the cells of a cube.

rho(x) = 1 + [rho(|x|) - 1] (u^T A^-1 u)^(-3/2) with u = x / |x| and det A = 1: the second factor is 4 pi times the angular
central Gaussian distribution (Tyler 1987), whose mean over directions is one, so that the spherical average is rho(r) whatever
the axes. Where rho falls as r^-3, surfaces of one density are the ellipsoids of A.
"""

from __future__ import annotations

import numba
import numpy as np

from zoo.errors import InputError

REFINED = ((1.0, 8), (2.0, 4), (3.5, 3), (np.inf, 2))
"""Gauss-Legendre points along each axis of a cell whose middle is nearer to the halo's than so many cells."""
RADII = 512
"""Radii at which a profile is tabulated, evenly in ln r, for linear interpolation: to 2e-4 where it falls as r^-3."""


class TriaxialCells:
    """Cells of a cube with a halo in its middle, where cells meet.

    Parameters
    ----------
    size : int
        Number of cells along a side, which is even.
    cell : float
        Side of a cell.
    """

    def __init__(self, size: int, cell: float) -> None:
        if size < 2 or size % 2:
            raise InputError(f"size: expected an even number of cells, so that the halo is in the middle, given {size}")
        self.size = size
        # The density at x is that at -x: half of the cells, in C order, say the other half.
        middle = np.indices((size,) * 3).reshape(3, -1).T[: size**3 // 2] + 0.5 - size / 2
        levels = np.searchsorted([limit for limit, _ in REFINED], np.sqrt((middle**2).sum(axis=1)))
        number, places, weights = [], [], []
        for level, (_, n) in enumerate(REFINED):
            inside, share = _unit_cell_points(n)
            cells = np.flatnonzero(levels == level)
            number.append(np.repeat(cells, n**3))
            places.append((middle[cells, None] + inside).reshape(-1, 3))
            weights.append(np.tile(share, len(cells)))
        order = np.argsort(np.concatenate(number), kind="stable")
        self._starts = np.concatenate([[0], np.cumsum(np.bincount(np.concatenate(number)))])
        self._weight = np.concatenate(weights)[order].astype(np.float32)
        place = np.concatenate(places)[order] * cell
        radius = np.sqrt((place**2).sum(axis=1))
        self._direction = (place / radius[:, None]).astype(np.float32)
        self.radii = np.geomspace(radius.min() * 0.999, radius.max() * 1.001, RADII)
        """Radii (512,) at which ``means`` takes the profile."""
        step = np.log(self.radii[1] / self.radii[0])
        self._position = (np.log(radius / self.radii[0]) / step).astype(np.float32)

    def means(self, profile: np.ndarray, shape: np.ndarray) -> np.ndarray:
        """Mean rho in each cell, (n, size, size, size) float32.

        Parameters
        ----------
        profile : ndarray of shape (n, 512)
            Spherical averages of rho at ``radii``.
        shape : ndarray of shape (n, 3, 3)
            Symmetric matrices A^-1 of determinant one.
        """
        excess = (np.asarray(profile) - 1).astype(np.float32)
        halves = _means(excess, np.asarray(shape, np.float32), self._starts, self._direction, self._position, self._weight)
        return np.concatenate([halves, halves[:, ::-1]], axis=1).reshape(-1, *[self.size] * 3)


def shape_matrices(rotation: np.ndarray, intermediate: np.ndarray, least: np.ndarray) -> np.ndarray:
    """Matrices A^-1 (n, 3, 3) of ellipsoids with axes 1 : b/a : c/a along the columns of rotations (n, 3, 3)."""
    axes = np.stack([np.ones_like(least), intermediate, least], axis=1)
    axes /= np.cbrt(axes.prod(axis=1, keepdims=True))
    return np.einsum("nij,nj,nkj->nik", rotation, axes**-2, rotation)


def _unit_cell_points(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Gauss-Legendre points (n^3, 3) about the middle of a unit cell and their weights (n^3,)."""
    nodes, weights = np.polynomial.legendre.leggauss(n)
    points = np.stack(np.meshgrid(*[nodes / 2] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    return points, np.prod(np.meshgrid(*[weights / 2] * 3), axis=0).ravel()


@numba.njit(cache=True, nogil=True, fastmath=True)
def _means(excess, shape, starts, direction, position, weight):
    n, cells = len(excess), len(starts) - 1
    means = np.empty((n, cells), dtype=np.float32)
    one = np.float32(1)
    for halo in range(n):
        table = excess[halo]
        xx, yy, zz = shape[halo, 0, 0], shape[halo, 1, 1], shape[halo, 2, 2]
        xy, xz, yz = 2 * shape[halo, 0, 1], 2 * shape[halo, 0, 2], 2 * shape[halo, 1, 2]
        for cell in range(cells):
            total = one
            for point in range(starts[cell], starts[cell + 1]):
                x, y, z = direction[point, 0], direction[point, 1], direction[point, 2]
                square = xx * x * x + yy * y * y + zz * z * z + xy * x * y + xz * x * z + yz * y * z
                below = int(position[point])
                part = position[point] - np.float32(below)
                value = table[below] + part * (table[below + 1] - table[below])
                total += weight[point] * value / (square * np.sqrt(square))
            means[halo, cell] = total
    return means

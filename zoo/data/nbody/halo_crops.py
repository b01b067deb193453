"""Crops of the density around halos, in cells that are a fixed part of R200m: what the networks for halo profiles see."""

from __future__ import annotations

import numba
import numpy as np

from zoo.data.nbody.lagrangian import PERMUTATIONS
from zoo.data.nbody.neighbors import Neighbors
from zoo.errors import InputError

SIZE = 24
"""Cells along a side."""
CELL = 0.25
"""Side of a cell, in units of R200m: the crop reaches 3 R200m from the halo's center."""
SLACK = 0.01
"""How far a cell may be from that, relatively."""


def halo_crops(positions: np.ndarray, box: float, centers: np.ndarray, r200m: np.ndarray, size: int = SIZE) -> np.ndarray:
    """Crops of log10(1 + rho / rho_mean) around each center, (H, size, size, size) float32, in cells of 0.25 R200m.

    Each particle near by, whichever halo it is in, is shared among the eight cells around it (cloud in cell). The center is
    the corner at which the middle cells meet.

    Parameters
    ----------
    positions : ndarray of shape (N, 3)
        Positions of all particles of the periodic box, Mpc/h in [0, box]; they have one mass.
    centers : ndarray of shape (H, 3)
        Density peaks in Mpc/h, as ``halos.catalog`` finds them.
    r200m : ndarray of shape (H,)
        R200m of each halo in Mpc/h.

    Raises
    ------
    InputError
        If positions or centers are not in the box, a radius is not positive, ``size`` not even, or a crop larger than the box.
    """
    positions, centers, r200m = np.asarray(positions), np.asarray(centers, float), np.asarray(r200m, float)
    check_halos(box, centers, r200m)
    if size < 2 or size % 2:
        raise InputError(f"size: expected an even number of cells, so that the halo is in the middle, given {size}")
    reach = (size + 1) / 2 * CELL * r200m
    if len(reach) and not reach.max() <= box / 2:
        raise InputError(
            f"r200m: expected at most {box / ((size + 1) * CELL):.3g} Mpc/h, of which a crop fits into the box, given "
            f"{r200m.max():.3g}: leave that halo out"
        )
    neighbors = Neighbors(positions, box)
    crops = np.empty((len(centers), size, size, size), np.float32)
    for halo, (center, cell) in enumerate(zip(centers, CELL * r200m, strict=True)):
        _, offsets = neighbors.within(center, reach[halo])
        crops[halo] = np.log10(1 + _cloud_in_cell(offsets / cell, size) / (neighbors.density * cell**3))
    return crops


def check_crop_cells(cell: np.ndarray, r200m: np.ndarray) -> None:
    """Refuse crops made elsewhere whose cells are not of 0.25 R200m; both are (H,) or scalars, in the same unit."""
    ratio = np.asarray(cell, float) / np.asarray(r200m, float)
    wrong = ~(np.abs(ratio / CELL - 1) <= SLACK)
    if wrong.any():
        raise InputError(
            f"expected cells of {CELL:g} R200m, given {np.atleast_1d(ratio)[np.atleast_1d(wrong)][0]:.3g} R200m: cut crops of "
            f"{SIZE}^3 such cells from the particles with halo_crops"
        )


def check_halos(box: float, centers: np.ndarray, r200m: np.ndarray) -> None:
    """Refuse centers that are not (H, 3) in the box, and radii (H,) that are not positive."""
    if centers.ndim != 2 or centers.shape[1] != 3:
        raise InputError(f"centers: expected shape (H, 3), given {centers.shape}")
    if centers.size and not (centers.min() >= 0 and centers.max() <= box):
        raise InputError(f"centers: expected from 0 to the box's {box:g} Mpc/h, given {centers.min():g} to {centers.max():g}")
    if r200m.shape != (len(centers),) or not (r200m > 0).all():
        raise InputError(f"r200m: expected a positive radius for each of {len(centers)} centers, given {r200m}: leave out NaN")


class TurnedCrops:
    """Crops (n, size, size, size), each turned by one of the 48 rotations and reflections when it is asked for.

    Parameters
    ----------
    crops : ndarray of shape (n, size, size, size)
        The crops before they are turned.
    symmetry : ndarray of shape (n,)
        Which of the 48 rotations and reflections each crop is turned by, 0 to 47; 0 leaves it.
    """

    def __init__(self, crops: np.ndarray, symmetry: np.ndarray) -> None:
        self.crops, self.symmetry = crops, symmetry

    def __len__(self) -> int:
        return len(self.crops)

    def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray:
        """The crops of some rows, turned, (m, size, size, size) in float32."""
        numbers = np.arange(len(self))[rows]
        out = np.empty((len(numbers), *self.crops.shape[1:]), np.float32)
        for row, number in enumerate(numbers):
            out[row] = _turned(self.crops[number], self.symmetry[number])
        return out


def _turned(crop: np.ndarray, symmetry: int) -> np.ndarray:
    """A view of a cube, turned by one of the symmetries."""
    backwards = symmetry // np.array([4, 2, 1]) % 2
    return crop.transpose(PERMUTATIONS[symmetry // 8])[tuple(slice(None, None, 1 - 2 * step) for step in backwards)]


@numba.njit(cache=True, nogil=True)
def _cloud_in_cell(offsets, size):
    """Particles in each cell; offsets (m, 3) from the middle, in cells."""
    counts = np.zeros((size, size, size))
    first, part = np.empty(3, dtype=np.int64), np.empty((3, 2))
    for particle in range(len(offsets)):
        for axis in range(3):
            place = offsets[particle, axis] + size / 2 - 0.5  # cell i has its middle at i
            first[axis] = int(np.floor(place))
            part[axis, 1] = place - first[axis]
            part[axis, 0] = 1 - part[axis, 1]
        for i in range(2):
            for j in range(2):
                for k in range(2):
                    x, y, z = first[0] + i, first[1] + j, first[2] + k
                    if 0 <= x < size and 0 <= y < size and 0 <= z < size:
                        counts[x, y, z] += part[0, i] * part[1, j] * part[2, k]
    return counts

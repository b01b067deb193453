"""Cubes of a linear density field around particles: what the networks for halo masses see."""

from __future__ import annotations

import numpy as np

from zoo.data.nbody.lagrangian import crops, spherical_average
from zoo.errors import InputError

CELL = 50 / 64
"""Side in comoving Mpc/h of a cell of the default simulation, on which the released networks were trained."""
RMS = 0.045
"""Standard deviation of its density contrast at z = 99."""
SLACK = 0.01, 0.35
"""How far the cell and the deviation may be from those, relatively: cosmologies differ in the second."""


def density_cubes(field: np.ndarray, box: float, cells: np.ndarray, size: int = 24, spherical: bool = False) -> np.ndarray:
    """The cubes that ``cnn3d-halo-mass`` takes, (m, size, size, size) float32, from a field of one's own.

    Parameters
    ----------
    field : ndarray of shape (n, n, n)
        Linear density contrast at z = 99 in a periodic box.
    box : float
        Side of the box in comoving Mpc/h.
    cells : ndarray of shape (m, 3)
        Cells that cubes are cut around, from which the particles start.
    spherical : bool
        Whether each cell is the mean of its shell, as ``cnn3d-halo-mass-spherical`` takes cubes.

    Raises
    ------
    InputError
        If cells are not 0.781 Mpc/h wide, the contrast has not the deviation that it has at z = 99 on such a grid (as one
        scaled to z = 0, or a density that is not divided by its mean), or ``crops`` refuses.
    """
    field = np.asarray(field)
    cell, deviation = box / len(field), float(field.std())
    if not abs(cell / CELL - 1) <= SLACK[0]:
        raise InputError(f"expected cells of {CELL:.4g} Mpc/h, given {cell:.4g} ({box:g} / {len(field)}): resample the field")
    if not abs(field.mean()) <= SLACK[1] * RMS:
        raise InputError(f"expected a density contrast, of mean 0, given mean {field.mean():.3g}: divide by the mean, less one")
    if not abs(deviation / RMS - 1) <= SLACK[1]:
        raise InputError(
            f"expected a linear density contrast at z = 99, of standard deviation {RMS:.3g}, given {deviation:.3g}:"
            " scale it by the growth factor"
        )
    cubes = crops(field.astype(np.float32), cells, size)
    return spherical_average(cubes) if spherical else cubes


class Cubes:
    """Cubes (n, size, size, size) of periodic fields, cut when they are indexed: only the fields are kept, as memory maps.

    Parameters
    ----------
    fields : list of ndarray
        Periodic fields that cubes are cut from, (cells, cells, cells) each.
    scale : float
        Number that all values are multiplied by.
    field : ndarray of shape (n,)
        Which field each cube is of.
    center : ndarray of shape (n, 3)
        Cell of the field that is cell size // 2 of the cube.
    symmetry : ndarray of shape (n,)
        Which of the 48 rotations and reflections about the center each cube is turned by, 0 to 47; 0 leaves it.
    size : int
        Number of cells along a side.
    spherical : bool
        Whether each cell is replaced by the mean of its shell.
    """

    def __init__(
        self,
        fields: list[np.ndarray],
        scale: float,
        field: np.ndarray,
        center: np.ndarray,
        symmetry: np.ndarray,
        size: int,
        spherical: bool = False,
    ) -> None:
        self.fields, self.scale, self.size, self.spherical = fields, scale, size, spherical
        self.field, self.center, self.symmetry = field, center, symmetry

    def __len__(self) -> int:
        return len(self.field)

    def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray:
        """Cut the cubes of some rows, (m, size, size, size) in float32."""
        field, center, symmetry = self.field[rows], self.center[rows], self.symmetry[rows]
        cubes = np.empty((len(field), *[self.size] * 3), np.float32)
        for number in np.unique(field):
            chosen = np.flatnonzero(field == number)
            cubes[chosen] = crops(self.fields[number], center[chosen], self.size, symmetry[chosen])
        cubes *= np.float32(self.scale)
        return spherical_average(cubes) if self.spherical else cubes

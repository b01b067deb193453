"""Particles near a point of a periodic box, with their offsets from it."""

from __future__ import annotations

import numba
import numpy as np

from zoo.data.nbody.halos import _checked, cell_order, cells_around


class Neighbors:
    """Particles sorted into cells, about one a cell, so that those near a point are found without looking at all.

    Parameters
    ----------
    positions : ndarray of shape (N, 3)
        Positions of the particles in Mpc/h, in [0, box].
    box : float
        Side of the periodic box in Mpc/h.

    Raises
    ------
    InputError
        If positions are not (N, 3) in the box.
    """

    def __init__(self, positions: np.ndarray, box: float) -> None:
        positions = _checked(positions, box)
        self.box = float(box)
        self._order, self._starts = cell_order(positions, self.box)
        self._cells = round(np.cbrt(len(self._starts) - 1))
        self._positions = positions[self._order]
        self.density = len(positions) / self.box**3
        """Particles per (Mpc/h)^3."""

    def within(self, center: np.ndarray, reach: float) -> tuple[np.ndarray, np.ndarray]:
        """Numbers (m,) and offsets (m, 3) float64 from ``center`` of the particles whose offsets are at most ``reach``.

        Along each axis, that is in a cube. ``reach`` is at most half of the box: nearest images.
        """
        found, offsets = _near(self._positions, self._starts, self._cells, np.asarray(center, float), float(reach), self.box)
        return self._order[found], offsets


@numba.njit(cache=True, nogil=True)
def _near(positions, starts, cells, center, reach, box):
    low, count = cells_around(center, reach, box, cells)
    most = 0
    for visit in range(2):  # how many they are at most, then which
        if visit == 1:
            found, offsets = np.empty(most, dtype=np.int64), np.empty((most, 3))
            offset, m = np.empty(3), 0
        for i in range(count[0]):
            for j in range(count[1]):
                row = ((low[0] + i) % cells * cells + (low[1] + j) % cells) * cells
                for k in range(count[2]):
                    cell = row + (low[2] + k) % cells
                    if visit == 0:
                        most += starts[cell + 1] - starts[cell]
                        continue
                    for particle in range(starts[cell], starts[cell + 1]):
                        farthest = 0.0
                        for axis in range(3):
                            d = np.float64(positions[particle, axis]) - center[axis]
                            offset[axis] = d - box * np.round(d / box)
                            farthest = max(farthest, abs(offset[axis]))
                        if farthest <= reach:
                            found[m] = particle
                            offsets[m] = offset
                            m += 1
    return found[:m], offsets[:m]

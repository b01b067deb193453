"""Particles in shells around halos: what a profile is measured from. Radii are in units of R200m."""

from __future__ import annotations

import numba
import numpy as np

INNER, OUTER, SHELLS = 0.2, 3.0, 16
WIDTH = (OUTER / INNER) ** (1 / SHELLS)
"""Outer over inner radius of a shell: sixteen cover the range."""
EDGES = np.geomspace(INNER, OUTER, SHELLS + 1)
RADII = np.sqrt(EDGES[:-1] * EDGES[1:])
"""Geometric middles of the sixteen touching shells."""


class SortedRadii:
    """Distances of the particles around each of n halos, in order, so that any shell is counted by two searches.

    Parameters
    ----------
    radii : list of ndarray
        Radii of the particles of each halo, in increasing order.
    """

    def __init__(self, radii: list[np.ndarray]) -> None:
        self._radii = np.concatenate([np.empty(0, np.float32), *radii]).astype(np.float32)
        self._starts = np.cumsum([0, *map(len, radii)])

    def counts(self, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """Particles with low <= r < high, (n, k) int64; limits (n, k), or (k,) for all halos."""
        low, high = (np.tile(limit, (len(self._starts) - 1, 1)) if limit.ndim == 1 else limit for limit in (low, high))
        return _counts(self._radii, self._starts, low, high)


def shell_of(radius: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Inner and outer radius of the shell of which each radius is the geometric middle."""
    return radius / np.sqrt(WIDTH), radius * np.sqrt(WIDTH)


def volume(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Volume of the shell between two radii."""
    return 4 / 3 * np.pi * (high**3 - low**3)


@numba.njit(cache=True, nogil=True)
def _counts(radii, starts, low, high):
    counts = np.empty(low.shape, dtype=np.int64)
    for halo in range(len(low)):
        own = radii[starts[halo] : starts[halo + 1]]
        for k in range(low.shape[1]):
            counts[halo, k] = np.searchsorted(own, high[halo, k]) - np.searchsorted(own, low[halo, k])
    return counts

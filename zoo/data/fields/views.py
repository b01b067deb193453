"""Maps and cubes of a density, and the symmetries under which they are as good as others."""

from __future__ import annotations

from itertools import permutations

import numpy as np

from zoo.data.nbody.fourier import backward, forward, wave_numbers
from zoo.errors import InputError


def smoothed(density: np.ndarray, box: float, radius: float) -> np.ndarray:
    """A periodic density (n, n, n) smoothed by a Gaussian of standard deviation ``radius``, in the unit of ``box``.

    Parameters
    ----------
    density : ndarray
        The density.
    box : float
        Side of the box.
    radius : float
        How wide; at 0 it is as it was.
    """
    if radius == 0:
        return density
    square = sum(k**2 for k in wave_numbers(len(density))) * np.float32((2 * np.pi / box) ** 2)
    return backward(forward(density) * np.exp(np.float32(-0.5 * radius**2) * square))


def slabs(density: np.ndarray, count: int) -> np.ndarray:
    """Overdensity averaged over slabs of a periodic box, seen along each of its axes.

    Parameters
    ----------
    density : ndarray
        Density in units of the mean, (n, n, n).
    count : int
        Slabs along an axis.

    Returns
    -------
    ndarray
        Maps (3 count, n, n), the slabs along the first axis first; -1 where there is nothing.

    Raises
    ------
    InputError
        The cells cannot be divided by the slabs.
    """
    n = len(density)
    if n % count:
        raise InputError(f"expected slabs that divide {n} cells, given {count}")
    maps = []
    for axis in range(3):
        along = np.moveaxis(density, axis, 0).reshape(count, n // count, n, n)
        maps.append(along.mean(axis=1, dtype=np.float64) - 1)
    return np.concatenate(maps).astype(np.float32)


def coarse(density: np.ndarray, cells: int) -> np.ndarray:
    """Overdensity (cells, cells, cells) averaged over blocks of a density (n, n, n) in units of the mean.

    Parameters
    ----------
    density : ndarray
        The density.
    cells : int
        Cells along a side, which divide n.

    Raises
    ------
    InputError
        They do not.
    """
    n = len(density)
    if n % cells:
        raise InputError(f"expected cells that divide {n}, given {cells}")
    block = n // cells
    blocks = density.reshape(cells, block, cells, block, cells, block)
    return (blocks.mean(axis=(1, 3, 5), dtype=np.float64) - 1).astype(np.float32)


class Turned:
    """Periodic fields (n, side, ...), each turned, mirrored and shifted at random as it is read: as likely as itself.

    Parameters
    ----------
    fields : ndarray
        The fields, with two or three axes each.
    rng : numpy.random.Generator
        Of what becomes of each; fields that belong together take generators of one seed.
    vectors : bool
        Whether the last axis of the fields holds a vector, which is turned and mirrored with them.
    """

    def __init__(self, fields: np.ndarray, rng: np.random.Generator, *, vectors: bool = False) -> None:
        count, dimensions = len(fields), fields.ndim - 1 - vectors
        self.fields, self.vectors = fields, vectors
        self._orders = list(permutations(range(dimensions)))
        self._order = rng.integers(len(self._orders), size=count)
        self._flip = rng.random((count, dimensions)) < 0.5
        self._shift = rng.integers(fields.shape[1], size=(count, dimensions))

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of all of them."""
        return self.fields.shape

    def __len__(self) -> int:
        return len(self.fields)

    def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray:
        """Some of them, turned."""
        chosen = np.arange(len(self))[rows]
        found = np.empty((len(chosen), *self.shape[1:]), self.fields.dtype)
        axes = tuple(range(self._shift.shape[1]))
        for place, row in enumerate(chosen):
            order, flips = list(self._orders[self._order[row]]), self._flip[row]
            turned = np.transpose(self.fields[row], (*order, len(order)) if self.vectors else order)
            turned = turned[tuple(slice(None, None, -1) if flip else slice(None) for flip in flips)]
            if self.vectors:
                turned = turned[..., order] * np.where(flips, -1, 1).astype(turned.dtype)
            found[place] = np.roll(turned, self._shift[row], axis=axes)
        return found

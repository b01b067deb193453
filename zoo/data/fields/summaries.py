"""Summary statistics of periodic maps and cubes of the overdensity: power, values of cells, triangles of modes, and peaks.

Fields are (n, s, s) or (n, s, s, s), n of them of s cells along a side. With ``side`` in Mpc/h wavenumbers are in h/Mpc; a
spectrum is that of delta(k), the integral of delta(x) exp(-i k x) over the d = 2 or 3 dimensions of the box.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np
import scipy.fft

from zoo.errors import InputError

CELLS = 2**22
"""Cells that are transformed at a time."""


def power_spectrum(fields: np.ndarray, side: float, bins: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Power spectra in shells of wavenumber, equally wide in its logarithm, from the fundamental mode to the Nyquist frequency.

    P is the mean of delta(k) delta(-k) / side^d over the modes of a shell. Neither the window of mass assignment nor shot noise
    is taken off.

    Parameters
    ----------
    fields : ndarray
        Periodic fields, (n, s, s) or (n, s, s, s).
    side : float
        Side of all of them in Mpc/h.
    bins : int
        Number of shells; each holds its lower edge, the last not the Nyquist frequency pi s / side.

    Returns
    -------
    k : ndarray of shape (bins,)
        Mean wavenumber of the modes of each shell, h/Mpc.
    power : ndarray of shape (n, bins)
        Their mean power, (Mpc/h)^d.
    modes : ndarray of shape (bins,)
        Number of independent modes, k and -k being one; a Gaussian field's power has the relative deviation ``modes ** -0.5``.

    Raises
    ------
    InputError
        Fields that are not square or not finite, a side that is not positive, or more shells than there are modes for.
    """
    fields = _periodic(fields)
    weights, k, modes = _shells(fields, side, bins, fields.shape[1] / 2)
    return k, _in_batches(lambda some: _power(_transformed(some), side, weights), fields), modes


def equilateral_bispectrum(
    fields: np.ndarray, side: float, bins: int, reduced: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bispectra of triangles whose three wavenumbers are in one shell, from the fundamental mode to two thirds of the Nyquist.

    B is the mean of delta(k1) delta(k2) delta(k3) / side^d over all triangles k1 + k2 + k3 = 0 of a shell. The field filtered
    to the shell is cubed and summed over the box, and divided by the same of a field whose modes are 1 (Scoccimarro 2015,
    arXiv:1506.02729; Watkinson et al. 2017, arXiv:1705.06284). Beyond two thirds of the Nyquist frequency the sums would have
    triangles that close only on the grid.

    Parameters
    ----------
    fields : ndarray
        Periodic fields, (n, s, s) or (n, s, s, s).
    side : float
        Side of all of them in Mpc/h.
    bins : int
        Number of shells, equally wide in the logarithm of the wavenumber.
    reduced : bool
        Whether the bispectra are divided by 3 P^2, with the field's own power P in the shell; they are dimensionless then.

    Returns
    -------
    k : ndarray of shape (bins,)
        Mean wavenumber of the modes of each shell, h/Mpc.
    bispectrum : ndarray of shape (n, bins)
        Mean bispectrum of the triangles of each shell, (Mpc/h)^2d.
    triangles : ndarray of shape (bins,)
        Number of triangles, each in all orders of its sides; a Gaussian field of power P has a bispectrum of mean 0 and of
        variance 6 side^d P^3 / triangles.

    Raises
    ------
    InputError
        As for ``power_spectrum``, or a shell without triangles.
    """
    fields = _periodic(fields)
    weights, k, _ = _shells(fields, side, bins, fields.shape[1] / 3)
    shells = (weights > 0).astype(float)
    triangles = np.array([np.mean(_filtered(shell[None], fields.shape[1:]) ** 3) for shell in shells])
    if (triangles < 0.5).any():
        raise InputError(f"bins: expected shells with triangles, given {bins}, some of which have none: ask for fewer")

    def estimated(some: np.ndarray) -> np.ndarray:
        modes = _transformed(some)
        axes = tuple(range(1, some.ndim))
        cubes = [np.mean(_filtered(modes * shell, some.shape[1:]) ** 3, axis=axes) for shell in shells]
        found = side ** (2 * len(axes)) * np.stack(cubes, axis=1) / triangles
        return found / (3 * _power(modes, side, weights) ** 2) if reduced else found

    return k, _in_batches(estimated, fields), np.rint(triangles).astype(np.int64)


def one_point(fields: np.ndarray, edges: np.ndarray, offset: float = 0.01) -> np.ndarray:
    """Distributions of the values of cells: fractions of the cells in bins of log(1 + delta + offset).

    Parameters
    ----------
    fields : ndarray
        Overdensities delta, (n, s, s) or (n, s, s, s).
    edges : ndarray of shape (bins + 1,)
        Edges of the bins in the natural logarithm, rising; each bin holds its lower one. Cells outside are in none.
    offset : float
        What is added to densities, in units of their mean, so that empty cells have a logarithm.

    Returns
    -------
    ndarray
        Fractions, (n, bins).

    Raises
    ------
    InputError
        Fields that are not square or not finite, edges that do not rise, or a density that has no logarithm.
    """
    fields, edges = _periodic(fields), np.asarray(edges, dtype=float)
    if edges.ndim != 1 or len(edges) < 2 or not (np.diff(edges) > 0).all():
        raise InputError("edges: expected two or more in one rising list")
    if not (least := fields.min()) > -1 - offset:
        raise InputError(
            f"fields: expected overdensities above {-1 - offset:g}, given {least:g}: is it a density, or a contrast?"
        )

    def counted(some: np.ndarray) -> np.ndarray:
        place = np.searchsorted(edges, np.log(1 + some.reshape(len(some), -1).astype(float) + offset), side="right")
        row = np.arange(len(some))[:, None] * (len(edges) + 1)
        counts = np.bincount((row + place).ravel(), minlength=len(some) * (len(edges) + 1)).reshape(len(some), -1)
        return counts[:, 1:-1] / place.shape[1]

    return _in_batches(counted, fields)


def peak_counts(maps: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """Numbers of peaks above thresholds, (n, thresholds): cells of periodic maps that are higher than all eight around them.

    Parameters
    ----------
    maps : ndarray of shape (n, s, s)
        Periodic maps.
    thresholds : ndarray of shape (thresholds,)
        What a peak has to exceed, in the unit of the maps.

    Raises
    ------
    InputError
        Maps that are not square or not finite, or cubes.
    """
    maps = _periodic(maps)
    if maps.ndim != 3:
        raise InputError(f"maps: expected (n, s, s), given {maps.shape}")
    peak = np.ones(maps.shape, bool)
    for shift in product((-1, 0, 1), repeat=2):
        if shift != (0, 0):
            peak &= maps > np.roll(maps, shift, axis=(1, 2))
    return np.stack([(peak & (maps > threshold)).sum(axis=(1, 2)) for threshold in thresholds], axis=1)


def _periodic(fields: np.ndarray) -> np.ndarray:
    fields = np.asarray(fields)
    if fields.ndim not in (3, 4) or len(set(fields.shape[1:])) != 1 or not fields.size:
        raise InputError(f"fields: expected maps (n, s, s) or cubes (n, s, s, s), given shape {fields.shape}")
    if not np.isfinite(fields).all():
        raise InputError("fields: expected finite numbers, given some that are not")
    return fields


def _in_batches(function: Callable[[np.ndarray], np.ndarray], fields: np.ndarray) -> np.ndarray:
    """A function of some of the fields, of all of them."""
    parts = min(len(fields), -(-fields.size // CELLS))
    return np.concatenate([function(some) for some in np.array_split(fields, parts)])


def _transformed(fields: np.ndarray) -> np.ndarray:
    """Amplitudes (n, s, ..., s // 2 + 1) of the waves that add up to each field."""
    return scipy.fft.rfftn(fields.astype(float), axes=tuple(range(1, fields.ndim)), norm="forward")


def _filtered(modes: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Sum of waves of given amplitudes, (n, s, ..., s)."""
    return scipy.fft.irfftn(modes, s=shape, axes=tuple(range(1, modes.ndim)), norm="forward")


def _power(modes: np.ndarray, side: float, weights: np.ndarray) -> np.ndarray:
    """Mean power (n, bins) of the modes of each shell."""
    square = np.abs(modes) ** 2
    means = [(square * weight).reshape(len(modes), -1).sum(axis=1) / weight.sum() for weight in weights]
    return side ** (modes.ndim - 1) * np.stack(means, axis=1)


def _shells(fields: np.ndarray, side: float, bins: int, largest: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How many modes of each shell an amplitude stands for, (bins, s, ..., s // 2 + 1); their mean wavenumber; their number."""
    if not side > 0:
        raise InputError(f"side: expected more than 0 Mpc/h, given {side}")
    s, dimensions = fields.shape[1], fields.ndim - 1
    waves = [np.fft.fftfreq(s, 1 / s)] * (dimensions - 1) + [np.arange(s // 2 + 1)]
    length = np.sqrt(sum(k**2 for k in np.meshgrid(*waves, indexing="ij", sparse=True)))
    if bins < 1 or largest <= 1:
        raise InputError(f"expected bins and at least 4 cells a side, given {bins} and {s}")
    edges = np.geomspace(1, largest, bins + 1) * (1 - 1e-9)  # so that rounding moves no mode from a bin into the one below
    shells = (length >= edges[:-1].reshape(-1, *[1] * dimensions)) & (length < edges[1:].reshape(-1, *[1] * dimensions))
    weights = shells * np.where(np.arange(s // 2 + 1) == 0, 0.5, 1.0)  # where the last component is 0, k and -k are both there
    axes = tuple(range(1, dimensions + 1))
    modes = weights.sum(axis=axes)
    if not modes.all():
        raise InputError(f"bins: expected shells with modes, given {bins}, some of which have none: ask for fewer")
    return weights, 2 * np.pi / side * (weights * length).sum(axis=axes) / modes, modes

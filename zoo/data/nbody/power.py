"""Power spectra measured in a periodic box."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from zoo.data.nbody.fourier import forward, mode_weights, wave_numbers
from zoo.data.nbody.particle_mesh import assign_mass


def field_power(delta: np.ndarray, box: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Power spectrum of a density contrast (n, n, n) in bins one fundamental mode wide, up to the Nyquist frequency.

    Returns
    -------
    k : ndarray of shape (bins,)
        Mean wavenumber of the modes of each bin, h/Mpc for a box in Mpc/h.
    power : ndarray of shape (bins,)
        Mean power of each bin in (Mpc/h)^3.
    modes : ndarray of shape (bins,)
        Number of independent modes in each bin; the relative deviation of a Gaussian field's power is ``modes ** -0.5``.
    """
    n = len(delta)
    return _binned(np.abs(forward(delta)) ** 2 * (box**3 / n**6), n, box)


def particle_power(
    positions: np.ndarray, box: float, mesh: int, shot_noise: bool = True
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Power spectrum of equal particles, (N, 3) in [0, box), as ``density_power`` of their density on a mesh."""
    counts = assign_mass(np.asarray(positions, dtype=np.float32) * np.float32(mesh / box), mesh)
    return density_power(counts * np.float32(mesh**3 / len(positions)), box, len(positions), shot_noise)


def density_power(
    density: np.ndarray, box: float, particles: int, shot_noise: bool = True
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Power spectrum of a cloud-in-cell density (n, n, n) of equal particles, in units of its mean, as ``field_power``.

    The cloud-in-cell window is divided out and shot noise, aliased by the mesh, is taken off (Jing 2005,
    astro-ph/0409240, eq. 20). Other aliases are not: trust half the mesh's Nyquist frequency. ``shot_noise=False`` is
    for particles that still sit near a grid, which have none.
    """
    n = len(density)
    power = np.abs(forward(density)) ** 2 * (box**3 / float(n) ** 6)
    waves = wave_numbers(n)
    if shot_noise:
        aliased = np.prod(np.broadcast_arrays(*(1 - 2 / 3 * np.sin(np.pi * k / n) ** 2 for k in waves)), axis=0)
        power -= box**3 / particles * aliased
    for k in waves:
        power /= np.sinc(k / n) ** 4
    return _binned(power, n, box)


def expected_power(spectrum: Callable[[np.ndarray], np.ndarray], n: int, box: float) -> np.ndarray:
    """Mean of ``spectrum`` (of wavenumbers, h/Mpc) over the modes of each bin of ``field_power`` of a field (n, n, n).

    Where few modes make a bin, that is not the spectrum at their mean wavenumber: 4% off in the first bin.
    """
    square = np.rint(sum(k.astype(float) ** 2 for k in wave_numbers(n))).astype(np.int64)
    values = np.zeros(square.max() + 1)
    values[1:] = spectrum(2 * np.pi / box * np.sqrt(np.arange(1, len(values))))
    return _binned(values[square], n, box)[1]


def _binned(power: np.ndarray, n: int, box: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean over shells of the power of all coefficients (n, n, n // 2 + 1)."""
    waves = wave_numbers(n)
    length = np.sqrt(sum(k**2 for k in waves))
    weight = np.broadcast_to(mode_weights(n), length.shape).ravel()
    shell = np.rint(length).astype(np.int32).ravel()
    modes, k, mean = (np.bincount(shell, weight * of, n // 2 + 1)[1 : n // 2] for of in (1.0, length.ravel(), power.ravel()))
    return 2 * np.pi / box * k / modes, mean / modes, modes

"""Gaussian initial fields and their displacements in Lagrangian perturbation theory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numba
import numpy as np

from zoo.data.nbody.cosmology import linear_power
from zoo.data.nbody.fourier import backward, forward, wave_numbers
from zoo.errors import InputError

if TYPE_CHECKING:
    from zoo.data.nbody.simulate import NBodyConfig

WORD = np.uint64(0xFFFFFFFF)
HALF = np.uint64(32)
MULTIPLIERS = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
WEYL = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)


def linear_density(config: NBodyConfig, seed: int) -> np.ndarray:
    """Density contrast linearly extrapolated to z = 0 on the particle grid, (n, n, n) float32.

    A mode's amplitude is a function of the seed and its integer wave vector alone (a counter-based generator), so that a
    finer grid in the same box adds modes and keeps those it shares. The mean and the Nyquist planes are zero.

    Raises
    ------
    InputError
        If the seed is not in [0, 2^64).
    """
    if not 0 <= seed < 2**64:
        raise InputError(f"seed: expected 0 <= seed < 2^64, given {seed}")
    n = config.particles
    squares = np.arange(1, 3 * (n // 2) ** 2 + 1)
    power = linear_power(config.cosmology, 2 * np.pi / config.box * np.sqrt(squares), transfer=config.transfer)
    amplitude = np.concatenate([[0.0], np.sqrt(power / (2 * config.box**3)) * n**3]).astype(np.float32)
    return backward(_gaussian_modes(n, amplitude, np.uint64(seed)))


def zeldovich(delta: np.ndarray, box: float) -> np.ndarray:
    """First-order displacement (3, n, n, n) of a linear density contrast, in the unit of ``box``: -grad laplace^-1 delta."""
    waves = wave_numbers(len(delta))
    return _first_order(forward(delta) * _inverse_square(waves), waves) * np.float32(box / (2 * np.pi))


def displacements(delta: np.ndarray, box: float) -> tuple[np.ndarray, np.ndarray]:
    """First- and second-order displacements (3, n, n, n) of a linear density contrast, in the unit of ``box``.

    A particle at grid point q is at q + D psi1 + D2 psi2, with D2 = -3/7 D^2 Omega_m(a)^(-1/143) (Bouchet et al. 1995,
    astro-ph/9406013): psi1 = -grad phi, laplace phi = delta; psi2 = grad chi, laplace chi = sum_{i<j} phi_ii phi_jj - phi_ij^2.
    """
    waves = wave_numbers(len(delta))
    gradient, inverse_square = _gradient(waves), _inverse_square(waves)
    potential = forward(delta) * inverse_square
    psi1 = _first_order(potential, waves)

    diagonal = [backward(k**2 * potential) for k in waves]
    source = diagonal[0] * (diagonal[1] + diagonal[2]) + diagonal[1] * diagonal[2]
    for i, j in ((0, 1), (0, 2), (1, 2)):
        source -= backward(gradient[i] * gradient[j] * potential) ** 2
    potential = forward(source) * inverse_square
    psi2 = np.stack([backward(-1j * k * potential) for k in gradient])
    unit = np.float32(box / (2 * np.pi))
    return psi1 * unit, psi2 * unit


def _gradient(waves: tuple[np.ndarray, ...]) -> list[np.ndarray]:
    """Wave numbers of derivatives; at the Nyquist frequency a derivative has no sign."""
    half = waves[0].size // 2
    return [np.where(np.abs(k) == half, 0, k) for k in waves]


def _inverse_square(waves: tuple[np.ndarray, ...]) -> np.ndarray:
    square = waves[0] ** 2 + waves[1] ** 2 + waves[2] ** 2
    square[0, 0, 0] = 1
    return 1 / square


def _first_order(potential: np.ndarray, waves: tuple[np.ndarray, ...]) -> np.ndarray:
    """Displacements (3, n, n, n) of modes of delta / k^2, in cells of a box of 2 pi."""
    return np.stack([backward(1j * k * potential) for k in _gradient(waves)])


@numba.njit(cache=True)
def philox(x, y, z, w, key0, key1):
    """Four random 32-bit words of a counter of four and a key of two, all held as uint64.

    Philox 4x32 of ten rounds (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3").
    """
    for _ in range(10):
        first, second = MULTIPLIERS[0] * x, MULTIPLIERS[1] * z
        x, y, z, w = (second >> HALF) ^ y ^ key0, second & WORD, (first >> HALF) ^ w ^ key1, first & WORD
        key0, key1 = (key0 + WEYL[0]) & WORD, (key1 + WEYL[1]) & WORD
    return x, y, z, w


@numba.njit(parallel=True, cache=True)
def _gaussian_modes(n, amplitude, seed):
    """Fourier coefficients (n, n, n // 2 + 1) of a real field; ``amplitude[m^2]`` is the deviation of either part."""
    half = n // 2
    modes = np.zeros((n, n, half + 1), dtype=np.complex64)
    waves = np.arange(n)
    waves[half:] -= n
    for i in numba.prange(n):
        for j in range(n):
            x, y = waves[i], waves[j]
            if x == -half or y == -half:
                continue
            for z in range(half):
                square = x * x + y * y + z * z
                # In the plane z = 0 the field is real only if opposite modes are conjugate.
                mirrored = z == 0 and (y < 0 or (y == 0 and x < 0))
                sign = -1 if mirrored else 1
                a, b, _, _ = philox(
                    np.uint64(sign * x) & WORD,
                    np.uint64(sign * y) & WORD,
                    np.uint64(z),
                    np.uint64(0),
                    seed & WORD,
                    seed >> HALF,
                )
                radius = np.sqrt(-2 * np.log((a + 0.5) / 4294967296.0)) * amplitude[square]
                angle = 2 * np.pi * (b + 0.5) / 4294967296.0
                modes[i, j, z] = radius * np.cos(angle) + 1j * sign * radius * np.sin(angle)
    return modes

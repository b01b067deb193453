"""What is measured of the linear field on the Lagrangian grid: crops, top-hat densities, tidal shear, shell averages.

Particle i started from cell i of the (n, n, n) grid in C order. Lengths are comoving Mpc/h.
"""

from __future__ import annotations

from itertools import permutations

import numba
import numpy as np

from zoo.data.nbody.cosmology import top_hat_window
from zoo.data.nbody.fourier import backward, forward, wave_numbers
from zoo.data.nbody.halos import periodic_means
from zoo.errors import InputError

PERMUTATIONS = np.array(list(permutations(range(3))))
SYMMETRIES = 8 * len(PERMUTATIONS)
"""Rotations and reflections of a cube."""


def crops(field: np.ndarray, centers: np.ndarray, size: int, symmetries: np.ndarray | None = None) -> np.ndarray:
    """Periodic cubes of ``size`` cells a side around cells (m, 3) of an (n, n, n) field: (m, size, size, size).

    The center is cell ``size // 2`` of the cube along each axis. Memory-mapped fields are read only where they are cut.

    Parameters
    ----------
    symmetries : ndarray of shape (m,), optional
        Which of the 48 rotations and reflections about the center each cube is turned by, 0 to 47; 0, the default, leaves it.

    Raises
    ------
    InputError
        If the field is not a cube, the crop is larger than the field, or a center is no cell (integers in [0, n)).
    """
    field, centers = _cube(field), np.asarray(centers)
    n = len(field)
    if not 1 <= size <= n:
        raise InputError(f"size: expected 1 to {n} cells, the side of the field, given {size}")
    if centers.ndim != 2 or centers.shape[1] != 3 or not np.issubdtype(centers.dtype, np.integer):
        raise InputError(f"centers: expected (m, 3) integers, given {centers.dtype} of shape {centers.shape}")
    if centers.size and not (centers.min() >= 0 and centers.max() < n):
        raise InputError(f"centers: expected cells in [0, {n}), given {centers.min()} to {centers.max()}: wrap them")
    turns = np.zeros(len(centers), np.int64) if symmetries is None else symmetries
    axes = PERMUTATIONS[turns // 8]
    backwards = turns[:, None] // (4, 2, 1) % 2
    # These are the offsets in the field of each step along each axis of each cube.
    steps = (np.arange(size) - size // 2) * (1 - 2 * backwards[:, :, None])
    walked = (np.take_along_axis(centers, axes, axis=1)[:, :, None] + steps) % n
    return _cut(field, walked * np.array([n * n, n, 1])[axes][:, :, None])


def particle_cells(particles: np.ndarray, n: int) -> np.ndarray:
    """Cells (m, 3) from which particles (m,) of a grid of n a side started."""
    return np.stack(np.unravel_index(particles, (n, n, n)), axis=-1)


def halo_lagrangian_centers(halo_of: np.ndarray, n: int) -> np.ndarray:
    """Periodic mean of the cells from which each halo's particles started, (H, 3) float64 in [0, n); cells are at integers.

    Raises
    ------
    InputError
        If ``halo_of`` is not one halo number for each of n^3 particles.
    """
    if np.shape(halo_of) != (n**3,):
        raise InputError(f"halo_of: expected one number for each of {n}^3 particles, given shape {np.shape(halo_of)}")
    members = np.flatnonzero(np.asarray(halo_of) >= 0)
    return periodic_means(particle_cells(members, n), np.asarray(halo_of)[members], n)


def top_hat_densities(field: np.ndarray, box: float, radii: np.ndarray, cells: np.ndarray | None = None) -> np.ndarray:
    """Mean of an (n, n, n) field over spheres around each cell, (scales, n, n, n) float32, for each radius (Mpc/h).

    For mass scales take ``cosmology.lagrangian_radius``. Spheres narrower than a cell leave the field nearly as it is.

    Parameters
    ----------
    cells : ndarray of shape (m, 3), optional
        Cells around which alone the means are wanted: (scales, m).

    Raises
    ------
    InputError
        If the field is not a cube of an even side, or a radius is not positive.
    """
    modes = forward(_cube(field, even=True).astype(np.float32, copy=False))
    return np.stack([_at(backward(modes * _window(len(modes), box, radius)), cells) for radius in radii])


def tidal_shear(
    field: np.ndarray, box: float, radii: np.ndarray, cells: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Ellipticity and prolateness of the tidal shear in spheres of each radius (Mpc/h), each (scales, n, n, n) float32.

    With t1 >= t2 >= t3 the eigenvalues of the traceless part of d_i d_j laplace^-1 delta, e = t1 - t3 and
    p = 3 (t1 + t3) = t1 + t3 - 2 t2, as in Lucie-Smith et al. (arXiv:1802.04271): those of Bond & Myers (1996) times twice
    the density contrast, so that they carry none of it. |p| <= e.

    Parameters
    ----------
    cells : ndarray of shape (m, 3), optional
        Cells at which alone they are wanted: (scales, m).

    Raises
    ------
    InputError
        If the field is not a cube of an even side, or a radius is not positive.
    """
    n = len(_cube(field, even=True))
    waves = wave_numbers(n)
    # A product of two derivatives has no sign at the Nyquist frequency of one of them; a square has.
    odd = [np.where(np.abs(k) == n // 2, np.float32(0), k) for k in waves]
    square = waves[0] ** 2 + waves[1] ** 2 + waves[2] ** 2
    square[0, 0, 0] = 1
    potential = forward(np.asarray(field, dtype=np.float32)) / square
    potential[0, 0, 0] = 0
    third = square / 3
    # The trace is zero: two elements of the diagonal say the third.
    operators = [k**2 - third for k in waves[:2]] + [odd[i] * odd[j] for i, j in ((0, 1), (0, 2), (1, 2))]
    ellipticity, prolateness = [], []
    for radius in radii:
        smoothed = potential * _window(n, box, radius)
        e, p = _shape(*(_at(backward(operator * smoothed), cells) for operator in operators))
        ellipticity.append(e)
        prolateness.append(p)
    return np.stack(ellipticity), np.stack(prolateness)


def _at(values: np.ndarray, cells: np.ndarray | None) -> np.ndarray:
    return values if cells is None else values[tuple(cells.T)]


def spherical_average(crop: np.ndarray) -> np.ndarray:
    """Cubes (..., s, s, s) whose cells are replaced by the mean over their shell around cell s // 2; float32.

    Shells are one cell thick: a cell is in the shell of its distance's nearest integer. Shells that reach beyond the cube are
    averaged over the part inside.

    Raises
    ------
    InputError
        If the last three axes are not a cube.
    """
    crop = np.asarray(crop)
    if crop.ndim < 3 or len(set(crop.shape[-3:])) != 1:
        raise InputError(f"crop: expected cubes (..., s, s, s), given shape {crop.shape}")
    size = crop.shape[-1]
    distance = np.arange(size) - size // 2
    square = distance[:, None, None] ** 2 + distance[:, None] ** 2 + distance**2
    shell = np.rint(np.sqrt(square)).astype(np.int64).ravel()
    flat = np.ascontiguousarray(crop, dtype=np.float32).reshape(-1, size**3)
    return _shell_means(flat, shell, np.bincount(shell)).reshape(crop.shape)


def _cube(field: np.ndarray, even: bool = False) -> np.ndarray:
    shape = np.shape(field)
    if len(shape) != 3 or len(set(shape)) != 1 or (even and shape[0] % 2):
        raise InputError(f"field: expected shape (n, n, n){' with n even' if even else ''}, given {shape}")
    return np.asarray(field)


def _window(n: int, box: float, radius: float) -> np.ndarray:
    """Fourier transform of the spherical top hat at the coefficients of a field, (n, n, n // 2 + 1) float32."""
    if not radius > 0:
        raise InputError(f"radius: expected more than 0 Mpc/h, given {radius}")
    # Values of k^2 are integers only, far fewer than there are modes.
    x = np.sqrt(np.arange(3 * (n // 2) ** 2 + 1)) * (2 * np.pi / box * radius)
    return top_hat_window(x).astype(np.float32)[sum(k.astype(np.int32) ** 2 for k in wave_numbers(n))]


@numba.njit(cache=True, nogil=True)
def _cut(field, offsets):
    """Cubes (m, s, s, s) whose cell i, j, k is the value at the sum of offsets (m, 3, s) along the three axes."""
    values = field.ravel()
    m, _, size = offsets.shape
    out = np.empty((m, size, size, size), dtype=field.dtype)
    for cube in range(m):
        for i in range(size):
            for j in range(size):
                first = offsets[cube, 0, i] + offsets[cube, 1, j]
                for k in range(size):
                    out[cube, i, j, k] = values[first + offsets[cube, 2, k]]
    return out


@numba.njit(cache=True, nogil=True)
def _shell_means(cubes, shell, cells):
    """Cells (m, cells), each replaced by the mean over its shell."""
    out = np.empty_like(cubes)
    for i in range(len(cubes)):
        total = np.zeros(len(cells))
        for cell in range(len(shell)):
            total[shell[cell]] += cubes[i, cell]
        mean = (total / cells).astype(np.float32)
        for cell in range(len(shell)):
            out[i, cell] = mean[shell[cell]]
    return out


@numba.njit(cache=True)
def _shape(xx, yy, xy, xz, yz):
    """Ellipticity and prolateness of traceless symmetric tensors, by the trigonometric roots of their cubic."""
    ellipticity, prolateness = np.empty_like(xx), np.empty_like(xx)
    for i in range(xx.size):
        a, b = np.float64(xx.flat[i]), np.float64(yy.flat[i])
        c, d, e = np.float64(xy.flat[i]), np.float64(xz.flat[i]), np.float64(yz.flat[i])
        zz = -a - b
        scale = np.sqrt((a * a + b * b + zz * zz + 2 * (c * c + d * d + e * e)) / 6)
        determinant = a * (b * zz - e * e) - c * (c * zz - e * d) + d * (c * e - b * d)
        cosine = 0.0 if scale == 0 else max(-1.0, min(1.0, determinant / (2 * scale * scale * scale)))
        angle = np.arccos(cosine) / 3
        first, last = 2 * scale * np.cos(angle), 2 * scale * np.cos(angle + 2 * np.pi / 3)
        ellipticity.flat[i] = first - last
        prolateness.flat[i] = 3 * (first + last)
    return ellipticity, prolateness

"""Short-range part of gravity by direct summation, which completes a particle mesh below a few of its cells (P3M).

The force of a particle is split as in Springel (2005, astro-ph/0505010, section 3): the mesh has its potential smoothed by
exp(-k^2 r_s^2), which takes F(r) = [erf(r / 2 r_s) - r / (r_s sqrt(pi)) exp(-r^2 / 4 r_s^2)] / r^2 of the Newtonian 1/r^2,
and all pairs closer than a cutoff have what is missing (his eq. 21), with a Plummer softening. F(r) / r is smooth in r^2: a
polynomial of r^2 stands for it (as in Habib et al. 2016, arXiv:1410.2805), which takes a loop over pairs many lanes at a time.
"""

from __future__ import annotations

import numba
import numpy as np
from scipy.special import erf

SPLIT = 1.2
"""Scale r_s of the split in cells of the mesh."""
CUTOFF = 4.5
"""Largest separation of a pair in units of r_s; 1.7% of the Newtonian force is left there."""
REACH = 2
"""Cells of the linked list to each side of one in which partners are; a cell is at least CUTOFF / REACH."""
SMALLEST_MESH = int(np.ceil((2 * REACH + 1) * SPLIT * CUTOFF / REACH))
"""Cells a side of the smallest mesh, on which no cell of the linked list is its own neighbor's neighbor twice."""


def _smooth_part() -> tuple[np.float32, ...]:
    """Coefficients of F(r) / r in units of r_s, a polynomial of 2 (r / cutoff)^2 - 1, from the constant on; to 1e-4 / r^3."""
    x = CUTOFF * np.sqrt(np.cos(np.linspace(0, np.pi / 2, 2000)[:-1]))
    exact = (erf(x / 2) - x / np.sqrt(np.pi) * np.exp(-(x**2) / 4)) / x**3
    fit = np.polynomial.Chebyshev.fit(2 * (x / CUTOFF) ** 2 - 1, exact, 8, domain=[-1, 1], w=np.maximum(x, 0.5) ** 3)
    return tuple(np.float32(c) for c in fit.convert(kind=np.polynomial.Polynomial).coef)


SMOOTH = _smooth_part()


def short_range_force(positions: np.ndarray, mesh: int, softening: float) -> np.ndarray:
    """The force -grad laplace^-1 delta, (N, 3) float32, less what a mesh smoothed by ``SPLIT`` has of it; all in cells.

    The same bit for bit on any number of threads.

    Parameters
    ----------
    positions : ndarray of shape (N, 3)
        Positions in [0, mesh), float32.
    mesh : int
        Number of cells along a side of the mesh, at least ``SMALLEST_MESH``.
    softening : float
        Plummer's length, in cells.
    """
    cells = int(mesh / (SPLIT * CUTOFF / REACH))
    order, starts = _order_by_cell(positions, mesh, cells)
    mass = np.float32(mesh**3 / len(positions) / (4 * np.pi))
    forces = np.empty_like(positions)
    _sum_pairs(positions[order], order, starts, cells, np.float32(mesh), np.float32(softening), mass, forces)
    return forces


@numba.njit(cache=True)
def _order_by_cell(positions, mesh, cells):
    """Particle numbers sorted by cell, in C order, and where each cell starts (cells^3 + 1)."""
    scale = cells / mesh
    numbers = np.empty(len(positions), dtype=np.int32)
    starts = np.zeros(cells**3 + 1, dtype=np.int64)
    for i in range(len(positions)):
        number = 0
        for axis in range(3):
            number = number * cells + min(int(positions[i, axis] * scale), cells - 1)
        numbers[i] = number
        starts[number + 1] += 1
    starts = np.cumsum(starts)
    order, place = np.empty(len(positions), dtype=np.int32), starts[:-1].copy()
    for i in range(len(positions)):
        order[place[numbers[i]]] = i
        place[numbers[i]] += 1
    return order, starts


@numba.njit(parallel=True, cache=True)
def _sum_pairs(positions, order, starts, cells, length, softening, mass, forces):
    """Force on each particle of all near it; positions are sorted, forces are written in the first order."""
    for row in numba.prange(cells * cells):
        x, y = row // cells, row % cells
        partners = np.empty((3, 256), dtype=np.float32)
        for z in range(cells):
            begin, end = starts[row * cells + z], starts[row * cells + z + 1]
            if begin == end:
                continue
            found, partners = _gather(positions, starts, cells, length, x, y, z, begin, end, partners)
            for i in range(begin, end):
                fx, fy, fz = _pull(positions[i, 0], positions[i, 1], positions[i, 2], partners, found, softening)
                particle = order[i]
                forces[particle, 0] = mass * fx
                forces[particle, 1] = mass * fy
                forces[particle, 2] = mass * fz


@numba.njit(cache=True)
def _gather(positions, starts, cells, length, x, y, z, begin, end, partners):
    """Particles within the cutoff of the box around [begin, end), (3, found), at their nearest image; the array may grow."""
    low, high = positions[begin].copy(), positions[begin].copy()
    for i in range(begin + 1, end):
        for axis in range(3):
            low[axis] = min(low[axis], positions[i, axis])
            high[axis] = max(high[axis], positions[i, axis])
    limit = np.float32((SPLIT * CUTOFF) ** 2)
    none = np.float32(0)
    found = 0
    for dx in range(-REACH, REACH + 1):
        i, shift_x = _image(x + dx, cells, length)
        for dy in range(-REACH, REACH + 1):
            j, shift_y = _image(y + dy, cells, length)
            for dz in range(-REACH, REACH + 1):
                k, shift_z = _image(z + dz, cells, length)
                cell = (i * cells + j) * cells + k
                if found + starts[cell + 1] - starts[cell] > partners.shape[1]:
                    larger = np.empty((3, 2 * (found + starts[cell + 1] - starts[cell])), dtype=np.float32)
                    for axis in range(3):  # numba would take seconds to compile the error of a slice of another shape
                        for old in range(found):
                            larger[axis, old] = partners[axis, old]
                    partners = larger
                for particle in range(starts[cell], starts[cell + 1]):
                    px = positions[particle, 0] + shift_x
                    py = positions[particle, 1] + shift_y
                    pz = positions[particle, 2] + shift_z
                    ox = max(low[0] - px, px - high[0], none)
                    oy = max(low[1] - py, py - high[1], none)
                    oz = max(low[2] - pz, pz - high[2], none)
                    if ox * ox + oy * oy + oz * oz < limit:
                        partners[0, found] = px
                        partners[1, found] = py
                        partners[2, found] = pz
                        found += 1
    return found, partners


@numba.njit(cache=True)
def _image(cell, cells, length):
    """Number of a cell along an axis, wrapped, and what takes its particles back to where they are looked for."""
    if cell < 0:
        return cell + cells, -length
    if cell >= cells:
        return cell - cells, length
    return cell, np.float32(0)


@numba.njit(cache=True, fastmath=True, error_model="numpy")
def _pull(x, y, z, partners, found, softening):
    """Short-range force 1/r^2 of unit masses on a position, in cells; without branches the loop is vectorized."""
    # numpy's errors: a check of each division for zero would be such a branch
    c0, c1, c2, c3, c4, c5, c6, c7, c8 = SMOOTH
    unit, one = np.float32(1 / SPLIT**3), np.float32(1)
    limit, scale = np.float32((SPLIT * CUTOFF) ** 2), np.float32(2 / (SPLIT * CUTOFF) ** 2)
    plummer = softening * softening
    px, py, pz = partners[0], partners[1], partners[2]
    fx = fy = fz = np.float32(0)
    for j in range(found):
        dx, dy, dz = px[j] - x, py[j] - y, pz[j] - z
        square = dx * dx + dy * dy + dz * dz
        t = square * scale - one
        smooth = c0 + t * (c1 + t * (c2 + t * (c3 + t * (c4 + t * (c5 + t * (c6 + t * (c7 + t * c8)))))))
        inverse = one / np.sqrt(square + plummer)
        force = inverse * inverse * inverse - unit * smooth
        force = force if square < limit else np.float32(0)
        fx += force * dx
        fy += force * dy
        fz += force * dz
    return fx, fy, fz

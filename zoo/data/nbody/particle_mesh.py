"""Particle mesh in comoving coordinates, with the kick and drift factors of FastPM.

The factors (Feng et al. 2016, arXiv:1603.00476) make each step exact in the Zel'dovich approximation, so
that large scales grow by linear theory however few the steps. Steps are equal in the scale factor.

Forces come from the cloud-in-cell density through an influence function and four-point differences; gradient and
interpolation are one pass over the particles, so that no mesh but the potential is ever kept. The influence function is
Hockney & Eastwood's (1988, "Computer simulation using particles", eq. 8-22) for a force 1/r^2, without its factor for the
differences: where the mesh resolves, it divides the cloud-in-cell window out twice, for the density and for the
interpolated force; near the Nyquist frequency, where aliases rule, it does not. With -1/k^2 alone there are a fifth fewer
halos of 50 to 100 particles, on two cells a particle; with the window divided out everywhere, aliases of the particles'
grid tear plane waves apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numba
import numpy as np

from zoo.data.nbody.cosmology import Cosmology, expansion, growth, growth_rate, matter_fraction
from zoo.data.nbody.fourier import backward, forward
from zoo.data.nbody.initial import displacements
from zoo.data.nbody.short_range import SPLIT, short_range_force
from zoo.errors import InputError

if TYPE_CHECKING:
    from zoo.data.nbody.simulate import NBodyConfig


@dataclass(frozen=True)
class Snapshot:
    """Particles at one time, in the C order of the grid they started from.

    Attributes
    ----------
    a : float
        Scale factor of the snapshot.
    positions : ndarray of shape (N, 3)
        Positions in comoving Mpc/h, in [0, box), float32.
    momenta : ndarray of shape (N, 3)
        Momenta a^2 dx/dt / H0 in Mpc/h, float32; the peculiar velocity is 100 / a times that, in km/s.
    """

    a: float
    positions: np.ndarray
    momenta: np.ndarray


def evolve(config: NBodyConfig, delta: np.ndarray, snapshots: Sequence[float] = (1.0,)) -> list[Snapshot]:
    """Evolve particles from the linear density contrast at z = 0, (n, n, n), to each of the scale factors.

    Scale factors between steps become steps of their own.

    Raises
    ------
    InputError
        If the field is not on the config's grid, or a snapshot lies outside [start, 1].
    """
    n, mesh, cosmology = config.particles, config.mesh, config.cosmology
    if delta.shape != (n, n, n):
        raise InputError(f"delta: expected shape {(n, n, n)} for {n} particles a side, given {delta.shape}")
    if wrong := [a for a in snapshots if not config.start <= a <= 1]:
        raise InputError(f"snapshots: expected scale factors in [{config.start}, 1], given {wrong}")
    positions, momenta = second_order_start(delta, config.box, cosmology, config.start)
    # Half a cell off the mesh: of two cells a particle, a grid of particles then fills all cells alike and has no aliases.
    positions = positions * np.float32(mesh / config.box) + np.float32(0.5)
    wrap(positions, mesh)
    momenta *= np.float32(mesh / config.box)
    smoothing = 0.0 if config.softening is None else SPLIT

    taken: dict[float, Snapshot] = {}
    times = np.unique([*np.linspace(config.start, 1, config.steps + 1), *snapshots])
    times = times[times <= max(snapshots)]
    middles = (times[1:] + times[:-1]) / 2
    for step, a in enumerate(times):
        potential = mesh_potential(positions, mesh, smoothing)
        pull = None if config.softening is None else short_range_force(positions, mesh, config.softening * config.mesh_factor)
        before, after = middles[step - 1] if step else a, middles[step] if step < len(middles) else a
        if a in snapshots:
            kick_drift(positions, momenta, potential, kick_factor(cosmology, before, a, a), 0.0, pull)
            unit = np.float32(config.box / mesh)
            comoving = (positions - np.float32(0.5)) * unit
            wrap(comoving, config.box)
            taken[float(a)] = Snapshot(float(a), comoving, momenta * unit)
            before = a
        if step < len(middles):
            drift = drift_factor(cosmology, a, times[step + 1], after)
            kick_drift(positions, momenta, potential, kick_factor(cosmology, before, after, a), drift, pull)
    return [taken[float(a)] for a in snapshots]


def second_order_start(delta: np.ndarray, box: float, cosmology: Cosmology, a: float) -> tuple[np.ndarray, np.ndarray]:
    """Positions and momenta of a grid of particles in 2LPT, as ``Snapshot``, but for positions not wrapped into the box."""
    n = len(delta)
    psi1, psi2 = displacements(delta, box)
    matter, first = matter_fraction(cosmology, a), growth(cosmology, a)
    second = -3 / 7 * first**2 * matter ** (-1 / 143)
    speed = a**2 * expansion(cosmology, a)
    rates = speed * growth_rate(cosmology, a) * first, speed * 2 * matter ** (6 / 11) * second
    positions, momenta = np.empty((2, n, n, n, 3), dtype=np.float32)
    grid = np.arange(n, dtype=np.float32) * np.float32(box / n)
    for axis, q in enumerate(np.meshgrid(grid, grid, grid, indexing="ij", sparse=True)):
        positions[..., axis] = q + np.float32(first) * psi1[axis] + np.float32(second) * psi2[axis]
        momenta[..., axis] = np.float32(rates[0]) * psi1[axis] + np.float32(rates[1]) * psi2[axis]
    return positions.reshape(-1, 3), momenta.reshape(-1, 3)


def kick_factor(cosmology: Cosmology, a0: float, a1: float, at: float) -> float:
    """Change of momentum from a0 to a1 under the force -grad laplace^-1 delta found at time ``at``."""
    return float((_momentum(cosmology, a1) - _momentum(cosmology, a0)) / growth(cosmology, at))


def drift_factor(cosmology: Cosmology, a0: float, a1: float, at: float) -> float:
    """Change of position from a0 to a1 at the momentum of time ``at``."""
    return float((growth(cosmology, a1) - growth(cosmology, a0)) / _momentum(cosmology, at))


def _momentum(cosmology: Cosmology, a: float):
    """Momentum of a unit displacement in linear theory, a^3 E dD/da."""
    return a**2 * expansion(cosmology, a) * growth_rate(cosmology, a) * growth(cosmology, a)


def mesh_potential(positions: np.ndarray, mesh: int, smoothing: float = 0.0) -> np.ndarray:
    """Potential laplace^-1 delta, (mesh, mesh, mesh) float32, of particles at positions in cells; lengths are in cells.

    Times exp(-k^2 smoothing^2): what is left for the mesh of a force split with ``short_range``.
    """
    modes = forward(assign_mass(positions, mesh))
    frequency = np.fft.fftfreq(mesh)
    aliases = 1 - 2 / 3 * np.sin(np.pi * frequency) ** 2  # the window's square summed over a mode and all its aliases
    square, window = (2 * np.pi * frequency) ** 2, np.sinc(frequency) ** 4 / aliases**2
    window *= np.exp(-square * smoothing**2)
    _solve_poisson(modes, square.astype(np.float32), window.astype(np.float32), np.float32(mesh**3 / len(positions)))
    return backward(modes)


def assign_mass(positions: np.ndarray, mesh: int) -> np.ndarray:
    """Cloud-in-cell counts, (mesh, mesh, mesh) float32, of particles at positions in [0, mesh); the same for any threads.

    Particles are first ordered by the plane of cells they are in: every second plane can then be filled at once.
    """
    order, starts = _order_by_plane(positions, mesh)
    return _assign(positions, order, starts, mesh)


@numba.njit(parallel=True, cache=True)
def wrap(positions, length):
    """Wrap positions from anywhere into [0, length), in place."""
    length = np.float32(length)
    for i in numba.prange(len(positions)):
        for axis in range(3):
            x = positions[i, axis]
            x -= length * np.floor(x / length)
            positions[i, axis] = x if x < length else np.float32(0)


@numba.njit(cache=True)
def _order_by_plane(positions, mesh):
    """Particle numbers sorted by the cell along the first axis, and where each plane starts (mesh + 1)."""
    starts = np.zeros(mesh + 1, dtype=np.int64)
    for i in range(len(positions)):
        starts[int(positions[i, 0]) + 1] += 1
    starts = np.cumsum(starts)
    order, place = np.empty(len(positions), dtype=np.int32), starts[:-1].copy()
    for i in range(len(positions)):
        plane = int(positions[i, 0])
        order[place[plane]] = i
        place[plane] += 1
    return order, starts


@numba.njit(parallel=True, cache=True)
def _assign(positions, order, starts, mesh):
    density = np.zeros((mesh, mesh, mesh), dtype=np.float32)
    one = np.float32(1)
    for parity in range(2):
        for pair in numba.prange(mesh // 2):
            i0 = np.int64(2 * pair) + parity
            i1 = i0 + 1 if i0 + 1 < mesh else 0
            for number in range(starts[i0], starts[i0 + 1]):
                particle = order[number]
                x, y, z = positions[particle, 0], positions[particle, 1], positions[particle, 2]
                j0, k0 = int(y), int(z)
                j1 = j0 + 1 if j0 + 1 < mesh else 0
                k1 = k0 + 1 if k0 + 1 < mesh else 0
                u, v, w = x - np.float32(i0), y - np.float32(j0), z - np.float32(k0)
                near, far = (one - u) * (one - v), (one - u) * v
                density[i0, j0, k0] += near * (one - w)
                density[i0, j0, k1] += near * w
                density[i0, j1, k0] += far * (one - w)
                density[i0, j1, k1] += far * w
                near, far = u * (one - v), u * v
                density[i1, j0, k0] += near * (one - w)
                density[i1, j0, k1] += near * w
                density[i1, j1, k0] += far * (one - w)
                density[i1, j1, k1] += far * w
    return density


@numba.njit(parallel=True, cache=True)
def _solve_poisson(modes, square, window, scale):
    """Multiply by -scale / k^2 and the window in place; both are given along one axis."""
    n, _, depth = modes.shape
    for i in numba.prange(n):
        for j in range(n):
            plane, factor = square[i] + square[j], -scale * window[i] * window[j]
            for k in range(depth):
                total = plane + square[k]
                modes[i, j, k] *= factor * window[k] / total if total > 0 else np.float32(0)


@numba.njit(cache=True)
def _stencil(cell, u, mesh):
    """Six cells around one, wrapped, and the weights that interpolate the four-point difference between two of them."""
    cells = (  # comparisons, as % takes longer than all the rest
        cell - 2 if cell > 1 else cell - 2 + mesh,
        cell - 1 if cell > 0 else cell - 1 + mesh,
        cell,
        cell + 1 if cell < mesh - 1 else cell + 1 - mesh,
        cell + 2 if cell < mesh - 2 else cell + 2 - mesh,
        cell + 3 if cell < mesh - 3 else cell + 3 - mesh,
    )
    a, b = np.float32(1 / 12), np.float32(2 / 3)
    v = np.float32(1) - u
    return cells, (a * v, a * u - b * v, -b * u, b * v, b * u - a * v, -a * u)


@numba.njit(cache=True)
def gradient(field, x, y, z):
    """Gradient (x, y, z) of a periodic field in cells, by four-point differences, cloud-in-cell interpolated to a position."""
    mesh = len(field)
    i, j, k = int(x), int(y), int(z)
    u, v, w = x - np.float32(i), y - np.float32(j), z - np.float32(k)
    ci, gi = _stencil(i, u, mesh)
    cj, gj = _stencil(j, v, mesh)
    ck, gk = _stencil(k, w, mesh)
    one = np.float32(1)
    wi, wj, wk = (one - u, u), (one - v, v), (one - w, w)
    gx = gy = gz = np.float32(0)
    for p in range(2):
        for q in range(2):
            weight_x, weight_y, weight_z = wj[p] * wk[q], wi[p] * wk[q], wi[p] * wj[q]
            for m in range(6):
                gx += weight_x * gi[m] * field[ci[m], cj[2 + p], ck[2 + q]]
                gy += weight_y * gj[m] * field[ci[2 + p], cj[m], ck[2 + q]]
                gz += weight_z * gk[m] * field[ci[2 + p], cj[2 + q], ck[m]]
    return gx, gy, gz


def kick_drift(positions, momenta, potential, kick, drift, pull=None):
    """Add kick (pull - grad potential) to momenta, then drift times these to positions, in place; all in units of cells.

    Both parts of a split force take the same factor, as waves of the length of the split grow by the sum of the two.
    """
    if pull is not None:
        momenta += np.float32(kick) * pull
    _kick_drift(positions, momenta, potential, kick, drift)


@numba.njit(parallel=True, cache=True)
def _kick_drift(positions, momenta, potential, kick, drift):
    length, kick, drift = np.float32(len(potential)), np.float32(kick), np.float32(drift)
    for i in numba.prange(len(positions)):
        gx, gy, gz = gradient(potential, positions[i, 0], positions[i, 1], positions[i, 2])
        momenta[i, 0] -= kick * gx
        momenta[i, 1] -= kick * gy
        momenta[i, 2] -= kick * gz
        for axis in range(3):
            x = positions[i, axis] + drift * momenta[i, axis]
            x -= length * np.floor(x / length)
            positions[i, axis] = x if x < length else np.float32(0)

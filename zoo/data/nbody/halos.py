"""Halos of a periodic box of particles: friends of friends, spherical overdensities, profiles and the mass function.

Positions are (N, 3), comoving Mpc/h in [0, box], and are read in single precision; masses are in Msun/h. Everything runs
on one thread: simulations are what runs in parallel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np

from zoo.errors import InputError

OVERDENSITY = 200
"""Mean density inside r200m, in units of the mean matter density."""
CORE = 10
"""Particles in the smallest sphere whose density or center is measured."""
SHRINK = 0.95
"""Radius of each shrinking sphere in units of the one before (Power et al. 2003, astro-ph/0201544, use 0.975)."""


@dataclass(frozen=True)
class Halos:
    """Halos numbered as ``friends_of_friends`` does, by decreasing mass.

    Attributes
    ----------
    size : ndarray of shape (H,)
        Number of particles linked by friends of friends, int64.
    mass : ndarray of shape (H,)
        Mass of these particles in Msun/h, float64.
    center_of_mass : ndarray of shape (H, 3)
        Center of mass of these particles in Mpc/h, in [0, box), float32.
    density_peak : ndarray of shape (H, 3)
        Where spheres that shrink around these particles end, the center of r200m and of profiles, in Mpc/h, in [0, box),
        float32.
    r200m : ndarray of shape (H,)
        Radius in Mpc/h at which the mean density around the peak, of all particles, first falls below 200 times the mean; NaN
        if it is lower already around the ten innermost; float32.
    m200m : ndarray of shape (H,)
        Mass within r200m in Msun/h, float64.
    """

    size: np.ndarray
    mass: np.ndarray
    center_of_mass: np.ndarray
    density_peak: np.ndarray
    r200m: np.ndarray
    m200m: np.ndarray


def friends_of_friends(positions: np.ndarray, box: float, linking: float = 0.2, minimum: int = 20) -> np.ndarray:
    """Halo number of each particle, (N,) int32: 0 for the largest halo, -1 in none of at least ``minimum`` particles.

    Particles closer than ``linking`` mean separations are friends (Davis et al. 1985). Halos of one size are numbered by
    their first particle, so the answer depends on nothing but the input.

    Raises
    ------
    InputError
        If positions are not (N, 3) in the box, or ``linking`` is not positive.
    """
    if not linking > 0:
        raise InputError(f"linking: expected a positive number of mean separations, given {linking}")
    positions = _checked(positions, box)
    if not len(positions):
        return np.empty(0, dtype=np.int32)
    length = float(linking * box / np.cbrt(len(positions)))
    # Cells whose diagonal is the linking length: all particles of a cell are friends, and cells are what is linked.
    cells = int(np.ceil(np.sqrt(3) * box / length))
    numbers = _cell_numbers(positions, float(box), cells)
    order = np.argsort(numbers, kind="stable")
    groups = np.empty(len(order), dtype=np.int32)
    groups[order] = _link(positions[order], numbers[order], cells, float(box), length)
    return _number_by_size(groups, minimum)


def catalog(positions: np.ndarray, halo_of: np.ndarray, box: float, particle_mass: float, mean_density: float) -> Halos:
    """Masses and centers of the halos of ``friends_of_friends``; ``mean_density`` in (Msun/h) / (Mpc/h)^3.

    Raises
    ------
    InputError
        If positions are not (N, 3) in the box, or ``halo_of`` is not one number for each of them.
    """
    positions = _checked(positions, box)
    halo_of = np.asarray(halo_of)
    if halo_of.shape != (len(positions),):
        raise InputError(f"halo_of: expected one number for each of {len(positions)} particles, given shape {halo_of.shape}")
    members = np.flatnonzero(halo_of >= 0)
    members = members[np.argsort(halo_of[members], kind="stable")]
    size = np.bincount(halo_of[members]).astype(np.int64)
    starts = np.concatenate([[0], np.cumsum(size)])
    center_of_mass = periodic_means(positions, halo_of, box).astype(np.float32)
    density_peak = _density_peaks(positions[members], starts, center_of_mass, float(box))
    threshold = float(OVERDENSITY * mean_density / particle_mass)
    inside = _counts_in_r200m(*_sorted_into_cells(positions, box), density_peak, size, float(box), threshold)
    resolved = np.where(inside > 0, inside, np.nan)
    return Halos(
        size=size,
        mass=size * float(particle_mass),
        center_of_mass=_wrapped(center_of_mass, box),
        density_peak=_wrapped(density_peak, box),
        r200m=np.cbrt(resolved / (threshold * 4 / 3 * np.pi)).astype(np.float32),
        m200m=resolved * particle_mass,
    )


def profiles(
    positions: np.ndarray, centers: np.ndarray, edges: np.ndarray, box: float, r200m: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Spherically averaged density around each center in units of the mean, and particle counts, both (H, bins).

    Parameters
    ----------
    centers : ndarray of shape (H, 3)
        Middles of the shells in Mpc/h.
    edges : ndarray of shape (bins + 1,)
        Increasing radii in Mpc/h, or in units of ``r200m`` (H,) if that is given.
    r200m : ndarray of shape (H,), optional
        Positive radii that ``edges`` are in units of; without them, edges are in Mpc/h.

    Raises
    ------
    InputError
        If positions or centers are not in the box, or the radii do not increase from >= 0 to at most half of the box.
    """
    positions, centers = _checked(positions, box), _checked(centers, box, "centers")
    scale = np.ones(len(centers)) if r200m is None else np.asarray(r200m, dtype=float)
    if scale.shape != (len(centers),) or not (scale > 0).all():
        raise InputError(f"r200m: expected a positive radius for each of {len(centers)} centers, given {scale}: leave out NaN")
    radii = scale[:, None] * np.asarray(edges, dtype=float)
    if not (np.diff(radii) > 0).all() or not (radii >= 0).all() or not (radii <= box / 2).all():
        raise InputError(
            f"edges: expected radii that increase from >= 0 to half of the box, {box / 2:g} Mpc/h, given {radii.min():g} to "
            f"{radii.max():g} Mpc/h; edges {edges}"
        )
    counts = _count_in_shells(*_sorted_into_cells(positions, box), centers, radii, float(box))
    volumes = 4 / 3 * np.pi * np.diff(radii**3)
    return (counts / volumes / (len(positions) / box**3)).astype(np.float32), counts


def mass_function(masses: np.ndarray, box: float, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mass function dn/dlog10 M in (Mpc/h)^-3 and number of halos in each bin; ``edges`` (bins + 1,) in Msun/h.

    Masses of friends-of-friends halos are multiples of the particle mass: put edges halfway between multiples.
    """
    counts = np.histogram(masses, bins=edges)[0]
    return counts / box**3 / np.diff(np.log10(edges)), counts


def periodic_means(points: np.ndarray, group_of: np.ndarray, period: float) -> np.ndarray:
    """Mean position of each group, (groups, 3) float64 in [0, period), of (N, 3) points that wrap around.

    A first guess on the circle, then the plain mean of what lies around it: exact for groups narrower than half a period.
    """
    chosen = np.flatnonzero(group_of >= 0)
    groups, points = group_of[chosen], points[chosen]
    size = np.bincount(groups)
    means = np.empty((len(size), 3))
    for axis in range(3):
        angle = points[:, axis] * (2 * np.pi / period)
        sine, cosine = np.bincount(groups, np.sin(angle)), np.bincount(groups, np.cos(angle))
        guess = np.arctan2(sine, cosine) * (period / (2 * np.pi))
        offset = points[:, axis] - guess[groups]
        offset -= period * np.round(offset / period)
        means[:, axis] = guess + np.bincount(groups, offset) / size
    return _wrapped(means, period)


def _checked(positions: np.ndarray, box: float, name: str = "positions") -> np.ndarray:
    positions = np.ascontiguousarray(positions, dtype=np.float32)
    if positions.ndim != 2 or positions.shape[1] != 3:
        raise InputError(f"{name}: expected shape (N, 3), given {positions.shape}")
    if len(positions) and not (positions.min() >= 0 and positions.max() <= np.float32(box)):
        given = f"{positions.min():g} to {positions.max():g}"
        raise InputError(f"{name}: expected from 0 to the box's {box:g} Mpc/h, given {given}: wrap them")
    return positions


def _wrapped(points: np.ndarray, period: float) -> np.ndarray:
    """Wrap points into [0, period), in their precision, which may round up to the period itself."""
    points = points % points.dtype.type(period)
    points[points >= period] = 0
    return points


def _number_by_size(groups: np.ndarray, minimum: int) -> np.ndarray:
    """Groups renumbered by decreasing size, then first particle; -1 in groups of fewer than ``minimum``."""
    size = np.bincount(groups)
    first = np.full(len(size), len(groups))
    np.minimum.at(first, groups, np.arange(len(groups)))
    large = np.flatnonzero(size >= minimum)
    large = large[np.lexsort((first[large], -size[large]))]
    number = np.full(len(size), -1, dtype=np.int32)
    number[large] = np.arange(len(large))
    return number[groups]


@numba.njit(cache=True)
def _cell_numbers(positions, box, cells):
    """C-order number of the cell of each particle, among ``cells`` along each axis."""
    numbers = np.empty(len(positions), dtype=np.int64)
    for i in range(len(positions)):
        number = 0
        for axis in range(3):
            number = number * cells + min(int(positions[i, axis] / box * cells), cells - 1)
        numbers[i] = number
    return numbers


def cell_order(positions: np.ndarray, box: float) -> tuple[np.ndarray, np.ndarray]:
    """Particle numbers sorted by cell, and where each cell starts, (cells, cells, cells) then the end.

    There are about as many cells as particles: along each axis, their cube root, rounded.
    """
    cells = max(1, round(np.cbrt(len(positions))))
    numbers = _cell_numbers(positions, float(box), cells)
    starts = np.concatenate([[0], np.cumsum(np.bincount(numbers, minlength=cells**3))])
    return np.argsort(numbers, kind="stable"), starts


def _sorted_into_cells(positions: np.ndarray, box: float) -> tuple[np.ndarray, np.ndarray]:
    """Positions sorted by cell, and where each cell starts."""
    order, starts = cell_order(positions, box)
    return positions[order], starts


@numba.njit(cache=True)
def cells_around(center, reach, box, cells):
    """Along each axis, the first of the cells within ``reach`` of a point, which may lie outside the box, and how many."""
    low, count = np.empty(3, dtype=np.int64), np.empty(3, dtype=np.int64)
    for axis in range(3):
        first = int(np.floor((center[axis] - reach) / box * cells))
        last = int(np.floor((center[axis] + reach) / box * cells))
        low[axis], count[axis] = first, min(last - first + 1, cells)
    return low, count


@numba.njit(cache=True)
def _separation(a, b, box):
    """Squared distance to the nearest image."""
    total = 0.0
    for axis in range(3):
        d = abs(np.float64(a[axis]) - np.float64(b[axis]))
        d = min(d, box - d)
        total += d * d
    return total


@numba.njit(cache=True)
def _root(parent, i):
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@numba.njit(cache=True)
def _link(positions, numbers, cells, box, length):
    """Group of each particle, int32, in any order of groups; particles are sorted by the number of their cell.

    A row is a line of cells along the last axis. Friends are at most two cells apart along each axis, so each row is held
    against itself and the twelve of its neighbors that come after it, in passes that go along both rows at once.
    """
    n = len(positions)
    cell_of = np.empty(n, dtype=np.int32)  # among the occupied cells, to which all that follows refers
    starts = np.empty(n + 1, dtype=np.int32)  # where each cell's particles start
    column = np.empty(n, dtype=np.int32)
    row_starts = np.zeros(cells * cells + 1, dtype=np.int64)  # where each row's cells start
    occupied = 0
    for i in range(n):
        if i == 0 or numbers[i] != numbers[i - 1]:
            starts[occupied] = i
            column[occupied] = numbers[i] % cells
            row_starts[numbers[i] // cells + 1] += 1
            occupied += 1
        cell_of[i] = occupied - 1
    starts[occupied] = n
    row_starts = np.cumsum(row_starts)

    parent = np.arange(occupied).astype(np.int32)
    # Nearest rows come first: what they have linked need not be looked at again.
    for reach in (0, 1, 2, 4, 5, 8):
        for dx in range(3):
            for dy in range(-2, 3):
                if dx * dx + dy * dy != reach or (dx == 0 and dy < 0):
                    continue
                for x in range(cells):
                    for y in range(cells):
                        row = x * cells + y
                        if row_starts[row] == row_starts[row + 1]:
                            continue
                        other = (x + dx) % cells * cells + (y + dy) % cells
                        for shift in (0, -cells, cells):
                            _link_rows(
                                positions, starts, column, parent, row_starts[row], row_starts[row + 1], row_starts[other],
                                row_starts[other + 1], shift, box, length * length,
                            )  # fmt: skip
    return np.array([_root(parent, cell) for cell in cell_of], dtype=np.int32)


@numba.njit(cache=True)
def _link_rows(positions, starts, column, parent, begin, end, other_begin, other_end, shift, box, square):
    """Link the cells [begin, end) of a row with those of another, whose columns count as ``shift`` higher."""
    if (
        other_begin == other_end
        or column[other_end - 1] + shift < column[begin] - 2
        or column[other_begin] + shift > column[end - 1] + 2
    ):
        return
    low = other_begin
    for cell in range(begin, end):
        while low < other_end and column[low] + shift < column[cell] - 2:
            low += 1
        other = low
        while other < other_end and column[other] + shift <= column[cell] + 2:
            a, b = _root(parent, cell), _root(parent, other)
            if a != b and _touch(positions, starts[cell], starts[cell + 1], starts[other], starts[other + 1], box, square):
                parent[max(a, b)] = min(a, b)
            other += 1


@numba.njit(cache=True)
def _touch(positions, begin, end, other_begin, other_end, box, square):
    """Whether any two particles of two cells are friends."""
    for i in range(begin, end):
        for j in range(other_begin, other_end):
            if _separation(positions[i], positions[j], box) <= square:
                return True
    return False


@numba.njit(cache=True)
def _density_peaks(members, starts, centers, box):
    """Centers of spheres that shrink around the members of each halo, from all of them to a hundredth or ``CORE``."""
    peaks = np.empty_like(centers)
    for halo in range(len(centers)):
        own = members[starts[halo] : starts[halo + 1]]
        offsets = np.empty((len(own), 3))
        square = 0.0
        for i in range(len(own)):
            for axis in range(3):
                d = np.float64(own[i, axis]) - np.float64(centers[halo, axis])
                offsets[i, axis] = d - box * np.round(d / box)
            square = max(square, (offsets[i] ** 2).sum())
        least = max(CORE, len(own) // 100)
        center, inside = np.zeros(3), len(own)
        while inside > least:
            square *= SHRINK**2
            inside, total = 0, np.zeros(3)
            for i in range(len(own)):
                x, y, z = offsets[i, 0] - center[0], offsets[i, 1] - center[1], offsets[i, 2] - center[2]
                if x * x + y * y + z * z <= square:
                    total += offsets[i]
                    inside += 1
            if inside >= least:
                center = total / inside
        for axis in range(3):
            peaks[halo, axis] = (centers[halo, axis] + center[axis]) % box
    return peaks


@numba.njit(cache=True)
def _gather(positions, starts, center, radius, box, squares):
    """Squared distances, up to the radius, of particles sorted into cells; returns how many and the array, grown if need be."""
    cells = int(np.round((len(starts) - 1) ** (1 / 3)))
    low, count = cells_around(center, radius, box, cells)
    found = 0
    limit = radius * radius
    for i in range(count[0]):
        x = (low[0] + i) % cells
        for j in range(count[1]):
            row = (x * cells + (low[1] + j) % cells) * cells
            for k in range(count[2]):
                cell = row + (low[2] + k) % cells
                for particle in range(starts[cell], starts[cell + 1]):
                    square = _separation(positions[particle], center, box)
                    if square <= limit:
                        if found == len(squares):
                            squares = np.concatenate((squares, np.empty_like(squares)))
                        squares[found] = square
                        found += 1
    return found, squares


@numba.njit(cache=True)
def _counts_in_r200m(positions, starts, centers, sizes, box, threshold):
    """Particles within r200m of each center, 0 where it is not resolved; ``threshold`` is a number density."""
    counts = np.zeros(len(centers), dtype=np.int64)
    squares = np.empty(1024)
    dense = 4 / 3 * np.pi * threshold  # particles inside the unit sphere at the threshold
    for halo in range(len(centers)):
        radius = 1.3 * (max(sizes[halo], CORE) / dense) ** (1 / 3)
        while True:
            radius = min(radius, box / 2)
            found, squares = _gather(positions, starts, centers[halo], radius, box, squares)
            distances = np.sqrt(np.sort(squares[:found]))
            if found < CORE or dense * distances[CORE - 1] ** 3 > CORE:
                break
            for inside in range(CORE, found + 1):
                if inside < dense * (distances[inside] if inside < found else radius) ** 3:
                    counts[halo] = inside
                    break
            if counts[halo] > 0 or radius == box / 2:
                break
            radius *= 1.5
    return counts


@numba.njit(cache=True)
def _count_in_shells(positions, starts, centers, edges, box):
    """Particles with edges[i] <= r < edges[i + 1], (H, bins)."""
    bins = edges.shape[1] - 1
    counts = np.zeros((len(centers), bins), dtype=np.int64)
    squares = np.empty(1024)
    for halo in range(len(centers)):
        found, squares = _gather(positions, starts, centers[halo], edges[halo, bins], box, squares)
        for i in range(found):
            shell = np.searchsorted(edges[halo], np.sqrt(squares[i]), side="right") - 1
            if 0 <= shell < bins:
                counts[halo, shell] += 1
    return counts

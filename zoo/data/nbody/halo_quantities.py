"""What is measured of each halo of a simulation, from the particles around its density peak."""

from __future__ import annotations

import numpy as np

from zoo.data.nbody.halo_shells import OUTER, WIDTH
from zoo.data.nbody.halos import OVERDENSITY
from zoo.data.nbody.neighbors import Neighbors
from zoo.data.nbody.nfw import fit_nfw, most_likely
from zoo.data.nbody.simulate import Simulation
from zoo.errors import InputError

UNITS = {
    "log_mass": "log10(Msun/h)",
    "log_concentration": "1",
    "outer_slope": "1",
    "infall": "V200m",
    "axis_ratio": "1",
    "environment": "log10(mean density)",
    "offset": "R200m",
    "mass_ratio": "1",
}
INNER_SHELLS = np.geomspace(0.1, 1.0, 17)
OUTER_SHELLS = np.geomspace(1.0, 3.0, 9)
SLOPES = np.linspace(-8.0, 3.0, 221)
"""Slopes d ln rho / d ln r that are tried."""
INFALL = 1.0, 1.5
ENVIRONMENT = 10.0
"""Radius, in R200m, to which the surroundings of a halo reach; they start at half of that."""


def halo_quantities(simulation: Simulation, chosen: np.ndarray) -> tuple[dict[str, np.ndarray], list[np.ndarray]]:
    """Quantities by name, (n,) float64 in ``UNITS``, of the ``chosen`` (n,) halos of a simulation, and their sorted radii.

    Radii are distances from the density peak in units of R200m, as far as the shell around 3 R200m reaches. Of the quantities,

    - log_mass is that of M200m;
    - log_concentration is log10 of R200m / r_s of the NFW profile fitted to the counts in 16 shells of 0.1 to 1 R200m;
    - outer_slope is d ln rho / d ln r of the power law fitted to the counts in 8 shells of 1 to 3 R200m, from -8 to 3;
    - infall is the mean radial velocity, Hubble flow included, of the particles in 1 to 1.5 R200m relative to the mean of those
      within R200m; it is negative where mass falls in, 0 where that shell is empty;
    - axis_ratio is the least over the greatest axis of the reduced tensor of inertia (weights 1 / r^2) of the particles within
      R200m: a sphere, not an ellipsoid, so that it is rounder than the halo;
    - environment is log10 of the density in 5 to 10 R200m, or in a quarter to half of the box where that is less;
    - offset is the distance of the center of mass of the particles within R200m from the density peak;
    - mass_ratio is log10 of the mass within 2 R200m over M200m.

    Raises
    ------
    InputError
        If 3 R200m of one of them are more than half of the box.
    """
    config, halos = simulation.config, simulation.halos
    if not (OUTER * halos.r200m[chosen] <= config.box / 2).all():
        most = config.box / 2 / OUTER
        raise InputError(f"r200m: expected at most {most:.3g} Mpc/h, a sixth of the box, given {halos.r200m[chosen].max():.3g}")
    neighbors = Neighbors(simulation.positions, config.box)
    momenta = np.asarray(simulation.momenta)
    truth = {name: np.empty(len(chosen)) for name in UNITS}
    truth["log_mass"][:] = np.log10(halos.m200m[chosen])
    radii = []
    for row, halo in enumerate(chosen):
        r200m = float(halos.r200m[halo])
        reach = min(ENVIRONMENT * r200m, config.box / 2)
        particles, offsets = neighbors.within(halos.density_peak[halo], reach)
        offsets /= r200m
        radius = np.sqrt(np.einsum("ij,ij->i", offsets, offsets))
        radii.append(np.sort(radius[radius <= OUTER * np.sqrt(WIDTH)]).astype(np.float32))
        inside, infalling = radius <= 1, (radius > INFALL[0]) & (radius <= INFALL[1])
        outwards = offsets[infalling] / radius[infalling, None]
        peculiar = momenta[particles[infalling]] - momenta[particles[inside]].mean(axis=0, dtype=float)
        # Velocities are in H0 R200m; V200m is 10 sqrt(Omega_m) of these, as 200 times the mean density is in R200m.
        velocity = np.einsum("ij,ij->i", peculiar, outwards) / r200m + radius[infalling]
        truth["infall"][row] = _mean(velocity) / np.sqrt(OVERDENSITY / 2 * config.cosmology.omega_m)
        truth["axis_ratio"][row] = _axis_ratio(offsets[inside], radius[inside])
        truth["offset"][row] = np.linalg.norm(offsets[inside].mean(axis=0))
        truth["mass_ratio"][row] = np.log10((radius <= 2).sum() / inside.sum())
        limits = reach / r200m * np.array([0.5, 1.0])
        around = ((radius > limits[0]) & (radius <= limits[1])).sum()
        volume = 4 / 3 * np.pi * np.diff((limits * r200m) ** 3)[0]
        truth["environment"][row] = np.log10(max(around, 0.5) / volume / neighbors.density)
    if radii:
        inner, outer = (np.stack([np.histogram(r, edges)[0] for r in radii]) for edges in (INNER_SHELLS, OUTER_SHELLS))
        truth["log_concentration"][:] = np.log10(fit_nfw(inner, INNER_SHELLS).concentration)
        truth["outer_slope"][:] = _slopes(outer)
    return truth, radii


def _slopes(counts: np.ndarray) -> np.ndarray:
    powers = (SLOPES + 3)[:, None]
    powers = np.where(np.abs(powers) < 1e-9, 1e-9, powers)  # where the integral is the logarithm
    alone = counts.sum(axis=1, keepdims=True) == 0  # each shell then counts as one particle, so that there is a slope
    return most_likely(counts + alone, np.diff(OUTER_SHELLS**powers) / powers, SLOPES)


def _axis_ratio(offsets: np.ndarray, radius: np.ndarray) -> float:
    directions = offsets[radius > 0] / radius[radius > 0, None]
    least, _, greatest = np.linalg.eigvalsh(directions.T @ directions)
    return float(np.sqrt(max(least, 0) / greatest))


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else 0.0

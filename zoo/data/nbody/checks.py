"""What theory expects of simulations, and what they have of it: power, growth, momentum and number of halos."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from zoo.data.nbody.cosmology import (
    CMB_TEMPERATURE,
    Cosmology,
    lagrangian_radius,
    linear_power,
    mean_matter_density,
    sigma_top_hat,
    top_hat_window,
)
from zoo.data.nbody.fourier import backward, forward, wave_numbers
from zoo.data.nbody.initial import linear_density
from zoo.data.nbody.particle_mesh import evolve
from zoo.data.nbody.power import field_power, particle_power
from zoo.data.nbody.simulate import NBodyConfig
from zoo.errors import InputError

HALO_SIZES = np.array([20, 43, 93, 200, 431, 928, 2000]) - 0.5
"""Edges of the bins in which halos are counted, particles: three in a factor of ten."""


def halofit_power(cosmology: Cosmology, k: np.ndarray) -> np.ndarray:
    """Nonlinear matter power (Mpc/h)^3 at z = 0 and k (h/Mpc): HMcode (Mead et al. 2021, arXiv:2009.01858), CAMB's HALOFIT."""
    return _halofit(cosmology).P(0.0, np.asarray(k))


@lru_cache(maxsize=4)
def _halofit(cosmology: Cosmology):
    """CAMB's interpolator."""
    import camb

    density = cosmology.h**2 * np.array([cosmology.omega_b, cosmology.omega_m - cosmology.omega_b])
    parameters = camb.set_params(H0=100 * cosmology.h, ombh2=density[0], omch2=density[1], mnu=0, omk=0, TCMB=CMB_TEMPERATURE)
    parameters.InitPower.set_params(As=2e-9, ns=cosmology.n_s)
    parameters.WantCls = False
    parameters.set_matter_power(redshifts=[0.0], kmax=30.0)
    amplitude = (cosmology.sigma8 / camb.get_results(parameters).get_sigma8_0()) ** 2
    parameters.InitPower.set_params(As=2e-9 * amplitude, ns=cosmology.n_s)
    return camb.get_results(parameters).get_matter_power_interpolator(nonlinear=True)


def paired_fields(config: NBodyConfig, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A linear density, (n, n, n) float32, with the amplitudes of the linear spectrum and random phases, and its negative.

    The power of such a pair scatters far less than that of Gaussian fields (Angulo & Pontzen 2016, arXiv:1603.05253).
    """
    n = config.particles
    modes = forward(linear_density(config, seed))
    length = np.sqrt(sum(k**2 for k in wave_numbers(n)))
    length[0, 0, 0] = 1
    power = linear_power(config.cosmology, 2 * np.pi / config.box * length, transfer=config.transfer)
    modes = (np.sqrt(power * n**6 / config.box**3) * np.exp(1j * np.angle(modes)) * (modes != 0)).astype(np.complex64)
    field = backward(modes)
    return field, -field


def growth_of_modes(config: NBodyConfig, seed: int, a: np.ndarray, largest: float) -> np.ndarray:
    """Growth of the modes of at most ``largest`` h/Mpc up to each scale factor, (len(a),), relative to the linear density.

    It is the root of the ratio of powers, in which cosmic variance cancels.
    """
    linear = linear_density(config, seed)
    k, start, weights = field_power(linear, config.box)
    low = np.flatnonzero(k <= largest)
    if not len(low):
        raise InputError(f"largest: expected a wavenumber of at least the box's first, {k[0]:.4g} h/Mpc, given {largest}")
    found = []
    for snapshot in evolve(config, linear, tuple(float(value) for value in a)):
        # Shot noise would be that of random particles, which these, still near their grid, are not.
        _, power, _ = particle_power(snapshot.positions, config.box, 2 * config.particles, shot_noise=False)
        found.append(np.average((power[low] / start[low]) ** 0.5, weights=weights[low]))
    return np.array(found)


def momentum_by_step(config: NBodyConfig, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Scale factors of the steps (steps + 1,), and the mean momentum relative to the rms of the particles, (steps + 1, 3)."""
    times = np.linspace(config.start, 1, config.steps + 1)
    snapshots = evolve(config, linear_density(config, seed), tuple(float(a) for a in times))
    return times, np.array([s.momenta.mean(axis=0, dtype=float) / s.momenta.std(dtype=float) for s in snapshots])


def sigma_of_box(config: NBodyConfig, radius: np.ndarray) -> np.ndarray:
    """Standard deviation at z = 0 of the density in spheres of ``radius`` (R,) Mpc/h, of the modes that the box has.

    Modes longer than the box and those shorter than two particle separations are left out. Fitted mass functions hold
    for a finite box as functions of this one (Reed et al. 2007, astro-ph/0607150).
    """
    half = config.particles // 2
    line = np.arange(1 - half, half) ** 2
    counts = np.bincount((line[:, None, None] + line[:, None] + line).ravel())
    square = np.flatnonzero(counts)[1:]  # the mean has no power
    k = 2 * np.pi / config.box * np.sqrt(square)
    power = counts[square] * linear_power(config.cosmology, k, transfer=config.transfer) / config.box**3
    return np.sqrt((power * top_hat_window(np.asarray(radius, dtype=float)[:, None] * k) ** 2).sum(axis=1))


def in_colossus(cosmology: Cosmology) -> Any:
    """The same cosmology as colossus' current one; colossus has to be installed."""
    from colossus.cosmology import cosmology as theirs

    names = {"Om0": cosmology.omega_m, "Ob0": cosmology.omega_b, "sigma8": cosmology.sigma8, "ns": cosmology.n_s}
    return theirs.setCosmology("simulated", flat=True, relspecies=False, persistence="", H0=100 * cosmology.h, **names)


def expected_halos(config: NBodyConfig, sizes: np.ndarray, fit: str, mass: str = "fof", finite: bool = True) -> np.ndarray:
    """Halos of the box in bins of particles, (bins,), by a fitted mass function of colossus, which has to be installed.

    Parameters
    ----------
    sizes : ndarray of shape (bins + 1,)
        Edges of the bins, in particles.
    fit : str
        Name of the mass function in colossus.
    mass : str
        Name of the definition of mass in colossus.
    finite : bool
        Whether the fluctuations are those of the box's own modes, or of all.
    """
    from colossus.lss import mass_function

    ours = config.cosmology
    in_colossus(ours)
    masses = np.geomspace(sizes[0] / 1.1, sizes[-1] * 1.1, 400) * config.particle_mass
    radius = lagrangian_radius(ours, masses)
    sigma = sigma_of_box(config, radius) if finite else sigma_top_hat(ours, radius, config.transfer)
    fraction = mass_function.massFunction(sigma, 0.0, q_in="sigma", q_out="f", mdef=mass, model=fit)
    density = fraction * mean_matter_density(ours) / masses * -np.gradient(np.log(sigma), np.log(masses))  # dn/dlnM
    rise = (density[1:] + density[:-1]) / 2 * np.diff(np.log(masses))
    below = np.concatenate([[0], np.cumsum(rise)])
    return config.box**3 * np.diff(np.interp(np.log(sizes * config.particle_mass), np.log(masses), below))

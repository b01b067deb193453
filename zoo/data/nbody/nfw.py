"""Navarro-Frenk-White profiles (1997, astro-ph/9611107) and their maximum-likelihood fits to counts of particles in shells.

Radii are in units of R200m.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zoo.errors import InputError

CONCENTRATIONS = np.geomspace(1.0, 40.0, 161)
"""Concentrations R200m / r_s that are tried; between them the likelihood is a parabola in the logarithm."""


def nfw_density(radius, concentration) -> np.ndarray:
    """Mass per R200m^3 of a halo of unit mass within R200m; arguments broadcast."""
    x = np.asarray(radius) * concentration
    return concentration**3 / (4 * np.pi * _mass(concentration) * x * (1 + x) ** 2)


def nfw_enclosed(radius, concentration) -> np.ndarray:
    """Mass within a radius, in units of that within R200m; arguments broadcast."""
    return _mass(np.asarray(radius) * concentration) / _mass(concentration)


@dataclass(frozen=True)
class NFWFit:
    """NFW profiles of n halos.

    Attributes
    ----------
    particles : ndarray of shape (n,)
        Number of particles within R200m.
    concentration : ndarray of shape (n,)
        R200m over the scale radius.
    """

    particles: np.ndarray
    concentration: np.ndarray

    def counts(self, edges: np.ndarray) -> np.ndarray:
        """Expected particles in each of the touching shells between ``edges`` (shells + 1,): (n, shells)."""
        return self.particles[:, None] * np.diff(nfw_enclosed(edges, self.concentration[:, None]), axis=1)


def fit_nfw(counts: np.ndarray, edges: np.ndarray) -> NFWFit:
    """Amplitude and scale radius of largest Poisson likelihood, 1 <= R200m / r_s <= 40, for each of n halos.

    Parameters
    ----------
    counts : ndarray of shape (n, shells)
        Number of particles in touching shells.
    edges : ndarray of shape (shells + 1,)
        Edges of the shells in units of R200m.

    Raises
    ------
    InputError
        What `most_likely` refuses.
    """
    within = np.diff(nfw_enclosed(edges, CONCENTRATIONS[:, None]), axis=1)
    log_concentration = most_likely(counts, within, np.log(CONCENTRATIONS))
    unit = NFWFit(np.ones(len(log_concentration)), np.exp(log_concentration))
    total = np.asarray(counts).sum(axis=1)
    return NFWFit(total / unit.counts(edges).sum(axis=1), unit.concentration)


def most_likely(counts: np.ndarray, expected: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """Parameter (n,) of largest Poisson likelihood of ``counts`` (n, shells), where the amplitude is free.

    The amplitude of largest likelihood gives the counts their total, so that what is left is a multinomial likelihood.

    Parameters
    ----------
    expected : ndarray of shape (m, shells)
        Expected counts, but for a factor, at each of the parameters ``grid`` (m,), which are evenly spaced.

    Raises
    ------
    InputError
        If counts are not of these shells, or are none in all of them or negative.
    """
    counts = np.asarray(counts, float)
    if counts.ndim != 2 or counts.shape[1] != expected.shape[1]:
        raise InputError(f"counts: expected (n, {expected.shape[1]}), one for each shell, given shape {counts.shape}")
    if not (counts >= 0).all() or not (counts.sum(axis=1) > 0).all():
        raise InputError("counts: expected >= 0, and a particle in each row, given a row without one or below 0: leave it out")
    likelihood = counts @ np.log(expected / expected.sum(axis=1, keepdims=True)).T
    best = likelihood.argmax(axis=1)
    inner = np.clip(best, 1, len(grid) - 2)
    low, middle, high = (likelihood[np.arange(len(counts)), inner + step] for step in (-1, 0, 1))
    curvature = low - 2 * middle + high
    shift = np.where(curvature < 0, (low - high) / np.where(curvature < 0, 2 * curvature, 1), 0)
    refined = grid[inner] + np.clip(shift, -1, 1) * (grid[1] - grid[0])
    return np.where(best == inner, refined, grid[best])


def _mass(x):
    return np.log1p(x) - x / (1 + x)

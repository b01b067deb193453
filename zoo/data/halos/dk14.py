"""Spherical density profiles of Diemer & Kravtsov (2014, arXiv:1401.1216, eq. 4), in comoving Mpc/h and of the mean density."""

from __future__ import annotations

import numpy as np

OVERDENSITY = 200
ALPHA = 0.2
"""Einasto's parameter: 0.155 + 0.0095 nu^2 (Gao et al. 2008, arXiv:0711.0746) at a peak height nu of 2.2, a few 1e14 Msun/h."""
BETA, GAMMA = 4.0, 8.0
"""Exponents of the truncation, of halos selected by mass."""
OUTER, OUTER_SLOPE, PIVOT = 1.0, 1.5, 5.0
"""The outer power law: b_e, s_e and the radius in R200m at which it is b_e."""
NODES, WEIGHTS = np.polynomial.legendre.leggauss(64)
SMALLEST = 1e-5
"""R200m from which the mass is integrated: Einasto's core within is nothing."""


def dk14_density(radius, r200m, concentration, truncation) -> np.ndarray:
    """Density rho / rho_mean at ``radius``; arguments broadcast.

    rho = rho_s exp(-2/alpha [(r/r_s)^alpha - 1]) [1 + (r/r_t)^beta]^(-gamma/beta) + rho_mean [b_e (r / 5 R200m)^(-s_e) + 1],
    with rho_s such that the mean density of everything within R200m is 200 rho_mean.

    Parameters
    ----------
    radius, r200m : array_like
        Distance from the middle and the halo's R200m, in comoving Mpc/h.
    concentration : array_like
        R200m over the scale radius.
    truncation : array_like
        The truncation radius over R200m.
    """
    x = np.asarray(radius) / r200m
    return _inner_scale(concentration, truncation) * _inner(x, concentration, truncation) + _outer(x)


def _inner(x, concentration, truncation):
    einasto = np.exp(-2 / ALPHA * ((x * concentration) ** ALPHA - 1))
    return einasto * (1 + (x / truncation) ** BETA) ** (-GAMMA / BETA)


def _outer(x):
    return OUTER * (x / PIVOT) ** -OUTER_SLOPE + 1


def _inner_scale(concentration, truncation):
    """Inner scale of the density, rho_s / rho_mean."""
    depth = -np.log(SMALLEST)
    x = np.exp((NODES - 1) / 2 * depth)
    within = _inner(x, np.asarray(concentration)[..., None], np.asarray(truncation)[..., None]) @ (WEIGHTS / 2 * depth * x**3)
    return (OVERDENSITY - 1 - 3 * OUTER * PIVOT**OUTER_SLOPE / (3 - OUTER_SLOPE)) / (3 * within)

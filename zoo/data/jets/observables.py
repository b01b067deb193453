"""Observables of jets, from the tensors of their particles.

All take ``particles`` (n, particle, 3) of transverse momentum, rapidity and azimuth, and ``real`` (n, particle), and answer in
float64; jets without particles have zeros. Fractions z are relative to the scalar sum of transverse momenta, distances are
those in rapidity and azimuth.
"""

from __future__ import annotations

import numpy as np

from zoo.data.jets.identities import masses_of
from zoo.data.jets.packed import wrapped


def four_momenta(particles: np.ndarray, real: np.ndarray, identity: np.ndarray | None = None) -> np.ndarray:
    """Four-momenta (px, py, pz, E) in GeV of particles, zero where there is none.

    Parameters
    ----------
    particles : ndarray of shape (n, particle, 3)
        Transverse momentum [GeV], rapidity and azimuth [rad].
    real : ndarray of shape (n, particle)
        Which elements are particles.
    identity : ndarray of shape (n, particle), optional
        PDG codes, which give their masses; massless without them.

    Returns
    -------
    ndarray of shape (n, particle, 4)
        The momenta.
    """
    pt, y, phi = np.moveaxis(np.where(real[..., None], particles, 0).astype(np.float64), -1, 0)
    transverse_mass = pt if identity is None else np.hypot(pt, np.where(real, masses_of(identity), 0))
    return np.stack([pt * np.cos(phi), pt * np.sin(phi), transverse_mass * np.sinh(y), transverse_mass * np.cosh(y)], axis=-1)


def jet_momenta(particles: np.ndarray, real: np.ndarray, identity: np.ndarray | None = None) -> np.ndarray:
    """Transverse momentum [GeV], rapidity, azimuth [rad] and mass [GeV] of each jet, (n, 4): those of its particles together.

    Parameters
    ----------
    particles, real, identity : ndarray
        As in `four_momenta`.
    """
    px, py, pz, energy = four_momenta(particles, real, identity).sum(axis=1).T
    mass = np.sqrt(np.maximum(energy**2 - px**2 - py**2 - pz**2, 0))
    pt = np.hypot(px, py)
    y = np.arcsinh(np.divide(pz, np.hypot(pt, mass), out=np.zeros_like(pz), where=energy > 0))
    return np.stack([pt, y, np.arctan2(py, px), mass], axis=1)


def multiplicity(real: np.ndarray) -> np.ndarray:
    """Number of particles of each jet, (n,)."""
    return real.sum(axis=1).astype(np.float64)


def fractions(particles: np.ndarray, real: np.ndarray) -> np.ndarray:
    """Fraction z of the scalar sum of transverse momenta that each particle has, (n, particle)."""
    pt = np.where(real, particles[..., 0], 0).astype(np.float64)
    total = pt.sum(axis=1, keepdims=True)
    return np.divide(pt, total, out=np.zeros_like(pt), where=total > 0)


def width(particles: np.ndarray, real: np.ndarray, axis: np.ndarray | None = None) -> np.ndarray:
    """Width or girth of each jet, sum of z times the distance from the axis, (n,).

    Parameters
    ----------
    particles, real : ndarray
        As in `four_momenta`.
    axis : ndarray of shape (n, 2), optional
        Rapidity and azimuth of each jet; those of its massless particles together by default.
    """
    axis = jet_momenta(particles, real)[:, 1:3] if axis is None else axis
    offset = particles[..., 1:].astype(np.float64) - axis[:, None]
    return (fractions(particles, real) * np.hypot(offset[..., 0], wrapped(offset[..., 1]))).sum(axis=1)


def pt_dispersion(particles: np.ndarray, real: np.ndarray) -> np.ndarray:
    """The observable pTD, root of the sum of z^2, (n,)."""
    return np.sqrt((fractions(particles, real) ** 2).sum(axis=1))


def fragmentation(particles: np.ndarray, real: np.ndarray) -> np.ndarray:
    """Sum of z ln z, (n,)."""
    z = fractions(particles, real)
    return (z * np.log(np.where(z > 0, z, 1))).sum(axis=1)

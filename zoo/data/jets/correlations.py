"""Energy correlations of the particles of jets, compiled, and the ratios of them that tell how many prongs a jet has."""

from __future__ import annotations

import math

import numba
import numpy as np

from zoo.data.jets.observables import fractions


def energy_correlations(particles: np.ndarray, real: np.ndarray, beta: float) -> dict[str, np.ndarray]:
    """Correlations of two and three particles, and ratios of them (arXiv:1305.0007, 1409.6298, 1609.07483).

    Parameters
    ----------
    particles : ndarray of shape (n, particle, 3)
        Transverse momentum, rapidity and azimuth [rad].
    real : ndarray of shape (n, particle)
        Which elements are particles.
    beta : float
        Power of the distances.

    Returns
    -------
    dict of str to ndarray
        ``e2`` and ``e3``, sums over pairs and triples of the product of fractions and of all distances; ``c1`` = e2,
        ``c2`` = e3 / e2^2, ``d2`` = e3 / e2^3; ``m2`` = 1e3 / e2 and ``n2`` = 2e3 / e2^2, with the smallest and the two
        smallest of the three distances; (n,) each, 0 where a jet has too few particles.
    """
    z = fractions(particles, real)
    e2, e3, least, two = _sums(particles[..., 1:].astype(np.float64), z, np.asarray(real, bool), float(beta)).T
    return {
        "e2": e2,
        "e3": e3,
        "c1": e2,
        "c2": ratio(e3, e2**2),
        "d2": ratio(e3, e2**3),
        "m2": ratio(least, e2),
        "n2": ratio(two, e2**2),
    }


def ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """A ratio of two arrays, 0 where the lower one is."""
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)


@numba.njit(cache=True)
def _sums(places: np.ndarray, fraction: np.ndarray, real: np.ndarray, beta: float) -> np.ndarray:
    """Sums over pairs, over triples, and over triples of the smallest and the two smallest distances, (n, 4)."""
    found = np.zeros((len(real), 4))
    for jet in range(len(real)):
        chosen = np.flatnonzero(real[jet])
        k, z = len(chosen), fraction[jet][chosen]
        y, phi = places[jet, :, 0][chosen], places[jet, :, 1][chosen]
        distance = np.zeros((k, k))
        for i in range(k):
            for j in range(i):
                dphi = abs(phi[i] - phi[j]) % (2 * math.pi)
                dphi, dy = min(dphi, 2 * math.pi - dphi), y[i] - y[j]
                distance[i, j] = 1.0 if beta == 0 else (dy * dy + dphi * dphi) ** (beta / 2)
                found[jet, 0] += z[i] * z[j] * distance[i, j]
        for i in range(k):
            for j in range(i):
                both, side = z[i] * z[j], distance[i, j]
                for m in range(j):
                    a, b = distance[i, m], distance[j, m]
                    weight, product, largest = both * z[m], side * a * b, max(side, a, b)
                    found[jet, 1] += weight * product
                    found[jet, 2] += weight * min(side, a, b)
                    found[jet, 3] += weight * (product / largest if largest > 0 else 0.0)
    return found

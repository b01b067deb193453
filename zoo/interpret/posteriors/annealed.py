"""Steps of sequential Monte Carlo: how far the likelihood may rise, which rows go on, and how they are spread."""

from __future__ import annotations

import numpy as np


def risen(log_likelihood: np.ndarray, power: float, wanted: float) -> tuple[float, np.ndarray]:
    """The next power of the likelihood, at which ``wanted`` rows of (n,) are effective, and their weights (n,)."""
    usable = np.isfinite(log_likelihood)
    wanted = min(wanted, 0.9 * np.count_nonzero(usable))
    best = log_likelihood[usable].max()
    relative = np.where(usable, log_likelihood - best, -np.inf)

    def weights(rise: float) -> np.ndarray:
        weight = np.where(usable, np.exp(rise * np.where(usable, relative, 0.0)), 0.0)
        return weight / weight.sum()

    low, high = 0.0, 1.0 - power
    if 1 / np.sum(weights(high) ** 2) >= wanted:
        return 1.0, weights(high)
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if 1 / np.sum(weights(middle) ** 2) >= wanted else (low, middle)
    return power + low, weights(low)


def resampled(u: np.ndarray, weight: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Indices (n,) of the rows of u, as often as their weights say.

    Systematic resampling in the order of a tree of space, so that any region, and so each mode, gets its share within one or
    two rows (Gerber, Chopin & Whiteley 2019, arXiv:1708.08653).
    """
    from scipy.spatial import cKDTree

    order = cKDTree(u, leafsize=1, compact_nodes=False).indices
    place = np.searchsorted(np.cumsum(weight[order]), (np.arange(n) + rng.random()) / n)
    return order[np.minimum(place, len(order) - 1)]


def factor(u: np.ndarray) -> np.ndarray:
    """The lower triangular factor (D, D) of the covariance of rows (n, D), shrunk towards a sphere (Ledoit & Wolf 2004)."""
    from sklearn.covariance import ledoit_wolf

    scale = u.std(axis=0, dtype=np.float64)
    scale = np.where(scale > 0, scale, 1.0)
    return scale[:, None] * np.linalg.cholesky(ledoit_wolf(u / scale)[0] + 1e-6 * np.eye(len(scale)))

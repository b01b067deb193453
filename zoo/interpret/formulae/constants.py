"""Constants of a formula that fit points best."""

from __future__ import annotations

import numpy as np

from zoo.families.expression import CONSTANT, Skeleton, values, values_and_slopes
from zoo.seeds import generator

STARTS = 5
"""Sets of constants that a fit starts from: ones, and others at random."""
EXACT = 1e-10
"""Root mean square error, in deviations of the values, at which no further start is tried."""
NONE = 1e6
"""What stands for the error of a point at which a formula has no value."""
EVALUATIONS = 100
"""Evaluations of a formula in a fit, beside those for its slopes."""


def fitted_constants(
    skeleton: Skeleton, x: np.ndarray, y: np.ndarray, seed: int = 0, starts: int = STARTS, first: np.ndarray | None = None
) -> tuple[np.ndarray, float]:
    """Constants with the least squared error at points, by Levenberg and Marquardt's rule from several starts.

    Parameters
    ----------
    skeleton : tuple of int
        The formula.
    x : ndarray of shape (n, variables)
        The points.
    y : ndarray of shape (n,)
        The values, not all the same.
    seed : int
        Seed of the starts.
    starts : int
        Number of starts.
    first : ndarray of shape (k,), optional
        Where the first fit starts; by default at ones.

    Returns
    -------
    tuple of (ndarray, float)
        The constants (k,), and the root mean square error in deviations of the values; infinity where the formula has no value
        at some of the points, whatever the constants.
    """
    from scipy.optimize import least_squares

    count, spread = skeleton.count(CONSTANT), float(y.std())

    def error(constants: np.ndarray) -> float:
        with np.errstate(all="ignore"):
            found = float(np.sqrt(np.mean(np.square((values(skeleton, x, constants) - y) / spread))))
        return found if np.isfinite(found) else np.inf

    if not count:
        return np.zeros(0), error(np.zeros(0))

    def residuals(constants: np.ndarray) -> np.ndarray:
        left = (values(skeleton, x, constants) - y) / spread
        return np.where(np.abs(left) < NONE, left, NONE)  # NaN too

    def slopes(constants: np.ndarray) -> np.ndarray:
        found, by_constants = values_and_slopes(skeleton, x, constants)
        with np.errstate(all="ignore"):
            good = (np.abs(found - y) < NONE * spread) & np.isfinite(by_constants).all(axis=0)
            return np.where(good, by_constants / spread, 0.0).T

    if count > len(y):
        return np.ones(count), np.inf
    rng = generator(seed)
    best, least = np.ones(count), np.inf
    for start in range(starts):
        drawn = rng.choice([1.0, 1.0, -1.0], count) * np.exp(rng.normal(0, 1.2, count))
        begin = drawn if start else np.ones(count) if first is None else first
        with np.errstate(all="ignore"):
            found = least_squares(residuals, begin, slopes, method="lm", max_nfev=EVALUATIONS).x
        if (now := error(found)) < least:
            best, least = found, now
        if least < EXACT:
            break
    return best, least

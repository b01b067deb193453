"""A lognormal law that is cut, which SciPy has not."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import log_ndtr


class LogNormalCut:
    """A lognormal law between two ends, with the methods of SciPy's that a prior asks for.

    Parameters
    ----------
    median : float
        Median of the law before it is cut.
    sigma : float
        Standard deviation of its natural logarithm.
    low, high : float
        Where it is cut, 0 and infinity where it is not.
    """

    def __init__(self, median: float, sigma: float, low: float, high: float) -> None:
        from scipy.stats import truncnorm

        self.mu, self.sigma = math.log(median), sigma
        self.a = (math.log(low) - self.mu) / sigma if low > 0 else -math.inf
        self.b = (math.log(high) - self.mu) / sigma
        self.logarithm = truncnorm(self.a, self.b, loc=self.mu, scale=sigma)

    def ppf(self, share: np.ndarray) -> np.ndarray:
        """Quantiles from below."""
        return np.exp(self.logarithm.ppf(share))

    def isf(self, share: np.ndarray) -> np.ndarray:
        """Quantiles from above."""
        return np.exp(self.logarithm.isf(share))

    def cdf(self, x: np.ndarray) -> np.ndarray:
        """Probability of less."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(np.greater(x, 0), self.logarithm.cdf(np.log(x)), 0.0)

    def logpdf(self, x: np.ndarray) -> np.ndarray:
        """Natural logarithm of the density."""
        with np.errstate(divide="ignore", invalid="ignore"):
            logarithm = np.log(x)
            return np.where(np.greater(x, 0), self.logarithm.logpdf(logarithm) - logarithm, -np.inf)

    def var(self) -> float:
        """Variance, from the moments of exp(z) for a normal z between two ends."""
        whole = _log_share(self.a, self.b)
        first, second = (_log_share(self.a - k * self.sigma, self.b - k * self.sigma) - whole for k in (1, 2))
        log_mean = self.mu + self.sigma**2 / 2 + first
        return math.exp(2 * log_mean) * math.expm1(self.sigma**2 + second - 2 * first)


def _log_share(a: float, b: float) -> float:
    """Logarithm of the probability of a standard normal between a and b, from the tail in which it has its digits."""
    if a > 0:
        a, b = -b, -a
    upper, lower = float(log_ndtr(b)), float(log_ndtr(a))
    return upper + math.log1p(-math.exp(lower - upper))

"""Gaussian linear: the mean of a normal under a normal prior, both of variance 0.1 (task T.1 of arXiv:2101.04653)."""

from __future__ import annotations

import numpy as np

from zoo.data.sbi.priors.laws import Normal
from zoo.data.sbi.priors.prior import Prior

DIMENSIONS = 10
VARIANCE = 0.1
"""Variance of the prior and of the noise."""


class GaussianLinear:
    """Ten parameters, normal around zero; each observed once with normal noise. The posterior is N(x / 2, 0.05)."""

    description = "Gaussian linear: ten parameters with a normal prior, each observed with normal noise of the same variance"
    prior = Prior({f"theta_{i}": Normal(mean=0, sd=VARIANCE**0.5) for i in range(1, DIMENSIONS + 1)})

    def simulate(self, theta: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return theta + rng.normal(0, VARIANCE**0.5, theta.shape)

    def log_likelihood(self, theta: np.ndarray, x: np.ndarray) -> np.ndarray:
        residual = np.asarray(x) - np.asarray(theta)
        return np.sum(-0.5 * residual**2 / VARIANCE - 0.5 * np.log(2 * np.pi * VARIANCE), axis=-1)

    def log_posterior(self, theta: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Natural logarithm (n,) of the conjugate posterior's density, for parameters and data (n, 10)."""
        residual, variance = np.asarray(theta, np.float64) - np.asarray(x, np.float64) / 2, VARIANCE / 2
        return np.sum(-0.5 * residual**2 / variance - 0.5 * np.log(2 * np.pi * variance), axis=-1)

    def reference(self, x: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
        """Draws (n, 10) from the conjugate posterior."""
        return rng.normal(np.asarray(x) / 2, np.sqrt(VARIANCE / 2), (n, DIMENSIONS))

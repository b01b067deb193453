"""SLCP, simple likelihood and complex posterior (Papamakarios et al. 2019, arXiv:1805.07226; task T.3 of arXiv:2101.04653).

Four points of a two-dimensional normal with mean (t1, t2), standard deviations t3^2 and t4^2, and correlation tanh t5; the
squares make four symmetric modes.
"""

from __future__ import annotations

import numpy as np

from zoo.data.sbi.priors.laws import Uniform
from zoo.data.sbi.priors.prior import Prior
from zoo.data.sbi.tasks.slcp_posterior import POINTS, draws, log_evidence

JITTER = 1e-6
"""Variance that is added to both variances, as in the published task."""


class SLCP:
    """Five parameters, flat on [-3, 3]; four points in the plane, x1 y1 x2 y2 ..."""

    description = "SLCP: five parameters with a flat prior, four points of a normal whose scales are their squares"
    prior = Prior({f"theta_{i}": Uniform(low=-3, high=3) for i in range(1, 6)})

    def simulate(self, theta: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        first, second, across = _cholesky(theta)
        e, f = rng.standard_normal((2, len(theta), POINTS))
        points = np.stack([first[:, None] * e, across[:, None] * e + second[:, None] * f], axis=-1)
        return (points + theta[:, None, :2]).reshape(len(theta), 2 * POINTS)

    def log_likelihood(self, theta: np.ndarray, x: np.ndarray) -> np.ndarray:
        theta = np.asarray(theta, dtype=np.float64)
        first, second, across = (scale[..., None] for scale in _cholesky(theta))
        points = np.asarray(x).reshape(*np.shape(x)[:-1], POINTS, 2) - theta[..., None, :2]
        e = points[..., 0] / first
        f = (points[..., 1] - across * e) / second
        return np.sum(-0.5 * (e**2 + f**2) - np.log(2 * np.pi * first * second), axis=-1)

    def log_posterior(self, theta: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Natural logarithm (n,) of the posterior's density, for parameters (n, 5) and data (n, 8)."""
        return self.log_likelihood(theta, x) + self.prior.log_density(theta) - log_evidence(x)

    def reference(self, x: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
        """Draws (n, 5) from the posterior."""
        return draws(x, n, rng)


def _cholesky(theta: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The lower triangle of the covariance's Cholesky factor: [0, 0], [1, 1] and [1, 0]."""
    first, second, correlation = theta[..., 2] ** 2, theta[..., 3] ** 2, np.tanh(theta[..., 4])
    covariance = correlation * first * second
    top = np.sqrt(first**2 + JITTER)
    across = covariance / top
    return top, np.sqrt(second**2 + JITTER - across**2), across

"""Lotka-Volterra, predators and their prey (Lotka 1920; task T.10 of arXiv:2101.04653).

dX/dt = alpha X - beta X Y,    dY/dt = -gamma Y + delta X Y,    x ~ LogNormal(ln X, 0.1), y ~ LogNormal(ln Y, 0.1).
"""

from __future__ import annotations

import math

import numpy as np

from zoo.data.sbi.priors.laws import LogNormal
from zoo.data.sbi.priors.prior import Prior
from zoo.data.sbi.tasks.positive_odes import integrate

START = np.log([30.0, 1.0])
"""Logarithms of prey and predators at first."""
TIMES = 2.1 * np.arange(10)
"""Times of the ten counts of each: every 21st of the 201, 0.1 apart, that the published task saves."""
LOWEST, HIGHEST = np.log([1e-10, 1e4])
"""Populations are cut there before noise is added, as in the published task."""
NOISE = 0.1
"""Standard deviation of the logarithm of a count."""


class LotkaVolterra:
    """Four rates, log-normal; ten numbers of prey and then ten of predators."""

    description = "Lotka-Volterra: four rates of predators and prey with log-normal priors, ten noisy numbers of each"
    prior = Prior(
        {
            "alpha": LogNormal(median=math.exp(-0.125), sigma=0.5),
            "beta": LogNormal(median=math.exp(-3), sigma=0.5),
            "gamma": LogNormal(median=math.exp(-0.125), sigma=0.5),
            "delta": LogNormal(median=math.exp(-3), sigma=0.5),
        }
    )

    def simulate(self, theta: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        mean = _log_populations(theta)
        return np.exp(mean + NOISE * rng.standard_normal(mean.shape))

    def log_likelihood(self, theta: np.ndarray, x: np.ndarray) -> np.ndarray:
        log_x = np.log(np.asarray(x, dtype=np.float64))
        residual = (log_x - _log_populations(theta)) / NOISE
        return np.sum(-0.5 * residual**2 - log_x - np.log(NOISE * np.sqrt(2 * np.pi)), axis=-1)


def _log_populations(theta: np.ndarray) -> np.ndarray:
    """Logarithms (..., 20) of prey and predators at each time."""
    rows = np.atleast_2d(np.asarray(theta, dtype=np.float64))
    found = np.clip(integrate(_growth, START, rows, TIMES), LOWEST, HIGHEST)
    return found.reshape(*np.shape(theta)[:-1], 2 * len(TIMES))


def _growth(u: np.ndarray, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    prey, predators = np.exp(u).T
    alpha, beta, gamma, delta = theta.T
    eaten, fed = beta * predators, delta * prey
    return np.stack([alpha - eaten, fed - gamma], axis=1), alpha + eaten + gamma + fed

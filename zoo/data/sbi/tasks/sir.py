"""SIR, an epidemic in a million people (Kermack & McKendrick 1927; task T.9 of arXiv:2101.04653).

dS/dt = -beta S I / N,    dI/dt = beta S I / N - gamma I,    x ~ Binomial(1000, I / N) every 17 days from day 0.
"""

from __future__ import annotations

import numpy as np

from zoo.data.sbi.priors.laws import LogNormal
from zoo.data.sbi.priors.prior import Prior
from zoo.data.sbi.tasks.positive_odes import integrate

PEOPLE, TESTED = 1e6, 1000
"""Size of the population, one of whom is infected on day 0, and how many are tested each time."""
DAYS = np.arange(0, 154, 17)
"""Days of the ten tests: every 17th of the 161 that the published task saves."""


class SIR:
    """Contact rate and recovery rate, log-normal; ten counts of infected among 1000 tested."""

    description = "SIR: contact and recovery rate of an epidemic with log-normal priors, infected among 1000 tested on ten days"
    prior = Prior(
        {
            "contact_rate": LogNormal(median=0.4, sigma=0.5, unit="1/day"),
            "recovery_rate": LogNormal(median=0.125, sigma=0.2, unit="1/day"),
        }
    )

    def simulate(self, theta: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return rng.binomial(TESTED, np.exp(_log_infected(theta))).astype(np.float64)

    def log_likelihood(self, theta: np.ndarray, x: np.ndarray) -> np.ndarray:
        from scipy.special import gammaln, xlog1py

        x, log_share = np.asarray(x), _log_infected(theta)
        ways = gammaln(TESTED + 1) - gammaln(x + 1) - gammaln(TESTED - x + 1)
        return np.sum(ways + x * log_share + xlog1py(TESTED - x, -np.exp(log_share)), axis=-1)


def _log_infected(theta: np.ndarray) -> np.ndarray:
    """Logarithm of the infected share (..., 10) on each day."""
    rows = np.atleast_2d(np.asarray(theta, dtype=np.float64))
    start = np.log([(PEOPLE - 1) / PEOPLE, 1 / PEOPLE])
    found = integrate(_growth, start, rows, DAYS)[:, 1]
    return np.minimum(found, 0.0).reshape(*np.shape(theta)[:-1], len(DAYS))


def _growth(u: np.ndarray, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    susceptible, infected = np.exp(u).T
    contact, recovery = theta.T
    down, up = contact * infected, contact * susceptible
    return np.stack([-down, up - recovery], axis=1), down + up + recovery

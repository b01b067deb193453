"""The posterior of SLCP by importance sampling: its normalization, and draws.

Given the points' mean and scatter, the likelihood is that of a normal with unknown mean and covariance. With the standard
deviation s of the first coordinate, the slope a of the second on the first, and the deviation c about that line it
factorizes, so that a proposal that is exact but for the flat prior is drawn in closed form:

    1 / s^2 ~ Gamma,    1 / c^2 ~ Gamma,    a | c ~ Normal,    mean | s, a, c ~ Normal within the prior,

and what the prior and its bounds change is a weight. Quasi-random numbers give log p(x) of most rows within 0.01, of all
within 0.05.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from scipy.special import gammaincc, gammainccinv, gammaln, log_ndtr, ndtr, ndtri

from zoo.errors import InputError

BOUND = 3.0
"""Each parameter is flat between -3 and 3."""
POINTS = 4
SHAPES = 0.75, 1.25
"""Shapes of the two Gamma laws, such that no weight grows without bound where s or c is small."""
PROPOSED = 2**13
"""Quasi-random proposals for a normalization."""
BATCH, MOST = 2**14, 2**23
"""Proposals that are made together for draws, and at most."""


@cache
def _uniform(n: int) -> np.ndarray:
    """Sobol's points in five dimensions, (n, 5)."""
    from scipy.stats import qmc

    return qmc.Sobol(5, rng=0).random(n)


def _deviation(shape: float, rate: float, u: np.ndarray) -> tuple[np.ndarray, float]:
    """A standard deviation below 9 whose inverse square follows a Gamma law, and the logarithm of what normalizes that."""
    share = gammaincc(shape, rate / BOUND**4)
    return np.sqrt(rate / gammainccinv(shape, share * u)), float(gammaln(shape) + np.log(share) - shape * np.log(rate))


def _within(mean: np.ndarray, deviation: np.ndarray, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A draw of a normal within the prior from a uniform number, and the logarithm of the share of the normal there."""
    low, high = (-BOUND - mean) / deviation, (BOUND - mean) / deviation
    mirrored = low > 0  # in the upper tail the distribution function is 1 to all digits
    low, high = np.where(mirrored, -high, low), np.where(mirrored, -low, high)
    below, above = ndtr(low), ndtr(high)
    drawn = ndtri(below + np.where(mirrored, 1 - u, u) * (above - below))
    share = log_ndtr(high) + np.log1p(-np.exp(np.minimum(log_ndtr(low) - log_ndtr(high), -1e-300)))
    return mean + deviation * np.where(mirrored, -drawn, drawn), share


def weighed(x: np.ndarray, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Parameters from uniform numbers, and their weights, whose mean is the density of the data.

    Parameters
    ----------
    x : ndarray
        The four points of one observation, (8,).
    u : ndarray
        Uniform numbers, (n, 5).

    Returns
    -------
    theta : ndarray
        Parameters (n, 5), of which the third and the fourth are positive: of either sign they are as probable.
    log_weight : ndarray
        Logarithms of the weights (n,), -inf outside the prior.
    """
    points = np.asarray(x, np.float64).reshape(POINTS, 2)
    center = points.mean(axis=0)
    (first, both), (_, second) = (points - center).T @ (points - center)
    slope, left = both / first, max(second - both**2 / first, 1e-12)
    (s, share_s), (c, share_c) = (
        _deviation(shape, rate / 2, u[:, i]) for i, (shape, rate) in enumerate(zip(SHAPES, (first, left), strict=True))
    )
    a = slope + c / np.sqrt(first) * ndtri(u[:, 2])
    deviation = np.hypot(a * s, c)
    t1, share1 = _within(center[0], s / np.sqrt(POINTS), u[:, 3])
    t2, share2 = _within(center[1] + a * (t1 - center[0]), c / np.sqrt(POINTS), u[:, 4])
    t5 = np.arctanh(np.clip(a * s / deviation, -1 + 1e-15, 1 - 1e-15))
    theta = np.stack([t1, t2, np.sqrt(s), np.sqrt(deviation), t5], axis=1)
    log_weight = share1 + share2 + (2 * SHAPES[0] - 1.5) * np.log(s) + (2 * SHAPES[1] - 2) * np.log(c) - np.log(deviation) / 2
    log_weight += share_s + share_c - 5 * np.log(2 * BOUND) - 2.5 * np.log(2 * np.pi) - np.log(4 * POINTS * np.sqrt(first))
    return theta, np.where((np.abs(theta[:, 2:]) <= BOUND).all(axis=1), log_weight, -np.inf)


def log_evidence(x: np.ndarray) -> np.ndarray:
    """Natural logarithm (n,) of the density of data (n, 8) under prior and simulator."""
    from scipy.special import logsumexp

    u = _uniform(PROPOSED)
    return np.array([logsumexp(weighed(row, u)[1]) for row in np.asarray(x)]) - np.log(PROPOSED)


def draws(x: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Draws (n, 5) from the posterior of one observation (8,), each a proposal that its weight has let through.

    Raises
    ------
    InputError
        Of eight million proposals fewer than n are let through.
    """
    thetas: list[np.ndarray] = []
    logs: list[np.ndarray] = []
    for _ in range(MOST // BATCH):
        theta, log_weight = weighed(x, rng.random((BATCH, 5)))
        thetas.append(theta)
        logs.append(log_weight)
        chance = np.exp(np.concatenate(logs) - max(one.max() for one in logs))
        if chance.sum() > 1.1 * n + 5 * np.sqrt(n):
            accepted = np.concatenate(thetas)[rng.random(len(chance)) < chance][:n]
            accepted[:, 2:4] *= rng.choice([-1.0, 1.0], (len(accepted), 2))
            if len(accepted) == n:
                return accepted
    raise InputError(
        f"x: expected an observation that the prior makes likely, given one of which {n} draws are too rare to find"
    )

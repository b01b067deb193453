"""The posterior that several observations of the same parameters give together."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from zoo.counts import expect_counts
from zoo.data.dataset import PriorDensity
from zoo.data.sbi.priors.truncated import Posterior
from zoo.effective_number import effective_number
from zoo.errors import InputError
from zoo.families.contracts import any_range
from zoo.interpret.posteriors.annealed import risen
from zoo.interpret.posteriors.another_prior import FEWEST, redrawn
from zoo.seeds import generator

EACH = 1000
"""Draws from the posterior of each observation alone."""
PROPOSED = 4000
"""Draws of a round."""
ROUNDS = 20
"""Rounds at most in which the proposal comes near to the posterior."""
ENOUGH = 0.3
"""Share of the draws that count, from which on the proposal is near enough."""
SELDOM = 0.01
"""Share of the draws of single posteriors beyond which, on either side, no parameter is taken: a flow is not trained where its
posteriors hardly ever are, and what it is off by there is to the power of many observations."""
DEGREES = 5
"""Degrees of freedom of the proposal, a Student t, whose tails are wider than those of a posterior."""


class Together(NamedTuple):
    """Draws from the posterior of several observations.

    Attributes
    ----------
    theta : ndarray of shape (n, D)
        The draws, those that count much more than once.
    effective : float
        Effective number of draws (Kish 1965).
    alone : ndarray of shape (m, k, D)
        Draws from the posterior of each observation alone.
    log_ratio : float
        Logarithm of how much likelier the observations are if all have the same parameters than if each has its own, drawn
        from the prior (Marshall et al. 2006, arXiv:astro-ph/0412535); nat. Below 0 they contradict each other.
    """

    theta: np.ndarray
    effective: float
    alone: np.ndarray
    log_ratio: float

    @property
    def narrowing(self) -> np.ndarray:
        """How much narrower the draws are than m posteriors of the mean variance of the single ones would be together, (D,).

        It is about 1 of Gaussians and of a prior that is much wider, and less where the prior is what is known. Above a few,
        single posteriors have several peaks, or all are off by a little in the same narrow place.
        """
        single = self.alone.astype(np.float64).var(axis=1).mean(axis=0)
        found: np.ndarray = np.sqrt(single / len(self.alone)) / self.theta.std(axis=0)
        return found


def posterior_together(
    flow: Posterior,
    prior: PriorDensity,
    observations: np.ndarray,
    *,
    draws: int = 10_000,
    seed: int = 0,
    allow_out_of_range: bool = False,
) -> Together:
    """Draw from the posterior of independent observations of the same parameters.

    It is p(theta | x_1, ..., x_m), proportional to the product of p(theta | x_i) over p(theta)^(m - 1), where single posteriors
    have draws at all. Importance sampling adapts a Student t to it (Cappe et al. 2008, arXiv:0710.4242), from the draws of all
    single posteriors on, by weights whose power rises as far as enough draws count.

    Parameters
    ----------
    flow : Posterior
        The posterior of one observation.
    prior : PriorDensity
        The prior that it was trained with.
    observations : ndarray of shape (m, ...)
        The observations.
    draws : int
        How many draws are made.
    seed : int
        Seed of the draws.
    allow_out_of_range : bool
        Take observations that no simulation resembles.

    Returns
    -------
    Together
        The draws, and whether the observations agree.

    Raises
    ------
    InputError
        There is one observation, or fewer than a thousand draws count, as where observations contradict each other.
    """
    from scipy.stats import multivariate_t

    m = len(observations)
    if m < 2:
        raise InputError(f"expected several observations of the same parameters, given {m}")
    expect_counts(draws=draws)
    rng = generator(seed)
    alone = np.asarray(flow.draw(EACH, observations, seed, **(any_range(flow.draw) if allow_out_of_range else {})), np.float64)
    low, high = np.quantile(alone.reshape(-1, alone.shape[-1]), [SELDOM, 1 - SELDOM], axis=0)
    unchecked = any_range(flow.log_density)  # as all were checked when they were drawn from

    def of_each(theta: np.ndarray) -> np.ndarray:
        """Log densities (m, n) given each observation."""
        found = [flow.log_density(theta.astype(np.float32), one, **unchecked) for one in observations]
        return np.asarray(found, np.float64)

    def weighed(theta: np.ndarray, densities: np.ndarray, proposed: np.ndarray) -> np.ndarray:
        """Logarithms of weights (n,) of parameters, whose mean is how much likelier all observations are of the same ones."""
        log_prior = prior.log_density(theta)
        inside = np.isfinite(log_prior) & np.all((theta >= low) & (theta <= high), axis=1)
        found = np.where(inside, densities.sum(axis=0) - (m - 1) * np.where(inside, log_prior, 0.0) - proposed, -np.inf)
        if not np.isfinite(found).any():
            raise InputError(f"no parameters are allowed by all {m} observations at once: look at the posterior of each alone")
        return found

    def nearer(theta: np.ndarray, weight: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
        """Parameters (n, D) from a Student t that lies as weighted ones do, and the logarithms of their own weights."""
        proposal = multivariate_t(weight @ theta, _covariance(theta, weight), DEGREES, seed=rng)
        theta = np.reshape(proposal.rvs(n), (n, -1))
        return theta, weighed(theta, of_each(theta), proposal.logpdf(theta))

    theta = rng.permutation(alone.reshape(-1, alone.shape[-1]))[:PROPOSED]
    densities = of_each(theta)
    log_weight = weighed(theta, densities, np.logaddexp.reduce(densities, axis=0) - np.log(m))
    power, weight = risen(log_weight, 0.0, len(theta) / 10)
    for _ in range(ROUNDS):
        if power == 1.0 and effective_number(weight) > ENOUGH * len(theta):
            break
        theta, log_weight = nearer(theta, weight, PROPOSED)
        power, weight = risen(log_weight, 0.0, len(theta) / 10)
    theta, log_weight = nearer(theta, weight, draws)
    weight = np.exp(log_weight - log_weight.max())
    log_ratio = float(log_weight.max() + np.log(weight.mean()))
    effective = effective_number(weight)
    if effective < FEWEST:
        raise InputError(
            f"{effective:.0f} of {draws:,} draws from the posterior of {m} observations together count, expected at least"
            f" {FEWEST:,}: {_why(log_ratio, m)}"
        )
    return Together(redrawn(theta, weight, rng), effective, alone, log_ratio)


def _why(log_ratio: float, m: int) -> str:
    """What may be wrong with m observations of whose posterior few draws count, and what to do."""
    if log_ratio < 0:
        return (
            "they contradict each other (the logarithm of how much likelier they are of the same parameters than each of its"
            f" own is {log_ratio:.2g}): look at the posterior of each alone"
        )
    return (
        "make more draws, or take fewer observations together; where the posterior lies at an end of the prior, what a flow is"
        f" off by there counts {m} times"
    )


def _covariance(theta: np.ndarray, weight: np.ndarray) -> np.ndarray:
    found: np.ndarray = np.atleast_2d(np.cov(theta, rowvar=False, aweights=weight))
    return found + 1e-6 * np.diag(found.diagonal())

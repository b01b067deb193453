"""Whether parameters that somebody has simulated at were drawn from the prior that is said of them.

A posterior that is learned from simulations has the density of their parameters as its prior, whatever was meant. So each
parameter is held against its law by Kolmogorov and Smirnov's test, and each two by Spearman's correlation of ranks. Values that
repeat c times, as those of rows that were drawn again by their weights, tell as much as n = (sum c)^2 / sum c^2 that do not
(Kish 1965).
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import Protocol

import numpy as np

from zoo.data.sbi.priors.as_prior import AnyPrior
from zoo.data.sbi.priors.prior import Prior
from zoo.effective_number import effective_number
from zoo.errors import warn

OWN = "give the prior that these rows were drawn from, draw rows again so that they follow it, or leave the prior out"
"""What to do about rows of a user's own."""
LEVEL = 0.01
"""How often parameters that were drawn from their prior are accused."""
DRAWN = 10_000
"""Draws that stand for a prior whose parameters have no laws of their own, or for any prior where its reach is asked for."""
BEYOND = 0.01
"""Share of a prior, beyond all simulated parameters, from which on it is said to reach further than they do."""
BY_CHANCE = 10
"""How many of n rows such a share would hold on average, so that by chance none of them is there in less than one of 2,000."""

EXTRAPOLATED = "there the likelihood is extrapolated, so simulate there too, or give a prior within"
"""What follows from a prior that reaches beyond all simulations, for the end of a message."""


class Drawable(Protocol):
    """A prior of which parameters can be drawn."""

    @property
    def names(self) -> list[str]:
        """Names of the parameters."""
        ...

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Draw parameters (n, D)."""
        ...


def departures(theta: np.ndarray, prior: AnyPrior) -> list[str]:
    """Say how parameters do not follow the prior.

    Parameters
    ----------
    theta : ndarray
        Parameters that simulations were made at, of shape (n, D).
    prior : Prior or JointPrior
        The prior that they are said to be drawn from.

    Returns
    -------
    list of str
        A clause for each parameter, and each two, whose p-value is below 0.01 over the number of tests.
    """
    if isinstance(prior, Prior):
        columns = dict(zip(prior.names, theta.T, strict=True))
        found = {f"{name} is not distributed so": _of_law(columns[name], law.law.cdf) for name, law in prior.laws.items()}
        ranks = _ranks(theta)
        for (i, one), (j, other) in combinations(enumerate(prior.names), 2):
            found[f"{one} and {other} depend on each other"] = _of_independence(theta[:, [i, j]], ranks[:, [i, j]])
    else:
        drawn = prior.sample(DRAWN, np.random.default_rng(0))
        columns = {name: (column, own) for name, column, own in zip(prior.names, theta.T, drawn.T, strict=True)}
        found = {f"{name} is not distributed so": _of_draws(*both) for name, both in columns.items()}
        found["together they are not"] = _of_draws(prior.log_density(theta), prior.log_density(drawn))
    return [f"{words} (p = {p_value:.1g})" for words, p_value in found.items() if p_value < LEVEL / len(found)]


def warn_of_another_prior(theta: np.ndarray, prior: AnyPrior, whose: str, advice: str) -> list[str]:
    """Warn of parameters that do not follow the prior of a posterior that is learned from them.

    Parameters
    ----------
    theta : ndarray
        Parameters that simulations were made at, of shape (n, D).
    prior : Prior or JointPrior
        The prior that they are said to be drawn from.
    whose : str
        What to call them.
    advice : str
        What is to be done, for the end of the warning.

    Returns
    -------
    list of str
        The warning, for the card too; nothing where they do.

    Warns
    -----
    UserWarning
        With each departure and its p-value.
    """
    if not (found := departures(theta, prior)):
        return []
    words = (
        f"{whose} does not follow the prior: {'; '.join(found)}. The posterior will be that of the density that theta has, and"
        f" not of the prior given: {advice}"
    )
    warn(words)
    return [words]


def warn_of_a_cut_prior(theta: np.ndarray, prior: AnyPrior) -> list[str]:
    """Warn as :func:`warn_of_another_prior` does, of the simulations that are left where others have no answer.

    Parameters
    ----------
    theta : ndarray
        Parameters of the simulations that are left, of shape (n, D).
    prior : Prior or JointPrior
        The prior that all were drawn from.

    Returns
    -------
    list of str
        The warning, for the card too; nothing where they follow.
    """
    advice = "let the simulator answer there too, or cut the prior to where it does"
    return warn_of_another_prior(theta, prior, "theta of the simulations that are left", advice)


def warn_of_a_narrow_reach(theta: np.ndarray, prior: Drawable) -> list[str]:
    """Warn of a prior that reaches beyond the parameters that a likelihood is learned from; within them any density will do.

    Parameters
    ----------
    theta : ndarray
        Parameters that simulations were made at, of shape (n, D).
    prior : Drawable
        The prior.

    Returns
    -------
    list of str
        The warning, for the card too; nothing where it does not.

    Warns
    -----
    UserWarning
        With each such parameter, its range, that of the simulations and the share beyond.
    """
    if not (found := reaches_beyond(prior, theta.min(axis=0), theta.max(axis=0), len(theta))):
        return []
    words = f"the prior reaches beyond what was simulated: {'; '.join(found)}; {EXTRAPOLATED}"
    warn(words)
    return [words]


def reaches_beyond(prior: Drawable, low: np.ndarray, high: np.ndarray, rows: int) -> list[str]:
    """Say which parameters of a prior reach beyond a range that is known.

    Parameters
    ----------
    prior : Drawable
        The prior.
    low, high : ndarray
        Ends of the range of each parameter that was simulated, of shape (D,).
    rows : int
        How many simulations there are.

    Returns
    -------
    list of str
        A clause for each such parameter.
    """
    drawn = prior.sample(DRAWN, np.random.default_rng(0))
    share = ((drawn < low) | (drawn > high)).mean(axis=0)
    ends = np.quantile(drawn, [0.001, 0.999], axis=0)
    return [
        f"{name} from {ends[0, k]:.4g} to {ends[1, k]:.4g} (its middle 99.8%), of which {share[k]:.1%} lies outside of"
        f" {low[k]:.4g} to {high[k]:.4g}"
        for k, name in enumerate(prior.names)
        if share[k] > max(BEYOND, BY_CHANCE / rows)
    ]


def _of_law(values: np.ndarray, cdf: Callable[[np.ndarray], np.ndarray]) -> float:
    """The p-value of values (n,) that are to be drawn from a law."""
    from scipy.stats import kstwo

    values, counts = np.unique(values, return_counts=True)
    below, expected = np.cumsum(counts) / counts.sum(), cdf(values)
    distance = max((below - expected).max(), (expected - below + counts / counts.sum()).max())
    return float(kstwo.sf(distance, round(effective_number(counts))))


def _of_draws(values: np.ndarray, drawn: np.ndarray) -> float:
    """The p-value of values (n,) that are to be distributed as independent draws (m,)."""
    from scipy.stats import kstwo

    n = effective_number(np.unique(values, return_counts=True)[1])
    points = np.concatenate([values, drawn])
    shares = [np.searchsorted(np.sort(one), points, side="right") / len(one) for one in (values, drawn)]
    return float(kstwo.sf(np.abs(shares[0] - shares[1]).max(), round(n * len(drawn) / (n + len(drawn)))))


def _ranks(theta: np.ndarray) -> np.ndarray:
    from scipy.stats import rankdata

    return rankdata(theta, axis=0)


def _of_independence(pairs: np.ndarray, ranks: np.ndarray) -> float:
    """The p-value of two parameters (n, 2) that are to be independent."""
    from scipy.stats import t

    n: float = len(pairs)
    if all(len(np.unique(column)) < n for column in pairs.T):
        n = effective_number(np.unique(pairs, axis=0, return_counts=True)[1])
    rho = float(np.corrcoef(ranks.T)[0, 1])
    if n < 4 or not abs(rho) < 1:
        return float(n < 4)
    return float(2 * t.sf(abs(rho) * np.sqrt((n - 2) / (1 - rho**2)), n - 2))

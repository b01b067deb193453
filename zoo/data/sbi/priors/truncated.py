"""A prior that earlier rounds have truncated, for truncated sequential posterior estimation (TSNPE).

Deistler, Goncalves & Macke 2022 (arXiv:2210.04815): simulations go where the posterior of one observation may lie. A flow that
is trained on them as on simulations from a prior is right at that observation, with no correction: there the prior is what it
was, but for a constant.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from zoo.errors import InputError

OUTSIDE = 1e-4
"""Share of a posterior's own draws that its region leaves out."""
DRAWS = 10_000
"""Draws that a region is measured on."""
TRIED = 20_000
"""Parameters that are tried at once."""
RARE = 0.02
"""Share of the prior's draws inside, below which they come from a proposal instead."""
MOST = 5_000_000
"""Parameters that are tried at most."""
PARTS, WIDER, FITTED = 8, 2.0, 2000
"""Normals of that proposal; how much wider each is than draws, few of which are near a region's edge; draws of the fit."""
ABOVE = 1e-3
"""Share of a proposal's weights that are cut to the smallest of them: one far out would bound all others from far above."""


class Posterior(Protocol):
    """A conditional flow: ``zoo.families.contracts.Density`` and ``Generates``."""

    def draw(self, n: int, c: np.ndarray | None = None, seed: int = 0) -> np.ndarray:
        """Samples (n, D) given a context (C,)."""
        ...

    def log_density(self, x: np.ndarray, c: np.ndarray | None = None) -> np.ndarray:
        """Natural logarithm of the density, (n,), at rows (n, D)."""
        ...


class Known(Protocol):
    """A prior that one can draw from and whose density is known."""

    @property
    def names(self) -> list[str]:
        """Names of the parameters in their order."""
        ...

    @property
    def units(self) -> dict[str, str]:
        """Unit of each parameter."""
        ...

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Draws (n, D)."""
        ...

    def log_density(self, theta: np.ndarray) -> np.ndarray:
        """Natural logarithm (n,) of the density at parameters (n, D), -inf outside the support."""
        ...


@dataclass(frozen=True, eq=False)
class Region:
    """Where a posterior at an observation holds all but ``OUTSIDE`` of its draws: its density exceeds a threshold there.

    Attributes
    ----------
    posterior : Posterior
        The flow.
    observation : ndarray
        What it is given, of shape (C,).
    threshold : float
        Least log density.
    draws : ndarray
        Draws inside, of shape (n, D).
    """

    posterior: Posterior
    observation: np.ndarray
    threshold: float
    draws: np.ndarray

    @classmethod
    def around(cls, posterior: Posterior, observation: np.ndarray, seed: int = 0) -> Region:
        """The region of a posterior at an observation."""
        draws = np.asarray(posterior.draw(DRAWS, observation, seed))
        log_density = posterior.log_density(draws, observation)
        threshold = float(np.quantile(log_density, OUTSIDE))
        return cls(posterior, observation, threshold, draws[log_density > threshold])

    def holds(self, theta: np.ndarray) -> np.ndarray:
        """Whether each of parameters (n, D) lies inside, (n,)."""
        return self.posterior.log_density(theta, self.observation) > self.threshold


class TruncatedPrior:
    """A prior inside all regions that earlier rounds have found, and zero elsewhere.

    The regions are nested by taking all of them: inside the last, simulations of every round have the density of the prior but
    for a constant, so that they may be trained on together.

    Parameters
    ----------
    prior : Prior or JointPrior
        The prior.
    regions : list of Region
        The regions, in the order of the rounds.

    Raises
    ------
    InputError
        Hardly any parameters of the prior lie inside.
    """

    def __init__(self, prior: Known, regions: list[Region]) -> None:
        self.prior, self.regions = prior, list(regions)
        self.names, self.units = prior.names, prior.units
        rng = np.random.default_rng(0)
        first = prior.sample(TRIED, rng)
        self._proposal: _Proposal | None = None
        if np.mean(self.holds(first)) < RARE:
            self._proposal = _Proposal(self._inside(self.regions[-1].draws))
        weights = self._weights(first if self._proposal is None else self._proposal.sample(TRIED, rng))
        self.acceptance = float(weights.mean())
        """Probability of the prior inside."""
        if not self.acceptance > 0:
            raise InputError("the prior is zero wherever the posterior of the observation lies: look at both")

    def holds(self, theta: np.ndarray) -> np.ndarray:
        """Whether each of parameters (n, D) lies inside all regions, (n,)."""
        theta = np.asarray(theta)
        inside = np.isfinite(self.prior.log_density(theta))
        for region in self.regions:
            if inside.any():
                inside[inside] = region.holds(theta[inside])
        return inside

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Draws (n, D) by rejection.

        They are tried from the prior, or where it hardly ever lies inside, from normals around draws of the last posterior.
        """
        theta, weights, chance = (np.empty(shape) for shape in ((0, len(self.names)), 0, 0))
        for _ in range(MOST // TRIED):
            tried = (self.prior if self._proposal is None else self._proposal).sample(TRIED, rng)
            found, drawn = self._weights(tried), rng.random(TRIED)
            theta = np.concatenate([theta, tried[found > 0]])
            weights, chance = np.append(weights, found[found > 0]), np.append(chance, drawn[found > 0])
            accepted = chance * np.quantile(weights, 1 - ABOVE) < weights if len(weights) else np.zeros(0, bool)
            if accepted.sum() >= n:
                return theta[accepted][:n]
        raise InputError(f"only {accepted.sum()} of {MOST} parameters that were tried lie inside: take fewer rounds")

    def log_density(self, theta: np.ndarray) -> np.ndarray:
        """Natural logarithm (n,) of the density at parameters (n, D), -inf outside."""
        return np.where(self.holds(theta), self.prior.log_density(theta) - np.log(self.acceptance), -np.inf)

    def _inside(self, theta: np.ndarray) -> np.ndarray:
        return theta[self.holds(theta)]

    def _weights(self, tried: np.ndarray) -> np.ndarray:
        """The prior's density over that of what they were tried from, (n,), zero outside."""
        inside = self.holds(tried)
        if self._proposal is None:
            return inside.astype(float)
        weights = np.zeros(len(tried))
        within = tried[inside]
        weights[inside] = np.exp(self.prior.log_density(within) - self._proposal.log_density(within))
        return weights


class _Proposal:
    """A mixture of normals around draws (n, D), each wider than theirs."""

    def __init__(self, draws: np.ndarray) -> None:
        from sklearn.mixture import GaussianMixture

        if len(draws) < 10 * PARTS:
            raise InputError(f"only {len(draws)} of {DRAWS} draws of the posterior lie inside the earlier rounds' regions")
        self.center, self.scale = draws.mean(axis=0, dtype=np.float64), draws.std(axis=0, dtype=np.float64)
        standardized = (draws - self.center) / self.scale
        fitted = GaussianMixture(PARTS, reg_covar=1e-5, random_state=0).fit(standardized[:FITTED])
        self.shares = fitted.weights_ / fitted.weights_.sum()
        covariances = WIDER**2 * fitted.covariances_
        self.parts = [multivariate_normal(mean, one) for mean, one in zip(fitted.means_, covariances, strict=True)]

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Draws (n, D)."""
        counts = rng.multinomial(n, self.shares)
        drawn = [part.rvs(count, random_state=rng).reshape(count, -1) for part, count in zip(self.parts, counts, strict=True)]
        return rng.permutation(np.concatenate(drawn)) * self.scale + self.center

    def log_density(self, theta: np.ndarray) -> np.ndarray:
        """Natural logarithm (n,) of the density."""
        standardized = (theta - self.center) / self.scale
        logs = np.stack([part.logpdf(standardized).reshape(len(theta)) for part in self.parts])
        return logsumexp(logs, axis=0, b=self.shares[:, None]) - np.log(self.scale).sum()

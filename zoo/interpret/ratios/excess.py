"""How many events beyond the background pass a cut in a region of a mass, by what passes it on either side."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zoo.errors import InputError

LEAST = 20
"""Fewest events that pass beside the region, of which a share can be fitted."""
STEPS = 50
"""Most steps of Newton's method."""


@dataclass(frozen=True, eq=False)
class Excess:
    """Events that pass a cut in a region, beside those that are expected without a signal.

    Attributes
    ----------
    observed : float
        Sum of the weights of the events in the region that pass.
    expected : float
        The same of the background, as the events beside the region say.
    error : float
        Standard error of ``expected``.
    p_value : float
        Probability of at least as many events without a signal. It is local: of this one cut and region.
    share : ndarray
        Share that is expected to pass at the mass of each event, of shape (n,).
    """

    observed: float
    expected: float
    error: float
    p_value: float
    share: np.ndarray

    @property
    def significance(self) -> float:
        """The p-value in standard deviations of a normal distribution, negative where there are fewer events than expected."""
        from scipy.stats import norm

        return float(norm.isf(self.p_value))


def excess(passes: np.ndarray, mass: np.ndarray, region: tuple[float, float], weight: np.ndarray) -> Excess:
    """Count events that pass a cut in a region of a mass.

    The share that passes is fitted beside the region, by a logistic regression whose log odds are a parabola in the mass, so
    that it may change with the mass; the number of events in the region is taken from the data. The p-value is that of a
    Poisson number whose mean has a gamma distribution of the mean and the error expected (Cousins, Linnemann & Tucker 2008,
    arXiv:physics/0702156).

    Parameters
    ----------
    passes : ndarray of bool
        Which events pass, of shape (n,).
    mass : ndarray
        Their mass, of shape (n,).
    region : tuple of float
        Ends of the region.
    weight : ndarray
        Event weights, of shape (n,), none of them negative.

    Returns
    -------
    Excess
        Numbers in the region.

    Raises
    ------
    InputError
        Too few events beside the region pass, or they lie on one side of it.
    """
    from scipy.stats import nbinom

    inside = (mass >= region[0]) & (mass <= region[1])
    beside = ~inside & (weight > 0)
    sides = [np.count_nonzero(passes & beside & side) for side in (mass < region[0], mass > region[1])]
    if min(sides) == 0 or sum(sides) < LEAST or passes[beside].all():
        raise InputError(
            f"expected at least {LEAST} events that pass the cut beside the region {region[0]:g} to {region[1]:g}, on both"
            f" sides of it, and some that do not, given {sides[0]} below, {sides[1]} above and"
            f" {np.count_nonzero(~passes & beside)} that do not: cut otherwise, or give more events beside the region"
        )
    scaled = (mass - mass[beside].mean()) / mass[beside].std()
    terms = np.stack([np.ones_like(scaled), scaled, scaled**2], axis=1)
    coefficients, covariance = _logistic(terms[beside], passes[beside], weight[beside])
    share = _share(terms @ coefficients)
    counted = np.where(inside, weight, 0.0)
    observed, expected = float(counted @ passes), float(counted @ share)
    slope = (counted * share * (1 - share)) @ terms
    error = float(np.sqrt(slope @ covariance @ slope))
    # Events of unequal weights fluctuate as fewer ones do, each as heavy as this (Bohm & Zech 2014, arXiv:1309.1287).
    heavy = float(counted**2 @ share) / expected
    k = (expected / error) ** 2
    p_value = float(nbinom.sf(np.ceil(observed / heavy - 1e-9) - 1, k, k / (k + expected / heavy)))
    return Excess(observed, expected, error, p_value, share)


def _share(log_odds: np.ndarray) -> np.ndarray:
    from scipy.special import expit

    return np.asarray(expit(log_odds))


def _logistic(terms: np.ndarray, passes: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients of a weighted logistic regression, and their covariance, which holds for unequal weights too."""
    coefficients = np.zeros(terms.shape[1])
    mean = np.average(passes, weights=weight)
    coefficients[0] = np.log(mean / (1 - mean)) if mean < 1 else 0.0
    for _ in range(STEPS):
        share = _share(terms @ coefficients)
        information = terms.T @ ((weight * share * (1 - share))[:, None] * terms)
        step = np.linalg.solve(information, terms.T @ (weight * (passes - share)))
        coefficients = coefficients + step
        if np.abs(step).max() < 1e-10:
            break
    scores = (weight * (passes - share))[:, None] * terms
    inverse = np.linalg.inv(information)
    return coefficients, inverse @ (scores.T @ scores) @ inverse

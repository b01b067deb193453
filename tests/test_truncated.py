"""Truncated priors: regions and densities of exact posteriors, by rejection from the prior and from a proposal."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chi2, kstest, multivariate_normal, uniform

from zoo.data.sbi import Prior
from zoo.data.sbi.priors.truncated import OUTSIDE, Region, TruncatedPrior
from zoo.errors import InputError


class Exact:
    """A normal posterior around the observation."""

    def __init__(self, covariance: np.ndarray) -> None:
        self.covariance = np.asarray(covariance)

    def draw(self, n, c=None, seed=0):
        return np.random.default_rng(seed).multivariate_normal(c, self.covariance, n)

    def log_density(self, x, c=None):
        return np.atleast_1d(multivariate_normal(c, self.covariance).logpdf(x))


def box(width: float) -> Prior:
    return Prior({name: {"distribution": "uniform", "low": -width / 2, "high": width / 2} for name in ("a", "b")})


COVARIANCE = np.array([[1.0, 0.6], [0.6, 0.5]])
AT = np.array([0.5, -0.2])
RADIUS = chi2(2).isf(OUTSIDE)
"""Squared distance of the edge from the center."""


def squared(theta: np.ndarray) -> np.ndarray:
    return np.einsum("ni,ij,nj->n", theta - AT, np.linalg.inv(COVARIANCE), theta - AT)


@pytest.mark.parametrize("width", [12.0, 200.0])  # the prior's own draws, and where one of a thousand lies inside
def test_draws_are_the_prior_inside_the_region(width):
    prior = TruncatedPrior(box(width), [Region.around(Exact(COVARIANCE), AT)])
    assert (prior._proposal is None) == (width == 12.0)
    theta = prior.sample(4000, np.random.default_rng(1))
    distance = squared(theta)
    assert distance.max() < 1.15 * RADIUS  # the quantile of draws is as uncertain as that
    inside = theta[distance < 0.8 * RADIUS]
    if width == 200.0:  # far from the box's walls a region is an ellipse, over which squared distances are uniform
        assert kstest(squared(inside) / (0.8 * RADIUS), uniform().cdf).pvalue > 1e-3
        area = np.pi * RADIUS * np.sqrt(np.linalg.det(COVARIANCE))
        assert prior.acceptance == pytest.approx(area / width**2, rel=0.1)
    log_density = prior.log_density(np.concatenate([inside, [AT + 100.0]]))
    np.testing.assert_allclose(log_density[:-1], -2 * np.log(width) - np.log(prior.acceptance))
    assert log_density[-1] == -np.inf


def test_a_normal_prior_keeps_its_shape_inside():
    law = Prior({name: {"distribution": "normal", "mean": 0, "sd": 3} for name in ("a", "b")})
    narrow = TruncatedPrior(law, [Region.around(Exact(0.01 * COVARIANCE), np.array([3.0, 0.0]))])
    assert narrow._proposal is not None
    theta = narrow.sample(6000, np.random.default_rng(0))
    grid = np.stack(np.meshgrid(np.linspace(2.4, 3.6, 241), np.linspace(-0.5, 0.5, 201), indexing="ij"), axis=-1).reshape(-1, 2)
    density = np.exp(narrow.log_density(grid))
    assert density.sum() * (1.2 / 240) * (1.0 / 200) == pytest.approx(1, abs=0.05)
    expected = density @ grid / density.sum()
    error = theta.std(axis=0) / np.sqrt(len(theta))
    assert np.all(np.abs(theta.mean(axis=0) - expected) < 4 * error)


def test_regions_are_nested():
    wide, narrow = (Region.around(Exact(scale * COVARIANCE), AT) for scale in (0.2, 1.0))
    prior = TruncatedPrior(box(12.0), [wide, narrow])
    theta = prior.sample(500, np.random.default_rng(0))
    assert wide.holds(theta).all()
    assert narrow.holds(theta).all()


def test_a_posterior_outside_the_prior_is_an_error():
    with pytest.raises(InputError, match=r"lie inside|prior is zero"):
        TruncatedPrior(box(2.0), [Region.around(Exact(1e-4 * COVARIANCE), np.array([30.0, 0.0]))])

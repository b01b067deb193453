"""The classifier test against samples whose best classifier is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from zoo.errors import InputError
from zoo.interpret.posteriors.c2st import c2st


def test_equal_distributions():
    rng = np.random.default_rng(0)
    assert c2st(rng.normal(size=(1000, 2)), rng.normal(size=(1000, 2))) == pytest.approx(0.5, abs=0.03)


def test_samples_that_share_nothing():
    rng = np.random.default_rng(0)
    assert c2st(rng.normal(size=(500, 3)), rng.normal(size=(500, 3)) + 20) == 1.0


@pytest.mark.parametrize("shift", [0.5, pytest.param(2.0, marks=pytest.mark.slow)])
def test_shifted_normal_reaches_the_best_accuracy(shift):
    """No classifier beats Phi(shift / 2)."""
    rng = np.random.default_rng(1)
    first, second = rng.normal(size=(2, 1000, 2))
    assert c2st(first, second + np.array([shift, 0])) == pytest.approx(norm.cdf(shift / 2), abs=0.03)


def test_a_difference_in_shape_alone_is_seen():
    """Equal means and variances, opposite correlations."""
    rng = np.random.default_rng(2)
    first = rng.multivariate_normal([0, 0], [[1, 0.9], [0.9, 1]], 300)
    second = rng.multivariate_normal([0, 0], [[1, -0.9], [-0.9, 1]], 300)
    assert c2st(first, second) > 0.8


def test_scale_of_the_variables_does_not_matter():
    """Scaled by the first sample: units drop out."""
    rng = np.random.default_rng(3)
    first, second = rng.normal(size=(2, 150, 2))
    second = second + np.array([0.5, 0])
    scaled = c2st(1e6 + 1e-3 * first, 1e6 + 1e-3 * second)
    assert scaled == pytest.approx(c2st(first, second), abs=0.02)


def test_same_seed_same_answer():
    rng = np.random.default_rng(4)
    first, second = rng.normal(size=(2, 200, 1))
    assert c2st(first, second, seed=3) == c2st(first, second, seed=3)


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (np.zeros((5, 2)), np.zeros((5, 3)), "one D"),
        (np.zeros(5), np.zeros(5), "one D"),
        (np.array([[1.0, np.nan], [2.0, 1.0]]), np.zeros((2, 2)), "NaN"),
        (np.array([[1.0, 0.5], [2.0, 0.5]]), np.zeros((2, 2)), "variable 1"),
    ],
)
def test_bad_samples(first, second, message):
    with pytest.raises(InputError, match=message):
        c2st(first, second)

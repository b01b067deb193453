"""Mutual information against closed forms and published values."""

from __future__ import annotations

import numpy as np
import pytest

from zoo.errors import InputError
from zoo.interpret.latents.information import (
    information_profile,
    mutual_information,
    mutual_information_matrix,
    neighbor_information,
    total_correlation,
)


def bivariate(rho: float, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(n)
    return x, rho * x + np.sqrt(1 - rho**2) * rng.standard_normal(n)


def true_value(rho: float) -> float:
    return -0.5 * np.log(1 - rho**2)


def test_bivariate_gaussian_of_the_gmm_mi_readme():
    """At rho = 0.6, N = 200: published 0.21 +- 0.04 nat, true 0.22; here over 25 draws, so that a bias shows."""
    draws = [mutual_information(*bivariate(0.6, 200, seed), bootstrap=10, seed=seed) for seed in range(25)]
    values, errors = np.array([draw.value for draw in draws]), np.array([draw.error for draw in draws])
    assert abs(values.mean() - true_value(0.6)) < 2.5 * values.std() / np.sqrt(25)
    assert 0.03 < errors.mean() < 0.055
    assert 0.6 < errors.mean() / values.std() < 1.6


@pytest.mark.parametrize("rho", [0.0, 0.6, 0.9, 0.99])
def test_larger_gaussian_samples(rho):
    found = mutual_information(*bivariate(rho, 3000, 1))
    assert abs(found.value - true_value(rho)) < 3 * found.error + 0.003
    assert found.components == 1


def test_exactly_invariant_under_monotone_maps():
    x, y = bivariate(0.6, 500, 2)
    found = mutual_information(x, y)
    assert mutual_information(np.exp(2 * x), 1e4 * y**3) == found


def test_strongly_nonlinear_monotone_maps_against_the_closed_form():
    """Lognormal over eight decades and a saturated response, of a Gaussian pair with rho = 0.6."""
    x, y = bivariate(0.6, 2000, 5)
    for estimate in (mutual_information, neighbor_information):
        found = estimate(np.exp(3 * x), np.tanh(2 * y))
        assert abs(found.value - true_value(0.6)) < 3 * found.error + 0.003


def test_what_is_not_finite_is_refused_by_all():
    latent, other = bivariate(0.6, 100, 0)
    latent = np.where(latent > 1, np.nan, latent)
    for estimate in (
        lambda: mutual_information(other, latent),
        lambda: neighbor_information(other, latent),
        lambda: total_correlation(np.column_stack([other, latent])),
        lambda: mutual_information_matrix({"latent 0": latent}, {"b": other}),
        lambda: information_profile({"latent 0": latent}, other[:, None]),
        lambda: information_profile({"latent 0": other}, latent[:, None], estimator="neighbors"),
    ):
        with pytest.raises(InputError, match="values are NaN or infinite"):
            estimate()


def test_of_several_columns():
    """I((x1, x2); y) of a Gaussian, 1/2 log of the variance of y over that left when x is known."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((4000, 2))
    y = x.sum(axis=1) + rng.standard_normal(4000)
    found = mutual_information(x, y)
    assert found.value == pytest.approx(0.5 * np.log(3), abs=3 * found.error + 0.003)


def test_a_relation_without_correlation_is_found():
    """For y = x^2 + noise, truth is by quadrature of the marginal of y."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, 3000)
    y = x**2 + 0.1 * rng.standard_normal(3000)
    grid_x, grid_y = np.linspace(-1, 1, 2001), np.linspace(-0.6, 1.6, 2201)
    density = np.exp(-0.5 * ((grid_y[:, None] - grid_x**2) / 0.1) ** 2).mean(axis=1) / (0.1 * np.sqrt(2 * np.pi))
    entropy = -np.sum(density * np.log(density + 1e-300)) * (grid_y[1] - grid_y[0])
    truth = entropy - 0.5 * np.log(2 * np.pi * np.e * 0.1**2)
    found = mutual_information(x, y)
    assert found.value == pytest.approx(truth, rel=0.05)
    assert found.components > 2
    assert mutual_information(x, y, components=1).value < 0.01


def test_same_seed_same_number_and_thinning():
    x, y = bivariate(0.6, 2000, 3)
    thinned = mutual_information(x, y, rows=200, seed=1)
    assert mutual_information(x, y, rows=200, seed=1) == thinned
    assert mutual_information(x, y, rows=200, seed=2) != thinned
    assert thinned.error > 1.8 * mutual_information(x, y, seed=1).error  # sqrt(10), known to 16% each


def test_matrix_of_named_quantities():
    x, y = bivariate(0.8, 1000, 4)
    noise = np.random.default_rng(9).standard_normal(1000)
    found = mutual_information_matrix({"latent 0": x, "latent 1": noise}, {"b": y})
    assert list(found) == [("latent 0", "b"), ("latent 1", "b")]
    assert found["latent 0", "b"].value == pytest.approx(true_value(0.8), abs=0.1)
    assert found["latent 1", "b"].value < 0.02


@pytest.mark.parametrize(
    ("x", "y", "options", "message"),
    [
        (np.arange(50.0), np.arange(40.0), {}, "same number of rows, given 50 and 40"),
        (np.full(50, 2.0), np.arange(50.0), {}, "x: column 0 is constant"),
        (np.arange(50.0), np.stack([np.arange(50.0), np.ones(50)], axis=1), {}, "y: column 1 is constant"),
        (np.arange(50.0), np.arange(50) % 5, {}, "only 5 different values in 50 rows"),
        (np.append(np.arange(49.0), np.nan), np.arange(50.0), {}, "x: 1 values are NaN"),
        (np.arange(5.0), np.arange(5.0), {}, "given 5 rows for 1"),
        (np.arange(50.0), np.arange(50.0), {"components": 6}, "given 50 rows for 6"),
        (np.arange(50.0), np.arange(50.0), {"components": -1}, "given 50 rows for -1"),
        (np.arange(50.0), np.arange(50.0), {"bootstrap": 1}, "at least 2 refits"),
        (np.arange(50.0), np.array(["a"] * 50), {}, "y: expected numbers"),
        (np.float64(3.0), np.arange(50.0), {}, r"given float64 of shape \(\)"),
    ],
)
def test_bad_input(x, y, options, message):
    with pytest.raises(InputError, match=message):
        mutual_information(x, y, **options)

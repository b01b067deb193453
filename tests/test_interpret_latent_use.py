"""Use of latents against closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from zoo.errors import InputError
from zoo.interpret.latents.information import total_correlation
from zoo.interpret.latents.use import active_units, activity, gaussian_total_correlation, information_between, use_of_latents


def gaussian(covariance, rows=4000, seed=0):
    return np.random.default_rng(seed).multivariate_normal(np.zeros(len(covariance)), covariance, rows)


def equal(rho, size):
    """Unit variances, every correlation rho; total correlation -1/2 log[(1 - rho)^(d-1) (1 + (d - 1) rho)]."""
    return np.full((size, size), rho) + (1 - rho) * np.eye(size)


def equal_truth(rho, size):
    return -0.5 * np.log((1 - rho) ** (size - 1) * (1 + (size - 1) * rho))


def test_active_units():
    mean = np.array([[0.0, 0.0, -1.0], [0.2, 0.09, 1.0], [0.0, 0.18, 0.0]])
    np.testing.assert_allclose(activity(mean), [0.04 / 3, 0.0081, 1])
    assert active_units(mean).tolist() == [0, 2]
    assert active_units(mean, threshold=0.5).tolist() == [2]
    assert active_units(np.ones((5, 2))).size == 0


@pytest.mark.parametrize(("rho", "size"), [(0.0, 4), (0.6, 2), (0.5, 5)])
def test_total_correlation_of_gaussians(rho, size):
    truth, drawn = equal_truth(rho, size), gaussian(equal(rho, size))
    assert gaussian_total_correlation(drawn * [10.0**i for i in range(size)]) == pytest.approx(truth, abs=0.04)
    found = total_correlation(drawn, seed=1)
    assert found.value == pytest.approx(truth, abs=3 * found.error + 0.05 * truth)
    assert 0 < found.error < 0.05


def test_gaussian_total_correlation_exactly():
    """Rows whose sample covariance is the wanted one."""
    white = gaussian(np.eye(3), 50)
    white = (white - white.mean(axis=0)) @ np.linalg.inv(np.linalg.cholesky(np.cov(white, rowvar=False))).T
    drawn = white @ np.linalg.cholesky(equal(0.7, 3)).T
    assert gaussian_total_correlation(drawn) == pytest.approx(equal_truth(0.7, 3), rel=1e-10)
    assert gaussian_total_correlation(np.column_stack([drawn, np.ones(50)])) == pytest.approx(equal_truth(0.7, 3), rel=1e-10)
    assert gaussian_total_correlation(np.column_stack([drawn, -3 * drawn[:, 1]])) == np.inf
    assert gaussian_total_correlation(np.column_stack([drawn[:, 0], np.ones(50)])) == 0


def test_a_relation_without_correlation():
    """A parabola, which the Gaussian takes for independence."""
    base = gaussian(np.eye(2))
    drawn = np.column_stack([base[:, 0], base[:, 0] ** 2 + 0.2 * base[:, 1]])
    assert gaussian_total_correlation(drawn) < 0.01
    assert total_correlation(drawn).value > 0.8


def test_information_between_latents():
    covariance = np.eye(3)
    covariance[0, 2] = covariance[2, 0] = 0.8
    values, errors = information_between(gaussian(covariance))
    assert np.isnan(np.diag(values)).all()
    np.testing.assert_array_equal(values, values.T)
    for i, j, truth in ((0, 1, 0), (1, 2, 0), (0, 2, -0.5 * np.log(1 - 0.64))):
        assert values[i, j] == pytest.approx(truth, abs=3.5 * errors[i, j])
    mixture, _ = information_between(gaussian(covariance, 500), estimator="mixture")
    assert mixture[0, 2] == pytest.approx(-0.5 * np.log(1 - 0.64), abs=0.12)


def test_everything_of_one_posterior():
    """Latents 0 and 1 carry one signal with noise, 2 is dead with means bound to the signal: samples do not show it."""
    rng = np.random.default_rng(0)
    signal = rng.standard_normal(3000)
    mean = np.sqrt(0.9) * np.column_stack([signal, signal, 1e-4 * signal])
    log_variance = np.tile(np.log([0.1, 0.1, 1.0]), (3000, 1))
    found = use_of_latents(mean, log_variance, seed=1)
    assert found.active.tolist() == [0, 1]
    assert found.kl[0] == pytest.approx(-0.5 * np.log(0.1), abs=0.05)  # the aggregate is the prior
    assert found.kl[2] < 1e-6
    assert found.total_correlation_of_means == np.inf
    truth = -0.5 * np.log(1 - 0.9**2)
    assert found.total_correlation_of_samples == pytest.approx(truth, abs=0.05)
    assert found.total_correlation.value == pytest.approx(truth, abs=3 * found.total_correlation.error + 0.02)
    assert found.information[0, 1] == pytest.approx(found.total_correlation.value, abs=0.05)
    assert abs(found.information[0, 2]) < 0.05
    assert {name: array.shape for name, array in found.arrays().items()} == {
        "kl": (3,),
        "activity": (3,),
        "active": (2,),
        "total_correlation_of_means": (),
        "total_correlation_of_samples": (),
        "total_correlation": (3,),
        "information": (3, 3),
        "information_error": (3, 3),
    }


def test_nothing_is_used():
    found = use_of_latents(np.zeros((200, 2)), np.zeros((200, 2)))
    assert found.active.size == 0
    assert (found.total_correlation_of_means, found.total_correlation.value) == (0, 0)


@pytest.mark.parametrize("values", [np.zeros(4), np.zeros((1, 3)), np.zeros((4, 0)), np.full((4, 2), np.inf)])
def test_bad_latents(values):
    for function in (activity, active_units, gaussian_total_correlation, information_between):
        with pytest.raises(InputError, match=r"shape \(n, latents\)"):
            function(values)


def test_bad_columns():
    with pytest.raises(InputError, match="at least two columns"):
        total_correlation(np.arange(100.0))
    with pytest.raises(InputError, match="45 rows for 3, given 40"):
        total_correlation(gaussian(np.eye(2), 40))

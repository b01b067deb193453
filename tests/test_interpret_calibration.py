"""Calibration on constructed data, and intervals against SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from zoo.errors import InputError
from zoo.interpret.uncertainty.calibration import expected_calibration_error, reliability, wilson_interval


def test_bins_of_constructed_data():
    probability = np.array([0.05, 0.15, 0.15, 0.95, 1.0, 0.0])
    label = np.array([0, 1, 0, 1, 1, 0])
    found = reliability(probability, label, bins=10)
    np.testing.assert_allclose(found.predicted, [0.025, 0.15, 0.975])
    np.testing.assert_allclose(found.observed, [0, 0.5, 1])
    np.testing.assert_array_equal(found.count, [2, 2, 2])
    assert expected_calibration_error(probability, label, bins=10) == pytest.approx((0.025 + 0.35 + 0.025) / 3)


def test_overconfidence_is_measured():
    """Answers of 0.9 that are right in 60% of the cases, and of 0.1 in 80%: ECE = (0.3 + 0.1) / 2."""
    probability = np.repeat([0.9, 0.1], 1000)
    label = np.concatenate([np.arange(1000) < 600, np.arange(1000) < 200])
    assert expected_calibration_error(probability, label) == pytest.approx(0.2)


def test_calibrated_answers_have_a_small_error_and_lie_in_their_intervals():
    rng = np.random.default_rng(0)
    probability = rng.uniform(size=200_000)
    label = rng.uniform(size=200_000) < probability
    assert expected_calibration_error(probability, label) < 0.006
    found = reliability(probability, label)
    assert np.mean((found.low <= found.predicted) & (found.predicted <= found.high)) >= 12 / 15
    assert expected_calibration_error(probability**2, label) == pytest.approx(1 / 6, abs=0.01)


@pytest.mark.parametrize(("successes", "trials"), [(0, 5), (3, 7), (50, 50), (999, 5000)])
def test_wilson_interval_against_scipy(successes, trials):
    wanted = binomtest(successes, trials).proportion_ci(method="wilson")
    low, high = wilson_interval(np.array([successes]), np.array([trials]))
    np.testing.assert_allclose([low[0], high[0]], wanted, atol=1e-7)


@pytest.mark.parametrize(
    ("probability", "label", "bins", "message"),
    [
        ([0.5, 0.5], [1], 15, r"given \(2,\) and \(1,\)"),
        ([[0.5]], [[1]], 15, "one shape"),
        ([], [], 15, "one shape"),
        ([0.5, 1.1], [0, 1], 15, "from 0 to 1"),
        ([0.5, np.nan], [0, 1], 15, "from 0 to 1"),
        ([0.5, 0.6], [0, 2], 15, r"expected 0 and 1, given \[0, 2\]"),
        ([0.5], [1], 0, "bins"),
    ],
)
def test_bad_input(probability, label, bins, message):
    with pytest.raises(InputError, match=message):
        expected_calibration_error(np.array(probability), np.array(label), bins)

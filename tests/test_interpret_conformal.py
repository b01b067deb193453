"""Conformal intervals and sets in simulation: coverage within binomial bounds, whatever the model."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from zoo.errors import InputError
from zoo.interpret import conformal_classifier, conformal_regressor

TRIALS = 4000


def assert_covered(inside: np.ndarray, probability: float) -> None:
    """Independent trials, each covered with the probability given, up to one in ten thousand on either side."""
    low, high = binom.ppf([1e-4, 1 - 1e-4], len(inside), probability)
    assert low <= inside.sum() <= high


@pytest.mark.parametrize(("rows", "coverage"), [(19, 0.9), (50, 0.68), (99, 0.95)])
def test_intervals_hold_the_truth_as_often_as_the_theorem_says(rows, coverage):
    """One new row for each calibration: covered with probability ceil((n + 1) coverage) / (n + 1), though the model is bad."""
    rng = np.random.default_rng(0)
    truth = rng.standard_cauchy((TRIALS, rows + 1))
    answer = 0.3 * truth + rng.exponential(size=truth.shape)
    inside = []
    for a, t in zip(answer, truth, strict=True):
        low, high = conformal_regressor(a[:-1], t[:-1], coverage).interval(a[-1:])
        inside.append(low[0] <= t[-1] <= high[0])
    assert_covered(np.array(inside), np.ceil(np.round((rows + 1) * coverage, 9)) / (rows + 1))


def test_scaled_intervals_are_wide_where_the_scale_is():
    rng = np.random.default_rng(1)
    scale = rng.uniform(0.1, 3.0, TRIALS + 1999)
    truth = scale * rng.normal(size=len(scale))
    fitted = conformal_regressor(np.zeros(1999), truth[:1999], 0.9, scale=scale[:1999])
    low, high = fitted.interval(np.zeros(TRIALS), scale[1999:])
    inside = (low <= truth[1999:]) & (truth[1999:] <= high)
    for part in (scale[1999:] < 0.8, scale[1999:] > 2.0):  # not only on average
        assert inside[part].mean() == pytest.approx(0.9, abs=0.04)
    assert fitted.radius == pytest.approx(1.645, abs=0.1)


@pytest.mark.parametrize("classes", [2, 5])
def test_sets_hold_the_class_as_often_as_the_theorem_says(classes):
    """Probabilities are far too sure, and the sets cover all the same."""
    rng = np.random.default_rng(2)
    rows, coverage = 49, 0.9
    inside = []
    for _ in range(TRIALS):
        logits = rng.normal(size=(rows + 1, classes))
        true = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        label = (true.cumsum(axis=1) < rng.uniform(size=(rows + 1, 1))).sum(axis=1)
        sure = np.exp(4 * logits) / np.exp(4 * logits).sum(axis=1, keepdims=True)
        sure = sure[:, 1] if classes == 2 else sure
        sets = conformal_classifier(sure[:-1], label[:-1], coverage).sets(sure[-1:])
        inside.append(sets[0, label[-1]])
    assert_covered(np.array(inside), 45 / 50)


def test_too_few_rows_for_the_coverage_leave_nothing_out():
    assert conformal_regressor(np.zeros(8), np.ones(8), 0.9).radius == np.inf
    assert conformal_regressor(np.zeros(9), np.arange(9.0), 0.9).radius == 8.0
    assert conformal_classifier(np.full(8, 0.5), np.ones(8, int), 0.9).sets(np.array([0.0])).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: conformal_regressor(np.zeros(3), np.zeros(4)), "one shape"),
        (lambda: conformal_regressor(np.zeros(0), np.zeros(0)), "given 0"),
        (lambda: conformal_regressor(np.array([np.nan]), np.zeros(1)), "NaN"),
        (lambda: conformal_regressor(np.zeros(3), np.zeros(3), 1.0), "between 0 and 1"),
        (lambda: conformal_regressor(np.zeros(3), np.zeros(3), scale=np.zeros(3)), "positive"),
        (lambda: conformal_regressor(np.zeros(30), np.zeros(30), scale=np.ones(30)).interval(np.zeros(2)), "one for each"),
        (lambda: conformal_classifier(np.array([0.5, 1.5]), np.array([0, 1])), "from 0 to 1"),
        (lambda: conformal_classifier(np.array([0.5, 0.5]), np.array([0, 2])), "expected 0 to 1"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(InputError, match=message):
        call()

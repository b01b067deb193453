"""How metrics are made: values and intervals against closed forms, event weights of either sign, always an interval."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

import zoo.training
from zoo.errors import InputError
from zoo.training import metrics
from zoo.training.metrics import Units, auc, mean, measured, of_trainings

RNG = np.random.default_rng(0)


def test_interval_of_a_mean_is_that_of_its_groups():
    """50 groups of 20 equal rows: the interval is that of 50 numbers."""
    of_group = RNG.normal(5.0, 2.0, 50)
    values = np.repeat(of_group, 20)
    found = metrics.measured("mean", metrics.mean, [values, values + 1], Units(np.repeat(np.arange(50), 20)), "m")
    assert found.value == pytest.approx(of_group.mean())
    half = 1.96 * of_group.std() / np.sqrt(50)
    np.testing.assert_allclose(found.interval, [found.value - half, found.value + half], atol=0.15 * half)
    assert (found.n, found.seeds) == (1000, 2)
    assert found.detail == (
        f"m; over 2 seeds: {found.value + 0.5:.4f} +- {np.sqrt(0.5):.4f}; interval by bootstrap over 50 independent groups"
    )


def test_weights_of_either_sign_give_what_the_events_without_cancellation_would():
    """Pairs of equal events of weights +1 and -1 vanish: what is left is the sample without them."""
    kept, cancelled = RNG.normal(3.0, 1.0, 400), RNG.normal(-9.0, 1.0, 300)
    values = np.concatenate([kept, cancelled, cancelled])
    weights = np.concatenate([np.full(400, 0.5), np.ones(300), -np.ones(300)])
    assert metrics.mean(values, weights) == pytest.approx(kept.mean())
    assert metrics.rms(values, weights) == pytest.approx(np.sqrt(np.mean(kept**2)))
    assert metrics.quantile(kept, 0.3, np.full(400, 0.5)) == pytest.approx(np.quantile(kept, 0.3), abs=0.02)
    assert metrics.quantile(values, 0.3, weights) == pytest.approx(np.quantile(kept, 0.3), abs=0.02)
    label = (RNG.random(400) < 0.5).astype(float)
    scored = np.stack([kept + label, label], axis=1)
    other = np.stack([cancelled, np.ones(300)], axis=1)
    expected = roc_auc_score(label, scored[:, 0])
    assert metrics.auc(scored) == pytest.approx(expected)
    assert metrics.auc(np.concatenate([scored, other, other]), weights) == pytest.approx(expected)
    rounded = np.round(scored)  # with ties
    assert metrics.auc(rounded, np.ones(400)) == pytest.approx(roc_auc_score(label, rounded[:, 0]))


def test_whole_weights_are_copies_of_rows():
    values, weights = RNG.normal(size=(50, 3)), RNG.integers(1, 4, 50)
    copies = np.repeat(values, weights, axis=0)
    for statistic in (metrics.mean, metrics.rms):
        assert statistic(values, weights.astype(float)) == pytest.approx(statistic(copies))


def test_interval_with_weights_is_wider_than_without():
    values = RNG.normal(size=2000)
    units = Units(np.arange(2000), np.where(RNG.random(2000) < 0.4, -1.0, 1.0))
    weighted = metrics.measured("mean", metrics.mean, [values], units, "m")
    plain = metrics.measured("mean", metrics.mean, [values], Units(np.arange(2000)), "m")
    assert np.ptp(weighted.interval) > 3 * np.ptp(plain.interval)
    assert "sum of weights" in weighted.detail
    assert weighted.interval[0] < weighted.value < weighted.interval[1]


@pytest.mark.parametrize(
    ("units", "values", "message"),
    [
        (Units(np.arange(4), np.array([1.0, -1.0, -1.0, 0.5])), np.ones(4), "event weights with a positive sum, given -0.5"),
        (Units(np.zeros(4)), np.ones(4), "at least two independent groups for an interval, given 1"),
        (Units(np.arange(4)), np.array([1.0, np.nan, 1.0, 1.0]), "expected a finite number, found nan"),
    ],
)
def test_a_number_that_means_nothing_is_refused(units, values, message):
    with pytest.raises(InputError, match=message):
        metrics.measured("mean", metrics.mean, [values], units, "m")


def test_interval_of_a_distance_holds_the_true_one():
    """Ranks of draws from a distribution whose distance from uniform is 0.1."""
    covered = []
    for seed in range(200):
        u = np.random.default_rng(seed).beta(1.0, 1.3, 300)
        found = metrics.of_distance(float(stats.kstest(u, "uniform").statistic), 300)
        covered.append(found.low <= 0.0966 <= found.high)  # sup |x - 1 + (1 - x)^1.3|
    assert np.mean(covered) >= 0.95


def test_exact_interval_of_a_share_is_the_beta_quantiles():
    found = metrics.of_share(0.9, 50)
    np.testing.assert_allclose([found.low, found.high], [stats.beta.ppf(0.025, 45, 6), stats.beta.ppf(0.975, 46, 5)], rtol=1e-6)
    assert metrics.of_share(1.0, 50).high == 1.0


def test_interval_of_parts_is_students():
    parts = [1.0, 1.2, 0.9, 1.1]
    low, high = stats.t.interval(0.95, 3, 1.0, stats.sem(parts))
    found = metrics.of_parts(1.0, parts)
    np.testing.assert_allclose([found.low, found.high], [low, high])


def test_metrics_are_made_in_one_place():
    """A Metric that is built elsewhere in the training could lack an interval."""
    makers = []
    for path in Path(zoo.training.__path__[0]).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Metric":
                makers.append(path.name)
    assert makers == ["metrics.py"]


@pytest.mark.parametrize("weights", [[1.0, -1.0, 1.0, 1.0], [1.0, -2.0, 2.0, 2.0]])
def test_an_auc_whose_class_has_no_weight_is_no_number(weights):
    scored = np.array([[0.9, 1], [0.4, 1], [0.3, 0], [0.5, 0]])
    assert np.isnan(auc(scored, np.array(weights)))


def test_a_mean_over_no_weight_is_no_number():
    assert np.isnan(mean(np.arange(4.0), np.array([1.0, -1.0, 1.0, -1.0])))


def test_a_share_of_all_or_none_has_the_exact_interval_of_its_units():
    """No resample of rows that all agree is different, which a bootstrap takes for certainty."""
    right, units = np.ones(60, bool), Units(np.arange(60) // 3)
    sure = measured("share", mean, [right], units, "", trials=20)
    assert sure.interval == pytest.approx((0.025 ** (1 / 20), 1.0))
    assert "exact binomial interval of 20 trials" in sure.detail
    assert measured("share", mean, [~right], units, "", trials=20).interval == pytest.approx((0, 1 - 0.025 ** (1 / 20)))
    right[:9] = False
    assert "bootstrap" in measured("share", mean, [right], units, "", trials=20).detail
    assert measured("ratio", mean, [np.ones(60)], units, "").interval == (1, 1)


def test_interval_over_trainings_is_students_and_holds_the_first():
    values = [12.4, 6.7, 1.7]
    half = 4.302653 * np.std(values, ddof=1) / np.sqrt(3)
    found = of_trainings(values)
    assert (found.low, found.high) == pytest.approx((np.mean(values) - half, np.mean(values) + half))
    assert of_trainings([9.0, 1.0, 1.1, 0.9, 1.05, 0.95]).high == 9.0

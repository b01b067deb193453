"""Calibration checks against a conjugate Gaussian, whose posterior is known, and against posteriors wrong on purpose."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from zoo.errors import InputError, UnknownNameError
from zoo.interpret import posterior_predictive, rank_uniformity, sbc_ranks, tarp

NOISE = 0.5
DRAWS = 199
N, D = 1000, 3
RNG = np.random.default_rng(11)
THETA = RNG.normal(size=(N, D))
X = THETA + NOISE * RNG.normal(size=(N, D))


@dataclass
class Conjugate:
    """For theta ~ N(0, 1), x ~ N(theta, NOISE^2): N(x / (1 + NOISE^2), NOISE^2 / (1 + NOISE^2)), or a wrong one."""

    width: float = 1.0
    shift: float = 0.0
    prior: bool = False

    def draw(self, n, c, seed):
        rng, c = np.random.default_rng(seed), np.asarray(c)
        shape = (n, *c.shape) if c.ndim == 1 else (len(c), n, c.shape[1])
        noise = rng.normal(size=shape)
        if self.prior:
            return noise
        center = (c if c.ndim == 1 else c[:, None]) / (1 + NOISE**2)
        return center + self.shift + self.width * np.sqrt(NOISE**2 / (1 + NOISE**2)) * noise


def test_ranks_are_those_counted_by_hand():
    class Ladder:
        def draw(self, n, c, seed):
            return np.broadcast_to(np.arange(n, dtype=float)[None, :, None], (len(c), n, 2))

    ranks = sbc_ranks(Ladder(), np.array([[-1.0, 0.5], [3.5, 100.0]]), np.zeros((2, 1)), draws=9)
    np.testing.assert_array_equal(ranks, [[0, 1], [4, 9]])
    assert ranks.dtype.kind == "i"


def test_sets_without_elements_are_told_by_their_number():
    """Mean, deviation and logarithm of the number of no elements are no numbers: coverage would end in scikit-learn."""
    from zoo.interpret.posteriors.coverage import _numbers

    rows = np.empty(3, object)
    rows[:] = [np.empty((0, 2)), np.array([[1.0, 2.0]]), np.array([[1.0, 2.0], [3.0, 2.0]])]
    np.testing.assert_allclose(_numbers(rows), [[0, 0, 0, 0, 0], [1, 2, 0, 0, np.log(2)], [2, 2, 1, 0, np.log(3)]])


def test_right_posterior_passes_every_check():
    ranks = sbc_ranks(Conjugate(), THETA, X, DRAWS)
    assert ranks.shape == (N, D)
    assert (rank_uniformity(ranks, DRAWS).p_value > 0.01).all()
    for references in ("uniform", "predicted"):
        assert tarp(Conjugate(), THETA, X, DRAWS, references=references).p_value > 0.01


@pytest.mark.parametrize("width", [0.8, 1.25])
def test_wrong_width_is_flagged(width):
    assert (rank_uniformity(sbc_ranks(Conjugate(width), THETA, X, DRAWS), DRAWS).p_value < 0.01).all()
    for references in ("uniform", "predicted"):
        assert tarp(Conjugate(width), THETA, X, DRAWS, references=references).p_value < 1e-3


def test_overconfidence_lowers_the_coverage_around_predictions():
    coverage = tarp(Conjugate(0.8), THETA, X, DRAWS, references="predicted")
    at = np.searchsorted(coverage.levels, 0.6)
    assert coverage.high[at] < coverage.levels[at]


def test_coverage_of_an_overconfident_posterior_is_the_analytic_one():
    """The credibility of the ball whose edge is the truth, by the normal distribution instead of draws (one parameter)."""
    width, sigma = 0.6, np.sqrt(NOISE**2 / (1 + NOISE**2))
    rng = np.random.default_rng(0)
    theta = rng.normal(size=(5000, 1))
    coverage = tarp(Conjugate(width), theta, theta + NOISE * rng.normal(size=theta.shape), 399)
    mean = rng.normal(size=200_000) * np.sqrt(1 - sigma**2)
    truth = mean + sigma * rng.normal(size=mean.size)
    reference = rng.uniform(theta.min(), theta.max(), size=mean.size)
    radius = np.abs(truth - reference)
    inside = norm.cdf((reference + radius - mean) / (width * sigma)) - norm.cdf((reference - radius - mean) / (width * sigma))
    expected = (inside[:, None] <= coverage.levels).mean(axis=0)
    np.testing.assert_allclose(coverage.expected, expected, atol=0.025)
    assert np.abs(expected - coverage.levels).max() > 0.06  # not what right posteriors give


def test_bias_is_flagged_by_ranks():
    assert (rank_uniformity(sbc_ranks(Conjugate(shift=0.1), THETA, X, DRAWS), DRAWS).p_value < 0.01).all()


def test_only_references_that_know_the_data_tell_the_prior_from_the_posterior():
    """Lemos et al. 2023, theorem 3, and Talts et al. 2018: ranks and uniform references cannot."""
    prior = Conjugate(prior=True)
    assert (rank_uniformity(sbc_ranks(prior, THETA, X, DRAWS), DRAWS).p_value > 0.01).all()
    assert tarp(prior, THETA, X, DRAWS).p_value > 0.01
    assert tarp(prior, THETA, X, DRAWS, references="predicted").p_value < 1e-10


def test_false_alarms_are_as_rare_as_the_p_value_says():
    """60 experiments with the right posterior: p-values of each check uniform."""
    from scipy.stats import kstest

    alarms: dict[str, list[float]] = {"ranks": [], "uniform": [], "predicted": []}
    for seed in range(60):
        rng = np.random.default_rng(100 + seed)
        theta = rng.normal(size=(60, 2))
        x = theta + NOISE * rng.normal(size=theta.shape)
        alarms["ranks"].extend(rank_uniformity(sbc_ranks(Conjugate(), theta, x, 49, seed), 49, seed).p_value)
        for references in ("uniform", "predicted"):
            alarms[references].append(tarp(Conjugate(), theta, x, 49, seed, references).p_value)
    for name, p_values in alarms.items():
        assert kstest(p_values, "uniform").pvalue > 0.003, name


@settings(max_examples=25, deadline=None)
@given(n=st.integers(2, 40), draws=st.integers(1, 50), d=st.integers(1, 4), seed=st.integers(0, 1000))
def test_ranks_and_coverage_stay_in_their_bounds(n, draws, d, seed):
    rng = np.random.default_rng(seed)
    theta = rng.normal(size=(n, d))
    ranks = sbc_ranks(Conjugate(), theta, theta, draws, seed)
    assert ranks.shape == (n, d)
    assert ranks.min() >= 0
    assert ranks.max() <= draws
    coverage = tarp(Conjugate(), theta, theta, draws, seed)
    assert (np.diff(coverage.expected) >= 0).all()
    assert coverage.expected[-1] == 1
    assert (coverage.low <= coverage.high).all()


def test_ranks_do_not_depend_on_how_rows_are_cut(monkeypatch):
    class Counting(Conjugate):
        calls = 0

        def draw(self, n, c, seed):
            type(self).calls += 1
            return np.broadcast_to(np.linspace(-1, 1, n)[None, :, None], (len(c), n, D))

    whole = sbc_ranks(Counting(), THETA, X, DRAWS)
    monkeypatch.setattr("zoo.interpret.posteriors.coverage.SAMPLES_PER_CALL", 7 * DRAWS)
    before = Counting.calls
    np.testing.assert_array_equal(sbc_ranks(Counting(), THETA, X, DRAWS), whole)
    assert Counting.calls - before == -(-N // 7)


def test_seed_decides():
    assert (sbc_ranks(Conjugate(), THETA, X, 20, seed=1) == sbc_ranks(Conjugate(), THETA, X, 20, seed=1)).all()
    assert (sbc_ranks(Conjugate(), THETA, X, 20, seed=1) != sbc_ranks(Conjugate(), THETA, X, 20, seed=2)).any()


def simulate(theta):
    return theta + NOISE * np.random.default_rng(5).normal(size=theta.shape)


def test_predictive_check_passes_likely_data_and_flags_impossible_ones():
    likely = posterior_predictive(Conjugate(), simulate, X[0])
    assert likely.p_value.shape == (D,)
    assert likely.replicated.shape == (1000, D)
    assert likely.discrepancy_p_value > 0.05
    # The posterior is far from the data.
    wrong = posterior_predictive(Conjugate(shift=np.array([0.0, 0.0, 5.0])), simulate, X[0])
    assert wrong.discrepancy_p_value < 0.01
    assert wrong.p_value[2] < 0.01
    assert (wrong.p_value[:2] > 0.05).all()


def test_predictive_discrepancy_sees_what_no_single_element_does():
    """Two elements that always agree in simulations and disagree in the observation, each well inside its range."""

    def copies(theta):
        rng = np.random.default_rng(6)
        common = rng.normal(size=(len(theta), 1))
        return common + 0.05 * rng.normal(size=(len(theta), 2))

    check = posterior_predictive(Conjugate(), copies, np.array([0.7, -0.7]))
    assert (check.p_value > 0.3).all()
    assert check.discrepancy_p_value < 0.01


def test_predictive_p_value_of_an_element_is_its_two_sided_tail():
    check = posterior_predictive(
        Conjugate(), lambda theta: np.random.default_rng(7).normal(size=(len(theta), 2)), np.array([0.0, 1.96]), 20000
    )
    np.testing.assert_allclose(check.p_value, [1.0, 0.05], atol=0.02)


def test_failed_simulations_are_counted():
    def failing(theta):
        x = simulate(theta)
        x[:10, 0] = np.nan
        return x

    check = posterior_predictive(Conjugate(), failing, X[0], draws=100)
    assert check.failed == 10
    assert len(check.theta) == len(check.replicated) == 90
    with pytest.raises(InputError, match="at least 20 finite simulations, given 0 of 100"):
        posterior_predictive(Conjugate(), lambda theta: np.full_like(theta, np.nan), X[0], draws=100)


@pytest.mark.parametrize(
    ("theta", "x", "draws", "message"),
    [
        (THETA, X[:-1], 9, "as many rows"),
        (THETA[:, 0], X, 9, "as many rows"),
        (THETA[:0], X[:0], 9, "as many rows"),
        (np.where(THETA > 3, np.nan, THETA), X, 9, "theta: .* rows are not finite"),
        (THETA, np.where(X > 3, np.inf, X), 9, "x: .* rows are not finite"),
        (THETA, X, 0, "at least 1"),
        (THETA[:, :2], X, 9, r"samples of shape \(\d+, 9, 2\)"),
    ],
)
def test_bad_input_is_named(theta, x, draws, message):
    for check in (sbc_ranks, tarp):
        with pytest.raises(InputError, match=message):
            check(Conjugate(), theta, x, draws)


def test_other_bad_input():
    with pytest.raises(InputError, match=r"parameters \[1\] are the same in all rows"):
        tarp(Conjugate(), THETA * [1, 0, 1], X, 9)
    with pytest.raises(UnknownNameError, match="predicted"):
        tarp(Conjugate(), THETA, X, 9, references="predict")
    with pytest.raises(InputError, match="expected 0 to 5"):
        rank_uniformity(np.array([[6]]), 5)
    with pytest.raises(InputError, match="integers"):
        rank_uniformity(np.array([[0.5]]), 5)
    with pytest.raises(InputError, match="one row"):
        posterior_predictive(Conjugate(), simulate, X[:2])
    with pytest.raises(InputError, match="simulator: expected data of shape"):
        posterior_predictive(Conjugate(), lambda theta: theta[:, :2], X[0])

    class Broken(Conjugate):
        def draw(self, n, c, seed):
            return super().draw(n, c, seed) * np.nan

    with pytest.raises(InputError, match="not finite"):
        sbc_ranks(Broken(), THETA, X, 9)

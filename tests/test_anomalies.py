"""A bump on a falling spectrum: scores are the known ratio of densities, and cuts count what was hidden, or nothing."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kstest, norm, poisson

from zoo.data.dataset import Events
from zoo.errors import InputError
from zoo.interpret.ratios.classifiers import trees
from zoo.interpret.ratios.density_ratio import Sample
from zoo.interpret.ratios.excess import excess
from zoo.interpret.ratios.folds import out_of_fold
from zoo.interpret.ratios.improvement import efficiencies, improvement

REGION = (3.3, 3.7)
SIGNAL = norm(2.0, 0.3)
QUICK = trees().set_params(max_iter=30, learning_rate=0.2, max_leaf_nodes=5)


def events(n: int, fraction: float, seed: int) -> Events:
    """A spectrum that falls exponentially, an observable whose mean moves with the mass, and a bump in both."""
    rng = np.random.default_rng(seed)
    mass = rng.exponential(0.6, 6 * n) + 2.6
    mass = mass[mass < 5.0][:n]
    x = rng.normal(0.3 * (mass - 3.5), 1.0)
    hidden = round(fraction * np.count_nonzero((mass > REGION[0]) & (mass < REGION[1])))
    bump = rng.normal(3.5, 0.05, hidden)
    signal = np.repeat([False, True], [len(mass), hidden])
    x = np.concatenate([x, SIGNAL.rvs(hidden, random_state=rng)])
    return Events(x[:, None].astype(np.float32), np.concatenate([mass, bump]), signal)


def background_at(mass: np.ndarray, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.3 * (mass - 3.5), 1.0)[:, None].astype(np.float32)


def test_scores_are_the_ratio_of_the_densities():
    data = events(12_000, 0.2, 1).within(REGION)
    drawn = background_at(np.random.default_rng(2).choice(data.mass, 3 * len(data.mass)), 3)
    at = np.linspace(-1.5, 2.3, 8)[:, None]
    samples = Sample(data.x, np.ones(len(data.x))), Sample(drawn, np.ones(len(drawn)))
    found = out_of_fold(QUICK, *samples, np.repeat(at, 20, axis=0), folds=3, trainings=1, seed=0)
    share = data.signal.mean()
    truth = 1 - share + share * SIGNAL.pdf(at[:, 0]) / norm(0, 1).pdf(at[:, 0])
    scores = np.exp(found.elsewhere.reshape(8, 20).mean(axis=1))
    assert np.abs(np.log(scores / truth)).max() < 0.35
    assert np.corrcoef(np.log(scores), np.log(truth))[0, 1] > 0.98


def test_no_event_is_scored_by_what_it_trained():
    """A classifier that remembers its rows would tell every one of them."""

    class Remembers:
        def get_params(self, deep=True):
            return {}

        def fit(self, x, y, sample_weight):
            self.seen = set(x[:, 0].tolist())
            return self

        def predict_proba(self, x):
            known = np.array([value in self.seen for value in x[:, 0].tolist()])
            return np.stack([1 - 0.4 * known - 0.5, 0.5 + 0.4 * known], axis=1)

    rng = np.random.default_rng(0)
    above, below, other = (rng.normal(size=(n, 1)) for n in (40, 60, 13))
    samples = Sample(above, np.ones(40)), Sample(below, np.ones(60))
    found = out_of_fold(Remembers(), *samples, np.concatenate([other, above]), folds=4, trainings=2, seed=0)
    for scores in (found.above, found.below, found.elsewhere[:13]):
        np.testing.assert_allclose(scores, 0)
    assert found.elsewhere[13:].max() > 0, "the same events handed in again are others"


def test_excess_is_what_was_hidden_and_p_values_of_none_are_uniform():
    data = events(20_000, 0.05, 4)
    passes = data.x[:, 0] > 1.5
    found = excess(passes, data.mass, REGION, np.ones(len(passes)))
    inside = (data.mass > REGION[0]) & (data.mass < REGION[1])
    expected = np.count_nonzero(passes & inside & ~data.signal)
    assert found.observed == np.count_nonzero(passes & inside)
    assert abs(found.expected - expected) < 3 * np.hypot(found.error, np.sqrt(expected))
    assert found.significance > 5
    without = []
    for seed in range(40):
        one = events(2000, 0.0, 100 + seed)
        without.append(excess(one.x[:, 0] > 1.0, one.mass, REGION, np.ones(len(one.mass))).p_value)
    assert kstest(without, "uniform").pvalue > 0.01


def test_excess_with_weights_and_its_limits():
    data = events(10_000, 0.0, 7)
    passes = data.x[:, 0] > 1.0
    once = excess(passes, data.mass, REGION, np.ones(len(passes)))
    heavier = excess(passes, data.mass, REGION, np.full(len(passes), 4.0))
    assert heavier.observed == pytest.approx(4 * once.observed)
    assert heavier.error == pytest.approx(4 * once.error)
    assert heavier.p_value == pytest.approx(once.p_value, rel=1e-6), "four times the weight is not four times the events"
    few = excess(passes, data.mass, (3.499, 3.501), np.ones(len(passes)))
    assert few.p_value == pytest.approx(poisson.sf(few.observed - 1, few.expected), abs=0.02), "where the sides say nearly all"
    for cut, where in ((data.x[:, 0] > 4.5, "at least 20"), (data.x[:, 0] > -99, "0 that do not")):
        with pytest.raises(InputError, match=where):
            excess(cut, data.mass, REGION, np.ones(len(passes)))
    with pytest.raises(InputError, match="0 below"):
        excess(passes[data.mass > 3.3], data.mass[data.mass > 3.3], REGION, np.ones(np.count_nonzero(data.mass > 3.3)))


def test_improvement_of_known_scores():
    rng = np.random.default_rng(0)
    signal, background = rng.normal(2, 1, 100_000), rng.normal(0, 1, 100_000)
    found = improvement(signal, background)
    for level, value in ((0.01, found.at_percent), (0.001, found.at_permille)):
        assert value == pytest.approx(norm.sf(norm.isf(level) - 2) / np.sqrt(level), rel=0.06)
    assert found.most >= found.at_permille
    of_signal, of_background = efficiencies(np.array([1.0, 1.0, 0.0]), np.array([1.0, 0.0, 0.0, 0.0]))
    np.testing.assert_allclose(of_background, [0.25, 1, 1, 1])
    np.testing.assert_allclose(of_signal, [2 / 3, 1, 1, 1])
    assert improvement(background, background).most < 1.5

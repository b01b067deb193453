"""How well skies can be told apart, against closed forms and numbers that other code found."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import multivariate_normal, norm

from zoo.data.cmb.extension_data import CMBExtension
from zoo.data.cmb.feature import CMBFeature
from zoo.data.cmb.limits import AMPLITUDES, Marginal
from zoo.errors import UnknownNameError
from zoo.testing import check_dataset
from zoo.training.evaluations.classification import Found
from zoo.training.metrics import auc


@pytest.fixture(scope="module")
def small():
    rng = np.random.default_rng(0)
    plain = rng.normal(5, 1, (400, 2)) @ rng.normal(size=(2, 4))
    return plain, np.diag([1.0, 2.0, 0.5, 1.0])


def test_likelihoods_are_scipys(small):
    plain, noise = small
    rng = np.random.default_rng(1)
    seen, shift, templates = rng.normal(5, 3, (7, 4)), rng.normal(size=4), rng.normal(0, 40, (3, 4))
    law = multivariate_normal(np.zeros(4), noise + np.cov(plain, rowvar=False))
    likelihood = Marginal(plain, noise)
    away = seen - plain.mean(axis=0)
    np.testing.assert_allclose(likelihood.chi_squared(seen), -2 * (law.logpdf(away) - law.logpdf(np.zeros(4))))
    np.testing.assert_allclose(likelihood.along(seen, shift), law.logpdf(away - shift) - law.logpdf(away))
    ratio = np.mean(
        [np.exp(law.logpdf(away - sign * a * t) - law.logpdf(away)) for a in AMPLITUDES for t in templates for sign in (1, -1)],
        axis=0,
    )
    np.testing.assert_allclose(likelihood.of_features(seen, templates), np.log(ratio))


def test_limits_of_features_are_those_found_by_other_code():
    """0.702 (0.682 to 0.722) and 57% by a grid of frequencies at the best fit, 0.648 by a fit."""
    data = CMBFeature()
    rows = data.rows("test")
    best = data.best_scores(rows)
    label = rows.target[:, 0]
    areas = {name: auc(np.stack([score, label], axis=1)) for name, score in best.items()}
    assert areas == pytest.approx({"likelihood ratio": 0.702, "chi-squared of LambdaCDM": 0.648}, abs=0.003)
    chosen = (label == 0) | (np.abs(rows.truth["log10_amplitude"] + 2) <= 0.25)
    found = Found(0.05)(np.stack([best["likelihood ratio"], label], axis=1)[chosen])
    assert found == pytest.approx(0.57, abs=0.03)
    assert CMBFeature(noise=False).best_scores(rows) == {}


def test_share_found_at_false_alarms():
    scored = np.array([[0.1, 0], [0.2, 0], [0.3, 0], [0.4, 0], [0.35, 1], [0.45, 1], [0.9, 1], [0.2, 1]])
    assert Found(0.25)(scored) == 0.75  # numpy's quantile: 0.325
    weights = np.array([1.0, 1, 1, 1, 0, 1, 1, 1])
    assert Found(0.25)(scored, weights) == pytest.approx(2 / 3)
    assert np.isnan(Found(0.25)(scored[:4]))


@pytest.mark.parametrize("universe", ["running", "w0wa"])
def test_data_set_of_extensions(universe):
    check_dataset(CMBExtension(universe, draws=2))


def test_ideal_is_that_of_gaussians():
    """Two Gaussians at a distance d have the area Phi(d / sqrt 2)."""
    data = CMBExtension("oscillation", draws=16)
    rows = data.rows("test")
    (score,) = data.best_scores(rows).values()
    label = rows.target[:, 0]
    distance = (score[label == 1].mean() - score[label == 0].mean()) / score[label == 0].std()
    assert auc(np.stack([score, label], axis=1)) == pytest.approx(norm.cdf(distance / np.sqrt(2)), abs=0.01)


def test_rows_are_paired():
    """Without noise the two rows of a pair differ by the universe alone."""
    rows = CMBExtension("lensing 1.2", draws=1).rows("test")
    assert (rows.target[::2, 0] == 0).all()
    assert (rows.target[1::2, 0] == 1).all()
    assert (rows.group[::2] == rows.group[1::2]).all()
    for values in rows.truth.values():
        np.testing.assert_array_equal(values[::2], values[1::2])


def test_another_universe_is_refused():
    with pytest.raises(UnknownNameError, match="did you mean running"):
        CMBExtension("runing")  # type: ignore[arg-type]


def test_draws_repeat_training_spectra_alone():
    once, often = CMBFeature(noise=False), CMBFeature(noise=False, draws=3)
    assert len(often.rows("train")) == 3 * len(once.rows("train"))
    for split in ("validation", "test"):
        np.testing.assert_array_equal(often.rows(split).inputs["spectrum"], once.rows(split).inputs["spectrum"])
    rows, plain = often.rows("train"), once.rows("train")
    place = {tuple(row): i for i, row in enumerate(plain.inputs["spectrum"])}
    found = np.array([place[tuple(row)] for row in rows.inputs["spectrum"]])
    for name, values in rows.truth.items():
        np.testing.assert_array_equal(values, plain.truth[name][found])
    np.testing.assert_array_equal(rows.group, plain.group[found])

"""Efficiency of a cut against a nuisance parameter, where the answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure
from scipy.stats import norm

from zoo.errors import InputError
from zoo.interpret import efficiency_against, plots


def test_efficiency_follows_what_the_score_depends_on():
    """Score = nuisance + normal noise, cut at 1: the efficiency is the normal's."""
    rng = np.random.default_rng(0)
    nuisance = rng.uniform(-1, 3, 100_000)
    found = efficiency_against(nuisance + rng.normal(size=len(nuisance)), nuisance, 1.0, bins=np.linspace(-1, 3, 81))
    expected = norm.cdf(found.center - 1)
    assert np.mean((found.low <= expected) & (expected <= found.high)) > 0.85
    assert np.abs(found.efficiency - expected).max() < 0.06
    assert found.count.sum() == len(nuisance)
    assert found.p_value < 1e-6


def test_flat_efficiency_is_seen_as_flat_as_often_as_it_should():
    rng = np.random.default_rng(1)
    values = np.array([efficiency_against(rng.uniform(size=500), rng.normal(size=500), 0.3).p_value for _ in range(400)])
    assert 0.02 < np.mean(values < 0.05) < 0.09


def test_bins_of_equal_numbers_and_given_edges():
    nuisance = np.arange(100.0)
    score = (nuisance >= 50).astype(float)
    found = efficiency_against(score, nuisance, bins=4)
    np.testing.assert_array_equal(found.count, [25, 25, 25, 25])
    np.testing.assert_array_equal(found.efficiency, [0, 0, 1, 1])
    found = efficiency_against(score, nuisance, bins=np.array([0.0, 10.0, 90.0, 95.0]))
    np.testing.assert_array_equal(found.count, [10, 80, 6])  # the last edge belongs to its bin
    np.testing.assert_array_equal(efficiency_against(score, nuisance, bins=2, least=False).efficiency, [1, 0])
    assert efficiency_against(score, np.zeros(100)).count.tolist() == [100]


def test_figure_names_the_curves():
    rng = np.random.default_rng(2)
    curves = {name: efficiency_against(rng.uniform(size=300), rng.normal(size=300)) for name in ("signal", "background")}
    figure = plots.efficiency_curve(curves, "energy scale")
    assert isinstance(figure, Figure)
    (ax,) = figure.axes
    assert ax.get_xlabel() == "energy scale"
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert [label.split()[0] for label in labels] == ["signal", "background"]


@pytest.mark.parametrize(
    ("score", "nuisance", "bins", "message"),
    [
        ([0.5], [1.0, 2.0], 3, "one shape"),
        ([0.5, np.nan], [1.0, 2.0], 3, "NaN"),
        ([0.5, 0.6], [1.0, 2.0], 0, "at least 1"),
        ([0.5, 0.6], [1.0, 2.0], np.array([2.0, 1.0]), "increase"),
        ([0.5, 0.6], [1.0, 2.0], np.array([5.0, 6.0]), "no row"),
    ],
)
def test_bad_input(score, nuisance, bins, message):
    with pytest.raises(InputError, match=message):
        efficiency_against(np.array(score), np.array(nuisance), bins=bins)

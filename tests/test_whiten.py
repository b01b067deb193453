"""Whitening of inputs by the correlations of training rows."""

from __future__ import annotations

import numpy as np
import pytest

from zoo.errors import InputError
from zoo.families.layers import Whiten
from zoo.families.logistic import Logistic
from zoo.families.mlp import MLP


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    return (3 + rng.normal(size=(2000, 4)) @ rng.normal(size=(4, 4))).astype(np.float32)


def test_rows_come_out_white_and_near_to_themselves(rows):
    layer = Whiten(4)
    layer.adapt(rows)
    white = np.asarray(layer(rows))
    np.testing.assert_allclose(np.cov(white, rowvar=False), np.eye(4), atol=1e-4)
    cross = np.corrcoef(rows, white, rowvar=False)[:4, 4:]
    np.testing.assert_allclose(cross, cross.T, atol=1e-4)  # what ZCA-cor is: the root of the correlations
    assert (np.linalg.eigvalsh(cross) > 0).all()


def test_weights_count(rows):
    layer, twice = Whiten(4), Whiten(4)
    layer.adapt(rows, np.repeat([2.0, 1.0], 1000))
    twice.adapt(np.concatenate([rows[:1000], rows]))
    np.testing.assert_allclose(layer.matrix, twice.matrix, rtol=2e-3)


def test_a_classifier_whitens_by_its_first_class(rows):
    target = np.repeat([0, 1], 1000)[:, None]
    model = MLP(inputs=4, hidden=[3], whiten=True)
    model.adapt({"x": rows * np.where(target, 5, 1)}, target)
    white = np.asarray(model.whiten(model.standardize(rows[:1000])))
    np.testing.assert_allclose(np.cov(white, rowvar=False), np.eye(4), atol=1e-3)
    assert model.blocks["stem"] == [model.standardize, model.whiten]
    assert model.with_inputs(7)[1] == ["standardize", "whiten", "hidden_0"]


def test_coefficients_are_those_of_the_logit(rows):
    model = Logistic(inputs=4, whiten=True)
    model.adapt({"x": rows}, np.repeat([0, 1], 1000)[:, None])
    step = np.eye(4, dtype=np.float32) * np.asarray(model.standardize.scale)
    change = np.asarray(model.logits(rows[:1] + step) - model.logits(rows[:1]))[:, 0]
    np.testing.assert_allclose(model.coefficients(), change, rtol=1e-3)


def test_elements_that_follow_from_others_are_refused(rows):
    with pytest.raises(InputError, match="follow from others"):
        Whiten(4).adapt(rows[:, [0, 1, 2, 2]])


def test_few_rows_are_shrunk_towards_no_correlation(rows):
    layer = Whiten(4)
    layer.adapt(rows[:5])
    assert np.isfinite(np.asarray(layer.matrix)).all()
    layer.adapt(rows[:2])
    assert np.abs(np.asarray(layer.matrix)).max() < 1e3


def test_whitening_needs_standardized_inputs():
    with pytest.raises(ValueError, match="whiten needs standardize: true"):
        MLP(inputs=4, hidden=[], standardize=False, whiten=True)

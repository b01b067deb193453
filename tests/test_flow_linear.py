"""The linear part of a flow: the exact posterior of a linear Gaussian model before any training, and a bijector after."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats
from test_flows import jacobians
from test_flows_export import described
from tiny_flows import build

from zoo.data.sbi.priors.as_prior import as_prior
from zoo.export import check_parity, to_onnx
from zoo.export.parity import onnx_function
from zoo.families.flows.linear import Linear
from zoo.model.registry import get_family
from zoo.training.npe_recipe import npe_recipe
from zoo.training.recipe import RecipeError

SLOPE = np.array([[1.0, 0.5], [-0.5, 2.0], [0.3, 0.0]])
"""Data (3,) are this times parameters (2,), and noise."""
NOISE = 0.4


def simulated(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Parameters of a standard normal, (n, 2), and data (n, 3)."""
    rng = np.random.default_rng(seed)
    theta = rng.normal(size=(n, 2))
    return theta.astype(np.float32), (theta @ SLOPE.T + NOISE * rng.normal(size=(n, 3))).astype(np.float32)


def exact(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean (n, 2) and covariance of the posterior."""
    covariance = np.linalg.inv(np.eye(2) + SLOPE.T @ SLOPE / NOISE**2)
    return x @ SLOPE @ covariance / NOISE**2, covariance


@pytest.mark.parametrize("family", ["nsf", "maf", "flow-matching"])
def test_untrained_it_is_the_posterior_of_a_linear_gaussian_model(family):
    flow = get_family(family)(dimensions=2, context=3, hidden=[16], linear=True)
    theta, x = simulated(20_000)
    flow.adapt({"theta": theta, "x": x}, None)
    theta, x = simulated(200, seed=1)
    mean, covariance = exact(x)
    expected = stats.multivariate_normal(cov=covariance).logpdf(theta - mean)
    np.testing.assert_allclose(flow.log_density(theta, x), expected, atol=0.1)
    assert np.mean(flow.log_density(theta, x)) == pytest.approx(np.mean(expected), abs=0.01)
    drawn = flow.draw(4000, x[0])
    np.testing.assert_allclose(drawn.mean(axis=0), mean[0], atol=0.03)
    np.testing.assert_allclose(np.cov(drawn, rowvar=False), covariance, atol=0.01)


def test_rows_of_either_sign_of_weight_count_by_its_size():
    theta, x = simulated(500)
    weight = np.random.default_rng(0).integers(1, 3, len(x)).astype(float)
    weighted, repeated = Linear(2, 3), Linear(2, 3)
    weighted.adapt(theta, x, weight * np.where(np.arange(len(x)) % 5, 1, -1))
    repeated.adapt(np.repeat(theta, weight.astype(int), axis=0), np.repeat(x, weight.astype(int), axis=0))
    np.testing.assert_allclose(weighted.slope, repeated.slope, atol=1e-3)
    np.testing.assert_allclose(weighted.whitening, repeated.whitening, rtol=0.01, atol=1e-3)


def test_features_that_say_nothing_take_nothing_off():
    """More features than rows, of noise: what is left is as wide as it was, not what an overfitted line leaves."""
    rng = np.random.default_rng(0)
    linear = Linear(2, 150)
    linear.adapt(rng.normal(size=(100, 2)), rng.normal(size=(100, 150)))
    assert np.abs(linear.slope).max() < 0.05
    assert np.linalg.eigvalsh(np.asarray(linear.coloring)).min() > 0.8


def test_parameters_that_the_data_tell_exactly_stay_apart_in_single_precision():
    theta, _ = simulated(300)
    linear = Linear(2, 2)
    data = theta @ np.array([[1.0, 2.0], [0.5, -1.0]], np.float32)
    linear.adapt(theta, data)
    assert np.linalg.eigvalsh(np.asarray(linear.coloring)).min() == pytest.approx(1e-2, rel=1e-3)
    u, _ = linear.to_base(theta, data)
    np.testing.assert_allclose(linear.from_base(u, data), theta, atol=1e-5)


@pytest.mark.parametrize("kind", ["realnvp", "nsf-autoregressive"])
def test_it_is_a_bijector(kind):
    flow, x, c = build(kind, "conditional", spread=0.5, linear=True)
    with tf.GradientTape(persistent=True) as tape:
        given = tf.constant(x)
        tape.watch(given)
        u, log_det = flow.to_base(given, c)
    np.testing.assert_allclose(log_det, np.linalg.slogdet(jacobians(tape, u, given))[1], atol=1e-4)
    np.testing.assert_allclose(flow.sample(u, c), x, atol=1e-4)


@pytest.mark.parametrize("endpoint", ["log_prob", "sample"])
def test_its_graph_answers_as_keras(endpoint):
    flow, inputs = described("maf", "boxed", spread=0.5, linear=True, transforms=1)
    graph = to_onnx(flow, flow.spec, endpoint, 13)
    check_parity(flow, flow.spec, endpoint, onnx_function(graph.SerializeToString()), inputs[endpoint])


@pytest.mark.parametrize("config", [{"context": 0}, {"context": 3, "embedding": [8]}])
def test_it_is_of_a_context_without_an_embedding(config):
    with pytest.raises(ValueError, match="a linear part is of a context that passes no embedding"):
        get_family("nsf")(dimensions=2, linear=True, **config)


def test_the_learning_rate_rises_over_a_sixth_of_the_epochs_that_are_asked_for():
    def recipe(changes: dict):
        prior = as_prior({"a": stats.uniform(0, 1)})
        return npe_recipe("rise", prior, {"source": "simulations"}, 1000, 3, changes=changes)

    assert [recipe({"epochs": epochs}).optimizer.warmup_epochs for epochs in (1, 2, 60)] == [0, 0, 10]
    with pytest.raises(RecipeError, match="epochs: expected a number greater than 0"):  # and not of the rise
        recipe({"epochs": -5})

"""Covariance through models whose answer is known: linear, quadratic, released."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import zoo
from zoo.errors import ExplanationError, InputError, UnknownNameError
from zoo.families.base import ZooModel
from zoo.families.mlp import MLP
from zoo.interpret import propagate
from zoo.loading import read_test_tensors
from zoo.model.axes import fixed_axes
from zoo.model.spec import TEST_TENSORS, Data, Endpoint, ModelSpec, Tensor

RNG = np.random.default_rng(0)
ROOT = RNG.normal(size=(4, 4))
COVARIANCE = ROOT @ ROOT.T
MEANS = RNG.normal(size=(3, 4)).astype(np.float32)


def described(model: ZooModel, inputs: int, outputs: int) -> ZooModel:
    endpoint = Endpoint(
        description="",
        inputs=[Tensor(name="x", axes=fixed_axes("x", [inputs]), unit="1", description="x")],
        outputs=[Tensor(name="y", axes=fixed_axes("y", [outputs]), unit="1", description="y")],
    )
    model.spec = ModelSpec(
        name="any",
        family="mlp",
        config={},
        task="test",
        summary="",
        endpoints={"predict": endpoint},
        data=Data(source="none", description="none", simulator="none", seed=0, rows={}),
        metrics=[],
        files=[],
        physzoo_version="0.1.0",
    )
    return model


@pytest.fixture
def linear():
    keras.utils.set_random_seed(0)
    return described(MLP(4, [], outputs=3, output_activation="linear", standardize=False), 4, 3)


def test_first_order_is_exact_for_a_linear_model(linear):
    found = propagate(linear, MEANS, COVARIANCE)
    weights = np.asarray(linear.head.kernel, np.float64)
    expected = weights.T @ COVARIANCE @ weights
    np.testing.assert_allclose(found.covariance, np.broadcast_to(expected, (3, 3, 3)), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found.mean, np.asarray(linear(MEANS)), rtol=1e-6)
    np.testing.assert_allclose(found.deviation, np.sqrt(np.diag(expected)) * np.ones((3, 1)), rtol=1e-5)


def test_monte_carlo_agrees_with_first_order_on_a_linear_model(linear):
    first = propagate(linear, MEANS, COVARIANCE)
    drawn = propagate(linear, MEANS, COVARIANCE, method="monte_carlo", draws=20_000, seed=1)
    error = first.deviation / np.sqrt(20_000)
    assert np.abs(drawn.mean - first.mean).max() < 5 * error.max()
    spread = np.sqrt(2 / 20_000) * first.deviation[:, :, None] * first.deviation[:, None, :]
    assert (np.abs(drawn.covariance - first.covariance) < 5 * spread).all()


def test_each_row_has_its_own_covariance_which_may_be_singular(linear):
    many = np.stack([COVARIANCE, 4 * COVARIANCE, np.diag([1.0, 0, 0, 0])])
    found = propagate(linear, MEANS, many)
    np.testing.assert_allclose(found.covariance[1], 4 * found.covariance[0], rtol=1e-5)
    first = np.asarray(linear.head.kernel, np.float64)[0]
    np.testing.assert_allclose(found.covariance[2], np.outer(first, first), rtol=1e-5, atol=1e-9)


class Bent(ZooModel):
    """A model y = x + bend x^2, whose moments under a normal x are known."""

    endpoints = {"predict": "bent"}

    def __init__(self, bend: float) -> None:
        super().__init__()
        self.bend, self.built = bend, True

    def bent(self, x):
        return x + self.bend * x * x


def test_a_mild_bend_shows_in_monte_carlo_by_as_much_as_it_should():
    """At the mean m: variance (1 + 2 b m)^2 s^2 + 2 b^2 s^4, of which first order has the first term; mean off by b s^2."""
    bend, variance, draws = 0.2, 0.25, 200_000
    model = described(Bent(bend), 1, 1)
    means = np.float32([[0.0], [0.5]])
    first = propagate(model, means, np.array([[variance]]))
    np.testing.assert_allclose(first.covariance[:, 0, 0], (1 + 2 * bend * means[:, 0]) ** 2 * variance, rtol=1e-5)
    drawn = propagate(model, means, np.array([[variance]]), method="monte_carlo", draws=draws)
    exact = first.covariance[:, 0, 0] + 2 * bend**2 * variance**2
    np.testing.assert_allclose(drawn.covariance[:, 0, 0], exact, rtol=5 * np.sqrt(3 / draws))
    np.testing.assert_allclose(drawn.mean[:, 0] - first.mean[:, 0], bend * variance, atol=5 * np.sqrt(exact.max() / draws))


def test_released_emulator_by_both_ways():
    """A hundredth of the trained range as deviation: the emulator is straight enough there."""
    model = zoo.load("mlp-cmb-emulator")
    theta = read_test_tensors(model.folder.path(TEST_TENSORS), model.spec)["predict"][0]["theta"][:2]
    (tensor,) = model.spec.endpoint("predict").inputs
    covariance = np.diag((0.01 * (np.array(tensor.high) - np.array(tensor.low))) ** 2)
    first = propagate(model, theta, covariance)
    drawn = propagate(model, theta, covariance, method="monte_carlo", draws=4000)
    assert first.covariance.shape == (2, 215, 215)
    np.testing.assert_allclose(drawn.deviation, first.deviation, rtol=0.15)


def test_trees_have_monte_carlo_alone():
    model = zoo.load("gbt-halo-mass")
    x = read_test_tensors(model.folder.path(TEST_TENSORS), model.spec)["predict"][0]["densities"][:1]
    covariance = np.eye(x.shape[1]) * 0.01
    with pytest.raises(ExplanationError, match="monte_carlo"):
        propagate(model, x, covariance)
    assert propagate(model, x, covariance, method="monte_carlo", draws=500).deviation[0, 0] > 0


@pytest.mark.parametrize(
    ("covariance", "changes", "error", "message"),
    [
        (np.eye(3), {}, InputError, "expected shape"),
        (np.triu(np.ones((4, 4))), {}, InputError, "symmetric"),
        (-np.eye(4), {}, InputError, "negative eigenvalue"),
        (np.full((4, 4), np.nan), {}, InputError, "finite"),
        (np.eye(4), {"method": "second_order"}, UnknownNameError, "first_order"),
        (np.eye(4), {"output": "z"}, UnknownNameError, "output of predict"),
        (np.eye(4), {"draws": 1}, InputError, "at least 2"),
    ],
)
def test_bad_input(linear, covariance, changes, error, message):
    with pytest.raises(error, match=message):
        propagate(linear, MEANS, covariance, **changes)

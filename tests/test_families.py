"""Every family: endpoints, blocks, configs, batches; scikit-learn and closed forms as oracles."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from scipy import stats
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from tiny_networks import CONFIGS, TARGET, example

from zoo.data.dataset import Rows
from zoo.families.cnn3d import CNN3D
from zoo.families.ive import IVE
from zoo.families.layers import Standardize, gaussian_kl
from zoo.families.logistic import Logistic
from zoo.families.mlp import MLP
from zoo.model.registry import get_family
from zoo.testing import check_family

TREES = {"inputs": 7, "max_leaf_nodes": 4, "min_samples_leaf": 5}
DISCRIMINATORS = {
    "parameterized-mlp": {"inputs": 7, "hidden": [5], "over_parameter": [0, 3]},
    "decorrelated-mlp": {"inputs": 7, "hidden": [5], "protected": 2, "penalty": 3.0, "tail": 1.0},
}
CHECKED = CONFIGS | {"nsf": CONFIGS["nsf"] | {"transforms": 1}, "boosted-trees": TREES} | DISCRIMINATORS
"""That transforms follow each other is checked of the two cheaper flows."""
FLOWS = {
    "flow-matching": {"dimensions": 7, "hidden": [6], "steps": 2},
    "flow-ensemble": {"member": "realnvp", "config": CONFIGS["realnvp"] | {"transforms": 1}, "count": 2},
}
"""Whose graphs and answers have tests of their own, test_flow_matching and test_flow_ensemble: the kit takes long."""
CLOUDS = {"deep-sets", "particle-net", "particle-transformer"}
"""Families that test_clouds holds to it, as their inputs have masks and several dtypes."""

MOTION = {"lagrangian", "hamiltonian", "unconstrained-motion"}
"""Families that test_dynamics holds to it, as their states have an even number of elements."""
FIELDS = {"displacement-unet", "field-cnn", "map-diffusion", "map-vae", "moment-mlp"}
"""Families that test_field_networks and test_displacements hold to it."""
FORMULAE = {"symbolic-transformer", "formula"}
"""Families that test_formulae and test_symbolic_distillation hold to it."""


def rows_of(name: str, n: int = 40) -> Rows:
    """Rows that a family of ``CONFIGS`` can be trained on."""
    inputs = example(name, n)
    first = next(iter(inputs.values()))
    if name == "parameterized-mlp":
        inputs["asked"] = np.random.default_rng(3).uniform(1, 4, (n, 1)).astype(np.float32)
    classes = {"logistic", *DISCRIMINATORS}
    target = first if name == "beta-vae" else (TARGET[:n] > 13).astype(np.float32) if name in classes else TARGET[:n]
    return Rows(inputs, target, np.arange(n))


@pytest.mark.parametrize("name", CHECKED)
def test_family_keeps_its_contract(name):
    keras.utils.set_random_seed(1)
    check_family(get_family(name), CHECKED[name], rows_of(name), opsets=[13])


@pytest.mark.slow
@pytest.mark.parametrize("name", CHECKED | FLOWS)
def test_family_is_exported_at_every_opset(name):
    check_family(get_family(name), (CHECKED | FLOWS)[name], rows_of(name))


def test_every_family_is_held_to_it():
    import zoo.families
    from zoo.model import registry

    registry._import_families()
    ours = {name for name, cls in registry._families.items() if cls.__module__.startswith(zoo.families.__name__)}
    assert ours == {*CHECKED, *FLOWS, *CLOUDS, *MOTION, *FORMULAE, *FIELDS}


def test_logistic_with_scikit_learns_weights_is_scikit_learn():
    rng = np.random.default_rng(0)
    x = rng.normal([1.0, -2.0, 100.0], [1.0, 0.1, 30.0], (200, 3)).astype(np.float32)
    y = (x[:, 0] + 0.02 * x[:, 2] + rng.normal(size=200) > 3).astype(int)
    scaler = StandardScaler().fit(x)
    fitted = LogisticRegression().fit(scaler.transform(x), y)
    model = Logistic(inputs=3)
    model.adapt({"x": x}, None)
    model.head.set_weights([fitted.coef_.T, fitted.intercept_])
    expected = fitted.predict_proba(scaler.transform(x))[:, 1:]
    np.testing.assert_allclose(np.asarray(model(x)), expected, atol=1e-5)


def test_prediction_is_the_sigmoid_of_the_logits():
    model = MLP(inputs=7, hidden=[4])
    x = example("mlp")["observed"]
    np.testing.assert_allclose(np.asarray(model(x)), 1 / (1 + np.exp(-np.asarray(model.logits(x)))), rtol=1e-5)


def test_constant_input_gets_scale_one():
    layer = Standardize((2,))
    layer.adapt(np.array([[1.0, 5.0], [3.0, 5.0]]))
    np.testing.assert_allclose(np.asarray(layer(np.array([[1.0, 5.0]], dtype=np.float32))), [[-1.0, 0.0]])


def test_kl_is_the_integral_it_stands_for():
    """KL(N(m, s^2) || N(0, 1)) by quadrature."""
    mean, log_variance = 0.7, -0.4
    z = np.linspace(-12, 12, 200_001)
    sigma = np.exp(log_variance / 2)
    q = np.exp(-0.5 * ((z - mean) / sigma) ** 2) / (sigma * np.sqrt(2 * np.pi))
    log_p = -0.5 * z**2 - 0.5 * np.log(2 * np.pi)
    expected = np.trapezoid(np.where(q > 0, q * (np.log(np.maximum(q, 1e-300)) - log_p), 0.0), z)
    assert float(gaussian_kl(np.float32(mean), np.float32(log_variance))) == pytest.approx(expected, rel=1e-4)


def test_ive_loss_is_the_error_plus_beta_kl():
    model = IVE(**CONFIGS["ive"] | {"beta": 0.5})
    inputs = example("ive")
    x, query = inputs.values()
    model.compile(loss="mean_squared_error", jit_compile=False)
    target = np.zeros((6, 2), np.float32)
    loss = model.evaluate((x, query), target, verbose=0)
    mean, log_variance = model.encode(x)
    kl = np.asarray(gaussian_kl(mean, log_variance)).sum(axis=1).mean()
    expected = np.mean(np.square(np.asarray(model.answer(x, query)))) + 0.5 * kl
    assert loss == pytest.approx(expected, rel=1e-4)


def test_without_noise_a_reconstruction_is_the_answer():
    model = IVE(**CONFIGS["ive"])
    x, query = example("ive").values()
    np.testing.assert_allclose(
        np.asarray(model.reconstruct(x, query, np.zeros((6, 3), np.float32))), np.asarray(model.answer(x, query)), atol=1e-6
    )


@pytest.mark.parametrize("likelihood", ["gaussian", "cauchy"])
def test_likelihood_of_the_cnn_is_a_density_with_the_intervals_it_says(likelihood):
    model = CNN3D(size=2, channels=[2], hidden=[], likelihood=likelihood)
    model.head.set_weights([np.random.default_rng(0).normal(size=(2, 2)), np.array([3.0, 0.5])])
    cubes = np.random.default_rng(1).normal(size=(5, 2, 2, 2)).astype(np.float32)
    target = np.linspace(-3, 6, 5, dtype=np.float32)[:, None]
    location, scale = (np.asarray(value, np.float64) for value in model.distribution(cubes))
    kind = {"gaussian": stats.norm, "cauchy": stats.cauchy}[likelihood](location, scale)
    answer, log_likelihood, probability = model.predictive({"density": cubes}, target)
    np.testing.assert_allclose(answer, location, rtol=1e-6)
    np.testing.assert_allclose(log_likelihood, kind.logpdf(target[:, 0]), rtol=1e-5)
    np.testing.assert_allclose(probability, kind.cdf(target[:, 0]), rtol=1e-5)
    np.testing.assert_allclose(model.log_likelihood(target, model(cubes)), log_likelihood, rtol=1e-4)


def test_cnn_learns_where_a_cube_is_bright_and_how_sure_it_can_be():
    """Targets are the mean of a cube with noise of two sizes, which another cell tells."""
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2000, 4, 4, 4)).astype(np.float32)
    noise = np.where(x[:, 0, 0, 0] > 0, 0.3, 0.02)
    y = (20 + 4 * x.mean(axis=(1, 2, 3)) + noise * rng.normal(size=2000))[:, None].astype(np.float32)
    model = CNN3D(size=4, channels=[8, 8], hidden=[16])
    model.adapt({"x": x}, y)
    model.compile(keras.optimizers.Adam(1e-2), loss=model.objective, jit_compile=False)
    model.fit(x[:1600], y[:1600], epochs=20, batch_size=64, verbose=0)
    mean, scale = (np.asarray(value) for value in model.distribution(x[1600:]))
    assert np.sqrt(np.mean(np.square(mean - y[1600:, 0]))) < 0.8 * y.std()
    assert scale[noise[1600:] > 0.1].mean() > 1.3 * scale[noise[1600:] < 0.1].mean()


@pytest.mark.parametrize("downsample", ["stride", "average"])
def test_each_stage_halves_the_cube(downsample):
    model = CNN3D(size=8, channels=[2, 3, 4], hidden=[], downsample=downsample)
    assert model.stages.output_shape == (None, 1, 1, 1, 4)
    with pytest.raises(ValueError, match="halve"):
        CNN3D(size=6, channels=[2, 3, 4], hidden=[])
    with pytest.raises(ValueError, match="gaussian or cauchy"):
        CNN3D(size=8, channels=[2], hidden=[], likelihood="laplace")

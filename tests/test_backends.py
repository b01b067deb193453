"""Keras on JAX or torch in an environment without TensorFlow: the family kit, every workflow, and what needs TensorFlow.

``make jax`` makes such an environment; with torch, install the extra ``torch`` and set ``KERAS_BACKEND=torch``.
"""

from __future__ import annotations

import os
import sys

import numpy as np
import pytest

os.environ.setdefault("XLA_FLAGS", "--xla_force_host_platform_device_count=2")  # which JAX reads as it starts
keras = pytest.importorskip("keras")
if keras.backend.backend() not in ("jax", "torch"):
    pytest.skip("Keras runs on TensorFlow: make jax", allow_module_level=True)

from tiny_networks import CONFIGS, TARGET, example, released, user_data  # noqa: E402

import zoo  # noqa: E402
from zoo.data.dataset import Rows  # noqa: E402
from zoo.errors import ZooError  # noqa: E402
from zoo.model.registry import get_family  # noqa: E402
from zoo.testing import check_family  # noqa: E402
from zoo.training.fit import fit  # noqa: E402
from zoo.training.recipe import load_recipe  # noqa: E402

SLOW = {"cnn3d", "beta-vae", "realnvp", "maf", "nsf", "ensemble"}
SMALL = {
    "data.parameters": {"train": 128, "validation": 64, "test": 64},
    "config.encoder": [8],
    "config.decoder": [8],
    "batch_size": 32,
    "optimizer.warmup_epochs": 0,
    "epochs": 2,
}


@pytest.fixture(autouse=True)
def without_tensorflow():
    yield
    assert "tensorflow" not in sys.modules


def families(names):
    return [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in names]


@pytest.mark.parametrize("name", families(CONFIGS))
def test_family_kit(name):
    inputs = example(name, 32)
    wide = {"mlp": 2, "ive": 2}.get(name, 1)
    target = np.repeat(TARGET[:32], wide, axis=1) if name != "beta-vae" else next(iter(inputs.values()))
    if name in ("logistic", "ensemble"):
        target = (target > 13).astype(np.float32)
    check_family(get_family(name), CONFIGS[name], Rows(inputs, target, np.arange(32)), opsets=())


@pytest.mark.parametrize("name", ["mlp-cmb-emulator", "ive-pendulum", "nsf-two-moons", "gbt-halo-mass"])
def test_released_models_reproduce_their_test_tensors(name):
    zoo.load(name)


def test_a_training_that_was_stopped_ends_in_the_same_weights(tmp_path):
    recipe = load_recipe("ive-pendulum").changed(SMALL)
    whole, history = fit(recipe, tmp_path / "whole")
    assert len(history["loss"]) == 2
    again, _ = fit(recipe, tmp_path / "again")
    assert all((a == b).all() for a, b in zip(whole.get_weights(), again.get_weights(), strict=True))


@pytest.mark.skipif(keras.backend.backend() != "jax", reason="devices are those of JAX")
def test_two_devices_train_as_one_does(tmp_path):
    """Each sees half of every batch; losses and weights are those of one device up to rounding."""
    from zoo.training.devices import across, device_count
    from zoo.training.recipe import RecipeError

    recipe = load_recipe("ive-pendulum").changed(SMALL)
    one, history = fit(recipe, tmp_path / "one")
    with across(2):
        assert device_count() == 2
        two, other = fit(recipe, tmp_path / "two")
        assert len(two.trainable_variables[0].value.sharding.device_set) == 2
        with pytest.raises(RecipeError, match="33 rows of a batch are no multiple of 2 devices"):
            fit(recipe.changed({"batch_size": 33}), tmp_path / "odd")
        with pytest.raises(RecipeError, match="63 rows of the validation split are no multiple"):
            fit(recipe.changed({"data.parameters": {**SMALL["data.parameters"], "validation": 63}}), tmp_path / "odd split")
    assert device_count() == 1
    for name, values in history.items():
        np.testing.assert_allclose(other[name], values, rtol=1e-5)
    for a, b in zip(one.get_weights(), two.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)
    with pytest.raises(ZooError, match="expected 1 to 2, which JAX sees"), across(3):
        pass


@pytest.mark.filterwarnings("ignore:only .* independent test rows")
def test_fine_tuning_says_that_there_are_no_graphs(tmp_path):
    with pytest.warns(UserWarning, match="no ONNX graphs.*KERAS_BACKEND=tensorflow"):
        model = zoo.fine_tune(released("mlp"), user_data("mlp"), folder=tmp_path / "mine", epochs=2)
    assert zoo.load(tmp_path / "mine").spec == model.spec
    assert np.isfinite(zoo.explain(model, user_data("mlp")["observed"][:2], allow_out_of_range=True).values).all()


def simulate(theta, rng):
    return rng.normal(theta, 1.0)


@pytest.mark.filterwarnings("ignore:.*no ONNX graphs")
def test_train_npe_and_draw(tmp_path):
    prior = {"mean": {"distribution": "uniform", "low": -3, "high": 3}}
    changes = {"epochs": 2, "config.hidden": [8], "config.transforms": 1, "config.bins": 4}
    flow = zoo.train_npe(simulate, prior, 300, folder=tmp_path / "posterior", test=60, jobs=1, changes=changes)
    assert np.abs(flow.draw(10, [0.4])).max() <= 3


def test_what_needs_tensorflow_says_so(tmp_path):
    from zoo.workflows.release import release

    with pytest.raises(ZooError, match="KERAS_BACKEND=tensorflow"):
        release(load_recipe("ive-pendulum").changed(SMALL), tmp_path)
    with pytest.raises(ZooError, match=r"KERAS_BACKEND=tensorflow|is not installed: pip install"):
        export(released("mlp"), tmp_path)


def export(model, folder):
    from zoo.export import export

    export(model, folder / "exported")

"""What a program has set, and how far its random numbers have drawn, is the same after our calls, and changes no answer."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras.src.backend.common import global_state
from tiny_networks import CONFIGS, released, user_data

import zoo
from zoo.families.state import apart, deterministic
from zoo.interpret.trust.randomization import randomization_check
from zoo.loading import read_test_tensors, verify_model
from zoo.training.fit import fit
from zoo.training.recipe import load_recipe

FAMILIES = {
    "logistic": "logistic-cmb-running",
    "mlp": "mlp-cmb-emulator",
    "cnn3d": "cnn3d-halo-mass",
    "ive": "ive-pendulum",
    "beta-vae": "bvae-shapes3d",
    "realnvp": "realnvp-two-moons",
    "maf": "maf-two-moons",
    "nsf": "nsf-two-moons",
    "boosted-trees": "gbt-halo-mass",
}


def drawn() -> dict[str, object]:
    """The next random numbers of everyone, and all settings; nothing has been drawn afterwards."""
    import tensorflow as tf
    from tensorflow.python.framework import config

    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    found = {
        "python": random.random(),
        "numpy": float(np.random.rand()),  # noqa: NPY002
        "tensorflow": float(tf.random.normal([])),
        "keras seed": global_state.get_global_attribute("global_random_seed"),
        "keras generator": id(global_state.get_global_attribute("global_seed_generator")),
        "floatx": keras.config.floatx(),
        "axes": keras.config.image_data_format(),
        "policy": keras.config.dtype_policy().name,
        "deterministic": config.is_op_determinism_enabled(),
    }
    random.setstate(python)
    np.random.set_state(numpy)  # noqa: NPY002
    return found


def simulate(theta, rng):
    return rng.normal(theta, 1.0)


PARENT: list = []
"""A model and rows for it, made before anything is compared."""
SMALL = {"data.parameters": {"train": 128, "validation": 64, "test": 64}, "config.encoder": [8], "config.decoder": [8]}
SHORT = {"batch_size": 64, "optimizer.warmup_epochs": 0, "epochs": 1}


def train(folder):
    fit(load_recipe("ive-pendulum").changed(SMALL | SHORT), folder)


def fine_tune(folder):
    zoo.fine_tune(*PARENT, folder=folder / "mine", epochs=1)


def ensemble(folder):
    zoo.ensemble(["mlp-cmb-feature", str(copied(folder))], folder=folder / "together")


def copied(folder):
    """The classifier with another temperature, so that its weights differ."""
    rng = np.random.default_rng(0)
    model = zoo.load("mlp-cmb-feature")
    x = rng.uniform(*(np.asarray(end) for end in ends(model)), (300, 215)).astype(np.float32)
    label = rng.random((300, 1)) < np.asarray(model(x)) / 2 + 0.25
    data = {"spectrum": x, model.spec.endpoint("predict").outputs[0].name: label.astype(int)}
    return zoo.calibrate(model, data=data, folder=folder / "calibrated").folder.folder


def ends(model):
    tensor = model.spec.endpoint("predict").inputs[0]
    return tensor.low, tensor.high


def explain(folder):
    model = zoo.load("mlp-cmb-emulator")
    (low, high) = (np.asarray(end, np.float32) for end in ends(model))
    x = np.random.default_rng(0).uniform(low, high, (2, len(low))).astype(np.float32)
    zoo.explain(model, x, method="smoothgrad", samples=2)
    randomization_check(model, x, method="gradient", draws=1)


def train_npe(folder):
    prior = {"mean": {"distribution": "uniform", "low": -3, "high": 3}}
    changes = {"epochs": 1, "config.hidden": [4], "config.transforms": 1}
    zoo.train_npe(simulate, prior, 200, folder=folder / "posterior", test=60, changes=changes, jobs=1)


CALLS = [
    pytest.param(lambda folder: zoo.load("ive-pendulum"), id="load"),
    pytest.param(explain, id="explain"),
    pytest.param(train, id="train"),
    pytest.param(fine_tune, id="fine_tune"),
    pytest.param(ensemble, id="calibrate and ensemble"),
    pytest.param(train_npe, id="train_npe", marks=pytest.mark.slow),
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("call", CALLS)
def test_nothing_of_the_program_changes(call, tmp_path):
    """Every state is seeded, and drawn from once more where our call is left out."""
    PARENT[:] = released("mlp"), user_data("mlp")
    found = []
    for calls in (False, True):
        keras.utils.set_random_seed(7)
        if calls:
            call(tmp_path)
        found.append(drawn())
    assert found[0] == found[1]


def test_an_unset_policy_stays_unset_and_follows_floatx():
    before = global_state.get_global_attribute("dtype_policy")
    global_state.set_global_attribute("dtype_policy", None)
    try:
        with apart():
            assert keras.config.dtype_policy().name == "float32"
        assert global_state.get_global_attribute("dtype_policy") is None
    finally:
        global_state.set_global_attribute("dtype_policy", before)


def test_determinism_that_the_program_asked_for_stays():
    from tensorflow.python.framework import config

    assert not config.is_op_determinism_enabled()
    config.enable_op_determinism()
    try:
        with deterministic():
            pass
        assert config.is_op_determinism_enabled()
    finally:
        config.disable_op_determinism()


@pytest.mark.parametrize("name", ["mlp", "ive", "cnn3d"])
def test_a_model_built_by_hand_is_float32_whatever_is_set(name):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = zoo.model.registry.get_family(name)(**CONFIGS[name])
        assert {layer.dtype_policy.name for layer in model._flatten_layers()} == {"float32"}
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
    finally:
        keras.config.set_dtype_policy("float32")


def test_a_family_still_takes_its_config_by_position():
    model = zoo.model.registry.get_family("mlp")(7, [5])
    assert (model.config["inputs"], list(model.config["hidden"])) == (7, [5])


UNDER_SETTINGS = """
import sys
import keras
import zoo
from zoo.loading import read_test_tensors, verify_model
assert keras.config.image_data_format() == "channels_first"
def expect_released_answers():
    for name in sys.argv[1:]:
        model = zoo.load(name, verify=False)
        verify_model(model, read_test_tensors(model.folder.path("test_tensors.npz"), model.spec))
expect_released_answers()
for policy in ("mixed_bfloat16", "mixed_float16", "float64"):
    keras.config.set_dtype_policy(policy)
    expect_released_answers()
    assert keras.config.dtype_policy().name == policy
for floatx in ("float64", "float16"):
    keras.config.set_floatx(floatx)
    expect_released_answers()
    assert keras.config.floatx() == floatx and keras.config.image_data_format() == "channels_first"
print("the same")
"""


@pytest.mark.slow
def test_released_answers_of_every_family_whatever_keras_is_set_to(tmp_path):
    """By the file of a user's settings, of all families; outside of ``zoo.load`` too, while the settings hold."""
    settings = {"floatx": "float32", "epsilon": 1e-7, "backend": "tensorflow", "image_data_format": "channels_first"}
    (tmp_path / "keras.json").write_text(json.dumps(settings))
    environment = {**os.environ, "KERAS_HOME": str(tmp_path)}
    command = [sys.executable, "-c", UNDER_SETTINGS, *FAMILIES.values()]
    found = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert found.stdout == "the same\n", found.stderr[-2000:]


@pytest.mark.parametrize("name", ["mlp-cmb-emulator", "cnn3d-halo-mass"])
def test_released_answers_whatever_keras_is_set_to(name):
    """A family of dense layers and one of convolutions, outside of ``zoo.load`` too."""
    before = keras.config.image_data_format(), keras.config.dtype_policy(), keras.config.floatx()
    keras.config.set_image_data_format("channels_first")
    try:
        for set_to in (lambda: keras.config.set_dtype_policy("mixed_float16"), lambda: keras.config.set_floatx("float64")):
            set_to()
            model = zoo.load(name, verify=False)
            verify_model(model, read_test_tensors(model.folder.path("test_tensors.npz"), model.spec))
        assert (keras.config.dtype_policy().name, keras.config.floatx()) == ("mixed_float16", "float64")
        assert keras.config.image_data_format() == "channels_first"
    finally:
        keras.config.set_image_data_format(before[0])
        keras.config.set_dtype_policy(before[1])
        keras.config.set_floatx(before[2])

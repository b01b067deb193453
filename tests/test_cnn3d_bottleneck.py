"""The network whose answer passes through latents: its loss, its endpoints, and that what the latents hold has its price."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from scipy import stats
from tiny_networks import CONFIGS, TARGET, example

from zoo.families.cnn3d import CNN3D
from zoo.families.cnn3d_bottleneck import CNN3DBottleneck
from zoo.families.layers import gaussian_kl
from zoo.training.evaluations.distribution import Distribution
from zoo.training.recipe import RecipeError


def made(**changes) -> CNN3DBottleneck:
    keras.utils.set_random_seed(1)
    model = CNN3DBottleneck(**CONFIGS["cnn3d-bottleneck"] | changes)
    model.adapt(example("cnn3d-bottleneck", 100), TARGET)
    rng = np.random.default_rng(2)
    for weight in model.trainable_weights:
        if not np.any(keras.ops.convert_to_numpy(weight)):
            weight.assign(rng.normal(0, 0.5, weight.shape))
    return model


def test_the_loss_is_minus_the_log_likelihood_plus_beta_kl():
    model, (cubes,) = made(beta=0.5), example("cnn3d-bottleneck").values()
    target = TARGET[: len(cubes)]
    location, scale = (np.asarray(part, np.float64) for part in model.distribution(cubes))
    expected = stats.norm(location, scale).logpdf(target[:, 0])
    model.compile(loss=model.objective, jit_compile=False)
    kl = np.asarray(gaussian_kl(*model.encode(cubes))).sum(axis=1).mean()
    assert model.evaluate(cubes, target, verbose=0) == pytest.approx(-expected.mean() + 0.5 * kl, rel=1e-4)
    np.testing.assert_allclose(model.predictive({"density": cubes}, target).log_density, expected, rtol=1e-4)


def test_answers_pass_through_the_latents_alone():
    model, (cubes,) = made(), example("cnn3d-bottleneck").values()
    Distribution(quantities=["density at 14"]).expect("ive-halo-mass", {"": model})
    with pytest.raises(RecipeError, match="quantities: expected a family with latents, given CNN3D"):
        Distribution(quantities=["density at 14"]).expect("cnn3d", {"": CNN3D(size=4, channels=[2], hidden=[])})
    mean, log_variance = (np.asarray(part) for part in model.encode(cubes))
    assert mean.shape == log_variance.shape == (len(cubes), 2)
    for found, expected in zip(model.decode(mean), model.distribution(cubes), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-6)
    noise = np.random.default_rng(0).normal(size=mean.shape).astype(np.float32)
    sampled = model.decode(mean + np.exp(0.5 * log_variance) * noise)
    for found, expected in zip(model.reconstruct(cubes, noise), sampled, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_information_that_costs_too_much_is_given_up():
    """A target that the cubes decide: with a high price the latents fall back to the prior, and the answer to the mean."""
    rng = np.random.default_rng(3)
    cubes = rng.normal(size=(256, 4, 4, 4)).astype(np.float32) + rng.normal(size=(256, 1, 1, 1)).astype(np.float32)
    target = cubes.mean(axis=(1, 2, 3))[:, None]
    kl = {}
    for beta in (1e-3, 10.0):
        model = made(beta=beta, warm_up=0)
        model.adapt({"density": cubes}, target)
        model.compile(keras.optimizers.Adam(5e-3), loss=model.objective, jit_compile=False)
        model.fit(cubes, target, epochs=15, batch_size=32, verbose=0)
        kl[beta] = float(np.asarray(gaussian_kl(*model.encode(cubes))).sum(axis=1).mean())
    assert kl[1e-3] > 1
    assert kl[10.0] < 0.05


def test_blocks_hold_every_weight_once():
    model = made()
    in_blocks = [id(weight) for layers in model.blocks.values() for layer in layers for weight in layer.weights]
    assert sorted(in_blocks) == sorted(id(weight) for weight in model.weights)

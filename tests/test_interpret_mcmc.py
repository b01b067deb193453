"""Flow-assisted MCMC on targets whose moments and mode weights are known."""

from __future__ import annotations

import builtins

import keras
import numpy as np
import pytest
import tensorflow as tf

from zoo.errors import InputError, ZooError
from zoo.interpret import flow_mcmc
from zoo.model.registry import get_family

WEIGHT = 0.3


def two_gaussians(dimensions: int):
    """Unit Gaussians at -4 and 4 on each axis, of weights 0.3 and 0.7."""
    mean = np.full((1, dimensions), 4.0, np.float32)

    def log_prob(x):
        first, second = (-0.5 * tf.reduce_sum((x - m) ** 2, axis=1) for m in (-mean, mean))
        return tf.reduce_logsumexp([first + np.log(WEIGHT), second + np.log(1 - WEIGHT)], axis=0)

    return log_prob


def start(dimensions: int, chains: int = 64) -> np.ndarray:
    return np.random.default_rng(0).uniform(-8, 8, size=(chains, dimensions))


def small_flow(dimensions: int):
    keras.utils.set_random_seed(0)
    flow = get_family("nsf")(dimensions=dimensions, transforms=2, hidden=[32])
    flow.adapt({"x": start(dimensions)}, np.zeros((64, 1)))
    return flow


@pytest.fixture(scope="module")
def mixed():
    return flow_mcmc(two_gaussians(2), start(2), small_flow(2), draws=800, warmup=100, rounds=6, leapfrog_steps=5)


def test_mode_weights_are_right_where_hmc_alone_stays(mixed):
    """They are right within 7%, over three times their error; a run without the flow keeps those of its start, about a half."""
    assert (mixed.flat.sum(axis=1) < 0).mean() == pytest.approx(WEIGHT, rel=0.07)
    assert (mixed.r_hat < 1.05).all()
    assert (mixed.ess > 2000).all()
    alone = flow_mcmc(two_gaussians(2), start(2), draws=500, warmup=100, leapfrog_steps=5, global_steps=0)
    side = alone.samples.sum(axis=2) < 0
    assert (side == side[:1]).all(axis=0).mean() > 0.9  # chains that never change sides
    assert abs(side.mean() - WEIGHT) > 0.05
    assert (alone.r_hat > 1.5).all()
    assert np.isnan(alone.global_acceptance)
    assert alone.flow is None


def test_every_chain_visits_both_modes_with_the_moments_of_the_mixture(mixed):
    side = mixed.samples.sum(axis=2) < 0
    assert (side.any(axis=0) & ~side.all(axis=0)).all()
    for sign, of in ((-1, side), (1, ~side)):
        np.testing.assert_allclose(mixed.samples[of].mean(axis=0), sign * 4.0, atol=0.08)
        np.testing.assert_allclose(np.cov(mixed.samples[of].T), np.eye(2), atol=0.1)


def test_shapes_and_rates(mixed):
    assert mixed.samples.shape == (800, 64, 2)
    assert mixed.flat.shape == (51_200, 2)
    assert mixed.r_hat.shape == mixed.ess.shape == mixed.scale.shape == (2,)
    assert 0.5 < mixed.local_acceptance < 0.98
    assert mixed.global_acceptance > 0.3
    np.testing.assert_allclose(mixed.scale, 1.0, atol=0.2)  # within a mode, not between them


def test_the_untrained_flow_is_a_valid_proposal_too():
    """Independence moves leave the target invariant whatever the flow: a skewed target of known moments, without training."""
    rate = 2.0

    def gumbel(x):
        return tf.reduce_sum(-rate * x - tf.exp(-rate * x), axis=1)

    initial = np.random.default_rng(1).normal(size=(200, 2))
    chains = flow_mcmc(gumbel, initial, small_flow(2), draws=200, warmup=60, rounds=0, local_steps=1, leapfrog_steps=3)
    np.testing.assert_allclose(chains.flat.mean(axis=0), np.euler_gamma / rate, atol=0.05)
    np.testing.assert_allclose(chains.flat.var(axis=0), np.pi**2 / 6 / rate**2, rtol=0.1)


def test_scales_that_differ_by_a_million_and_a_bounded_variable():
    """One variable of scale 1e-3, one of 1e3; the third uniform on [0, 1], where the density drops to zero."""
    scale = np.array([1e-3, 1e3], np.float32)

    def log_prob(x):
        inside = (x[:, 2] >= 0) & (x[:, 2] <= 1)
        return tf.where(inside, -0.5 * tf.reduce_sum((x[:, :2] / scale) ** 2, axis=1), -np.inf)

    rng = np.random.default_rng(2)
    initial = np.concatenate([rng.normal(size=(50, 2)) * scale * 3, rng.uniform(size=(50, 1))], axis=1)
    chains = flow_mcmc(log_prob, initial, draws=400, warmup=200, leapfrog_steps=5, global_steps=0)
    np.testing.assert_allclose(chains.flat[:, :2].std(axis=0), scale, rtol=0.1)
    assert chains.flat[:, 2].min() >= 0
    assert chains.flat[:, 2].max() <= 1
    np.testing.assert_allclose(chains.flat[:, 2].mean(), 0.5, atol=0.03)


@pytest.mark.slow
def test_seed_decides():
    runs = [
        flow_mcmc(two_gaussians(1), start(1, 8), draws=5, warmup=20, global_steps=0, seed=seed).samples for seed in (1, 1, 2)
    ]
    np.testing.assert_array_equal(runs[0], runs[1])
    assert (runs[0] != runs[2]).any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"initial": np.zeros(3)}, "expected finite positions"),
        ({"initial": np.full((4, 2), np.nan)}, "expected finite positions"),
        ({"target_log_prob": lambda x: x[:, 0] * np.nan}, "zero or not a number at 4 of 4"),
        ({"target_log_prob": lambda x: x}, r"expected shape \(4,\)"),
        ({"draws": 0, "warmup": 10}, "too small: draws, warmup"),
        ({"global_steps": -1}, "too small: global_steps"),
        (
            {"flow": get_family("realnvp")(dimensions=3, transforms=1, hidden=[4])},
            "expected 2 variables and no context, given 3 and 0",
        ),
    ],
)
def test_bad_input_is_named(arguments, message):
    given = {"target_log_prob": two_gaussians(2), "initial": start(2, 4), "warmup": 20, **arguments}
    with pytest.raises(InputError, match=message):
        flow_mcmc(**given)


def test_what_to_install_is_named(monkeypatch):
    real = builtins.__import__

    def without(name, *rest, **kwargs):
        if name == "tensorflow_probability":
            raise ModuleNotFoundError("No module named 'tensorflow_probability'")
        return real(name, *rest, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ZooError, match=r"pip install 'physzoo\[mcmc\]'"):
        flow_mcmc(two_gaussians(2), start(2))

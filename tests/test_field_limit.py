"""Networks of fields at the limit: lognormal maps of known spectrum, whose posterior is exact."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from zoo.families.fields.field_cnn import FieldCNN

SIDE, PIVOT = 32, 0.15
LOW, HIGH = np.array([0.1, -2.0]), np.array([0.3, 0.0])
"""Priors of the amplitude a and the slope n of the power a^2 (k / 0.15)^n of the logarithm of a density, k in cycles a cell."""
K = np.hypot(*np.meshgrid(np.fft.fftfreq(SIDE), np.fft.fftfreq(SIDE), indexing="ij"))
K[0, 0] = np.inf


def power(theta: np.ndarray) -> np.ndarray:
    """Power (n, SIDE, SIDE) of each mode, none of the mean."""
    with np.errstate(divide="ignore"):
        found = theta[:, 0, None, None] ** 2 * (K / PIVOT) ** theta[:, 1, None, None]
    return np.where(np.isinf(K), 0.0, found)


def maps(n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Overdensities (n, SIDE, SIDE), the parameters of each, and the Gaussian fields."""
    rng = np.random.default_rng(seed)
    theta = rng.uniform(LOW, HIGH, (n, 2))
    white = np.fft.fft2(rng.normal(size=(n, SIDE, SIDE)))
    field = np.fft.ifft2(white * np.sqrt(power(theta))).real
    overdensity = np.exp(field - 0.5 * field.var(axis=(1, 2), keepdims=True)) - 1
    return overdensity.astype(np.float32), theta.astype(np.float32), field


def exact(field: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation (n, 2) of the posterior of each Gaussian field, on a grid of parameters."""
    axes = [np.linspace(low, high, 200) for low, high in zip(LOW, HIGH, strict=True)]
    grid = np.stack([axis.ravel() for axis in np.meshgrid(*axes, indexing="ij")], axis=1)
    shell, of_each, count = np.unique(np.round(K[np.isfinite(K)], 9), return_inverse=True, return_counts=True)
    measured = np.abs(np.fft.fft2(field))[:, np.isfinite(K)] ** 2 / SIDE**2
    total = np.stack([np.bincount(of_each, row) for row in measured])
    expected = grid[:, :1] ** 2 * (shell / PIVOT) ** grid[:, 1:]
    log_likelihood = -0.5 * (total @ (1 / expected).T + np.log(expected) @ count)
    weight = np.exp(log_likelihood - log_likelihood.max(axis=1, keepdims=True))
    weight /= weight.sum(axis=1, keepdims=True)
    mean = weight @ grid
    return mean, np.sqrt(weight @ grid**2 - mean**2)


@pytest.fixture(scope="module")
def judged() -> dict[str, np.ndarray]:
    """Root mean square errors of the network and of the exact mean, and deviations of both of each of 2,000 new maps."""
    keras.utils.set_random_seed(0)
    model = FieldCNN(dimensions=2, channels=[16, 32, 64], hidden=[64, 64], outputs=2)
    n, epochs, batch = 16384, 30, 64
    overdensity, theta, _ = maps(n, 0)
    model.adapt({"overdensity": overdensity}, theta)
    falling = keras.optimizers.schedules.CosineDecay(4e-3, epochs * (n // batch))
    model.compile(keras.optimizers.Adam(falling), loss=model.objective)
    for epoch in range(epochs):
        overdensity, theta, _ = maps(n, epoch)
        model.fit(overdensity, theta, batch_size=batch, verbose=0)
    overdensity, theta, field = maps(2000, 10**6)
    answered, deviation = np.split(np.asarray(model.predict(overdensity, verbose=0)), 2, axis=1)
    mean, limit = exact(field)
    rms, least = (np.sqrt(np.mean((found - theta) ** 2, axis=0)) for found in (answered, mean))
    return {"rms": rms, "least": least, "deviation": deviation, "limit": limit}


@pytest.mark.slow
def test_errors_on_lognormal_maps_are_within_five_percent_of_the_exact_posteriors(judged):
    assert np.all(judged["least"] / judged["limit"].mean(axis=0) < 1.1)  # the exact posterior's own error is what it says
    assert np.all(judged["rms"] / judged["least"] < 1.05)


@pytest.mark.slow
def test_deviations_on_lognormal_maps_are_within_five_percent_of_the_exact_posteriors(judged):
    np.testing.assert_allclose(np.median(judged["deviation"] / judged["limit"], axis=0), 1, atol=0.05)

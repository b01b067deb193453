"""Diffusion of maps where the answer is known: Gaussian maps of known power, whose mean behind noise is Wiener's filter."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from zoo.families.fields.convolutions import FLOOR
from zoo.families.fields.map_diffusion import MapDiffusion
from zoo.families.fields.unet import UNet
from zoo.interpret.plots.maps import map_power, maps_beside

SIDE = 32
K = np.hypot(*np.meshgrid(np.fft.fftfreq(SIDE), np.fft.fftfreq(SIDE), indexing="ij"))
POWER = 1 / (0.02 + K) ** 2
POWER /= POWER.mean()


def made(steps: int = 24, channels: tuple[int, ...] = (8, 8)) -> MapDiffusion:
    keras.utils.set_random_seed(0)
    return MapDiffusion(parameters=2, channels=list(channels), told=6, steps=steps)


def wiener(y, level, theta):
    """The mean of a Gaussian map of unit variance and known power behind noise."""
    modes = np.fft.fft2(np.asarray(y, np.float64))
    return np.fft.ifft2(modes * POWER / (POWER + np.asarray(level)[:, None, None] ** 2)).real.astype(np.float32)


def test_steps_from_noise_give_maps_of_the_right_power(monkeypatch):
    """With the exact mean, what is left is the error of the steps: 24 of them change the power by 1.5% at most."""
    model, n = made(), 200
    monkeypatch.setattr(model, "cleaned", wiener)
    z = np.random.default_rng(0).standard_normal((n, SIDE, SIDE)).astype(np.float32)
    model.standardize.scale.assign(0.3)  # so that no density falls below the floor
    overdensity = np.asarray(model.sample(z, np.zeros((n, 2), np.float32)), np.float64)
    assert overdensity.min() > -1
    logarithm = np.log(overdensity + 1 + FLOOR) / 0.3
    drawn, given = (np.mean(np.abs(np.fft.fft2(x)) ** 2, axis=0) for x in (logarithm, z.astype(np.float64)))
    np.testing.assert_allclose(drawn[K > 0] / (given * POWER)[K > 0], 1, atol=0.015)  # of the same noise: no scatter between


def test_the_mean_behind_noise_is_learned():
    """Of white Gaussian maps the mean behind noise s is the noisy map over 1 + s^2, and the velocity is zero."""
    model = made()
    y = np.random.default_rng(0).standard_normal((4, 16, 16)).astype(np.float32)
    level = np.array([0.1, 0.5, 1.0, 3.0], np.float32)
    found = model.cleaned(y, level, np.zeros((4, 2), np.float32))  # an untrained network's velocity is zero
    np.testing.assert_allclose(found, y / (1 + level[:, None, None] ** 2), rtol=1e-4)


def test_a_step_of_training_lowers_the_error_of_held_out_maps():
    rng = np.random.default_rng(0)
    modes = np.fft.fft2(rng.standard_normal((256, SIDE, SIDE))) * np.sqrt(POWER)
    maps = (np.exp(0.5 * np.fft.ifft2(modes).real) - 1).astype(np.float32)
    theta = np.zeros((256, 2), np.float32)
    theta[::2] = 1
    model = made(channels=(16, 16))
    model.adapt({"theta": theta, "overdensity": maps}, None)
    model.compile(keras.optimizers.Adam(3e-3), loss=model.objective)
    before = float(np.mean(model.predict((theta, maps), verbose=0)))
    model.fit((theta[:192], maps[:192]), np.zeros((192, 1)), batch_size=16, epochs=4, verbose=0)
    after = float(np.mean(model.predict((theta[192:], maps[192:]), verbose=0)))
    assert after < 0.9 * before


def test_maps_shifted_with_their_noise_are_shifted():
    """No edge is known: a network of periodic maps does not see where a map begins."""
    model = made()
    for weight in model.network.leave.weights:
        weight.assign(np.random.default_rng(1).normal(size=weight.shape))
    z = np.random.default_rng(0).standard_normal((2, 16, 16)).astype(np.float32)
    theta = np.zeros((2, 2), np.float32)
    shifted = np.roll(z, (4, 8), axis=(1, 2))  # by blocks of the U-Net
    drawn = np.asarray(model.sample(z, theta))
    np.testing.assert_allclose(
        np.asarray(model.sample(shifted, theta)), np.roll(drawn, (4, 8), axis=(1, 2)), rtol=2e-3, atol=2e-3
    )


@pytest.mark.parametrize("changes", [{"channels": [12]}, {"channels": []}, {"steps": 1}])
def test_what_is_no_network_is_refused(changes):
    with pytest.raises(ValueError, match=r"expected multiples of 8|expected two or more"):
        MapDiffusion(**{"parameters": 2, "channels": [8], **changes})


def test_sides_that_cannot_be_halved_are_taken():
    """Far from the seam a map of an odd number of cells is answered as the same map of an even one."""
    network = UNet(1, [8, 8, 8], 4)
    for weight in network.leave.weights:
        weight.assign(np.random.default_rng(1).normal(size=weight.shape))
    x, told = np.random.default_rng(0).standard_normal((1, 65, 67, 1)).astype(np.float32), np.zeros((1, 4), np.float32)
    found = np.asarray(network(x, told))
    assert found.shape == x.shape
    assert np.isfinite(found).all()
    even = np.asarray(network(x[:, :64, :64], told))
    inner = (0, slice(24, 40), slice(24, 40), 0)
    np.testing.assert_allclose(found[inner], even[inner], atol=0.1 * even.std())


def test_maps_of_equal_power_are_drawn_with_a_ratio_of_one():
    """Though each is of other noise, whose ratios have a mean above one."""
    rng = np.random.default_rng(0)
    k, group = np.array([0.1, 0.5]), np.repeat(np.arange(500), 2)
    powers = {way: (k, rng.lognormal(0.0, 0.5, (1000, 2))) for way in ("simulated", "drawn")}
    assert np.mean(powers["drawn"][1] / powers["simulated"][1]) > 1.2
    (line,) = [line for line in map_power(powers, group).axes[0].lines if line.get_marker() == "o"]
    np.testing.assert_allclose(line.get_ydata(), 1, atol=0.07)


def test_maps_are_drawn_with_their_parameters():
    maps = {way: np.zeros((2, 8, 8)) for way in ("simulated", "drawn")}
    titles = [ax.get_title() for ax in maps_beside(maps, np.array([[0.3, 0.8], [0.4, 0.9]]), 100.0, 2).axes]
    assert [title for title in titles if title] == [r"$\Omega_m$ 0.30, $\sigma_8$ 0.80", r"$\Omega_m$ 0.40, $\sigma_8$ 0.90"]

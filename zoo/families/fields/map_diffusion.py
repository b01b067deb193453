"""Diffusion of maps: what noise hides of a map of given parameters, and maps out of noise.

The network learns the mean of the maps that a noisy one may be of (Ho et al. 2020, arXiv:2006.11239), scaled and trained
as Karras et al. 2022 (arXiv:2206.00364) do; noise is added to the standardized logarithm of the density.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from statistics import NormalDist
from typing import Any, ClassVar

import keras
import numpy as np
from keras import ops

from zoo.families.compiled import in_one
from zoo.families.fields.convolutions import log_density
from zoo.families.fields.map_generator import MapGenerator
from zoo.families.fields.unet import UNet
from zoo.families.set_layers import built_dense, through
from zoo.model.registry import register_family

LEVELS = NormalDist(0.0, 1.5)
"""Natural logarithm of the noise's deviation in training, in deviations of the logarithm of the density. The longest waves of a
map of 64 cells stand out of noise ten times as strong, its smallest ones of a tenth."""
MOST, LEAST = 80.0, 0.03
"""Deviations of the noise between which maps are drawn, by steps that are even in its logarithm."""
HELD_OUT = 8
"""Noises, each of its own level, that a held-out map is judged by."""
WAVES = np.array([0.25, 0.5, 1.0, 2.0], np.float32)
"""Frequencies of the waves by which the network is told the logarithm of a level."""
PATCH = np.random.default_rng(0).standard_normal((HELD_OUT, 64, 64)).astype(np.float32)
"""These noises; on larger maps they repeat."""


@register_family("map-diffusion")
class MapDiffusion(MapGenerator):
    """Periodic maps of an overdensity by a few steps from noise, given parameters.

    Parameters
    ----------
    parameters : int
        Number of parameters that a map is given by.
    channels : list of int
        Channels of each level of the U-Net, multiples of 8.
    told : int
        Numbers that its blocks are told of parameters and noise.
    steps : int
        Passes of the network from noise to a map.

    Raises
    ------
    ValueError
        Channels that are no multiples of 8, or fewer than two steps.
    """

    endpoints: ClassVar[dict[str, str]] = {"sample": "sample", "denoise": "denoise", "mismatch": "mismatch"}
    data_endpoint = "mismatch"
    objective_name = "squared error of the velocity"

    def __init__(self, parameters: int, channels: list[int], told: int = 64, steps: int = 24, **kwargs: Any) -> None:
        super().__init__(parameters, **kwargs)
        if steps < 2:
            raise ValueError(f"steps: expected two or more, given {steps}")
        self.config = {"parameters": parameters, "channels": list(channels), "told": told, "steps": steps}
        self.tell = built_dense("tell", parameters + 2 * len(WAVES) + 1, [told, told], "silu")
        self.network = UNet(1, channels, told, name="network")
        self.noise = keras.random.SeedGenerator(seed=0)
        self.levels = np.geomspace(MOST, LEAST, steps).tolist()
        """Deviations of the noise at which the network is asked."""
        self.built = True

    def velocity(self, x, level, theta):
        """The rate at which maps (batch, height, width) of unit variance turn from noise to data, told levels (batch,)."""
        shapes = ((None, None), (), (self.config["parameters"],))
        return in_one(self, self._velocity, [(shape, "float32") for shape in shapes], x, level, theta)

    def _velocity(self, x, level, theta):
        logarithm = ops.log(level)[:, None]
        waves = logarithm * WAVES
        told = through(self.tell, ops.concatenate([self.given(theta), logarithm, ops.sin(waves), ops.cos(waves)], axis=-1))
        return self.network(x[..., None], told)[..., 0]

    def cleaned(self, y, level, theta):
        """Mean of the standardized maps that y, one of them with noise of deviation ``level`` (batch,), may be."""
        size = ops.sqrt(1 + ops.square(level))[:, None, None]
        x = y / size
        return (x + level[:, None, None] * self.velocity(x, level, theta)) / size

    def sample(self, z, theta):
        """Maps of the overdensity (batch, height, width) of parameters, from standard normal noise of that shape."""
        y, found = z * self.levels[0], []
        for level, after in pairwise(self.levels):
            found = [self.cleaned(y, _level(y, level), theta), *found[:2]]
            y = after / level * y + _ahead(found, np.log(level / after))
        return self.unseen(self.cleaned(y, _level(y, self.levels[-1]), theta))

    def denoise(self, noisy, noise, theta):
        """Mean of the logarithm of density and floor (batch, height, width) behind one with noise of deviation (batch,)."""
        clean = self.cleaned(self.standardize(noisy), noise / self.standardize.scale, theta)
        return clean * self.standardize.scale + self.standardize.mean

    def mismatch(self, theta, overdensity):
        """Mean squared error (batch,) of the velocity of maps over a few noises, which are the same for all maps."""
        x = self.seen(overdensity)
        rows, columns = (ops.mod(ops.arange(ops.shape(x)[axis]), PATCH.shape[1]) for axis in (1, 2))
        noises = ops.take(ops.take(PATCH, rows, axis=1), columns, axis=2)
        levels = [np.exp(LEVELS.inv_cdf((i + 0.5) / HELD_OUT)) for i in range(HELD_OUT)]
        return sum(self._mismatch(x, _level(x, level), noises[i], theta) for i, level in enumerate(levels)) / HELD_OUT

    def call(self, inputs, training: bool = False):
        """Squared error (batch,) of the velocity of each map, at a noise that is drawn anew in training."""
        theta, overdensity = inputs
        if not training:
            return self.mismatch(theta, overdensity)
        x = self.seen(overdensity)
        count = ops.shape(x)[0]
        place = ops.cast(ops.arange(count), x.dtype) + keras.random.uniform((count,), 1e-3, 1 - 1e-3, seed=self.noise)
        quantile = np.sqrt(2) * ops.erfinv(2 * place / ops.cast(count, x.dtype) - 1)
        noise = keras.random.normal(ops.shape(x), seed=self.noise)
        return self._mismatch(x, ops.exp(LEVELS.mean + LEVELS.stdev * quantile), noise, theta)

    def _mismatch(self, x, level, noise, theta):
        size = ops.sqrt(1 + ops.square(level))[:, None, None]
        spread_by = level[:, None, None]
        found = self.velocity((x + spread_by * noise) / size, level, theta)
        return ops.mean(ops.square(found - (spread_by * x - noise) / size), axis=(1, 2))

    @property
    def blocks(self) -> dict[str, list[keras.layers.Layer]]:
        return {
            "stem": self.stem,
            "tell": list(self.tell),
            "network": [self.network],
        }

    def example(self, inputs: Mapping[str, np.ndarray], rng: np.random.Generator) -> dict[str, tuple[np.ndarray, ...]]:
        theta, fields = inputs.values()
        noise = rng.standard_normal(fields.shape).astype(np.float32)
        level = rng.uniform(0.05, 2.0, len(fields)).astype(np.float32)
        noisy = ops.convert_to_numpy(log_density(fields)) + level[:, None, None] * noise
        return {"sample": (noise, theta), "denoise": (noisy, level, theta), "mismatch": (theta, fields)}


def _ahead(found: list, step: float):
    """What a step of the logarithm of the level adds of the last means, the newest first, beside what is left of the noise.

    With three of them its error is of third order (DPM-Solver++, Lu et al. 2022, arXiv:2211.01095, in multistep form).
    """
    newest, *older = found
    first = 1 - np.exp(-step)
    second = 1 - first / step
    ahead = first * newest
    if older:
        rise = newest - older[0]
        if len(older) > 1:
            bend = 0.5 * (rise - (older[0] - older[1]))
            rise, ahead = rise + bend, ahead - (second / step - 0.5) * bend
        ahead = ahead + second * rise
    return ahead


def _level(like, value: float):
    """One level for each map (batch,)."""
    return ops.full_like(like[:, 0, 0], value)

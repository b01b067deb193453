"""Maps of given parameters from few normal numbers: a variational autoencoder (Kingma & Welling 2014, arXiv:1312.6114)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import keras
import numpy as np
from keras import ops

from zoo.families.fields.map_generator import MapGenerator
from zoo.families.fields.unet import GROUPS, ToldBlock, wrapped
from zoo.families.layers import gaussian_kl
from zoo.families.set_layers import built_dense, through
from zoo.model.registry import register_family

LOG_TWO_PI = float(np.log(2 * np.pi))


class Cell(keras.layers.Layer):
    """Logarithm of the deviation of a cell from what its map is decoded to."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.log_deviation = self.add_weight(name="log_deviation", shape=(), initializer="zeros")
        self.built = True


@register_family("map-vae")
class MapVAE(MapGenerator):
    """Periodic maps of an overdensity given parameters, by latents on a coarse grid and noise of one deviation in each cell.

    What is encoded and decoded is the standardized logarithm of the density.

    Parameters
    ----------
    parameters : int
        Number of parameters that a map is given by.
    channels : list of int
        Channels of each level, multiples of 8; each level has half as many cells along a side as the one before.
    latents : int
        Latents, at most 4, in each cell of a grid with half as many cells along a side as the last level.
    told : int
        Numbers that blocks are told of the parameters.

    Raises
    ------
    ValueError
        There are no levels, channels that are no multiples of 8, or more than 4 latents.
    """

    endpoints: ClassVar[dict[str, str]] = {"sample": "sample", "cost": "cost"}
    data_endpoint = "cost"
    objective_name = "negative evidence lower bound, nat a cell"

    def __init__(self, parameters: int, channels: list[int], latents: int = 4, told: int = 32, **kwargs: Any) -> None:
        super().__init__(parameters, **kwargs)
        if not channels or any(units < 1 or units % GROUPS for units in channels) or not 1 <= latents <= 4:
            raise ValueError(
                f"expected channels, multiples of {GROUPS}, and 1 to 4 latents, given {list(channels)} and {latents}"
            )
        self.config = {"parameters": parameters, "channels": list(channels), "latents": latents, "told": told}
        layers = keras.layers
        self.tell = built_dense("tell", parameters, [told, told], "silu")
        befores = [channels[0], *channels[:-1]]
        self.enter, self.told_latents, self.seed, self.leave = (
            layers.Conv2D(units, 3, name=name)
            for units, name in ((channels[0], "enter"), (2 * latents, "told_latents"), (channels[-1], "seed"), (1, "leave"))
        )
        for layer, before in (
            (self.enter, 1),
            (self.told_latents, channels[-1]),
            (self.seed, latents),
            (self.leave, channels[0]),
        ):
            layer.build((None, None, None, before))
        self.down = [
            ToldBlock(before, units, told, name=f"down_{i}")
            for i, (before, units) in enumerate(zip(befores, channels, strict=True))
        ]
        self.up = [
            ToldBlock(units, before, told, name=f"up_{i}")
            for i, (before, units) in enumerate(zip(befores, channels, strict=True))
        ]
        self.halve, self.double = layers.AveragePooling2D(2, name="halve"), layers.UpSampling2D(2, name="double")
        self.cell = Cell(name="cell")
        self.noise = keras.random.SeedGenerator(seed=0)
        self.built = True

    def encode(self, x, theta):
        """Means and log-variances (batch, rows, columns, latents) of latents of standardized maps (batch, height, width)."""
        told = through(self.tell, self.given(theta))
        x = self.enter(wrapped(x[..., None]))
        for block in self.down:
            x = self.halve(block(x, told))
        mean, log_variance = ops.split(self.told_latents(wrapped(ops.silu(x))), 2, axis=-1)
        return mean, ops.clip(log_variance, -12.0, 6.0)

    def decode(self, latents, theta):
        """Means (batch, height, width) of the standardized maps that latents stand for."""
        told = through(self.tell, self.given(theta))
        x = self.seed(wrapped(latents))
        for block in reversed(self.up):
            x = block(self.double(x), told)
        return self.leave(wrapped(ops.silu(x)))[..., 0]

    def sample(self, z, theta):
        """Maps of the overdensity (batch, height, width) of parameters, from standard normal noise of that shape.

        Latents are the noise of some cells; that of all is added, by its deviation, to what they are decoded to.
        """
        stride = 2 ** len(self.config["channels"])
        half = stride // 2
        starts = [(0, 0), (0, half), (half, 0), (half, half)][: self.config["latents"]]
        latents = ops.stack([z[:, i::stride, j::stride] for i, j in starts], axis=-1)
        return self.unseen(self.decode(latents, theta) + ops.exp(self.cell.log_deviation) * z)

    def cost(self, theta, overdensity):
        """Negative evidence lower bound (batch,) of maps, nat a cell, at the means of the latents."""
        return self._cost(theta, overdensity, noisy=False)

    def call(self, inputs, training: bool = False):
        theta, overdensity = inputs
        return self._cost(theta, overdensity, noisy=training)

    def _cost(self, theta, overdensity, noisy: bool):
        x = self.seen(overdensity)
        mean, log_variance = self.encode(x, theta)
        noise = keras.random.normal(ops.shape(mean), seed=self.noise) if noisy else 0.0
        found = self.decode(mean + noise * ops.exp(0.5 * log_variance), theta)
        away = ops.mean(ops.square(x - found), axis=(1, 2)) * ops.exp(-2 * self.cell.log_deviation)
        kl = ops.sum(gaussian_kl(mean, log_variance), axis=(1, 2, 3))
        count = ops.cast(ops.shape(x)[1] * ops.shape(x)[2], x.dtype)
        return 0.5 * (away + LOG_TWO_PI) + self.cell.log_deviation + kl / count

    @property
    def blocks(self) -> dict[str, list[keras.layers.Layer]]:
        return {
            "stem": self.stem,
            "tell": list(self.tell),
            "encoder": [self.enter, *self.down, self.told_latents],
            "decoder": [self.seed, *self.up, self.leave, self.cell],
        }

    def example(self, inputs: Mapping[str, np.ndarray], rng: np.random.Generator) -> dict[str, tuple[np.ndarray, ...]]:
        theta, fields = inputs.values()
        return {"sample": (rng.standard_normal(fields.shape).astype(np.float32), theta), "cost": (theta, fields)}

"""3-D convolutional network whose answer passes through a few latents: from a cube to the distribution of one quantity.

The deep variational information bottleneck (Alemi et al. 2017, arXiv:1612.00410): what the latents hold of a cube costs, so
that they hold what decides the answer and nothing else. Lucie-Smith et al. (2024, arXiv:2305.03077) look for what sets halo
profiles in this way.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import keras
import numpy as np
from keras import ops

from zoo.families.batches import in_batches
from zoo.families.cnn3d import CNN3D
from zoo.families.layers import Ramp, dense_stack, gaussian_kl, sampled
from zoo.model.registry import register_family


@register_family("cnn3d-bottleneck")
class CNN3DBottleneck(CNN3D):
    """The network of `CNN3D` with Gaussian latents between its features and its head.

    Trained on the negative log-likelihood plus beta KL(q(z|x) || N(0, 1)), the KL summed over latents: a latent that carries
    nothing falls back to the prior and is dead. Scale as well as location of the answer follow from the latents.

    Parameters
    ----------
    size : int
        Number of cells along a side of the cube.
    channels : list of int
        Channels of each stage's convolution; each stage halves the cube.
    hidden : list of int
        Units of the dense layers between the last stage and the latents.
    latents : int
        Number of latents.
    decoder : list of int
        Units of the hidden layers from the latents to the head.
    beta : float
        Weight of the KL term, in nat of the log-likelihood per nat.
    warm_up : int
        Training steps in which that weight rises from zero.
    **options : object
        ``downsample``, ``activation`` and ``likelihood`` of `CNN3D`.
    """

    endpoints: ClassVar[dict[str, str]] = {
        "predict": "distribution",
        "encode": "encode",
        "decode": "decode",
        "reconstruct": "reconstruct",
    }

    def __init__(
        self,
        size: int,
        channels: list[int],
        hidden: list[int],
        latents: int,
        decoder: list[int],
        beta: float = 1e-2,
        warm_up: int = 0,
        **options: Any,
    ) -> None:
        self._own: dict[str, Any] = {"latents": latents, "decoder": list(decoder), "beta": beta, "warm_up": warm_up}
        super().__init__(size, channels, hidden, **options)
        self.config |= self._own
        self.latents, self.beta = latents, beta
        self.noise = keras.random.SeedGenerator(seed=0)
        self.ramp = Ramp(warm_up, name="ramp") if warm_up else None

    def _before_head(self, features: int) -> int:
        latents, units = self._own["latents"], self._own["decoder"]
        self.mean = keras.layers.Dense(latents, name="mean")
        self.log_variance = keras.layers.Dense(latents, name="log_variance")
        for layer in (self.mean, self.log_variance):
            layer.build((None, features))
        self.decoder = dense_stack("decoder", latents, units, self.config["activation"])
        return units[-1]

    def encode(self, x):
        """Mean and log-variance of the latents, each (batch, latents), of cubes (batch, size, size, size)."""
        features = self._features(x)
        return self.mean(features), self.log_variance(features)

    def decode(self, latent):
        """Location and scale (batch,) of the target, in its units, given latents (batch, latents)."""
        return self._distribution(self.decoder(latent))

    def answer(self, x):
        """Location and scale (batch,) at the mean of the latents: no noise."""
        return self.decode(self.encode(x)[0])

    distribution = answer

    def reconstruct(self, x, noise):
        """The answer at a sample of the latents; ``noise`` (batch, latents) is standard normal."""
        mean, log_variance = self.encode(x)
        return self.decode(sampled(mean, log_variance, ops.convert_to_tensor(noise)))

    def call(self, x, training: bool = False):
        mean, log_variance = self.encode(x)
        kl = ops.mean(ops.sum(gaussian_kl(mean, log_variance), axis=-1))
        self.add_loss(self.beta * (self.ramp(kl) if training and self.ramp else kl))
        if training:
            mean = sampled(mean, log_variance, keras.random.normal(ops.shape(mean), seed=self.noise))
        return ops.stack(self.decode(mean), axis=-1)

    @property
    def blocks(self) -> dict[str, list[keras.layers.Layer]]:
        known = super().blocks
        latent = [self.mean, self.log_variance, *([self.ramp] if self.ramp else [])]
        return {**known, "head": [*latent, *self.decoder.layers, *known["head"]]}

    def example(self, inputs: Mapping[str, Any], rng: np.random.Generator) -> dict[str, tuple[Any, ...]]:
        (cubes,) = inputs.values()
        latent = in_batches(self.encode, cubes)[0]
        noise = rng.standard_normal(latent.shape, dtype=np.float32)
        return {"predict": (cubes,), "encode": (cubes,), "decode": (latent,), "reconstruct": (cubes, noise)}

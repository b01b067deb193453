"""Interpretable variational encoder: observations -> few latents -> the answer to a query.

SciNet (Iten et al. 2020, arXiv:1807.10300) for the pendulum; the same form finds the parameters of halo profiles
(Lucie-Smith et al. 2022, arXiv:2203.08827).
"""

from __future__ import annotations

from typing import ClassVar

import keras
import numpy as np
from keras import ops

from zoo.families.base import ZooModel
from zoo.layers import Standardize, dense_stack, gaussian_kl
from zoo.registry import register_family


@register_family("ive")
class IVE(ZooModel):
    """Encoder to Gaussian latents, decoder from latents and a query.

    Trained on (observation, query) -> answer with the loss of ``compile`` plus beta KL(q(z|x) || N(0, 1)),
    the KL summed over latents: a latent that carries nothing falls back to the prior and is dead.

    Parameters
    ----------
    observation : elements of an observation
    query : elements of a query
    latents : number of latents
    encoder, decoder : units of the hidden layers
    outputs : elements of an answer
    activation : of the hidden layers
    beta : weight of the KL term, in units of the loss per nat
    """

    endpoints: ClassVar[dict[str, str]] = {
        "predict": "answer",
        "encode": "encode",
        "decode": "decode",
        "reconstruct": "reconstruct",
    }

    def __init__(
        self,
        observation: int,
        query: int,
        latents: int,
        encoder: list[int],
        decoder: list[int],
        outputs: int = 1,
        activation: str = "elu",
        beta: float = 1e-3,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        self.config = {
            "observation": observation,
            "query": query,
            "latents": latents,
            "encoder": list(encoder),
            "decoder": list(decoder),
            "outputs": outputs,
            "activation": activation,
            "beta": beta,
        }
        self.latents, self.beta = latents, beta
        self.observed = Standardize((observation,), name="observed")
        self.asked = Standardize((query,), name="asked")
        self.encoder = dense_stack("encoder", observation, encoder, activation)
        self.mean = keras.layers.Dense(latents, name="mean")
        self.log_variance = keras.layers.Dense(latents, name="log_variance")
        for head in (self.mean, self.log_variance):
            head.build((None, encoder[-1]))
        self.decoder = dense_stack("decoder", latents + query, decoder, activation)
        self.head = keras.layers.Dense(outputs, name="head")
        self.head.build((None, decoder[-1]))
        self.noise = keras.random.SeedGenerator(seed=0)
        self.built = True

    def encode(self, observation):
        """Mean and log-variance of the latents, each (batch, latents)."""
        features = self.encoder(self.observed(observation))
        return self.mean(features), self.log_variance(features)

    def decode(self, latent, query):
        """The answer (batch, outputs) to a query, given latents (batch, latents)."""
        return self.head(self.decoder(ops.concatenate([latent, self.asked(query)], axis=-1)))

    def answer(self, observation, query):
        """The answer at the mean of the latents: no noise."""
        return self.decode(self.encode(observation)[0], query)

    def reconstruct(self, observation, query, noise):
        """The answer at a sample of the latents; ``noise`` (batch, latents) is standard normal."""
        mean, log_variance = self.encode(observation)
        return self.decode(mean + ops.exp(0.5 * log_variance) * noise, query)

    def call(self, inputs, training: bool = False):
        observation, query = inputs
        mean, log_variance = self.encode(observation)
        kl = ops.mean(ops.sum(gaussian_kl(mean, log_variance), axis=-1))
        self.add_loss(self.beta * kl)
        if training:
            mean = mean + ops.exp(0.5 * log_variance) * keras.random.normal(ops.shape(mean), seed=self.noise)
        return self.decode(mean, query)

    @property
    def blocks(self) -> dict[str, list[keras.layers.Layer]]:
        return {
            "stem": [self.observed, self.asked],
            "encoder": list(self.encoder.layers),
            "latent": [self.mean, self.log_variance],
            "decoder": list(self.decoder.layers),
            "head": [self.head],
        }

    def adapt(self, inputs, target) -> None:
        observation, query = inputs.values()
        self.observed.adapt(observation)
        self.asked.adapt(query)

    def baseline(self, tensor: str) -> np.ndarray | None:
        if not hasattr(self, "spec"):
            return None
        observation, query = self.spec.endpoint("predict").inputs
        layers = {observation.name: self.observed, query.name: self.asked}
        return ops.convert_to_numpy(layers[tensor].mean) if tensor in layers else None

    def example(self, inputs, rng):
        observation, query = inputs.values()
        latent = ops.convert_to_numpy(self.encode(observation)[0])
        noise = rng.standard_normal(latent.shape, dtype=np.float32)
        return {
            "predict": (observation, query),
            "encode": (observation,),
            "decode": (latent, query),
            "reconstruct": (observation, query, noise),
        }

    def get_config(self) -> dict:
        return {"name": self.name, **self.config}

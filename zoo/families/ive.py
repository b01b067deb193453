"""Interpretable variational encoder: observations -> few latents -> the answer to a query.

SciNet (Iten et al. 2020, arXiv:1807.10300) for the pendulum; the same form finds the parameters of halo profiles
(Lucie-Smith et al. 2022, arXiv:2203.08827).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import keras
import numpy as np
from keras import ops

from zoo.families.base import ZooModel
from zoo.families.batches import in_batches
from zoo.families.layers import Ramp, Standardize, cells, conv3d_stages, dense_stack, gaussian_kl, sampled
from zoo.model.registry import register_family

SPREAD = 16
"""Units of the hidden layer between a query and the deviation of its answer."""
LOG_SCALE = 5.0
"""Bound of |log scale| of an answer: keeps the likelihood finite."""


@register_family("ive")
class IVE(ZooModel):
    """Encoder to Gaussian latents, decoder from latents and a query.

    Trained on (observation, queries) -> answers with the objective plus beta KL(q(z|x) || N(0, 1)),
    the KL summed over latents: a latent that carries nothing falls back to the prior and is dead. A row of training may
    ask several queries of one observation, (batch, k query) -> (batch, k outputs); the endpoints take one each.

    Parameters
    ----------
    observation : int
        Number of elements of an observation; with ``channels``, cells along a side of a cube.
    query : int
        Number of elements of a query.
    latents : int
        Number of latents.
    encoder, decoder : list of int
        Units of the hidden layers.
    outputs : int
        Number of elements of an answer.
    activation : str
        Activation of the hidden layers.
    beta : float
        Weight of the KL term, in units of the loss per nat.
    warm_up : int
        Training steps in which that weight rises from zero.
    channels : sequence of int
        Channels of convolutions of 3^3 before the encoder's dense layers; each halves the cube.
    log_query : bool
        Whether the decoder is given the logarithm of the query, which must then be positive.
    scatter : bool
        Whether an answer is a Gaussian, trained on its negative log-likelihood, the mean over the queries of a row. Its
        deviation depends on the query alone: otherwise latents tell how noisy an observation is.

    Raises
    ------
    ValueError
        If the cube cannot be halved by as many convolutions.
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
        warm_up: int = 0,
        channels: Sequence[int] = (),
        log_query: bool = False,
        scatter: bool = False,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        if observation % 2 ** len(channels):
            raise ValueError(f"expected a cube that {len(channels)} convolutions can halve, given a side of {observation}")
        self.config: dict[str, Any] = {
            "observation": observation,
            "query": query,
            "latents": latents,
            "encoder": list(encoder),
            "decoder": list(decoder),
            "outputs": outputs,
            "activation": activation,
            "beta": beta,
            "warm_up": warm_up,
            "channels": list(channels),
            "log_query": log_query,
            "scatter": scatter,
        }
        self.latents, self.beta = latents, beta
        self.observed = Standardize(() if channels else (observation,), name="observed")
        self.asked = Standardize((query,), name="asked")
        self.stages = conv3d_stages("stages", observation, list(channels), activation) if channels else None
        features = observation if self.stages is None else math.prod(self.stages.output_shape[1:])
        self.encoder = dense_stack("encoder", features, encoder, activation)
        self.mean = keras.layers.Dense(latents, name="mean")
        self.log_variance = keras.layers.Dense(latents, name="log_variance")
        for head in (self.mean, self.log_variance):
            head.build((None, encoder[-1]))
        self.decoder = dense_stack("decoder", latents + query, decoder, activation)
        self.head = keras.layers.Dense(outputs, name="head")
        self.head.build((None, decoder[-1]))
        self.answers_with = "gaussian" if scatter else "number"
        self.spread = None
        if scatter:
            self.spread = dense_stack("spread", query, [SPREAD], activation)
            self.log_scale = keras.layers.Dense(outputs, name="log_scale")
            self.log_scale.build((None, SPREAD))
        self.noise = keras.random.SeedGenerator(seed=0)
        self.ramp = Ramp(warm_up, name="ramp") if warm_up else None
        self.built = True

    def encode(self, observation):
        """Mean and log-variance of the latents, each (batch, latents)."""
        features = self.observed(observation)
        if self.stages is not None:
            features = self.stages(features[..., None])
            features = ops.reshape(features, (-1, math.prod(features.shape[1:])))
        features = self.encoder(features)
        return self.mean(features), self.log_variance(features)

    def decode(self, latent, query):
        """The answer (batch, outputs) to a query, given latents (batch, latents); with ``scatter``, its deviation too."""
        asked = self.asked(ops.log(query) if self.config["log_query"] else query)
        answer = self.head(self.decoder(ops.concatenate([latent, asked], axis=-1)))
        if self.spread is None:
            return answer
        return answer, ops.exp(ops.clip(self.log_scale(self.spread(asked)), -LOG_SCALE, LOG_SCALE))

    def answer(self, observation, query):
        """The answer at the mean of the latents: no noise."""
        return self.decode(self.encode(observation)[0], query)

    def reconstruct(self, observation, query, noise):
        """The answer at a sample of the latents; ``noise`` (batch, latents) is standard normal."""
        mean, log_variance = self.encode(observation)
        return self.decode(sampled(mean, log_variance, ops.convert_to_tensor(noise)), query)

    def answers(self, latent, queries):
        """Answers (batch, k outputs) to k queries (batch, k query); with ``scatter`` (batch, 2 k outputs), scales last."""
        k = queries.shape[1] // self.config["query"]
        found = self.decode(ops.repeat(latent, k, axis=0), ops.reshape(queries, (-1, self.config["query"])))
        parts = (found,) if self.spread is None else found
        return ops.concatenate([ops.reshape(part, (-1, k * self.config["outputs"])) for part in parts], axis=-1)

    def log_likelihood(self, target, answer):
        """Give log p(target), (batch,), mean over elements of targets (batch, m), under Gaussians (batch, 2 m) of ``call``."""
        location, scale = ops.split(answer, 2, axis=-1)
        z = (target - location) / scale
        return ops.mean(-0.5 * ops.square(z) - ops.log(scale) - 0.5 * math.log(2 * math.pi), axis=-1)

    def call(self, inputs, training: bool = False):
        observation, queries = inputs
        mean, log_variance = self.encode(observation)
        kl = ops.mean(ops.sum(gaussian_kl(mean, log_variance), axis=-1))
        self.add_loss(self.beta * (self.ramp(kl) if training and self.ramp else kl))
        if training:
            mean = sampled(mean, log_variance, keras.random.normal(ops.shape(mean), seed=self.noise))
        return self.answers(mean, queries)

    asks_many: ClassVar[bool] = True

    @property
    def objective_name(self) -> str:
        return "squared error" if self.spread is None else "negative log-likelihood, nat"

    def objective(self, target, answer):
        if self.spread is None:
            return ops.mean(ops.square(answer - target), axis=-1)
        return -self.log_likelihood(target, answer)

    def point(self, answer):
        return answer if self.spread is None else ops.split(answer, 2, axis=-1)[0]

    def standardized(self, *inputs) -> tuple:
        observation, queries = inputs
        query = ops.reshape(queries, (-1, self.config["query"]))
        return self.observed(observation), self.asked(ops.log(query) if self.config["log_query"] else query)

    def with_head(self, outputs, task) -> tuple[str, dict[str, Any]]:
        if task != "regression":
            return super().with_head(outputs, task)
        return "ive", {**self.config, "outputs": outputs}

    def with_inputs(self, inputs) -> tuple[dict[str, Any], list[str]]:
        if self.stages is not None:
            return super().with_inputs(inputs)
        return {**self.config, "observation": inputs}, ["observed", self.encoder.layers[0].name]

    def answers_at(self, inputs: Mapping[str, Any], latent: np.ndarray | None = None) -> np.ndarray:
        """What ``call`` answers at the mean of the latents, or at ``latent`` (n, latents), to any number of rows."""
        observation, queries = inputs.values()
        if latent is None:
            latent, _ = in_batches(self.encode, observation)
        return in_batches(self.answers, latent, queries)

    @property
    def blocks(self) -> dict[str, list[keras.layers.Layer]]:
        return {
            "stem": [self.observed, self.asked],
            **({"stages": [layer for layer in self.stages.layers if layer.weights]} if self.stages else {}),
            "encoder": list(self.encoder.layers),
            "latent": [self.mean, self.log_variance, *([self.ramp] if self.ramp else [])],
            "decoder": list(self.decoder.layers),
            "head": [self.head, *([*self.spread.layers, self.log_scale] if self.spread else [])],
        }

    def adapt(self, inputs, target, weight=None) -> None:
        observation, queries = inputs.values()
        self.observed.adapt(*((observation, weight) if self.stages is None else cells(observation, weight)))
        asked = np.reshape(queries, (-1, self.config["query"]))
        of_each = None if weight is None else np.repeat(weight, len(asked) // len(queries))
        self.asked.adapt(np.log(asked) if self.config["log_query"] else asked, of_each)

    def baseline(self, tensor: str) -> np.ndarray | None:
        if not hasattr(self, "spec"):
            return None
        observation, query = self.spec.endpoint("predict").inputs
        if tensor == observation.name:
            mean = ops.convert_to_numpy(self.observed.mean)
            return mean if self.stages is None else np.full([self.config["observation"]] * 3, mean)
        if tensor == query.name:
            mean = ops.convert_to_numpy(self.asked.mean)
            return np.exp(mean) if self.config["log_query"] else mean
        return None

    def example(self, inputs, rng):
        observation, queries = inputs.values()
        row = np.arange(len(queries))
        queries = np.reshape(queries, (len(row), -1, self.config["query"]))
        query = queries[row, row % queries.shape[1]]
        latent = ops.convert_to_numpy(self.encode(observation)[0])
        noise = rng.standard_normal(latent.shape, dtype=np.float32)
        return {
            "predict": (observation, query),
            "encode": (observation,),
            "decode": (latent, query),
            "reconstruct": (observation, query, noise),
        }

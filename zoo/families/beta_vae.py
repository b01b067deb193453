"""The beta-VAE of images (Higgins et al. 2017), in networks that Locatello et al. 2019 (arXiv:1811.12359) compare all with."""

from __future__ import annotations

import math
from typing import ClassVar

import keras
import numpy as np
from keras import ops

from zoo.families.base import ZooModel
from zoo.families.layers import Ramp, gaussian_kl, sampled
from zoo.model.registry import register_family

DECONVOLUTION = 4
"""Pixels along the kernel of every convolution of the decoder, whose stride is 2 as the encoder's is."""
POINT = -100.0
"""Log-variance that stands for no variance: times its deviation, no noise moves a float32 latent."""


@register_family("beta-vae")
class BetaVAE(ZooModel):
    """Convolutional encoder to Gaussian latents, decoder from latents to the intensities of an image in [0, 1].

    Trained on image -> image with the negative log-likelihood of intensities as probabilities of a Bernoulli variable each,
    summed over pixels and channels, plus beta KL(q(z|x) || N(0, 1)), summed over latents; both in nat an image.

    Parameters
    ----------
    image : list of int
        Height, width and channels of an image.
    latents : int
        Number of latents.
    convolutions : list of list of int
        Filters and kernel's side of each convolution of the encoder, which halves the image; the decoder's filters are the same
        in reverse, its kernels 4 x 4.
    hidden : int
        Units of the dense layer on either side of the latents.
    beta : float
        Weight of the KL term.
    warm_up : int
        Training steps in which that weight rises from zero.
    variational : bool
        Whether latents are random; without noise and KL, this is a plain autoencoder of the same network, whose posterior is a
        point, of log-variance ``POINT``.

    Raises
    ------
    ValueError
        If the image is not one that the convolutions can halve.
    """

    endpoints: ClassVar[dict[str, str]] = {
        "predict": "answer",
        "encode": "encode",
        "decode": "decode",
        "reconstruct": "reconstruct",
    }

    def __init__(
        self,
        image: list[int],
        latents: int,
        convolutions: list[list[int]],
        hidden: int = 256,
        beta: float = 1.0,
        warm_up: int = 0,
        variational: bool = True,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        halved = 2 ** len(convolutions)
        if len(image) != 3 or image[0] % halved or image[1] % halved or not convolutions:
            raise ValueError(f"expected an image that {len(convolutions)} convolutions can halve, given {image}")
        self.config = {
            "image": list(image),
            "latents": latents,
            "convolutions": [list(one) for one in convolutions],
            "hidden": hidden,
            "beta": beta,
            "warm_up": warm_up,
            "variational": variational,
        }
        self.latents, self.beta, self.variational = latents, beta, variational
        filters = [number for number, _ in convolutions]
        small = (image[0] // halved, image[1] // halved, filters[-1])
        self.encoder = _encoder(image, convolutions, hidden)
        self.mean = keras.layers.Dense(latents, name="mean")
        self.mean.build((None, hidden))
        self.ramp = Ramp(warm_up, name="ramp") if variational and warm_up else None
        if variational:
            self.log_variance = keras.layers.Dense(latents, name="log_variance")
            self.log_variance.build((None, hidden))
            self.noise = keras.random.SeedGenerator(seed=0)
        self.decoder = keras.Sequential(
            [
                keras.Input((latents,)),
                keras.layers.Dense(hidden, activation="relu", name="decoder_hidden"),
                keras.layers.Dense(math.prod(small), activation="relu", name="unfolded"),
                keras.layers.Reshape(small, name="reshape"),
                *(
                    keras.layers.Conv2DTranspose(
                        number, DECONVOLUTION, 2, padding="same", activation="relu", name=f"deconvolution_{i}"
                    )
                    for i, number in enumerate(filters[-2::-1])
                ),
            ],
            name="decoder",
        )
        self.head = keras.layers.Conv2DTranspose(image[-1], DECONVOLUTION, 2, padding="same", name="head")
        self.head.build(self.decoder.output_shape)
        self.built = True

    def encode(self, image):
        """Mean and log-variance of the latents, each (batch, latents), of images (batch, height, width, channels)."""
        features = self.encoder(image)
        mean = self.mean(features)
        return mean, self.log_variance(features) if self.variational else ops.full_like(mean, POINT)

    def decoded_logits(self, latent):
        """Logits of the intensities, (batch, height, width, channels), given latents (batch, latents)."""
        return self.head(self.decoder(latent))

    def decode(self, latent):
        """Intensities (batch, height, width, channels) in [0, 1], given latents (batch, latents)."""
        return ops.sigmoid(self.decoded_logits(latent))

    def answer(self, image):
        """The image reconstructed at the mean of the latents: no noise."""
        return self.decode(self.encode(image)[0])

    def reconstruct(self, image, noise):
        """The image reconstructed at a sample of the latents; ``noise`` (batch, latents) is standard normal."""
        mean, log_variance = self.encode(image)
        return self.decode(sampled(mean, log_variance, ops.convert_to_tensor(noise)))

    def call(self, image, training: bool = False):
        mean, log_variance = self.encode(image)
        if self.variational:
            kl = ops.mean(ops.sum(gaussian_kl(mean, log_variance), axis=-1))
            self.add_loss(self.beta * (self.ramp(kl) if training and self.ramp else kl))
            if training:
                mean = sampled(mean, log_variance, keras.random.normal(ops.shape(mean), seed=self.noise))
        return self.decoded_logits(mean)

    def log_likelihood(self, target, answer):
        """Give log p(target) in nat, (batch,), of images under the logits ``answer`` of the same shape, which ``call`` gave."""
        return ops.sum(target * answer - ops.softplus(answer), axis=(1, 2, 3))

    objective_name = "negative log-likelihood of an image, nat"

    def objective(self, target, answer):
        return -self.log_likelihood(target, answer)

    def own_target(self, inputs):
        (image,) = inputs.values()
        return image

    @property
    def blocks(self) -> dict[str, list[keras.layers.Layer]]:
        posterior = [self.mean, *([self.log_variance] if self.variational else []), *([self.ramp] if self.ramp else [])]
        return {
            "encoder": [layer for layer in self.encoder.layers if layer.weights],
            "latent": posterior,
            "decoder": [layer for layer in self.decoder.layers if layer.weights],
            "head": [self.head],
        }

    def example(self, inputs, rng):
        (image,) = inputs.values()
        latent = ops.convert_to_numpy(self.encode(image)[0])
        noise = rng.standard_normal(latent.shape, dtype=np.float32)
        return {"predict": (image,), "encode": (image,), "decode": (latent,), "reconstruct": (image, noise)}


def _encoder(image: list[int], convolutions: list[list[int]], hidden: int) -> keras.Sequential:
    """A network that makes features (batch, hidden) of an image (batch, height, width, channels)."""
    return keras.Sequential(
        [
            keras.Input(tuple(image)),
            *(
                keras.layers.Conv2D(number, side, 2, padding="same", activation="relu", name=f"convolution_{i}")
                for i, (number, side) in enumerate(convolutions)
            ),
            keras.layers.Flatten(name="flatten"),
            keras.layers.Dense(hidden, activation="relu", name="encoder_hidden"),
        ],
        name="encoder",
    )

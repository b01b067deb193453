"""3-D convolutional network from a cube of a field to the distribution of one quantity.

Lucie-Smith et al. (2020, arXiv:2011.10577) go from the linear density around a particle to the mass of the halo it ends in.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal

import keras
import numpy as np
from keras import ops

from zoo.families.base import ZooModel
from zoo.families.batches import in_batches
from zoo.families.contracts import Prediction
from zoo.families.layers import Standardize, cells, conv3d_stages, dense_stack
from zoo.model.registry import register_family

LOG_SCALE = 4.0
"""Bound of |log scale|, in standard deviations of the training targets: keeps the likelihood finite."""


@register_family("cnn3d")
class CNN3D(ZooModel):
    """Convolutions of 3^3 in stages that each halve the cube, dense layers, and a location and scale of the answer.

    Parameters
    ----------
    size : int
        Number of cells along a side of the cube.
    channels : list of int
        Channels of each stage's convolution; each stage halves the cube.
    hidden : list of int
        Units of the dense layers after the last stage.
    downsample : {"stride", "average"}
        What halves a cube: the "stride" of the convolution, or the "average" of 2^3 cells after it.
    activation : str
        Activation of all hidden layers.
    likelihood : {"gaussian", "cauchy"}
        Distribution of the target given location and scale: "gaussian", or "cauchy", as in the paper.

    Raises
    ------
    ValueError
        If the cube is too small for the stages, or the likelihood or downsampling is another.
    """

    endpoints: ClassVar[dict[str, str]] = {"predict": "distribution"}

    def __init__(
        self,
        size: int,
        channels: list[int],
        hidden: list[int],
        downsample: Literal["stride", "average"] = "stride",
        activation: str = "relu",
        likelihood: Literal["gaussian", "cauchy"] = "gaussian",
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        if likelihood not in LIKELIHOODS:
            raise ValueError(f"expected likelihood gaussian or cauchy, given {likelihood}")
        if downsample not in ("stride", "average"):
            raise ValueError(f"expected downsample stride or average, given {downsample}")
        if not channels or size % 2 ** len(channels):
            raise ValueError(f"expected a size that {len(channels)} stages can halve, given {size}")
        self.config: dict[str, Any] = {
            "size": size,
            "channels": list(channels),
            "hidden": list(hidden),
            "downsample": downsample,
            "activation": activation,
            "likelihood": likelihood,
        }
        self.standardize = Standardize((), name="standardize")
        self.stages = conv3d_stages("stages", size, list(channels), activation, downsample)
        features = math.prod(self.stages.output_shape[1:])
        self.hidden = dense_stack("hidden", features, hidden, activation) if hidden else None
        self.head = keras.layers.Dense(2, kernel_initializer="zeros", name="head")
        self.head.build((None, self._before_head(hidden[-1] if hidden else features)))
        self.rescale = Standardize((), name="rescale")
        self.answers_with = "gaussian" if likelihood == "gaussian" else "distribution"
        self.built = True

    def _before_head(self, features: int) -> int:
        """Build what stands between the features and the head, here nothing; how many numbers the head is given."""
        return features

    def _features(self, x):
        """What the network makes of cubes (batch, size, size, size), (batch, features)."""
        x = self.stages(self.standardize(x)[..., None])
        x = ops.reshape(x, (-1, math.prod(x.shape[1:])))
        return x if self.hidden is None else self.hidden(x)

    def distribution(self, x):
        """Location and scale (batch,) of the target, in its units, from cubes (batch, size, size, size)."""
        return self._distribution(self._features(x))

    def _distribution(self, features):
        """The same from what the head is given."""
        y = self.head(features)
        scale = ops.exp(ops.clip(y[:, 1], -LOG_SCALE, LOG_SCALE))
        return y[:, 0] * self.rescale.scale + self.rescale.mean, scale * self.rescale.scale

    def call(self, x):
        return ops.stack(self.distribution(x), axis=-1)

    def log_likelihood(self, target, answer):
        """Give log p(target), (batch,), of targets (batch, 1) under ``answer`` (batch, 2), which ``call`` gave."""
        log_density, _ = LIKELIHOODS[self.config["likelihood"]]
        return log_density((target[:, 0] - answer[:, 0]) / answer[:, 1]) - ops.log(answer[:, 1])

    objective_name = "negative log-likelihood, nat"

    def objective(self, target, answer):
        return -self.log_likelihood(target, answer)

    def point(self, answer):
        return answer[:, :1]

    def standardized(self, *inputs) -> tuple:
        return (self.standardize(inputs[0]),)

    def predictive(self, inputs: Mapping[str, Any], target: np.ndarray) -> Prediction:
        """Location, log p(target) and the probability of less than the target, for any number of rows."""
        (cubes,) = inputs.values()
        answer = in_batches(self, cubes).astype(np.float64)
        _, cumulative = LIKELIHOODS[self.config["likelihood"]]
        probability = cumulative((target[:, 0] - answer[:, 0]) / answer[:, 1])
        log_density = self.log_likelihood(target.astype(np.float64), answer)
        return Prediction(answer[:, 0], ops.convert_to_numpy(log_density), ops.convert_to_numpy(probability))

    @property
    def blocks(self) -> dict[str, list[keras.layers.Layer]]:
        return {
            "stem": [self.standardize],
            "stages": [layer for layer in self.stages.layers if layer.weights],
            "hidden": [] if self.hidden is None else list(self.hidden.layers),
            "head": [self.head, self.rescale],
        }

    def adapt(self, inputs, target, weight=None) -> None:
        (cubes,) = inputs.values()
        self.standardize.adapt(*cells(cubes, weight))
        self.rescale.adapt(target[:, 0], weight)

    def baseline(self, tensor: str) -> np.ndarray | None:
        return np.full([self.config["size"]] * 3, ops.convert_to_numpy(self.standardize.mean))


LIKELIHOODS: dict[str, tuple[Callable, Callable]] = {
    "gaussian": (
        lambda z: -0.5 * ops.square(z) - 0.5 * math.log(2 * math.pi),
        lambda z: 0.5 * (1 + ops.erf(z / math.sqrt(2))),
    ),
    "cauchy": (
        lambda z: -ops.log(1 + ops.square(z)) - math.log(math.pi),
        lambda z: 0.5 + ops.arctan(z) / math.pi,
    ),
}
"""Log density of a standardized residual, and the probability of less."""

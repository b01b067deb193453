"""How unlike a field is those of the training: the distance of a few of its statistics."""

from __future__ import annotations

import keras
import numpy as np
from keras import ops

from zoo.families.fields.convolutions import KINDS, log_density

SCALES = (1, 2, 4, 8)
"""Cells of the blocks over which the logarithm of the density is averaged, before its variance is taken."""
LEAST = 1e-6
"""Added to variances and to the mean density, so that a field of one value has logarithms."""


@keras.saving.register_keras_serializable("physzoo")
class Unlikeness(keras.layers.Layer):
    """Square of Mahalanobis' distance of a field from those of the training, in the space of six statistics.

    These are the logarithms of its mean density, of the variance of the logarithm of the density in blocks of 1, 2, 4 and 8
    cells, and the mean of that logarithm: counts in place of an overdensity, cells of another size, noise, holes and fields
    smoothed by somebody else move them against each other, as no cosmology does.

    Parameters
    ----------
    dimensions : int
        Axes of a field, 2 or 3.
    """

    def __init__(self, dimensions: int, **kwargs) -> None:
        super().__init__(trainable=False, **kwargs)
        self.dimensions = dimensions
        size = len(SCALES) + 2
        _, pool = KINDS[dimensions]
        self.pools = [pool(cells, name=f"blocks_{cells}") for cells in SCALES[1:]]
        self.mean = self.add_weight(name="mean", shape=(size,), initializer="zeros", trainable=False)
        self.matrix = self.add_weight(name="matrix", shape=(size, size), initializer="identity", trainable=False)
        self.built = True

    def statistics(self, overdensity):
        """The statistics (batch, 6) of overdensities (batch, ...)."""
        axes = tuple(range(1, self.dimensions + 2))
        x = ops.convert_to_tensor(overdensity)[..., None]
        logarithm, mean = log_density(x), ops.log(ops.maximum(1 + ops.mean(x, axis=axes), LEAST))
        moments = [_moments(blocks) for blocks in (logarithm, *(pool(logarithm) for pool in self.pools))]
        return ops.stack([mean, moments[0][0], *(ops.log(variance + LEAST) for _, variance in moments)], axis=-1)

    def adapt(self, statistics: np.ndarray, weight: np.ndarray | None = None) -> None:
        """Measure their mean and covariance on training fields (n, 6), by the absolute values of event weights."""
        rows, weight = np.asarray(statistics, np.float64), None if weight is None else np.abs(weight)
        self.mean.assign(np.average(rows, axis=0, weights=weight))
        covariance = np.cov(rows, rowvar=False, aweights=weight)
        # Statistics of fields that were smoothed by 4 Mpc/h nearly follow from each other, which `Whiten` refuses.
        covariance += 1e-6 * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
        values, vectors = np.linalg.eigh(covariance)
        self.matrix.assign(vectors / np.sqrt(values))

    def call(self, overdensity):
        away = ops.matmul(self.statistics(overdensity) - self.mean, self.matrix)
        return ops.sum(ops.square(away), axis=-1)

    def get_config(self) -> dict:
        return {**super().get_config(), "dimensions": self.dimensions}


def _moments(blocks):
    """Mean and variance (batch,) of all places, the latter of differences from the mean, which single precision bears.

    Places are in one row: tf2onnx simplifies means over several axes behind a pooling now this way, now that.
    """
    x = ops.reshape(blocks, (ops.shape(blocks)[0], -1))
    center = ops.mean(x, axis=1, keepdims=True)
    return center[:, 0], ops.mean(ops.square(x - center), axis=1)

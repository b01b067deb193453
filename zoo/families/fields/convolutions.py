"""What networks of fields see: convolutions of the logarithm of a density, averaged over places."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from zoo.families.layers import Standardize, cells

FLOOR = 0.05
"""Added to the density in units of its mean, so that an empty cell has a logarithm."""


def log_density(overdensity):
    """Logarithm of the density in units of its mean, of overdensities of any shape."""
    return ops.log(ops.maximum(1 + ops.convert_to_tensor(overdensity), 0.0) + FLOOR)


def bordered(x, axes: Sequence[int]):
    """An array whose first and last cells along some axes stand there once more."""
    for axis in axes:
        before = (slice(None),) * axis
        x = ops.concatenate([x[(*before, slice(1))], x, x[(*before, slice(-1, None))]], axis=axis)
    return x


class FieldFeatures(keras.layers.Layer):
    """Features of maps or cubes of any size.

    The logarithm brings a density, which is skewed, near to a Gaussian field (Coles & Jones 1991). Beyond an edge the cells at
    the edge stand once more, so that a cut-out needs no more than a periodic box, and what is near to an edge counts as much
    as what is not. Batch normalization lets few epochs train it: its statistics are those of the training, not of a field,
    whose variance is what tells sigma_8. What each stage finds is averaged over all places, that of the first stages too: how
    many cells have which density says as much of sigma_8 as shapes.

    Parameters
    ----------
    dimensions : int
        Axes of a field, 2 or 3.
    channels : sequence of int
        Channels of each stage: a convolution of 3 cells along each axis, and the mean of blocks of 2; the last has no blocks.
    activation : str
        Activation after each convolution.

    Raises
    ------
    ValueError
        There are no stages, or neither two nor three axes.
    """

    def __init__(self, dimensions: int, channels: Sequence[int], activation: str, **kwargs) -> None:
        super().__init__(**kwargs)
        if dimensions not in (2, 3) or not channels:
            raise ValueError(f"expected 2 or 3 dimensions and channels of at least one stage, given {dimensions}, {channels}")
        kind, pool = KINDS[dimensions]
        self.width = sum(channels)
        """Number of features."""
        self.axes = tuple(range(1, dimensions + 1))
        self.standardize = Standardize((), name="standardize")
        self.activation = keras.activations.get(activation)
        self.stages: list[keras.layers.Layer] = []
        self.norms: list[keras.layers.Layer] = []
        before = 1
        for i, units in enumerate(channels):
            self.stages.append(kind(units, 3, use_bias=False, name=f"stage_{i}"))
            self.stages[-1].build((None, *[None] * dimensions, before))
            self.norms.append(keras.layers.BatchNormalization(name=f"norm_{i}"))
            self.norms[-1].build((None, *[None] * dimensions, units))
            before = units
        self.pool = pool(2, name="blocks")
        self.built = True

    def adapt(self, fields: np.ndarray, weight: np.ndarray | None = None) -> None:
        """Measure mean and scale of the logarithm of the density on training fields (n, ...), by event weights (n,)."""
        values, of_each = cells(fields, weight)
        self.standardize.adapt(ops.convert_to_numpy(log_density(values)), of_each)

    def places(self, overdensity):
        """What each stage finds at each of its places, (batch, ..., channels), of overdensities (batch, ...)."""
        x = self.standardize(log_density(overdensity))[..., None]
        found: list[Any] = []
        for stage, norm in zip(self.stages, self.norms, strict=True):
            seen = self.pool(found[-1]) if found else x
            found.append(self.activation(norm(stage(bordered(seen, self.axes)))))
        return found

    def call(self, overdensity):
        return ops.concatenate([ops.mean(found, axis=self.axes) for found in self.places(overdensity)], axis=-1)


KINDS = {
    2: (keras.layers.Conv2D, keras.layers.AveragePooling2D),
    3: (keras.layers.Conv3D, keras.layers.AveragePooling3D),
}
"""Layers of each number of axes."""

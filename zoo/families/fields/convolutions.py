"""What networks of fields see: convolutions of the logarithm of a density, averaged over places."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from zoo.families.batches import rows_at_once
from zoo.families.layers import Standardize

FLOOR = 0.05
"""Added to the density in units of its mean, so that an empty cell has a logarithm."""
REACH = 4
"""Standard deviations of a Gaussian within which it smooths."""


def log_density(overdensity):
    """Logarithm of the density in units of its mean, of overdensities of any shape."""
    return ops.log(ops.maximum(1 + ops.convert_to_tensor(overdensity), 0.0) + FLOOR)


def bordered(x, axes: Sequence[int], cells: int = 1):
    """An array whose first and last cells along some axes stand there so many times more."""
    for axis in axes:
        before = (slice(None),) * axis
        first, last = x[(*before, slice(1))], x[(*before, slice(-1, None))]
        x = ops.concatenate([first] * cells + [x] + [last] * cells, axis=axis)
    return x


def smoothed(fields, deviation: float):
    """Fields (batch, ...) smoothed along all their axes by a Gaussian; beyond an edge stand the cells at the edge.

    Parameters
    ----------
    fields : Tensor
        The fields, of two or three axes.
    deviation : float
        Standard deviation of the Gaussian in cells; at 0 they are as they were.
    """
    fields = ops.convert_to_tensor(fields)
    if deviation == 0:
        return fields
    reach = math.ceil(REACH * deviation)
    weight = np.exp(-0.5 * (np.arange(-reach, reach + 1) / deviation) ** 2)
    axes = tuple(range(1, len(fields.shape)))
    x = bordered(fields, axes, reach)[..., None]
    for axis in axes:
        shape = [weight.size if other == axis else 1 for other in axes]
        x = ops.conv(x, (weight / weight.sum()).astype(np.float32).reshape(*shape, 1, 1), padding="valid")
    return x[..., 0]


def filled(fields):
    """Share (batch,) of the cells of fields (batch, ...) that hold exactly the value of the one before along the first axis."""
    fields = ops.convert_to_tensor(fields)
    differs = ops.cast(ops.abs(fields[:, 1:] - fields[:, :-1]) > 0, fields.dtype)
    return 1 - ops.mean(differs, axis=tuple(range(1, len(fields.shape))))


def spread(count: int, most: int) -> slice:
    """Evenly spaced of ``count`` rows, at most so many."""
    return slice(None, None, -(-count // most))


class FieldFeatures(keras.layers.Layer):
    """Features of maps or cubes of any size.

    The logarithm brings a density, which is skewed, near to a Gaussian field (Coles & Jones 1991). Beyond an edge the cells at
    the edge stand once more, so that a cut-out needs no more than a periodic box, and what is near to an edge counts as much
    as what is not. What each stage finds is averaged over all places, that of the first stages too: how many cells have which
    density says as much of sigma_8 as shapes.

    What a convolution finds is scaled by its mean and deviation before training (Salimans & Kingma 2016, arXiv:1602.07868,
    section 3; Mishkin & Matas 2016, arXiv:1511.06422), so that few epochs train it. Statistics of batches would too, but they
    differ from those that are used afterwards, and a network learns deviations that are too wide.

    Parameters
    ----------
    dimensions : int
        Axes of a field, 2 or 3.
    channels : sequence of int
        Channels of each stage: a convolution of 3 cells along each axis, and the mean of blocks of 2; the last has no blocks.
    activation : str
        Activation after each convolution.
    smoothing : float
        Standard deviation in cells of a Gaussian by which densities are smoothed first.

    Raises
    ------
    ValueError
        There are no stages, neither two nor three axes, or a negative smoothing.
    """

    def __init__(
        self, dimensions: int, channels: Sequence[int], activation: str, smoothing: float = 0.0, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if dimensions not in (2, 3) or not channels:
            raise ValueError(f"expected 2 or 3 dimensions and channels of at least one stage, given {dimensions}, {channels}")
        if not 0 <= smoothing < math.inf:
            raise ValueError(f"smoothing: expected cells, 0 or more, given {smoothing}")
        kind, pool = KINDS[dimensions]
        self.width = sum(channels)
        """Number of features."""
        self.axes = tuple(range(1, dimensions + 1))
        self.smoothing = smoothing
        self.standardize = Standardize((), name="standardize")
        self.activation = keras.activations.get(activation)
        self.stages: list[keras.layers.Layer] = []
        self.scales: list[Standardize] = []
        before = 1
        for i, units in enumerate(channels):
            self.stages.append(kind(units, 3, name=f"stage_{i}"))
            self.stages[-1].build((None, *[None] * dimensions, before))
            self.scales.append(Standardize((units,), name=f"scale_{i}"))
            before = units
        self.pool = pool(2, name="blocks")
        self.built = True

    def adapt(self, fields: np.ndarray, weight: np.ndarray | None = None) -> None:
        """Measure the scales of the logarithm and of what each convolution finds on training fields, by event weights (n,)."""
        some = spread(len(fields), rows_at_once([fields]))
        given, of_each = np.asarray(fields[some]), None if weight is None else weight[some]
        logarithm = self.logarithm(given)
        self.standardize.adapt(*_apart(logarithm, of_each))
        x = self.standardize(logarithm)[..., None]
        for stage, scale in zip(self.stages, self.scales, strict=True):
            found = stage(bordered(x, self.axes))
            scale.adapt(*_apart(found, of_each, channels=True))
            x = self.pool(self.activation(scale(found)))

    def logarithm(self, overdensity):
        """Logarithm of the smoothed density of overdensities (batch, ...)."""
        return log_density(smoothed(overdensity, self.smoothing))

    def places(self, overdensity):
        """What each stage finds at each of its places, (batch, ..., channels), of overdensities (batch, ...)."""
        x = self.standardize(self.logarithm(overdensity))[..., None]
        found: list[Any] = []
        for stage, scale in zip(self.stages, self.scales, strict=True):
            seen = self.pool(found[-1]) if found else x
            found.append(self.activation(scale(stage(bordered(seen, self.axes)))))
        return found

    def call(self, overdensity):
        return ops.concatenate([ops.mean(found, axis=self.axes) for found in self.places(overdensity)], axis=-1)


KINDS = {
    2: (keras.layers.Conv2D, keras.layers.AveragePooling2D),
    3: (keras.layers.Conv3D, keras.layers.AveragePooling3D),
}
"""Layers of each number of axes."""


def _apart(found, weight: np.ndarray | None, channels: bool = False) -> tuple[np.ndarray, np.ndarray | None]:
    """Places of all fields, one below another, with their channels where they have such, and the event weight of each."""
    values = ops.convert_to_numpy(found)
    rows = values.reshape(-1, *values.shape[-1:] * channels)
    return rows, None if weight is None else np.repeat(weight, len(rows) // len(values))

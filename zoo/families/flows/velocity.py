"""The network that tells how fast points move, and by how much they spread."""

from __future__ import annotations

from itertools import pairwise

import keras
import numpy as np
from keras import ops

WAVES = 8
"""Waves over the unit of time, sine and cosine of each, that the network is told a time by."""
FASTEST = 30.0
"""Bound of a velocity: standardized variables move by a few, and no input, however far off, makes them overflow."""


class Velocity(keras.layers.Layer):
    """Velocity (batch, D) of points at a time, given features of the context: a residual network.

    Its stream is as wide as its first block. Every block sees the context and the time, which also scales what it sees of the
    stream: near the end of a path a velocity changes over a small fraction of the variables' range. The activation is
    x sigmoid(x), smooth as a velocity must be to be integrated. The last layer starts at zero, and so does every velocity.

    Parameters
    ----------
    dimensions : int
        Number D of variables.
    context : int
        Number of features of the context, 0 for none.
    hidden : list of int
        Units of the hidden layer of each residual block.
    """

    def __init__(self, dimensions: int, context: int, hidden: list[int], **kwargs) -> None:
        super().__init__(**kwargs)
        self.dimensions, width = dimensions, hidden[0]
        self.shifts = list(pairwise(np.cumsum([0, width, *hidden]).tolist()))
        shifts, gains = self.shifts[-1][1], sum(hidden)
        weight = self._weight
        self.entry = weight("entry", dimensions, width)
        self.time_kernel = weight("time_kernel", 2 * WAVES, shifts + gains)
        self.time_bias = weight("time_bias", shifts + gains, start="zeros")
        self.context_kernel = weight("context_kernel", context, shifts) if context else None
        self.inward = [weight(f"inward_{i}", width, units) for i, units in enumerate(hidden)]
        self.outward = [weight(f"outward_{i}", units, width) for i, units in enumerate(hidden)]
        self.head_kernel = weight("head_kernel", width, dimensions, start="zeros")
        self.head_bias = weight("head_bias", dimensions, start="zeros")
        self.built = True

    def _weight(self, name: str, *shape: int, start: str = "glorot_uniform"):
        return self.add_weight(name=name, shape=shape, initializer=start)

    def at(self, time):
        """What the layers are told of times (n, 1) between 0 and 1, (n, M)."""
        angles = np.pi * np.arange(1, WAVES + 1, dtype=np.float32)[None] * time
        waves = ops.concatenate([ops.sin(angles), ops.cos(angles)], axis=-1)
        return ops.matmul(waves, self.time_kernel) + self.time_bias

    def given(self, c):
        """What they are told of features of the context, (batch, N); None without any."""
        return None if self.context_kernel is None else ops.matmul(c, self.context_kernel)

    def call(self, x, at, given):
        """Velocity of points x (batch, D), of what ``at`` and ``given`` told: ``at`` for each point, or (1, M) for all."""
        stream, shift, gain = self._enter(x, at, given)
        for i, (inward, outward) in enumerate(zip(self.inward, self.outward, strict=True)):
            inner = ops.matmul(_active(stream), inward) * gain(i) + shift(i + 1)
            stream = stream + ops.matmul(_active(inner), outward)
        return self._bounded(ops.matmul(_active(stream), self.head_kernel) + self.head_bias)

    def with_divergence(self, x, at, given):
        """Velocity (batch, D), and its divergence (batch,): the exact trace, by a tangent along each variable."""
        stream, shift, gain = self._enter(x, at, given)
        tangents = self.entry[None]
        for i, (inward, outward) in enumerate(zip(self.inward, self.outward, strict=True)):
            active, slope = _active_with_slope(stream)
            inner = ops.matmul(active, inward) * gain(i) + shift(i + 1)
            inner_tangents = _through(tangents * slope[:, None], inward) * gain(i)[:, None]
            active, slope = _active_with_slope(inner)
            stream = stream + ops.matmul(active, outward)
            tangents = tangents + _through(inner_tangents * slope[:, None], outward)
        active, slope = _active_with_slope(stream)
        velocity = self._bounded(ops.matmul(active, self.head_kernel) + self.head_bias)
        own = ops.sum(tangents * slope[:, None] * ops.transpose(self.head_kernel)[None], axis=-1)
        return velocity, ops.sum(own * (1 - ops.square(velocity / FASTEST)), axis=-1)

    def _enter(self, x, at, given):
        """The stream (batch, width), and what shifts and scales the layer of a block."""
        cut = self.shifts[-1][1]
        shifts, gains = at[:, :cut], 1 + at[:, cut:]
        shifts = shifts if given is None else shifts + given
        width = self.shifts[0][1]

        def shift(i):
            start, end = self.shifts[i]
            return shifts[:, start:end]

        def gain(i):
            start, end = self.shifts[i + 1]
            return gains[:, start - width : end - width]

        return ops.matmul(x, self.entry) + shift(0), shift, gain

    def _bounded(self, velocity):
        return FASTEST * ops.tanh(velocity / FASTEST)


def _active(x):
    return x * ops.sigmoid(x)


def _active_with_slope(x):
    share = ops.sigmoid(x)
    active = x * share
    return active, share + active * (1 - share)


def _through(tangents, kernel):
    """Tangents (batch, D, units) through a kernel: as rows, which are one product of matrices."""
    rows, units = ops.reshape(tangents, (-1, kernel.shape[0])), kernel.shape[1]
    return ops.reshape(ops.matmul(rows, kernel), (-1, tangents.shape[1], units))

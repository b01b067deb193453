"""Edge convolutions: networks of a particle and each of its nearest neighbors (Wang et al. 2019, arXiv:1801.07829)."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import keras
from keras import ops

from zoo.families.clouds.row_norm import RowNorm
from zoo.families.clouds.rows import AllRows

FAR = 1e12
"""Squared distance at which a particle puts itself and padding, farther than any neighbor."""


def neighbors(distance, real, k: int, rows: AllRows) -> tuple[Any, Any]:
    """The nearest particles of each, itself aside.

    Particles at exactly the same distance are taken in their order. There may be fewer particles than neighbors, or none.

    Parameters
    ----------
    distance : Tensor
        Squared distances (batch, particle, particle).
    real : Tensor
        Which elements are particles, (batch, particle), bool.
    k : int
        Number of neighbors.
    rows : AllRows
        Of which particles.

    Returns
    -------
    tuple of Tensor
        Which rows the neighbors are, (rows, k), int32; and whether there is such a neighbor, bool.
    """
    batch, particle = ops.shape(distance)[:2]
    place = ops.arange(particle, dtype="int32")
    other = ops.not_equal(place[:, None], place[None])
    both = ops.logical_and(real[:, None], real[:, :, None])  # padding has no neighbors, which would count in normalizations
    distance = rows.pick(ops.where(ops.logical_and(both, other[None]), distance, FAR))
    # TopK asks for at least k, and without a row ends the process of ONNX Runtime up to 1.26: one is added and left out again.
    distance = ops.pad(distance, [[0, 1], [0, k]], constant_values=FAR)
    nearness, index = (one[:-1] for one in ops.top_k(-distance, k))
    index = ops.minimum(ops.cast(index, "int32"), particle - 1)
    first = ops.zeros_like(real, "int32") + (ops.arange(batch, dtype="int32") * particle)[:, None]
    return rows.renumber(index + rows.pick(first)[:, None]), nearness > -FAR / 2


def squared_distances(x):
    """Squared distances (batch, particle, particle) of features (batch, particle, numbers)."""
    ones = ops.ones((x.shape[-1], 1), x.dtype)
    square = ops.matmul(ops.square(x), ones)  # ONNX Runtime takes no sum over the last axis of an empty batch
    return square + square[..., 0][:, None] - 2.0 * ops.matmul(x, ops.transpose(x, (0, 2, 1)))


class EdgeConv(keras.layers.Layer):
    """Mean over the neighbors of a particle of a network of both, added to a linear map of the particle.

    The network's first layer is linear in the particle x and in y - x, of a neighbor y, and so is computed once of each
    particle rather than of each pair.

    Parameters
    ----------
    inputs : int
        Numbers of a particle.
    channels : list of int
        Units of the layers of the network.
    activation : str
        Activation after each layer and after the sum.
    """

    def __init__(self, inputs: int, channels: list[int], activation: str, *, name: str) -> None:
        super().__init__(name=name)
        self.activation = keras.activations.get(activation)
        last = channels[-1]
        self.own, self.theirs = (self._dense(inputs, channels[0], what) for what in ("own", "theirs"))
        self.dense = [self._dense(a, b, f"dense_{i}") for i, (a, b) in enumerate(pairwise(channels), 1)]
        self.norms = [self._norm((None, None, units), f"norm_{i}") for i, units in enumerate(channels)]
        self.shortcut, self.shortcut_norm = (
            self._dense(inputs, last, "shortcut"),
            self._norm((None, last), "shortcut_norm"),
        )
        self.built = True

    def _dense(self, inputs: int, units: int, what: str) -> keras.layers.Dense:
        layer = keras.layers.Dense(units, use_bias=False, name=f"{self.name}_{what}")
        layer.build((None, inputs))
        return layer

    def _norm(self, shape: tuple[int | None, ...], what: str) -> RowNorm:
        layer = RowNorm(name=f"{self.name}_{what}")
        layer.build(shape)
        return layer

    @property
    def layers(self) -> list[keras.layers.Layer]:
        """Its layers, in order."""
        rest = [layer for pair in zip(self.dense, self.norms[1:], strict=True) for layer in pair]
        return [self.own, self.theirs, self.norms[0], *rest, self.shortcut, self.shortcut_norm]

    def call(self, x, index, near, real, fused=False):
        """Particles one below another (rows, numbers) -> (rows, channels[-1]).

        ``index`` says which rows are the neighbors of each, (rows, k), ``near`` which of these there are, ``real`` which
        rows are particles, (rows,), and ``fused`` whether norms may be TensorFlow's own.
        """
        theirs = self.theirs(x)
        pairs = (self.own(x) - theirs)[:, None] + ops.take(theirs, index, axis=0)
        h = self.activation(self.norms[0](pairs, mask=near, fused=fused))
        for dense, norm in zip(self.dense, self.norms[1:], strict=True):
            h = self.activation(norm(dense(h), mask=near, fused=fused))
        weight = ops.cast(near, h.dtype)
        weight = weight / ops.maximum(ops.sum(weight, axis=-1, keepdims=True), 1.0)
        mean = ops.matmul(weight[:, None], h)[:, 0]
        return self.activation(mean + self.shortcut_norm(self.shortcut(x), mask=real, fused=fused))

"""Layers over the elements of sets, of which a mask says which are real."""

from __future__ import annotations

import math
from collections.abc import Sequence

import keras
from keras import ops

AWAY = -1e9
"""What is added to the score of padding: no weight is left of it in single precision, and rows without a real element stay
numbers."""


def built_dense(
    name: str, inputs: int, units: Sequence[int], activation: str | None, linear: bool = False
) -> list[keras.layers.Dense]:
    """Built dense layers over the last axis.

    Parameters
    ----------
    name : str
        What their names begin with.
    inputs : int
        Numbers that the first is given.
    units : sequence of int
        The units of each.
    activation : str or None
        The activation of each.
    linear : bool
        Whether the last has none.

    Returns
    -------
    list of Dense
        The layers.
    """
    layers = []
    for i, (width, number) in enumerate(zip([inputs, *units[:-1]], units, strict=True)):
        last = linear and i == len(units) - 1
        layer = keras.layers.Dense(number, activation=None if last else activation, name=f"{name}_{i}")
        layer.build((None, width))
        layers.append(layer)
    return layers


def through(layers: Sequence[keras.layers.Layer], x):
    """What x becomes, layer after layer."""
    for layer in layers:
        x = layer(x)
    return x


def pooled(x, real=None):
    """Mean of the real elements (batch, numbers) of x (batch, n, numbers), and the logarithm of one more than they are.

    A mean alone would not tell one element from a hundred, and so could no posterior. Without ``real``, their number is fixed,
    and not given.
    """
    if real is None:
        return ops.mean(x, axis=1)
    here = ops.cast(real, x.dtype)[..., None]
    count = ops.sum(here, axis=1)
    return ops.concatenate([ops.sum(x * here, axis=1) / ops.maximum(count, 1.0), ops.log(1.0 + count)], axis=-1)


class AttentionBlock(keras.layers.Layer):
    """Attention of elements to each other, then a network of each; both are added to what came in, which is normalized first.

    Heads are an axis of the kernels, so that no operation asks for the length of a set, and none is undefined for an empty
    batch.

    Parameters
    ----------
    width : int
        Numbers of an element.
    heads : int
        Number of heads, which divides the width.
    activation : str
        The activation of the network.
    """

    def __init__(self, width: int, heads: int, activation: str, **kwargs) -> None:
        super().__init__(**kwargs)
        each = width // heads
        self.scale = 1.0 / math.sqrt(each)
        self.normalized = [keras.layers.LayerNormalization(name=f"normalized_{i}") for i in range(2)]
        for layer in self.normalized:
            layer.build((None, None, width))
        spread = keras.initializers.RandomNormal(stddev=1.0 / math.sqrt(width))
        self.query, self.key, self.value = (
            self.add_weight(name=name, shape=(heads, width, each), initializer=spread.clone())
            for name in ("query", "key", "value")
        )
        self.merge = self.add_weight(name="merge", shape=(heads, each, width), initializer=spread.clone())
        self.network = built_dense("network", width, [2 * width, width], activation, linear=True)
        self.built = True

    def call(self, x, real=None):
        """Elements (batch, n, width), each changed by those that are real."""
        h = self.normalized[0](x)[:, None]  # (batch, 1, n, width)
        query, key, value = (ops.matmul(h, kernel) for kernel in (self.query, self.key, self.value))  # (batch, heads, n, each)
        score = ops.matmul(query, ops.transpose(key, (0, 1, 3, 2))) * self.scale
        if real is not None:
            score = score + AWAY * (1.0 - ops.cast(real, x.dtype)[:, None, None])
        weight = ops.ones_like(score) if score.shape[-1] == 1 else ops.softmax(score)  # of one, Keras warns
        given = ops.matmul(ops.matmul(weight, value), self.merge)
        x = x + ops.sum(given, axis=1)
        return x + through(self.network, self.normalized[1](x))

"""Layers over the elements of sets, of which a mask says which are real."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

AWAY = -1e9
"""What is added to the score of padding: no weight is left of it in single precision, and rows without a real element stay
numbers."""


def built_dense(
    name: str,
    inputs: int,
    units: Sequence[int],
    activation: str | None,
    linear: bool = False,
    kernel_initializer: str = "glorot_uniform",
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
    kernel_initializer : str
        How their kernels are drawn.

    Returns
    -------
    list of Dense
        The layers.
    """
    layers = []
    for i, (width, number) in enumerate(zip([inputs, *units[:-1]], units, strict=True)):
        last = linear and i == len(units) - 1
        layer = keras.layers.Dense(
            number, None if last else activation, kernel_initializer=kernel_initializer, name=f"{name}_{i}"
        )
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

    No operation is undefined for an empty batch, as one of Keras' own layer is, which ends the process of ONNX Runtime.

    Parameters
    ----------
    width : int
        Numbers of an element.
    heads : int
        Number of heads, which divides the width.
    activation : str
        The activation of the network.
    wider : int
        How many times as wide as an element the network's hidden layer is.
    """

    def __init__(self, width: int, heads: int, activation: str, wider: int = 2, **kwargs) -> None:
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
        self.network = built_dense("network", width, [wider * width, width], activation, linear=True)
        self.built = True

    def call(self, x, real=None, bias=None):
        """Elements (batch, n, width), each changed by those that are real; a bias (batch, heads, n, n) adds to their scores."""
        h = self.normalized[0](x)
        given, _ = self.attended(h, h, real, bias)
        x = x + given
        return x + through(self.network, self.normalized[1](x))

    def attended(self, asking, h, real=None, bias=None) -> tuple[Any, Any]:
        """What ``asking`` (batch, m, width) is given by h (batch, n, width), and the weights of that (batch, heads, m, n)."""
        query, key, value = (
            self._of_heads(x, kernel) for x, kernel in ((asking, self.query), (h, self.key), (h, self.value))
        )  # (batch, heads, n, each)
        score = ops.matmul(query, ops.transpose(key, (0, 1, 3, 2))) * self.scale
        if bias is not None:
            score = score + bias
        if real is not None:
            score = score + AWAY * (1.0 - ops.cast(real, h.dtype)[:, None, None])
        weight = ops.ones_like(score) if score.shape[-1] == 1 else ops.softmax(score)  # of one, Keras warns
        heads, each, width = self.merge.shape
        found = ops.transpose(ops.matmul(weight, value), (0, 2, 1, 3))
        found = ops.reshape(found, (*ops.shape(asking)[:2], heads * each))
        return ops.matmul(found, ops.reshape(self.merge, (heads * each, width))), weight

    def _of_heads(self, x, kernel):
        """What each head makes of elements (batch, n, width), (batch, heads, n, each).

        One product for all heads, since ONNX Runtime broadcasts no kernel to an empty batch.
        """
        heads, width, each = kernel.shape
        flat = ops.reshape(ops.transpose(kernel, (1, 0, 2)), (width, heads * each))
        found = ops.reshape(ops.matmul(x, flat), (*ops.shape(x)[:2], heads, each))
        return ops.transpose(found, (0, 2, 1, 3))


class ClassAttentionBlock(AttentionBlock):
    """Attention of a class token to itself and the elements, which stay as they are (Touvron et al. 2021, arXiv:2103.17239)."""

    def call(self, token, x, real):
        """The token (batch, 1, width) as elements x (batch, n, width) change it, and its weights (batch, heads, 1, 1 + n)."""
        h = self.normalized[0](ops.concatenate([token, x], axis=1))
        here = ops.concatenate([ops.ones_like(real[:, :1]), real], axis=1)
        given, weight = self.attended(h[:, :1], h, here)
        token = token + given
        return token + through(self.network, self.normalized[1](token)), weight


class CrossAttentionBlock(AttentionBlock):
    """Attention of elements to those of another set, which stay as they are, then a network of each."""

    def call(self, x, others, real=None):
        """Elements (batch, m, width), each changed by those of ``others`` (batch, n, width) that are real."""
        given, _ = self.attended(self.normalized[0](x), others, real)
        x = x + given
        return x + through(self.network, self.normalized[1](x))


class LearnedElements(keras.layers.Layer):
    """Learned elements, the same of every row: inducing points, or a token of a class.

    Parameters
    ----------
    width : int
        Numbers of an element.
    count : int
        Number of elements.
    name : str
        Name of the layer.
    """

    def __init__(self, width: int, count: int = 1, *, name: str) -> None:
        super().__init__(name=name)
        spread = keras.initializers.RandomNormal(stddev=0.02 if count == 1 else 1.0)
        self.token = self.add_weight(name="token", shape=(1, count, width), initializer=spread)
        self.built = True

    def call(self, x):
        """The elements of each row (batch, count, width), for a set x (batch, n, width)."""
        # By its value: what is added to a variable Keras takes for a bias, which fails for a batch of no rows.
        return self.token.value + ops.zeros_like(x[:, :1])

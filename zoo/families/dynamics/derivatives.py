"""Value, gradient and second derivatives of a network, carried through its dense layers.

Graphs so need no automatic differentiation of their own, which ONNX has not, and what trains them differentiates once more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import keras
from keras import ops


def _softplus(x):
    slope = ops.sigmoid(x)
    return ops.softplus(x), slope, slope * (1 - slope)


def _tanh(x):
    value = ops.tanh(x)
    slope = 1 - ops.square(value)
    return value, slope, -2 * value * slope


ACTIVATIONS: dict[str, Callable] = {"softplus": _softplus, "tanh": _tanh}
"""Value, slope and curvature of each activation, smooth as forces must be, by its name."""


def dense_layers(name: str, inputs: int, hidden: list[int], outputs: int) -> list[keras.layers.Dense]:
    """Built layers without activations, (batch, inputs) to (batch, outputs), of which the last starts at zero."""
    layers = [keras.layers.Dense(units, name=f"{name}_{i}") for i, units in enumerate(hidden)]
    layers.append(keras.layers.Dense(outputs, kernel_initializer="zeros", name=f"{name}_last"))
    for layer, width in zip(layers, [inputs, *hidden], strict=True):
        layer.build((None, width))
    return layers


def carried(layers: Sequence[keras.layers.Dense], activation: str, streams, crossed: tuple[slice, slice] | None = None):
    """Value of a network and its derivatives.

    Parameters
    ----------
    layers : sequence of Dense
        Layers, between which is the activation.
    activation : str
        Name of the activation.
    streams : Tensor of shape (1 + k, batch, features)
        What the first layer takes, and its derivatives along k directions. Second ones it must not have.
    crossed : tuple of slice, optional
        Two ranges of directions: those to differentiate along, and those to differentiate along once more.

    Returns
    -------
    Tensor of shape (1 + k + m, batch, outputs)
        The value, then the derivative along each direction, then the m second ones along each pair of those that are crossed.
    """
    first = streams.shape[0]
    for layer in layers[:-1]:
        value, tangents, *second = ops.split(_through(streams, layer.kernel), [1, first][: 1 + (streams.shape[0] > first)])
        value, slope, curvature = ACTIVATIONS[activation](value + layer.bias)
        parts = [value, slope * tangents]
        if crossed is not None:
            bent = tangents[crossed[0]][:, None] * tangents[crossed[1]][None]
            bent = curvature * ops.reshape(bent, (bent.shape[0] * bent.shape[1], -1, layer.units))
            parts.append(bent + slope * second[0] if second else bent)
        streams = ops.concatenate(parts)
    value, rest = ops.split(_through(streams, layers[-1].kernel), [1])
    return ops.concatenate([value + layers[-1].bias, rest])


def _through(streams, kernel):
    """Streams (k, batch, width) through a kernel, as rows: one product of matrices."""
    count, (width, units) = streams.shape[0], kernel.shape
    return ops.reshape(ops.matmul(ops.reshape(streams, (-1, width)), kernel), (count, -1, units))


def solved(matrix: list[list], right: list) -> list:
    """The solution x of A x = b for a batch, by elimination without pivots, as suits a positive definite matrix.

    Parameters
    ----------
    matrix : list of list of Tensor of shape (batch,)
        Rows of A.
    right : list of Tensor of shape (batch,)
        Elements of b.

    Returns
    -------
    list of Tensor of shape (batch,)
        Elements of x.
    """
    matrix, right = [list(row) for row in matrix], list(right)
    size = len(right)
    for k in range(size):
        for i in range(k + 1, size):
            factor = matrix[i][k] / matrix[k][k]
            matrix[i] = [a - factor * b for a, b in zip(matrix[i], matrix[k], strict=True)]
            right[i] = right[i] - factor * right[k]
    for k in reversed(range(size)):
        known = sum((matrix[k][j] * right[j] for j in range(k + 1, size)), 0.0)
        right[k] = (right[k] - known) / matrix[k][k]
    return right

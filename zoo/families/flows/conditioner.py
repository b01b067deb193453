"""The network that gives a bijector its parameters, and what all bijectors with one share."""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar

import keras
import numpy as np
from keras import ops

from zoo.families.flows.bijector import Bijector, Elementwise


class Conditioner(keras.layers.Layer):
    """Dense layers from variables and context to parameters; masked, it is a MADE (Germain et al. 2015, arXiv:1502.03509).

    The last layer starts at zero, and so every bijector at the identity.

    Parameters
    ----------
    inputs : int
        Number of variables it sees.
    context : int
        Number of features of the context, 0 for none.
    hidden : list of int
        Units of the hidden layers.
    outputs : int
        Number of variables it gives parameters for.
    parameters : int
        Number of parameters of each of these variables.
    activation : str
        Activation of the hidden layers.
    autoregressive : bool
        Whether output i sees inputs before i only (then inputs equal outputs).
    """

    def __init__(
        self,
        inputs: int,
        context: int,
        hidden: list[int],
        outputs: int,
        parameters: int,
        activation: str,
        autoregressive: bool = False,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        self.outputs, self.parameters = outputs, parameters
        self.activation = keras.activations.get(activation)
        widths = [inputs, *hidden]
        self.kernels = [
            self.add_weight(name=f"kernel_{i}", shape=shape, initializer="glorot_uniform")
            for i, shape in enumerate(zip(widths[:-1], hidden, strict=True))
        ]
        self.biases = [self.add_weight(name=f"bias_{i}", shape=(units,), initializer="zeros") for i, units in enumerate(hidden)]
        self.context_kernel = None
        if context:
            self.context_kernel = self.add_weight(
                name="context_kernel", shape=(context, hidden[0]), initializer="glorot_uniform"
            )
        # Parameter first, variable second: unit p * outputs + d.
        self.head_kernel = self.add_weight(name="head_kernel", shape=(hidden[-1], parameters * outputs), initializer="zeros")
        self.head_bias = self.add_weight(name="head_bias", shape=(parameters * outputs, 1), initializer="zeros")
        self.masks = masks(inputs, hidden, parameters, has_context=bool(context)) if autoregressive else None
        self.built = True

    def call(self, x, c=None):
        """Parameters (``parameters``, outputs * batch) from x (batch, inputs) and c (batch, context)."""
        return self.head(self.features(x, self.from_context(c)))

    def from_context(self, c):
        """The share of the context in the first hidden layer (batch, hidden[0]): the same however often x changes."""
        return self.biases[0] if self.context_kernel is None else ops.matmul(c, self.context_kernel) + self.biases[0]

    def features(self, x, from_context):
        """The last hidden layer, (batch, hidden[-1])."""
        h = self.activation(ops.matmul(x, self._masked(0)) + from_context)
        for i in range(1, len(self.kernels)):
            h = self.activation(ops.matmul(h, self._masked(i)) + self.biases[i])
        return h

    def head(self, features, variable: int | None = None):
        """Parameters of all variables (parameters, outputs * batch), or of one (parameters, batch)."""
        kernel, bias = self._masked(len(self.kernels)), self.head_bias
        if variable is not None:
            kernel, bias = kernel[:, variable :: self.outputs], bias[variable :: self.outputs]
        rows = ops.matmul(ops.transpose(kernel), ops.transpose(features)) + bias
        return rows if variable is not None else ops.reshape(rows, (self.parameters, -1))

    def _masked(self, layer: int):
        kernel = [*self.kernels, self.head_kernel][layer]
        return kernel if self.masks is None else kernel * self.masks[layer]


class Conditioned(Bijector):
    """Variables in ``order``, moved by ``elementwise`` with the parameters that a conditioner gives.

    Parameters
    ----------
    order : ndarray
        Permutation of the variables.
    context : int
        Number of features of the context.
    hidden : list of int
        Units of the conditioner's hidden layers.
    activation : str
        Activation of the conditioner's hidden layers.
    elementwise : Elementwise
        The map of each variable.
    """

    autoregressive: ClassVar[bool]

    def __init__(
        self, order: np.ndarray, context: int, hidden: list[int], activation: str, elementwise: Elementwise, **kwargs
    ) -> None:
        super().__init__(**kwargs)
        self.order, self.inverse_order = order, np.argsort(order)
        self.elementwise = elementwise
        self.seen, self.moved = self.shares(len(order))
        self.conditioner = Conditioner(
            self.seen,
            context,
            hidden,
            self.moved,
            elementwise.parameters,
            activation,
            autoregressive=self.autoregressive,
            name="conditioner",
        )
        self.built = True

    def shares(self, variables: int) -> tuple[int, int]:
        """How many variables the conditioner sees, and how many move."""
        raise NotImplementedError


def masks(variables: int, hidden: list[int], parameters: int, has_context: bool) -> list[np.ndarray]:
    """Which weights a MADE keeps, layer by layer: 1 where a unit may see another, else 0.

    A hidden unit of degree m sees variables up to m. With a context there are units of degree 0, which see nothing else:
    without them the first variable's parameters could not depend on the context.
    """
    lowest = 0 if has_context or variables == 1 else 1
    if min(hidden) < variables - lowest:
        raise ValueError(
            f"expected hidden layers of at least {variables - lowest} units, so that each of {variables} variables can depend"
            f" on all before it, given {hidden}"
        )
    degrees = [np.arange(1, variables + 1)]
    degrees += [np.arange(units) % (variables - lowest) + lowest for units in hidden]
    between = [(low[:, None] <= high[None]).astype(np.float32) for low, high in pairwise(degrees)]
    last = (degrees[-1][:, None] < degrees[0][None]).astype(np.float32)
    return [*between, np.tile(last, parameters)]

"""A dense layer in fixed point that learns how many bits each of its numbers needs (HGQ, Sun et al., arXiv:2405.00645).

Numbers are rounded to multiples of 2^-f, halves up, and f is trained: where the result is rounded, the gradient is that of the
identity, so that f feels what its rounding costs, and an estimate of the hardware in the loss pulls it down. Training and use
compute the same. The package HGQ2 has the same layers, and tests hold these to it; a model loads and answers without it.
"""

from __future__ import annotations

import keras
import numpy as np
from keras import ops

from zoo.families.layers import Standardize

MOST = 8.0
"""Most bits after the point: products then have 16, and a sum of them is exact in float32 below 256."""
LEAST = -8.0


@keras.saving.register_keras_serializable("physzoo")
class Between(keras.constraints.Constraint):
    """Keep numbers of bits within what is tried."""

    def __call__(self, w):
        return ops.clip(w, LEAST, MOST)


@keras.saving.register_keras_serializable("physzoo")
class FixedPointDense(keras.layers.Layer):
    """A dense layer whose inputs, weights and biases are numbers in fixed point, each with bits of its own.

    Inputs saturate at what their bits hold. Sums are as wide as the products need, and exact in float32.

    Parameters
    ----------
    units : int
        Number of outputs.
    activation : str, optional
        What becomes of the sums; the next layer rounds it.
    signed : bool
        Whether inputs may be negative; those after a rectifier may not.
    """

    def __init__(self, units: int, activation: str | None = None, signed: bool = False, **kwargs) -> None:
        super().__init__(**kwargs)
        self.units, self.signed = units, signed
        self.activation = keras.activations.get(activation)

    def build(self, input_shape) -> None:
        inputs = input_shape[-1]

        def bits(name: str, shape: tuple[int, ...], start: float):
            return self.add_weight(name=name, shape=shape, initializer=keras.initializers.Constant(start), constraint=Between())

        self.kernel = self.add_weight(name="kernel", shape=(inputs, self.units), initializer="glorot_uniform")
        self.bias = self.add_weight(name="bias", shape=(self.units,), initializer="zeros")
        self.kernel_fraction = bits("kernel_fraction", (inputs, self.units), 6.0)
        self.bias_fraction = bits("bias_fraction", (self.units,), 6.0)
        self.input_integer = bits("input_integer", (inputs,), 3.0)
        self.input_fraction = bits("input_fraction", (inputs,), 6.0)
        self.built = True

    def call(self, x):
        return self.activation(ops.matmul(self.rounded_inputs(x), self.rounded_kernel()) + self.rounded_bias())

    def input_format(self) -> tuple:
        """Bits of each input before the point, without the sign, and after it, (inputs,) each."""
        fraction = whole(self.input_fraction)
        integer = whole(self.input_integer)
        return integer + ops.stop_gradient(ops.maximum(integer, -fraction) - integer), fraction

    def rounded_inputs(self, x):
        """Inputs (batch, inputs) in fixed point."""
        integer, fraction = self.input_format()
        top = 2.0**integer
        high, low = top - 2.0**-fraction, -top * float(self.signed)
        return rounded(ops.minimum(ops.maximum(x, low), high), fraction)

    def rounded_kernel(self):
        """The weights (inputs, units) in fixed point."""
        return rounded(self.kernel, whole(self.kernel_fraction))

    def rounded_bias(self):
        """The biases (units,) in fixed point."""
        return rounded(self.bias, whole(self.bias_fraction))

    def ebops(self):
        """Effective bit operations: bits of each factor of a product multiplied, and bits of biases, summed."""
        integer, fraction = self.input_format()
        of_inputs = ops.relu(integer + fraction) + float(self.signed)
        of_weights = constant_bits(self.rounded_kernel(), whole(self.kernel_fraction))
        of_biases = constant_bits(self.rounded_bias(), whole(self.bias_fraction))
        return ops.sum(ops.matmul(of_inputs[None], of_weights)) + ops.sum(of_biases)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.units)

    def get_config(self) -> dict:
        activation = keras.activations.serialize(self.activation)
        return {**super().get_config(), "units": self.units, "activation": activation, "signed": self.signed}


def whole(bits):
    """A trained number of bits as a whole one, with the gradient of the identity."""
    return bits + ops.stop_gradient(ops.round(bits) - bits)


def rounded(x, fraction):
    """Multiples of 2^-fraction nearest to x, halves up, with the gradient of the identity in x and of the error in fraction."""
    step = 2.0**-fraction
    steps = x * 2.0**fraction
    return (steps + ops.stop_gradient(ops.floor(steps + 0.5) - steps)) * step


def constant_bits(value, fraction):
    """Bits that a constant needs, without the sign: from its highest to 2^-fraction, none for zero."""
    highest = ops.ceil(
        ops.log2(ops.abs(value) + 2.0**-fraction) - 1e-5
    )  # a power of two is one, whatever a logarithm rounds to
    return ops.relu(ops.stop_gradient(highest) + fraction)


@keras.saving.register_keras_serializable("physzoo")
class Shift(Standardize):
    """Map physical inputs to numbers of order one by a difference and a power of two, element by element.

    A mean is a whole number of scales, so that whoever has whole numbers computes the same by a shift and a difference. The
    power is multiplied by: a graph in which constants are divided by is rewritten with reciprocals that are off in their last
    bit, and inputs that lie halfway between two numbers, as counts of particles do, would be rounded to the other one.
    """

    def adapt(self, rows: np.ndarray, weight: np.ndarray | None = None) -> None:
        """Measure mean and scale on training rows (n, *shape), by their event weights, and round them."""
        super().adapt(rows, weight)
        scale = np.exp2(np.round(np.log2(ops.convert_to_numpy(self.scale))))
        self.scale.assign(scale)
        self.mean.assign(np.round(ops.convert_to_numpy(self.mean) / scale) * scale)

    def call(self, x):
        return (x - self.mean) * 2.0 ** -ops.round(ops.log2(self.scale))

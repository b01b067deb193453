"""The derivative of a Keras function with respect to its input, on whichever backend Keras runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from zoo.families.tracing import traced


def value_and_gradient(function: Callable[[Any], Any], x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Value and gradient of a function that treats its rows independently.

    Parameters
    ----------
    function : callable
        A function from a backend tensor (n, ...) to one (n,), whose element i depends on row i alone.
    x : ndarray
        Float32 array, of shape (n, ...).

    Returns
    -------
    value : ndarray
        Values, of shape (n,).
    gradient : ndarray
        Derivatives d function_i / d x_i, of the shape of ``x``; zero where the output does not depend on ``x``.
    """
    import keras

    match keras.backend.backend():
        case "tensorflow":
            import tensorflow as tf

            point = tf.convert_to_tensor(x)
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(point)
                value = function(point)
            return value.numpy(), tape.gradient(value, point, unconnected_gradients="zero").numpy()
        case "jax":
            import jax

            value, pull_back = jax.vjp(function, jax.numpy.asarray(x))
            return np.asarray(value), np.asarray(pull_back(jax.numpy.ones_like(value))[0])
        case "torch":
            import torch

            point = keras.ops.convert_to_tensor(x).requires_grad_()
            value = function(point)
            (gradient,) = torch.autograd.grad(value.sum(), point, allow_unused=True, materialize_grads=True)
            return value.detach().cpu().numpy(), gradient.cpu().numpy()
        case other:
            raise NotImplementedError(f"no gradients on the Keras backend {other!r}: use tensorflow, jax or torch")


def compiled_gradient(function: Callable[..., Any], like: Sequence[np.ndarray]) -> Callable[..., np.ndarray]:
    """Gradient of a function that treats its rows independently by its first argument, compiled.

    Parameters
    ----------
    function : callable
        A function from backend tensors (n, ...) to one (n,).
    like : sequence of ndarray
        An array for each argument, any number of rows; arguments have these shapes and types.
    """
    import keras

    match keras.backend.backend():
        case "tensorflow":
            import tensorflow as tf

            def gradient(point: Any, *others: Any) -> Any:
                with tf.GradientTape(watch_accessed_variables=False) as tape:
                    tape.watch(point)
                    value = function(point, *others)
                return tape.gradient(value, point, unconnected_gradients="zero")

            signature = [tf.TensorSpec([None, *array.shape[1:]], array.dtype) for array in like]
            graph = traced(gradient, input_signature=signature)
            return lambda *arrays: graph(*map(tf.convert_to_tensor, arrays)).numpy()
        case "jax":
            import jax

            compiled = jax.jit(jax.grad(lambda *arrays: function(*arrays).sum()))
            return lambda *arrays: np.asarray(compiled(*arrays))
        case _:
            return lambda x, *others: value_and_gradient(lambda point: function(point, *others), x)[1]

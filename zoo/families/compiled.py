"""Methods compiled: hundreds of small operations, of which each takes a hundred times longer by itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import keras
from keras import ops

from zoo.families.tracing import runs_eagerly, traced


def as_graph(model: keras.Model, method: Callable[..., Any], signature: Sequence[tuple[tuple[int | None, ...], str]]) -> Any:
    """A method as a graph on TensorFlow and JAX.

    Parameters
    ----------
    model : keras.Model
        Whose method it is.
    method : callable
        Takes and returns tensors whose first axis is the batch.
    signature : sequence of tuple of (tuple, str)
        Shape after the batch and dtype of each tensor that it takes.

    Returns
    -------
    callable
        Answers as the method does; on torch the method itself.
    """
    if keras.backend.backend() == "jax":
        return _jitted(model, method)
    if keras.backend.backend() != "tensorflow":
        return method
    import tensorflow as tf

    tensors = [tf.TensorSpec([None, *shape], dtype) for shape, dtype in signature]
    # Autograph would look through every function for conditions on tensors, of which a flow has none.
    return traced(method, input_signature=tensors, autograph=False)


def in_one(
    model: keras.Model,
    method: Callable[..., Any],
    signature: Sequence[tuple[tuple[int | None, ...], str]],
    *tensors: Any,
) -> Any:
    """Call a method of many small operations as a graph where TensorFlow would run each by itself, which takes seconds.

    Parameters
    ----------
    model : keras.Model
        Whose method it is; it keeps the graph.
    method : callable
        What `as_graph` takes.
    signature : sequence of tuple of (tuple, str)
        What `as_graph` takes.
    *tensors : object
        What the method takes.

    Returns
    -------
    Tensor
        What the method gives; of it itself within a graph, and with another backend.
    """
    if keras.backend.backend() != "tensorflow" or not runs_eagerly():
        return method(*tensors)
    graphs, name = vars(model).setdefault("_graphs", {}), method.__name__
    if name not in graphs:
        graphs[name] = as_graph(model, method, signature)
    return graphs[name](*(ops.convert_to_tensor(one, dtype) for one, (_, dtype) in zip(tensors, signature, strict=True)))


def _jitted(model: keras.Model, method: Callable[..., Any]) -> Callable[..., Any]:
    """Compile by JAX, with the weights as arguments: as constants, those of the first call would stay."""
    import jax

    @jax.jit
    def run(values, *arrays):
        with keras.StatelessScope(state_mapping=zip(model.variables, values, strict=True)):
            return method(*arrays)

    return lambda *arrays: run([variable.value for variable in model.variables], *arrays)


class TrainedInXla(keras.Model):
    """A model whose training step XLA compiles on TensorFlow, also where operations are to be deterministic."""

    convolves = False
    """Whether images pass convolutions, for which XLA gains nothing over TensorFlow's own on a CPU."""
    _xla = False

    def compile(self, *args, jit_compile: bool | Literal["auto"] = "auto", **kwargs) -> None:
        """Compile as Keras does, by default on TensorFlow with XLA, which fuses the many small operations of a training step.

        A model that convolves is compiled without.

        Parameters
        ----------
        *args : object
            What Keras' own ``compile`` takes by position.
        jit_compile : bool or {"auto"}
            Whether XLA compiles the step. Keras' own "auto" leaves it out when operations are to be deterministic, for the
            sake of some that a flow has not.
        **kwargs : object
            What Keras' own ``compile`` takes by name.
        """
        if jit_compile == "auto":
            fused = keras.backend.backend() == "tensorflow" and not self.convolves
            jit_compile = fused and not kwargs.get("run_eagerly", False)
        super().compile(*args, jit_compile=jit_compile, **kwargs)

    @property
    def jit_compile(self) -> bool:
        """Whether XLA compiles the training step; Keras' own property says no under deterministic operations."""
        return self._xla

    @jit_compile.setter
    def jit_compile(self, value: bool) -> None:
        self._xla = bool(value)

"""Functions as graphs of TensorFlow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def traced(function: Callable[..., Any], **options: Any) -> Any:
    """A function of tensors as a graph of TensorFlow, which is made when it is first called, and for each new shape.

    Parameters
    ----------
    function : callable
        Takes and returns tensors.
    **options : object
        What ``tf.function`` takes.

    Returns
    -------
    callable
        Answers as the function does.
    """
    import tensorflow as tf

    made = tf.function(function, **options)
    # It warns of a graph that is made again and again, and counts by the place in memory of a function that may be long gone.
    made._omit_frequent_tracing_warning = True
    return made


def runs_eagerly() -> bool:
    """Whether TensorFlow runs each operation as it is called, rather than writing it into a graph.

    Returns
    -------
    bool
        False within `traced` functions, and while a model is exported.
    """
    import tensorflow as tf

    return bool(tf.executing_eagerly())

"""A network that is no larger than the file of its weights, whatever its config says.

A config of a few bytes can ask for 10^12 weights, or for 20,000 layers. All of them would have to be in the file.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras

_SLACK_ARRAYS, _SLACK_NUMBERS = 64, 2**16
"""What a layer may hold that no file has."""
_MOST_LEAVES, _MOST_NUMBER = 10_000, 10**7
"""Values in a config, and the largest whole number there, beyond which the file has to be as large."""
_building = threading.RLock()


def check_config(config: Any, numbers: int) -> None:
    """Refuse a config that is longer, or has larger whole numbers, than weights of that size can need.

    Parameters
    ----------
    config : dict
        Keyword arguments of a family, plain data.
    numbers : int
        Numbers in the file of the weights.

    Raises
    ------
    ValueError
        Naming the number.
    """
    leaves, waiting = 0, [config]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict | list):
            waiting += value.values() if isinstance(value, dict) else value
            continue
        leaves += 1
        if isinstance(value, int) and abs(value) > _MOST_NUMBER + numbers:
            raise ValueError(f"a config with the number {value:.3g} for a file of {numbers} weights")
    if leaves > _MOST_LEAVES + numbers:
        raise ValueError(f"a config of {leaves} values for a file of {numbers} weights")


@contextmanager
def at_most(arrays: int, numbers: int) -> Iterator[None]:
    """Refuse to make more weights than so many, before they take memory.

    Keras has no other place than ``add_weight`` through which the weights of every layer come. One thread builds at a time.

    Parameters
    ----------
    arrays : int
        Arrays in the file of the weights.
    numbers : int
        Numbers in all of them.

    Raises
    ------
    ValueError
        By what is built: it would have more.
    """
    left = [arrays + _SLACK_ARRAYS, numbers + _SLACK_NUMBERS]
    add_weight = keras.layers.Layer.add_weight

    def counted(self: Any, shape: Any = None, *args: Any, **kwargs: Any) -> Any:
        left[0] -= 1
        left[1] -= math.prod((shape,) if isinstance(shape, int) else shape or ())
        if min(left) < 0:
            raise ValueError(f"it has more weights than the {numbers} in {arrays} arrays of its file")
        return add_weight(self, shape, *args, **kwargs)

    with _building:
        keras.layers.Layer.add_weight = counted
        try:
            yield
        finally:
            keras.layers.Layer.add_weight = add_weight

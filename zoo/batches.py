"""Any number of rows through a Keras function, as many at a time as memory bears."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

BATCH = 8192


def in_batches(function: Callable[..., Any], *arrays: np.ndarray) -> Any:
    """``function(*arrays)`` as NumPy arrays, in the structure that it returns."""
    parts = [
        function(*(ops.convert_to_tensor(array[start : start + BATCH]) for array in arrays))
        for start in range(0, len(arrays[0]), BATCH)
    ]
    return keras.tree.map_structure(lambda *values: np.concatenate([ops.convert_to_numpy(v) for v in values]), *parts)

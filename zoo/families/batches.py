"""Any number of rows through a Keras function, as many at a time as memory bears."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import keras
import numpy as np
from keras import ops

from zoo.families.processes import expect_own_process

BATCH = 8192
NUMBERS = 2**21
"""Numbers in a batch of wide rows, of which a convolution makes many times as many."""
ELEMENT = 32
"""Numbers that a masked element counts as, since a network of sets makes so many of each; more where there are more elements,
since a network of pairs makes some of each pair."""


def rows_at_once(arrays: Iterable[Any]) -> int:
    """How many rows of all arrays together to a batch; of masked elements, each of which becomes many numbers, a few."""
    numbers = 1
    for array in arrays:
        row = array[:1]
        longest = max(row.shape[1:], getattr(array, "shape", row.shape)[1:])  # of sets, rows may be cut to their own length
        masked = max(ELEMENT, 1, *longest) if row.dtype == bool else 1
        numbers = max(numbers, int(np.prod(longest)) * masked)
    return min(BATCH, max(1, NUMBERS // numbers))


def in_batches(function: Callable[..., Any], *arrays: Any) -> Any:
    """Call ``function(*arrays)`` for NumPy arrays, in the structure that it returns; rows may be cut as they are asked for."""
    expect_own_process()
    parts = [function(*map(ops.convert_to_tensor, part)) for part in _parts(arrays)]
    return keras.tree.map_structure(lambda *values: np.concatenate([ops.convert_to_numpy(v) for v in values]), *parts)


def _parts(arrays: tuple[Any, ...]) -> Iterator[list[Any]]:
    """All arrays cut to as many rows at a time as memory bears."""
    size = rows_at_once(arrays)
    for start in range(0, len(arrays[0]), size):
        yield [array[start : start + size] for array in arrays]


def answer(function: Callable[..., Any], *arrays: Any) -> Any:
    """Call ``function(*arrays)``, on many rows in parts; its answers, as those of all backends, are what NumPy takes.

    Tensors of the backend reach it as they are and whole, so that gradients pass.
    """
    if any(ops.is_tensor(array) for array in arrays) or not len(arrays[0]):
        return _untracked(function, *arrays)
    parts = [_untracked(function, *part) for part in _parts(arrays)]
    return parts[0] if len(parts) == 1 else keras.tree.map_structure(lambda *values: _joined(values), *parts)


def _untracked(function: Callable[..., Any], *arrays: Any) -> Any:
    """Call ``function(*arrays)``; torch wants tensors, and keeps what a gradient needs where one of them asks for it alone."""
    if keras.backend.backend() != "torch" or any(getattr(array, "requires_grad", False) for array in arrays):
        return function(*arrays)
    import torch

    with torch.no_grad():
        return function(*map(ops.convert_to_tensor, arrays))


def _joined(values: tuple) -> Any:
    """Answers of parts below one another, as what they are: arrays of NumPy, or tensors of the backend."""
    return np.concatenate(values) if isinstance(values[0], np.ndarray) else ops.concatenate(values)

"""Checks of the tensors that a user hands to an endpoint: names, dtype, shape, finiteness, trained range."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from zoo.errors import InputError
from zoo.model.spec import Endpoint, Tensor

_FLOAT32 = np.dtype(np.float32)
_LARGE, _LARGER, _WIDE = 2**10, 2**15, 64
"""Elements from which extremes cost less than comparisons: of an array with one bound, with many, and of its last axis then."""


class InputCheck:
    """Check of one endpoint's inputs, prepared once so that a call costs a few microseconds.

    Parameters
    ----------
    endpoint : whose ``inputs`` are expected
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._expected = {t.name: (t, tuple(t.shape), *_bounds(t)) for t in endpoint.inputs}

    def __call__(
        self, inputs: Mapping[str, object], allow_nonfinite: bool = False, allow_out_of_range: bool = False
    ) -> dict[str, np.ndarray]:
        """The inputs as contiguous float32 arrays, in the endpoint's order.

        Raises
        ------
        InputError
            Naming the tensor, what was expected and what was given.
        """
        if inputs.keys() != self._expected.keys():
            raise InputError(f"expected the inputs {sorted(self._expected)}, given {sorted(map(str, inputs))}")
        arrays: dict[str, np.ndarray] = {}
        for name, (tensor, shape, low, high) in self._expected.items():
            array = _as_float32(name, inputs[name])
            if array.ndim == 0 or array.shape[1:] != shape:
                wanted = ("batch", *shape)
                raise InputError(f"input {name!r}: expected shape {_shape(wanted)}, given {_shape(array.shape)}")
            if not _within(array, low, high):
                _refuse(tensor, array, low, high, allow_nonfinite, allow_out_of_range)
            arrays[name] = array
        if len(arrays) > 1 and len({len(array) for array in arrays.values()}) > 1:
            rows = ", ".join(f"{name} {len(array)}" for name, array in arrays.items())
            raise InputError(f"inputs must have the same number of rows, given {rows}")
        return arrays


def _within(array: np.ndarray, low: np.ndarray, high: np.ndarray) -> bool:
    """Whether every element is a number between the bounds, which are one or as many as the last axis is long."""
    # NaN compares as false and is its own minimum, so finiteness takes no pass of its own. Extremes leave nothing behind in the
    # caches that the graph needs, but cost more to begin with, and along a short axis.
    one_each = not low.ndim and not high.ndim
    if array.size < (_LARGE if one_each else _LARGER) or (not one_each and array.shape[-1] < _WIDE):
        return bool(np.count_nonzero(array >= low) == array.size == np.count_nonzero(array <= high))
    if one_each:
        return bool(np.minimum.reduce(array, None) >= low and np.maximum.reduce(array, None) <= high)
    rows = array.reshape(-1, array.shape[-1])
    return bool((rows.min(axis=0) >= low).all() and (rows.max(axis=0) <= high).all())


def _as_float32(name: str, value: object) -> np.ndarray:
    if type(value) is np.ndarray and value.dtype is _FLOAT32 and value.flags.c_contiguous:
        return value
    array = np.asarray(value)
    if array.dtype.kind not in "fiu":
        raise InputError(f"input {name!r}: expected dtype float32, given {array.dtype}")
    return np.ascontiguousarray(array, dtype=np.float32)


def _bounds(tensor: Tensor) -> tuple[np.ndarray, np.ndarray]:
    limit = np.finfo(np.float32).max
    low = -limit if tensor.low is None else tensor.low
    high = limit if tensor.high is None else tensor.high
    return np.asarray(low, dtype=np.float32), np.asarray(high, dtype=np.float32)


def _shape(shape: tuple[object, ...]) -> str:
    return "(" + ", ".join(map(str, shape)) + ")"


def _refuse(
    tensor: Tensor, array: np.ndarray, low: np.ndarray, high: np.ndarray, allow_nonfinite: bool, allow_out_of_range: bool
) -> None:
    finite = np.isfinite(array)
    if not finite.all() and not allow_nonfinite:
        at = tuple(int(i) for i in np.argwhere(~finite)[0])
        raise InputError(
            f"input {tensor.name!r}: {np.count_nonzero(~finite)} values are NaN or infinite, the first at {at};"
            " allow_nonfinite=True lets them through"
        )
    outside = finite & ((array < low) | (array > high))
    if outside.any() and not allow_out_of_range:
        at = tuple(int(i) for i in np.argwhere(outside)[0])
        lowest, highest = (np.broadcast_to(bound, array.shape)[at] for bound in (low, high))
        raise InputError(
            f"input {tensor.name!r}: {np.count_nonzero(outside)} values lie outside the trained range, the first at {at}:"
            f" expected {lowest:.6g} to {highest:.6g} {tensor.unit}, given {array[at]:.6g};"
            " check the units, or extrapolate with allow_out_of_range=True"
        )

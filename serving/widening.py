"""Requests of unequal lengths in one batch: the shorter are filled up with what their masks call padding, and cut again."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from zoo.model.spec import Endpoint, Tensor


class Widening:
    """Where the tensors of an endpoint are filled up and cut.

    Padding is zeros, and false in the masks, and must not change what is answered: an export is checked for it.

    Parameters
    ----------
    endpoint : Endpoint
        An endpoint with free axes, for which :func:`can_widen` holds.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        order = {name: number for number, name in enumerate(endpoint.free)}
        self._places = {
            tensor.name: [(place, order[axis.name]) for place, axis in enumerate(tensor.axes, start=1) if axis.free]
            for tensor in endpoint.tensors
        }

    def widened(self, name: str, array: np.ndarray, lengths: tuple[int, ...]) -> np.ndarray:
        """An input whose free axes have these lengths, which are no less than its own."""
        missing = [(0, 0)] * array.ndim
        for place, number in self._places[name]:
            missing[place] = (0, lengths[number] - array.shape[place])
        return np.pad(array, missing) if any(more for _, more in missing) else array

    def cut(self, name: str, array: np.ndarray, lengths: tuple[int, ...]) -> np.ndarray:
        """An output whose free axes have these lengths, which are no more than its own."""
        kept = [slice(None)] * array.ndim
        for place, number in self._places[name]:
            kept[place] = slice(lengths[number])
        return np.ascontiguousarray(array[tuple(kept)])


def can_widen(endpoint: Endpoint) -> bool:
    """Whether masks say of all that lies along each free axis which of it is real."""
    masks = {tensor.mask for tensor in endpoint.inputs if tensor.mask is not None}
    along = {tensor.name: set(tensor.free) for tensor in endpoint.inputs}

    def masked(tensor: Tensor) -> bool:
        return tensor.name in masks or (tensor.mask is not None and along[tensor.mask] >= set(tensor.free))

    return bool(endpoint.free) and all(masked(tensor) for tensor in endpoint.inputs if tensor.free)


def longest(lengths: Iterable[tuple[int, ...]]) -> tuple[int, ...]:
    """The largest length of each free axis."""
    return tuple(max(axis) for axis in zip(*lengths, strict=True))

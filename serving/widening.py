"""Requests of unequal lengths in one batch: the shorter are filled up with what their masks call padding, and cut again."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

import numpy as np

from zoo.model.spec import Endpoint, ModelSpec, Tensor
from zoo.model.test_tensors import excess
from zoo.serving.graph import free_axes
from zoo.serving.instances import Arrays, lengths

_log = logging.getLogger("zoo.serving")


class Widening:
    """Where the tensors of an endpoint are filled up and cut.

    Padding is zeros, and false in the masks, and must not change what is answered: :func:`widening_of` looks whether it does.

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

    return bool(endpoint.free) and all(masked(tensor) and not tensor.index_of for tensor in endpoint.inputs if tensor.free)


def widening_of(spec: ModelSpec, name: str, run: Callable[[Arrays], Arrays], rows: Arrays) -> Widening | None:
    """How requests of an endpoint are filled up.

    Parameters
    ----------
    spec : ModelSpec
        The model's spec.
    name : str
        The endpoint.
    run : callable
        The endpoint, checked arrays in and out.
    rows : dict of str to ndarray
        Inputs of one row or more, on which padding is tried.

    Returns
    -------
    Widening or None
        None where masks do not say what is padding, or where padding changes an answer, which is logged.
    """
    endpoint = spec.endpoint(name)
    if not can_widen(endpoint):
        return None
    widening, axes = Widening(endpoint), endpoint.free.values()
    sizes = lengths(rows, free_axes(endpoint).values())
    long = tuple(min(axis.most or 2 * size, 2 * size) for axis, size in zip(axes, sizes, strict=True))
    short = tuple(min(size, max(axis.least or 1, most // 2)) for axis, size, most in zip(axes, sizes, long, strict=True))
    before = {key: widening.cut(key, array, short) for key, array in rows.items()}
    expected = run(before)
    given = run({key: widening.widened(key, array, long) for key, array in before.items()})
    for tensor in endpoint.outputs:
        same = widening.cut(tensor.name, given[tensor.name], short)
        if (excess(same, expected[tensor.name], spec.tolerance_of(tensor)) > 0).any():
            _log.warning("%s: padding changes %s, so requests of other lengths are not joined", spec.name, tensor.name)
            return None
    return widening


def longest(lengths: Iterable[tuple[int, ...]]) -> tuple[int, ...]:
    """The largest length of each free axis."""
    return tuple(max(axis) for axis in zip(*lengths, strict=True))

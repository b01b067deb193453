"""How many bytes an answer takes, from its rows and the lengths of its free axes, before anything is computed."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from zoo.model.spec import Endpoint
from zoo.serving.graph import free_axes

_NUMBER_IN_JSON = 64
"""Bytes of a number that is written as JSON: an object, its place in a list, and its text."""


class AnswerSize:
    """The memory of answers of one endpoint.

    Parameters
    ----------
    endpoint : Endpoint
        The endpoint.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._free = free_axes(endpoint)
        self._outputs = [
            (
                tensor.name,
                np.dtype(tensor.dtype).itemsize,
                math.prod(axis.size for axis in tensor.axes if axis.size is not None),
                [self._free[axis.name] for axis in tensor.axes if axis.free],
            )
            for tensor in endpoint.outputs
        ]

    def __call__(self, arrays: Mapping[str, np.ndarray], wanted: Mapping[str, bool]) -> int:
        """Bytes of the arrays and of what is sent of them.

        Parameters
        ----------
        arrays : mapping of str to ndarray
            The checked inputs.
        wanted : mapping of str to bool
            The outputs that are sent, and whether as binary data.

        Returns
        -------
        int
            The bytes.
        """
        rows, total = len(next(iter(arrays.values()))), 0
        for name, itemsize, numbers, free in self._outputs:
            for given, position in free:
                numbers *= arrays[given].shape[position]
            binary = wanted.get(name)
            total += rows * numbers * (itemsize + (0 if binary is None else itemsize if binary else _NUMBER_IN_JSON))
        return total

"""Tensors on the wire, for REST and gRPC alike: what a client declares of them, and its bytes or JSON as arrays."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from zoo.errors import InputError
from zoo.model.axes import BATCH, Axis
from zoo.model.dtypes import NAMES
from zoo.model.spec import Tensor

_IN_JSON: dict[str, tuple[str, set[type]]] = {
    "f": ("numbers", {int, float}),
    "i": ("whole numbers", {int}),
    "b": ("true and false", {bool}),
}
"""Kind of a dtype -> its values in words, and their types in what JSON holds."""


def wire_shape(array: np.ndarray) -> list[int]:
    """Shape of an answer: one number a row is a row of one number, as from Triton, which has no rows without an axis."""
    return [*array.shape, 1] if array.ndim == 1 else list(array.shape)


def graph_shape(shape: Sequence[int], tensor: Tensor) -> Sequence[int]:
    """The shape in the graph of an input whose shape on the wire was checked: the reverse of ``wire_shape``."""
    return shape if tensor.axes else shape[:1]


def check_tensor(name: str, datatype: str, shape: Sequence[int], expected: Tensor) -> int:
    """Compare what a client declares of an input with what is expected.

    Parameters
    ----------
    name : str
        Name of the input.
    datatype : str
        The datatype that the client declares.
    shape : sequence of int
        The shape that the client declares, of any size: nothing is allocated by it.
    expected : Tensor
        The tensor of the spec.

    Returns
    -------
    int
        The number of values, which Python's integers hold whatever the shape.

    Raises
    ------
    InputError
        The datatype, the number of axes or the length of one of them is another.
    """
    if datatype != (wanted := NAMES[expected.dtype].datatype):
        raise InputError(f"input {name!r}: expected datatype {wanted}, given {datatype!r}")
    if expected.axes:
        fits = len(shape) == len(expected.axes) + 1 and all(map(Axis.admits, expected.axes, shape[1:]))
    else:
        fits = list(shape[1:]) == expected.wire_shape
    if not fits or shape[0] < 0:
        sizes = [str(axis.size or f"{axis.name} {axis.least}-{axis.most}") for axis in expected.axes] or ["1"]
        raise InputError(f"input {name!r}: expected shape [{', '.join([BATCH, *sizes])}], given {list(shape)}")
    return math.prod(shape)


def raw_shape(tensor: Tensor, size: int) -> list[int]:
    """The shape of one row that comes as nothing but its bytes, which leave one length to be told by their number.

    Parameters
    ----------
    tensor : Tensor
        The tensor of the spec.
    size : int
        The number of bytes.

    Returns
    -------
    list of int
        The shape on the wire.

    Raises
    ------
    InputError
        Several axes are free, or these are not the bytes of one row.
    """
    free = [axis.name for axis in tensor.axes if axis.size is None]
    if len(free) > 1:
        raise InputError(
            f"input {tensor.name!r}: the lengths of {' and '.join(free)} cannot be told from a number of bytes:"
            " say the shape, in JSON before the tensor"
        )
    each = np.dtype(tensor.dtype).itemsize * math.prod(axis.size or 1 for axis in tensor.axes)
    length, rest = divmod(size, each)
    if rest or (not free and length != 1):
        expected = f"a multiple of {each} bytes" if free else f"the {each} bytes of one row"
        raise InputError(f"input {tensor.name!r}: expected {expected} in a raw request, given {size}")
    return [1, *(axis.size or length for axis in tensor.axes)] if tensor.axes else [1, 1]


def from_bytes(name: str, binary: bytes | memoryview, dtype: np.dtype) -> np.ndarray:
    """The values of a binary tensor, as ONNX Runtime can read them.

    Parameters
    ----------
    name : str
        Name of the input, for the message.
    binary : bytes or memoryview
        Row-major and little-endian; the server places large tensors where they need no copy, small ones are copied.
    dtype : dtype
        What ``little_endian`` gives.

    Returns
    -------
    ndarray
        One axis of values.

    Raises
    ------
    InputError
        A truth value is neither 0 nor 1, of which each operator would make something else.
    """
    array = np.frombuffer(binary, dtype)
    if dtype.kind == "b" and (values := array.view(np.uint8)).max(initial=0) > 1:
        raise InputError(f"input {name!r}: expected bytes of 0 and 1 for false and true, given {values.max()} among them")
    return array if array.flags.aligned else array.copy()


def from_json(name: str, data: list[Any], dtype: np.dtype) -> np.ndarray:
    """The values of a tensor in JSON, not yet converted: the check of the inputs refuses what the dtype cannot hold.

    Parameters
    ----------
    name : str
        Name of the input, for the message.
    data : list
        What JSON holds, flat or nested.
    dtype : dtype
        What ``little_endian`` gives.

    Returns
    -------
    ndarray
        The values, of the shape in which they are nested.

    Raises
    ------
    InputError
        The lists are uneven, or something else is among the values.
    """
    words, types = _IN_JSON[dtype.kind]
    if not _types(data) <= types:  # before numpy sees them, which gives all texts the length of the longest
        raise InputError(f"input {name!r}: expected {words}, given other values among them")
    try:
        array = np.asarray(data)
    except ValueError:
        raise InputError(
            f"input {name!r}: data is nested unevenly; expected one flat list, or one shaped as declared"
        ) from None
    if not array.size:
        return array.astype(dtype)
    if array.dtype.kind == "O":
        raise InputError(f"input {name!r}: expected {words}, given one that no number of 64 bits holds")
    return array


def _types(data: list[Any]) -> set[type]:
    """The types of all values in lists of lists."""
    found = set(map(type, data))
    if list in found:
        found.discard(list)
        for item in data:
            if type(item) is list:
                found |= _types(item)
    return found

"""Rows of different lengths: their elements one after another, and as one padded array with its mask."""

from __future__ import annotations

from typing import Any

import numpy as np

from zoo.errors import InputError
from zoo.model.handed_in.values import Values
from zoo.model.spec import Tensor


def flat_rows(values: Values, where: str) -> tuple[np.ndarray, np.ndarray]:
    """Elements of all rows one after another, and how many each row has.

    Parameters
    ----------
    values : Values
        The rows, (n, length, ...), or of several lengths.
    where : str
        What they are, for messages.

    Returns
    -------
    flat : ndarray of shape (elements, ...)
        The elements.
    counts : ndarray of shape (n,)
        Their number in each row.

    Raises
    ------
    InputError
        A row is one number, misses values, or differs from others in more than its length.
    """
    array = values.array
    if values.jagged:
        if len({row.shape[1:] for row in array}) > 1:
            raise InputError(f"{where}: expected rows that differ in the length of their first axis only")
        return np.concatenate(list(array)), np.array([len(row) for row in array])
    array = np.asarray(array[:])
    if array.ndim < 2:
        raise InputError(f"{where}: expected a list of numbers in each row, given one number")
    if values.missing is not None and values.missing.any():
        raise InputError(f"{where}: values are missing, the first in row {int(np.argwhere(values.missing)[0][0])}")
    return array.reshape(-1, *array.shape[2:]), np.full(len(array), array.shape[1])


def agreed_lengths(counts: Any, what: str) -> np.ndarray:
    """The lengths of the rows, which are those of all columns.

    Parameters
    ----------
    counts : sequence of ndarray
        The lengths (n,) of the rows of each column.
    what : str
        What the columns are, for messages.

    Returns
    -------
    ndarray of shape (n,)
        The lengths.

    Raises
    ------
    InputError
        Two columns have lists of different lengths.
    """
    first, *others = counts
    for other in others:
        if not np.array_equal(first, other):
            differ = len(first) == len(other)
            row = f", row {int((first != other).argmax())} has not" if differ else ""
            raise InputError(f"{what}: expected lists of the same lengths in every column{row}")
    return np.asarray(first)


def _length(counts: np.ndarray, tensor: Tensor) -> int:
    """Length of the free axis: that of the longest row, and no less than the axis takes."""
    return max(int(counts.max(initial=0)), (tensor.axes[0].least or 1) if tensor.mask is not None else 0)


def mask_of_lengths(counts: np.ndarray, tensor: Tensor) -> np.ndarray:
    """Which elements are real, of rows that are padded at their end.

    Parameters
    ----------
    counts : ndarray of shape (n,)
        The lengths of the rows.
    tensor : Tensor
        What they are made, whose free axis may have a least length.

    Returns
    -------
    ndarray of shape (n, length)
        True for real elements.
    """
    return np.arange(_length(counts, tensor)) < counts[:, None]


def padded_rows(flat: np.ndarray, counts: np.ndarray, tensor: Tensor, where: str) -> np.ndarray:
    """Rows of different lengths as one array, zero where nothing is.

    Parameters
    ----------
    flat : ndarray of shape (elements, ...)
        Elements of all rows one after another.
    counts : ndarray of shape (n,)
        Their number in each row.
    tensor : Tensor
        What they are made.
    where : str
        What they are, for messages.

    Returns
    -------
    ndarray of shape (n, length, ...)
        The padded rows.

    Raises
    ------
    InputError
        The tensor takes rows of one length.
    """
    if not tensor.axes or not tensor.axes[0].free:
        raise InputError(f"{where}: expected rows of one length, given lists of several lengths")
    if tensor.mask is None and len(np.unique(counts)) > 1:
        raise InputError(f"{where}: expected rows of one length, since {tensor.name} has no mask, given several lengths")
    real = mask_of_lengths(counts, tensor)
    rows = np.zeros((*real.shape, *flat.shape[1:]), flat.dtype)
    rows[real] = flat
    return rows

"""Elements of a tensor of floating-point numbers that are whole ones, as counts are."""

from __future__ import annotations

import numpy as np

from zoo.errors import InputError, option
from zoo.model.spec import Tensor


def rounded(tensor: Tensor, array: np.ndarray) -> np.ndarray:
    """Rows of a tensor, (n, ..., C), whose elements that stand for whole numbers are such; the array itself where none does."""
    if tensor.whole is None:
        return array
    array = np.array(array)
    array[..., tensor.whole] = np.round(array[..., tensor.whole])
    return array


def refuse_fractions(tensor: Tensor, array: np.ndarray, *, can_allow: bool = True) -> None:
    """Refuse a fraction where the training had whole numbers: of a count, it has no probability.

    Parameters
    ----------
    tensor : Tensor
        What the array is; its ``whole`` names the elements.
    array : ndarray
        Rows of the tensor, of shape (n, ..., C).
    can_allow : bool
        Whether whoever asks has an ``allow_out_of_range``, which the message names then.

    Raises
    ------
    InputError
        Naming the first such number.
    """
    for element in tensor.whole or ():
        column = array[..., element]
        fraction = np.isfinite(column) & (column != np.round(column))
        if fraction.any():
            at = (*map(int, np.argwhere(fraction)[0]), element)
            named = f" of {tensor.labels[element]}," if tensor.labels else ""
            lets = f", or let it through with {option('allow_out_of_range')}" if can_allow else ""
            raise InputError(
                f"input {tensor.name!r}: expected whole numbers, as in the simulations,{named} given {array[at]:g} at {at}:"
                f" give the counts themselves, not a rate or what is left after a background is subtracted{lets}"
            )

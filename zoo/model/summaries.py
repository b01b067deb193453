"""An observation as a row of numbers: its elements, or summaries of them where they are many or of free length."""

from __future__ import annotations

import math

import numpy as np

from zoo.model.handed_in.tensors import element_units
from zoo.model.inputs import along
from zoo.model.spec import Tensor

MOST = 1024
"""Elements of an observation above which it is summarized."""
CHANNELS = 16
"""Length up to which a last axis, beside others, tells the quantities of an element apart."""
SUMMARIES = ("mean", "deviation", "least", "greatest", "step")
"""What is taken of each quantity; the step is the root mean square of the differences of neighbors along the first axis."""
APART = (1, 2, 4, 8)
"""How far apart cells of a field are whose differences are told, by the logarithms of their medians: noise shows where a field
is smooth, and another size of cells from one distance to the next."""
LEAST_STEP = 1e-30
"""What is added to a median, so that a field of one value has a logarithm."""
FEW = 0.01
"""Share of the cells that may be exactly like their neighbor; more are told, as where somebody filled a hole."""
FIELD = 16
"""Cells along each of two axes or more, from which on an observation of one quantity is a field."""


def numbers_of(tensor: Tensor, x: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
    """Numbers that tell an observation.

    Parameters
    ----------
    tensor : Tensor
        The observation, as a spec describes it.
    x : ndarray
        Observations, of shape (n, ...).
    mask : ndarray, optional
        Which elements are real, by the first axes of the observations.

    Returns
    -------
    ndarray of shape (n, F)
        The elements in C order, as float64; or summaries: how many elements are real where the axis is free, then mean,
        deviation, least, greatest and step of each quantity, zero where nothing is real. Of a field there are the median
        differences of cells at several distances too, and how many cells are like their neighbor.
    """
    x = np.asarray(x, dtype=np.float64)
    if not summarized(tensor):
        return x.reshape(len(x), -1)
    real = np.broadcast_to(True if mask is None else along(np.asarray(mask, bool), x), x.shape)
    channels = _channels(tensor)
    shape = (len(x), x.shape[1], math.prod(x.shape[2:]) // channels, channels)
    values, real = np.where(real, x, 0.0).reshape(shape), real.reshape(shape)
    count = real.sum(axis=(1, 2))
    mean = values.sum(axis=(1, 2)) / np.maximum(count, 1)
    away = np.where(real, values - mean[:, None, None], 0.0)
    both = real[:, 1:] & real[:, :-1]
    steps = np.where(both, np.diff(values, axis=1), 0.0)
    found = [
        mean,
        np.sqrt(np.square(away).sum(axis=(1, 2)) / np.maximum(count, 1)),
        np.where(count > 0, np.where(real, values, np.inf).min(axis=(1, 2), initial=np.inf), 0.0),
        np.where(count > 0, np.where(real, values, -np.inf).max(axis=(1, 2), initial=-np.inf), 0.0),
        np.sqrt(np.square(steps).sum(axis=(1, 2)) / np.maximum(both.sum(axis=(1, 2)), 1)),
    ]
    told = np.stack(found, axis=-1).reshape(len(x), -1)
    if _is_field(tensor):
        told = np.concatenate([told, _of_field(x)], axis=1)
    return np.concatenate([count[:, :1].astype(np.float64), told], axis=1) if tensor.free else told


def described_numbers(tensor: Tensor) -> list[tuple[str, str]]:
    """What each of these numbers is.

    Parameters
    ----------
    tensor : Tensor
        The observation, as a spec describes it.

    Returns
    -------
    list of tuple of str
        Name and unit of each: of elements such as "x[3]" or "x time", of summaries such as "mean of energy".
    """
    if not summarized(tensor):
        shape = tuple(tensor.fixed_shape)
        names = [f"{tensor.name}[{', '.join(map(str, at))}]" for at in np.ndindex(*shape)]
        if len(shape) == 1 and tensor.labels:
            names = [f"{tensor.name} {label}" for label in tensor.labels]
        return list(zip([tensor.name] if len(names) == 1 else names, element_units(tensor, shape), strict=True))
    channels = _channels(tensor)
    last = (channels,) if channels > 1 else ()
    quantities = [tensor.name] if channels == 1 else tensor.labels or [f"{tensor.name}[..., {k}]" for k in range(channels)]
    units = element_units(tensor, last) if last else [tensor.unit]
    count = [("number of elements", "1")] if tensor.free else []
    named = zip(quantities, units, strict=True)
    told = count + [(f"{summary} of {quantity}", unit) for quantity, unit in named for summary in SUMMARIES]
    if _is_field(tensor):
        told += [(f"logarithm of the median step of {tensor.name} over {apart}", "1") for apart in APART]
        told += [(f"cells in a thousand that equal their neighbor, beyond {1000 * FEW:.0f}", "1")]
    return told


def widths(tensor: Tensor) -> tuple[int, ...]:
    """How many numbers a reference may know: all, or of a field, where it is older, those of any observation.

    Parameters
    ----------
    tensor : Tensor
        The observation, as a spec describes it.

    Returns
    -------
    tuple of int
        The numbers of numbers; fewer are the first of more.
    """
    full = len(described_numbers(tensor))
    return (full, len(SUMMARIES)) if _is_field(tensor) else (full,)


def summarized(tensor: Tensor) -> bool:
    """Whether an observation is told by summaries, and not by its elements."""
    return bool(tensor.free) or math.prod(tensor.fixed_shape) > MOST


def _is_field(tensor: Tensor) -> bool:
    whole = not tensor.free and tensor.mask is None and len(tensor.axes) > 1
    return whole and summarized(tensor) and min(tensor.fixed_shape) >= FIELD and _channels(tensor) == 1


def _of_field(x: np.ndarray) -> np.ndarray:
    """What is told of fields (n, ...) besides, along their first axis: (n, 5)."""
    steps = [np.abs(x[:, apart:] - x[:, :-apart]).reshape(len(x), -1) for apart in APART]
    medians = [np.log(np.median(step, axis=1) + LEAST_STEP) for step in steps]
    filled = 1000 * np.maximum((steps[0] == 0).mean(axis=1) - FEW, 0.0)
    return np.stack([*medians, filled], axis=1)


def _channels(tensor: Tensor) -> int:
    size = tensor.axes[-1].size
    return size if len(tensor.axes) > 1 and size is not None and size <= CHANNELS else 1

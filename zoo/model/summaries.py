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
        deviation, least, greatest and step of each quantity, zero where nothing is real.
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
    return count + [(f"{summary} of {quantity}", unit) for quantity, unit in named for summary in SUMMARIES]


def summarized(tensor: Tensor) -> bool:
    """Whether an observation is told by summaries, and not by its elements."""
    return bool(tensor.free) or math.prod(tensor.fixed_shape) > MOST


def _channels(tensor: Tensor) -> int:
    size = tensor.axes[-1].size
    return size if len(tensor.axes) > 1 and size is not None and size <= CHANNELS else 1

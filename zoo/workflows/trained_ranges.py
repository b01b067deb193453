"""Trained ranges of inputs, measured on the rows that a model was trained on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from zoo.model.inputs import along
from zoo.model.spec import Bound, Endpoint, Tensor


def with_ranges(endpoints: dict[str, Endpoint], training: Mapping[str, Any]) -> dict[str, Endpoint]:
    """Fill in the ranges that a recipe leaves open: the training rows' extremes, widened by a quarter on either side.

    Truth values, positions along an axis and values that are listed have no range.

    Parameters
    ----------
    endpoints : dict of str to Endpoint
        The endpoints of a recipe.
    training : mapping of str to ndarray
        The inputs of the training rows by tensor name, masks among them.

    Returns
    -------
    dict of str to Endpoint
        The endpoints with the measured ranges.
    """

    def measured(tensor: Tensor) -> Tensor:
        without = tensor.dtype == "bool" or tensor.index_of is not None or tensor.values is not None
        if without or tensor.name not in training or not tensor.unbounded:
            return tensor
        mask = training.get(tensor.mask) if tensor.mask else None
        low, high = trained_range(tensor, np.asarray(training[tensor.name][:]), None if mask is None else np.asarray(mask[:]))
        return tensor.model_copy(update={"low": low, "high": high})

    return {
        name: endpoint.model_copy(update={"inputs": [measured(tensor) for tensor in endpoint.inputs]})
        for name, endpoint in endpoints.items()
    }


def trained_range(tensor: Tensor, rows: np.ndarray, mask: np.ndarray | None = None) -> tuple[Bound, Bound]:
    """Range of the real elements of some rows: one for each element of a fixed last axis, else one for all.

    Parameters
    ----------
    tensor : Tensor
        The tensor whose rows they are.
    rows : ndarray of shape (n, ...)
        Rows of the tensor.
    mask : ndarray of shape (n, ...), optional
        Which elements are real, by the first axes of the rows.

    Returns
    -------
    tuple of float or list of float
        Lower and upper bound; None twice where no element is real.
    """
    values = rows.astype(np.float64)
    if mask is not None:
        values = np.where(along(mask, values), values, np.nan)
    size = tensor.axes[-1].size if tensor.axes else None
    each = values.reshape(-1, size or 1)
    if np.isnan(each).all(axis=0).any():
        return None, None
    low, high = widened(np.nanmin(each, axis=0), np.nanmax(each, axis=0))
    limits = np.finfo(tensor.dtype) if tensor.dtype.startswith("float") else np.iinfo(tensor.dtype)
    low, high = (np.clip(bound, float(limits.min), float(limits.max)).tolist() for bound in (low, high))
    return (low, high) if size is not None else (low[0], high[0])


def widened(low: np.ndarray, high: np.ndarray) -> tuple[list[float], list[float]]:
    """Make a trained range of extremes: a quarter of their distance wider on either side.

    Bounds are rounded outwards, to a thousandth of that quarter, so that a narrow range far from zero keeps its rows.

    Parameters
    ----------
    low, high : ndarray of shape (k,)
        The extremes.

    Returns
    -------
    tuple of list of float
        Lower and upper bounds.
    """
    low, high = np.asarray(low, np.float64), np.asarray(high, np.float64)
    margin = high / 4 - low / 4
    with np.errstate(divide="ignore"):
        step = np.where(margin > 0, 10.0 ** (np.floor(np.log10(margin)) - 3), 1.0)
    bounds = np.floor((low - margin) / step) * step, np.ceil((high + margin) / step) * step
    lows, highs = (np.where(margin > 0, bound, extreme) for bound, extreme in zip(bounds, (low, high), strict=True))
    # What the multiplication adds beyond the last digit is not kept.
    digits = np.vectorize(lambda value: float(f"{value:.12g}"))
    return np.minimum(digits(lows), low).tolist(), np.maximum(digits(highs), high).tolist()

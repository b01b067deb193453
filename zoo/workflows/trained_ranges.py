"""Trained ranges of inputs, and of outputs that guard, measured on the rows that a model was trained on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.errors import ZooError
from zoo.model.inputs import along
from zoo.model.spec import Bound, Endpoint, ModelSpec, Tensor

if TYPE_CHECKING:
    from zoo.families.base import EndpointModel

MARGIN = 0.25
"""How much wider than the extremes a range of inputs is on either side, in units of their distance."""
MARGIN_OF_ANSWERS = 0.01
"""The same of an output that guards. All that was trained lies within as it is; this is for what an integrator adds to an
energy along a path."""


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


def with_answers(spec: ModelSpec, model: EndpointModel, training: Mapping[str, Any]) -> ModelSpec:
    """Fill in the ranges of outputs that guard: the extremes of the answers to the training rows, wider by a hundredth.

    An answer may be off by its tolerance, as that of another runtime is, and of a distance none is too small. Ranges are
    measured at the endpoint that takes the data, and are those of the outputs of that name at every other.

    Parameters
    ----------
    spec : ModelSpec
        The spec of the model.
    model : EndpointModel
        The model as it was trained.
    training : mapping of str to ndarray
        The inputs of the training rows, in the order of the data set.

    Returns
    -------
    ModelSpec
        The spec with the measured ranges, in place of any before; itself where no output guards.

    Raises
    ------
    ZooError
        An output that guards is none of the endpoint that takes the data.
    """
    from zoo.families.batches import in_batches

    if not spec.guards:
        return spec
    outputs = spec.endpoint(model.data_endpoint).outputs
    if unknown := spec.guards - {tensor.name for tensor in outputs if tensor.guards}:
        names = ", ".join(sorted(unknown))
        raise ZooError(f"{spec.name}: {names}: expected what guards among the outputs of {model.data_endpoint} too")
    answers = in_batches(getattr(model, model.endpoints[model.data_endpoint]), *training.values())
    answers = answers if isinstance(answers, tuple) else (answers,)

    def range_of(tensor: Tensor, answer: np.ndarray) -> tuple[Bound, Bound]:
        accepted = spec.tolerance_of(tensor)
        off = np.asarray(accepted.absolute) + np.asarray(accepted.relative) * np.abs(answer.astype(np.float64))
        nearest = [np.zeros_like(off[:1])] if tensor.name in model.distances else []
        return trained_range(tensor, np.concatenate([answer - off, answer + off, *nearest]), margin=MARGIN_OF_ANSWERS)

    found = {tensor.name: range_of(tensor, answer) for tensor, answer in zip(outputs, answers, strict=True) if tensor.guards}

    def measured(tensor: Tensor) -> Tensor:
        if not tensor.guards:
            return tensor
        low, high = found[tensor.name]
        return tensor.model_copy(update={"low": low, "high": high})

    endpoints = {
        name: endpoint.model_copy(update={"outputs": [measured(tensor) for tensor in endpoint.outputs]})
        for name, endpoint in spec.endpoints.items()
    }
    return spec.model_copy(update={"endpoints": endpoints})


def trained_range(
    tensor: Tensor, rows: np.ndarray, mask: np.ndarray | None = None, margin: float = MARGIN
) -> tuple[Bound, Bound]:
    """Range of the real elements of some rows: one for each element of a fixed last axis, else one for all.

    Parameters
    ----------
    tensor : Tensor
        The tensor whose rows they are.
    rows : ndarray of shape (n, ...)
        Rows of the tensor.
    mask : ndarray of shape (n, ...), optional
        Which elements are real, by the first axes of the rows.
    margin : float
        How much wider than the extremes the range is on either side, in units of their distance.

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
    low, high = widened(np.nanmin(each, axis=0), np.nanmax(each, axis=0), margin)
    limits = np.finfo(tensor.dtype) if tensor.dtype.startswith("float") else np.iinfo(tensor.dtype)
    low, high = (np.clip(bound, float(limits.min), float(limits.max)).tolist() for bound in (low, high))
    return (low, high) if size is not None else (low[0], high[0])


def widened(low: np.ndarray, high: np.ndarray, share: float = MARGIN) -> tuple[list[float], list[float]]:
    """Make a trained range of extremes: wider on either side by a share of their distance.

    Bounds are rounded outwards, to a thousandth of what is added, so that a narrow range far from zero keeps its rows.

    Parameters
    ----------
    low, high : ndarray of shape (k,)
        The extremes.
    share : float
        The share of their distance that is added on either side.

    Returns
    -------
    tuple of list of float
        Lower and upper bounds.
    """
    low, high = np.asarray(low, np.float64), np.asarray(high, np.float64)
    margin = share * high - share * low
    with np.errstate(divide="ignore"):
        step = np.where(margin > 0, 10.0 ** (np.floor(np.log10(margin)) - 3), 1.0)
    bounds = np.floor((low - margin) / step) * step, np.ceil((high + margin) / step) * step
    lows, highs = (np.where(margin > 0, bound, extreme) for bound, extreme in zip(bounds, (low, high), strict=True))
    # What the multiplication adds beyond the last digit is not kept.
    digits = np.vectorize(lambda value: float(f"{value:.12g}"))
    return np.minimum(digits(lows), low).tolist(), np.maximum(digits(highs), high).tolist()

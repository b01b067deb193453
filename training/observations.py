"""What a recipe says of observations: their tensors, the network that they pass first, the numbers that have a scale each."""

from __future__ import annotations

from typing import Any

import numpy as np

from zoo.data.sbi.datum import Datum
from zoo.data.sbi.priors.as_prior import AnyPrior
from zoo.data.sbi.priors.rows_prior import RowsPrior
from zoo.data.sbi.x_scales import described
from zoo.errors import UnknownNameError
from zoo.families.flows.context_shape import ContextShape
from zoo.families.flows.embeddings import KINDS, default_embedding, embedding_settings, suited
from zoo.training.recipe import RecipeError

Embedding = str | dict[str, Any] | list[int] | None
"""The kind of an embedding, its settings, units of dense layers, or None for what suits the shape."""
MOST = 2**20
"""Elements that scales are chosen from."""


def context_config(datum: Datum, embedding: Embedding = None) -> dict[str, Any]:
    """``context`` and ``embedding`` of a flow that is given such observations.

    Parameters
    ----------
    datum : Datum
        What one observation is.
    embedding : str, dict or list of int, optional
        The embedding; by default what suits the shape.

    Returns
    -------
    dict of str to object
        The part of the config.

    Raises
    ------
    UnknownNameError, RecipeError
        There is no such embedding, no such setting of it, or it does not take the shape.
    """
    shape = datum.shape
    context = shape[0] if len(shape) == 1 and shape[0] is not None else list(shape)
    if isinstance(embedding, str) and embedding not in KINDS:
        raise UnknownNameError("embedding", embedding, KINDS)
    try:
        chosen: Any = default_embedding(shape) or [] if embedding is None else embedding
        if isinstance(chosen, str):
            chosen = suited(KINDS[chosen], shape).model_dump()
        elif isinstance(chosen, dict):
            chosen = embedding_settings(chosen).model_dump()
        ContextShape.of(context, chosen)
    except ValueError as error:
        raise RecipeError(str(error)) from error
    return {"context": context, "embedding": chosen}


def scaled_numbers(datum: Datum, x: np.ndarray, mask: np.ndarray | None = None, embedding: Embedding = None) -> np.ndarray:
    """The numbers (N, F) that each scale of observations is chosen from.

    Parameters
    ----------
    datum : Datum
        What one observation is.
    x : ndarray of shape (n, ...)
        Observations.
    mask : ndarray of shape (n, length), optional
        Which of their elements are real.
    embedding : str, dict or list of int, optional
        The embedding: of a set, a sequence or an image all elements have the same scales.

    Returns
    -------
    ndarray of shape (N, F)
        Those of all rows, or of all real elements, a million at most.
    """
    shape = ContextShape.of(**context_config(datum, embedding))
    assert shape is not None  # an observation has a number at least
    found = shape.elements(x, mask)
    return found if len(found) <= MOST else np.random.default_rng(0).choice(found, MOST, replace=False, shuffle=False)


def observed_tensors(datum: Datum, context_scales: list[dict[str, Any]] | None = None) -> list[dict[str, Any]]:
    """The observation x and, of free length, its mask, as a recipe describes inputs.

    Parameters
    ----------
    datum : Datum
        What one observation is.
    context_scales : list of dict, optional
        Scales of its numbers, which are in double precision then.

    Returns
    -------
    list of dict
        The tensors.
    """
    free, shape = datum.shape[0] is None, datum.shape
    names = ["datum"] if len(shape) == 1 else [f"datum_{place}" for place in range(len(shape))]
    if free:
        names[-1] = "datum"
    axes: list[dict[str, Any]] = [{"name": name, "size": size} for name, size in zip(names, shape, strict=True)]
    if free:
        axes[0] = {"name": datum.element, "least": datum.least, "most": datum.most}
    unit, units = ("1", None) if datum.units is None else _unit_of(datum.units)
    if axes[-1].get("size") is not None:
        axes[-1] |= {"labels": datum.names, "units": units}
    x = {"name": "x", "axes": axes, "unit": unit, "description": "an observation, as the simulator gives it"}
    if context_scales is not None:
        names_of = datum.names if datum.names is not None and len(datum.names) == len(context_scales) else None
        x |= {"dtype": "float64", "description": f"{x['description']}; {described(context_scales, names_of)}"}
    if not free:
        return [x]
    real = f"which of its {datum.element}s are real, and not padding"
    return [{**x, "mask": "mask"}, {"name": "mask", "axes": axes[:1], "dtype": "bool", "unit": "1", "description": real}]


def parameters_tensor(prior: AnyPrior | RowsPrior) -> dict[str, Any]:
    """The parameters theta, as a recipe describes tensors.

    Parameters
    ----------
    prior : Prior or JointPrior or RowsPrior
        Their prior.

    Returns
    -------
    dict of str to object
        The tensor.
    """
    unit, units = _unit_of(list(prior.units.values()))
    axis = {"name": "parameter", "size": len(prior.names), "labels": list(prior.names), "units": units}
    return {"name": "theta", "axes": [axis], "dtype": "float64", "unit": unit, "description": ", ".join(prior.names)}


def _unit_of(units: list[str]) -> tuple[str, list[str] | None]:
    """The unit of all elements, or all of them in words; and a unit for each where they differ."""
    return (units[0], None) if len(set(units)) == 1 else (", ".join(units), units)

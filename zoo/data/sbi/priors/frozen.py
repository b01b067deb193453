"""Frozen distributions of ``scipy.stats`` as laws that are plain data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from zoo.data.sbi.priors.laws import Law, LogNormal, LogUniform, Normal, Scipy, Uniform, continuous
from zoo.errors import InputError

NO_DENSITY = (
    "a posterior is a density, which a discrete parameter has not: train one posterior for each of its values, or let the"
    " simulator take a continuous parameter and round it"
)


def is_frozen(value: Any) -> bool:
    """Whether something is a distribution of one variable of ``scipy.stats``, frozen or not, continuous or discrete.

    Parameters
    ----------
    value : object
        Anything.

    Returns
    -------
    bool
        Whether it is.
    """
    return _distribution(value) is not None


def law_of(value: Any, name: str, unit: str | None = None) -> Any:
    """The law of a parameter from what a user wrote.

    Parameters
    ----------
    value : object
        A law, plain data, or a frozen distribution of ``scipy.stats``.
    name : str
        Name of the parameter, for messages.
    unit : str, optional
        Unit of the parameter, where the law says none.

    Returns
    -------
    object
        A law, or plain data that are still to be validated.

    Raises
    ------
    InputError
        It is none of these, or the distribution is discrete, not frozen, not SciPy's own, or of several variables.
    """
    if is_frozen(value):
        value = _of_frozen(value, name)
    if not isinstance(value, Law | Mapping):
        given = repr(value) if isinstance(value, str | int | float) else type(value).__name__
        raise InputError(
            f"prior: {name}: expected a law such as {{distribution: uniform, low: 0, high: 1}}, or in Python a frozen"
            f" distribution such as scipy.stats.norm(0, 1), given {given}"
        )
    if unit is None:
        return value
    if isinstance(value, Law):
        return value if "unit" in value.model_fields_set else value.model_copy(update={"unit": unit})
    return {"unit": unit, **value}


def _distribution(value: Any) -> Any:
    """The distribution of a frozen one, or one that is not frozen; None of anything else."""
    found = getattr(value, "dist", value)
    if not hasattr(found, "_parse_args"):  # nothing else has it, and SciPy need not be imported
        return None
    from scipy.stats import rv_continuous, rv_discrete

    return found if isinstance(found, rv_continuous | rv_discrete) else None


def _of_frozen(value: Any, name: str) -> Law:
    from scipy.stats import rv_discrete

    dist: Any = _distribution(value)
    if isinstance(dist, rv_discrete):
        raise InputError(f"prior: {name} is {dist.name}: {NO_DENSITY}")
    known = continuous()
    if dist.name not in known or type(dist) is not type(known[dist.name]):
        raise InputError(
            f"prior: {name}: expected a distribution that scipy.stats has by name, given {type(dist).__name__}, which cannot be"
            " kept as plain data: write an object with sample(n, rng) and log_prob(theta) for all parameters"
        )
    if dist is value:
        raise InputError(
            f"prior: {name}: expected a frozen distribution, scipy.stats.{dist.name}(...), given {dist.name} itself"
        )
    args = [_number(arg, name) for arg in value.args]
    kwds = {key: _number(arg, name) for key, arg in value.kwds.items()}
    return _own(dist.name, *dist._parse_args(*args, **kwds)) or Scipy(name=dist.name, args=args, kwds=kwds)


def _number(value: Any, name: str) -> float:
    if np.ndim(value) != 0:
        raise InputError(f"prior: {name}: expected one number as each argument, given {np.size(value)}: name each parameter")
    return float(value)


def _own(name: str, shapes: tuple[float, ...], loc: float, scale: float) -> Law | None:
    """The law that is ours by another name, None where there is none."""
    if name == "uniform":
        return Uniform(low=loc, high=loc + scale)
    if name in ("loguniform", "reciprocal") and loc == 0:
        return LogUniform(low=shapes[0] * scale, high=shapes[1] * scale)
    if name == "norm":
        return Normal(mean=loc, sd=scale)
    if name == "truncnorm":
        low, high = (loc + end * scale if math.isfinite(end) else None for end in shapes)
        return Normal(mean=loc, sd=scale, low=low, high=high)
    if name == "lognorm" and loc == 0:
        return LogNormal(median=scale, sigma=shapes[0])
    return None

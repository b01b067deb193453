"""How a flow maps a parameter to unbounded numbers, as plain data: from a law, or measured on draws where there is none.

The entries are those of a flow's ``scales``. A map need not make the parameter normal, which the flow learns; it must resolve
the law, so that its bulk covers a few units, whatever its decade and its offset.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.special import ndtr

from zoo.data.sbi.x_scales import chosen_scales
from zoo.errors import InputError
from zoo.families.flows.probit import MIDDLE, TAIL

Entry = dict[str, Any]
"""One map, ``{"map": "logit", "low": 0.0, "high": 1.0}``."""
Ends = tuple[float, float]
"""Ends of a support, infinite where it has none."""
KNOTS = np.linspace(-6, 6, 129)
"""Standard normal quantiles at which a law is tabulated."""
FEWEST = 16
"""Knots that must be left of them where a law piles up at its ends."""
EDGE = 1e-11
"""Share of an interval within which a map does not tell values from its ends."""


def entry_of_law(law: Any, ends: Ends) -> Entry:
    """The map of a continuous law to a standard normal, through its distribution function.

    Parameters
    ----------
    law : object
        A distribution with ``ppf`` and ``isf``, as SciPy freezes it.
    ends : tuple of float
        Ends of its support.

    Returns
    -------
    dict
        The map as plain data; of a law whose quantiles nearly all lie on its two ends, that of the ends alone.

    Raises
    ------
    InputError
        Nearly all quantiles are the same number, or none.
    """
    low, high = ends
    with np.errstate(all="ignore"):  # far tails of some laws overflow, and are left out
        values = np.where(KNOTS <= 0, law.ppf(ndtr(KNOTS)), law.isf(ndtr(-KNOTS)))
    given = {name: end for name, end in (("low", low), ("high", high)) if math.isfinite(end)}
    room = EDGE * (high - low) if len(given) == 2 else 0.0
    before = np.concatenate([[low], np.fmax.accumulate(values)[:-1]])
    chosen = np.isfinite(values) & (values > before) & (values > low + room) & (values < high - room)
    if np.count_nonzero(chosen) >= FEWEST:
        return {"map": "table", "values": values[chosen].tolist(), "normal": KNOTS[chosen].tolist(), **given}
    if len(given) == 2:
        return {"map": "probit", **given}
    raise InputError(
        f"prior: {np.count_nonzero(chosen)} of {len(KNOTS)} quantiles of a law differ: expected one with a density"
    )


def measured_entry(draws: np.ndarray, ends: Ends) -> Entry:
    """The map under which draws come nearest to a normal, of those that fit the ends of the support; as for x without any.

    Parameters
    ----------
    draws : ndarray of shape (n,)
        Draws of one parameter.
    ends : tuple of float
        Ends of its support, infinite where it has none.

    Returns
    -------
    dict
        The map as plain data.
    """
    low, high = ends
    if not math.isfinite(low) and not math.isfinite(high):
        return chosen_scales(draws[:, None])[0]
    entries: list[Entry]
    origin = float(np.median(draws))
    if math.isfinite(low) and math.isfinite(high):
        entries = [{"map": "probit", "low": low, "high": high}]
        entries += [{"map": "log-probit", "low": low, "high": high}] if low > 0 else []
    elif math.isfinite(low):
        entries = [{"map": "log", "low": low, "width": origin - low or 1.0}]
    else:
        entries = [{"map": "log", "high": high, "width": high - origin or 1.0}]
    return max(entries, key=lambda entry: _normality(*mapped(entry, draws)))


def mapped(entry: Entry, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values of a parameter as unbounded numbers, and the logarithm of the map's slope; of maps that `measured_entry` gives.

    Parameters
    ----------
    entry : dict
        The map.
    values : ndarray of shape (n,)
        Values strictly inside the support.

    Returns
    -------
    tuple of ndarray
        The numbers and the logarithms, (n,) each.
    """
    return _MAPS[entry["map"]](entry, values)


def _linear(entry: Entry, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return (x - entry["origin"]) / entry["width"], np.full(len(x), -math.log(entry["width"]))


def _asinh(entry: Entry, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    u, slope = _linear(entry, x)
    return np.arcsinh(u), slope - 0.5 * np.log1p(u * u)


def _log(entry: Entry, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    distance = x - entry["low"] if "low" in entry else entry["high"] - x
    logarithm = np.log(distance)
    u = logarithm - math.log(entry["width"])
    return u if "low" in entry else -u, -logarithm


def _probit(entry: Entry, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    low, high = np.log(x - entry["low"]), np.log(entry["high"] - x)
    squared = np.square((low - high) / TAIL)
    u = MIDDLE * (low - high) * (1 + squared) ** -0.25
    log_width = math.log(entry["high"] - entry["low"])
    return u, log_width - low - high + np.log(MIDDLE * (1 + 0.5 * squared)) - 1.25 * np.log1p(squared)


def _log_probit(entry: Entry, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    u, slope = _probit({"low": math.log(entry["low"]), "high": math.log(entry["high"])}, np.log(x))
    return u, slope - np.log(x)


_MAPS: dict[str, Callable[[Entry, np.ndarray], tuple[np.ndarray, np.ndarray]]] = {
    "linear": _linear,
    "asinh": _asinh,
    "log": _log,
    "probit": _probit,
    "log-probit": _log_probit,
}


def _normality(u: np.ndarray, log_slope: np.ndarray) -> float:
    """Mean log-likelihood of the draws if u is normal; only differences between maps mean anything."""
    inside = np.isfinite(u) & np.isfinite(log_slope)
    return float(np.mean(log_slope[inside]) - np.log(np.std(u[inside])))

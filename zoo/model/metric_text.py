"""A metric as a person reads it: its value in as many digits as its interval is worth, and its unit."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable

from zoo.model.spec import Metric

UNITS = frozenset({"nat", "bit", "dex"})
"""Units of metrics that need not be those of a tensor."""
MOST = 7
"""Digits before or after the point beyond which a number is written with an exponent."""


def metric_unit(metric: Metric, units: Iterable[str] = ()) -> str:
    """The unit of a metric, as its ``detail`` says it first: "m, at the mean of the latents", "nat per row".

    Parameters
    ----------
    metric : Metric
        The metric.
    units : iterable of str
        Units of the model's tensors, which its metrics may have.

    Returns
    -------
    str
        The unit; nothing for a number without one, and where the detail names none. The scatter of a logarithm is in dex.
    """
    known = {*UNITS, *units} - {"", "1"}
    meaning = metric.detail.partition(";")[0]
    for part in meaning.split(", "):
        if (word := part.strip().split(" ")[0]) in known:
            return word
    logarithms = any(re.match(r"log10\W", unit) for unit in known)
    return "dex" if logarithms and metric.name.rpartition("/")[2] in ("scatter", "bias", "rmse") else ""


def value_text(metric: Metric, unit: str = "", *, interval: bool = True) -> str:
    """Value, interval (which may be left out) and unit: "0.693 [0.676, 0.712]", "28.066 [28.029, 28.098] nat"."""
    low, high = metric.interval or (metric.value, metric.value)
    text = _rounder(low, high)
    said = text(metric.value) + (f" [{text(low)}, {text(high)}]" if metric.interval and interval else "")
    return f"{said} {unit}".rstrip()


def _rounder(low: float, high: float) -> Callable[[float], str]:
    """What writes numbers such that half of an interval has two digits; four digits where there is no width."""
    half = (high - low) / 2
    decimals = 1 - math.floor(math.log10(half)) if half > 0 else 0
    if half <= 0 or decimals > MOST or max(abs(low), abs(high)) >= 10**MOST:
        return "{:.4g}".format
    return f"{{:.{max(decimals, 0)}f}}".format

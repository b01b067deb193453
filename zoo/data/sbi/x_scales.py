"""Scales of simulated data, chosen from training simulations alone: linear, or asinh where a column spans decades.

Standardized as they are, counts from 1 to 1e5 are all the same number but for the largest, and one of 1e30 swamps the rest.
The criterion is how well a column is resolved, once it is standardized, where it is resolved worst: the mean logarithm of the
distance between neighboring quantiles, in deviations, over the quarter of them that lie closest. Quantiles that coincide, as
those of counts do, coincide on every scale, and count on none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from zoo.errors import InputError

GAIN = 0.5
"""Least gain, in nat, for which a column is bent: there its values are then resolved 1.6 times better. A normal has 0.2."""
WORST = 0.25
"""Share of the distances between quantiles, the smallest, that is looked at."""
QUANTILES, ROWS = 201, 20
"""How many quantiles are compared at most, and how many rows lie between two of them at least."""
UNRESOLVED = 1e-7
"""Distance, in deviations, that single precision does not tell from none."""
ORIGINS = (0.0, 0.01, 0.5, 0.99, 1.0)
"""Quantiles of a column that an asinh may be around, beside zero and the densest place."""
WIDTHS = (0.01, 0.05, 0.16, 0.5, 0.84)
"""Quantiles of the distance from there at which it may turn from linear to logarithmic."""
POINTS = 2000
"""Order statistics that are looked at, the extremes among them."""
ROOM = 1e4
"""Numbers of double precision that a width holds at least."""
LARGEST = 1e290
"""Size of a number beyond which double precision has no room for its differences."""


def chosen_scales(x: np.ndarray) -> list[dict[str, Any]]:
    """Choose a scale for each feature of simulated data.

    Parameters
    ----------
    x : ndarray of shape (n, ..., C)
        Data of the training simulations, none of them missing; features lie along the last axis.

    Returns
    -------
    list of dict
        For each feature ``{"map": "linear" or "asinh", "origin": ..., "width": ...}``, as a flow's ``context_scales`` takes it.

    Raises
    ------
    InputError
        A feature never changes, or is too large for double precision.
    """
    x = np.asarray(x, np.float64)
    return [_chosen(place, np.sort(column)) for place, column in enumerate(x.reshape(-1, x.shape[-1]).T)]


def described(scales: Sequence[dict[str, Any]], labels: Sequence[str] | None = None) -> str:
    """Say in words which features are on an asinh scale.

    Parameters
    ----------
    scales : sequence of dict
        What :func:`chosen_scales` gives.
    labels : sequence of str, optional
        Names of the features; by default their numbers, counted from 0.

    Returns
    -------
    str
        A clause for a card.
    """
    names = list(map(str, range(len(scales)))) if labels is None else list(labels)
    bent = [(name, scale) for name, scale in zip(names, scales, strict=True) if scale["map"] == "asinh"]
    if not bent:
        return "seen linearly"
    shown = ", ".join(f"{name} (around {scale['origin']:.6g}, width {scale['width']:.3g})" for name, scale in bent[:10])
    more = f" and {len(bent) - 10} more" if len(bent) > 10 else ""
    return f"seen through asinh((x - origin) / width): {shown}{more}" + (
        "" if len(bent) == len(scales) else "; the rest linearly"
    )


def _chosen(place: int, column: np.ndarray) -> dict[str, Any]:
    """The scale of a sorted column."""
    if np.abs(column[[0, -1]]).max() > LARGEST:
        raise InputError(
            f"column {place} of x reaches {np.abs(column[[0, -1]]).max():g}: give it in a larger unit, or its logarithm"
        )
    points = np.linspace(0, len(column) - 1, min(POINTS, len(column))).round().astype(int)
    values = column[points]
    kept = np.linspace(0, len(values) - 1, max(3, min(QUANTILES, len(column) // ROWS))).round().astype(int)
    quantiles = kept[np.diff(values[kept], prepend=-np.inf) > 0]
    median = float(np.median(column))
    largest = np.abs(column[[0, -1]] - median).max()
    width = largest * float(np.std((column - median) / largest)) if largest > 0 else 0.0  # squares of 1e200 are infinite
    if width < ROOM * np.spacing(abs(median)):
        raise InputError(f"column {place} of x is {median:.17g} but for rounding: leave it out, or count from an origin nearby")
    linear = {"map": "linear", "origin": median, "width": float(f"{width:.6g}")}
    found = {
        (origin, near): _resolution(np.arcsinh(np.clip((values - origin) / near, -LARGEST, LARGEST)), quantiles)
        for origin, near in _candidates(column, median)
    }
    best = max(found, key=found.__getitem__, default=None)
    if best is None or found[best] < _resolution((values - median) / width, quantiles) + GAIN:
        return linear
    return {"map": "asinh", "origin": best[0], "width": best[1]}


def _candidates(column: np.ndarray, median: float) -> Iterator[tuple[float, float]]:
    """Origins, and widths that double precision resolves there."""
    inside = [0.0] if column[0] <= 0 <= column[-1] or 0 < column[0] < 0.5 * median or 0 > column[-1] > 0.5 * median else []
    origins = {*inside, _densest(column), *np.quantile(column, ORIGINS, method="nearest").tolist()}
    for origin in sorted(origins):
        away = np.abs(column - origin)
        away = away[away > 0]
        widths = np.quantile(away, WIDTHS, method="nearest").tolist()
        for width in sorted({float(f"{width:.6g}") for width in widths}):
            if ROOM * np.spacing(abs(origin)) <= width and width >= 1 / LARGEST:
                yield origin, width


def _densest(column: np.ndarray) -> float:
    """The mode of a sorted column, by halving its shortest half (Robertson & Cryer 1974)."""
    while len(column) > 2:
        half = (len(column) + 1) // 2
        start = int(np.argmin(column[half - 1 :] - column[: len(column) - half + 1]))
        column = column[start : start + half]
    return float(column[0])


def _resolution(u: np.ndarray, quantiles: np.ndarray) -> float:
    """Mean logarithm of the smallest distances between neighboring quantiles, in deviations, of sorted values."""
    spread = float(np.std(u))
    if spread == 0 or len(quantiles) < 2:
        return -np.inf
    steps = np.sort(np.maximum(np.diff(u[quantiles]) / spread, UNRESOLVED))
    return float(np.mean(np.log(steps[: max(1, round(WORST * len(steps)))])))

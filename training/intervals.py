"""Intervals that respect the simulations: rows of one simulation are resampled together."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def bootstrap(
    statistic: Callable[[np.ndarray], float], group: np.ndarray, *, draws: int = 400, seed: int = 0
) -> tuple[float, float]:
    """95% percentile interval of a statistic over resampled groups.

    Parameters
    ----------
    statistic : of row indices
    group : (n,) the simulation of each row
    """
    order = np.argsort(group, kind="stable")
    members = np.split(order, np.flatnonzero(np.diff(group[order])) + 1)
    rng = np.random.default_rng(seed)
    values = []
    for _ in range(draws):
        chosen = rng.integers(len(members), size=len(members))
        values.append(statistic(np.concatenate([members[i] for i in chosen])))
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return float(low), float(high)

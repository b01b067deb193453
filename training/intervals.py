"""Intervals that respect the simulations: rows of one simulation are resampled together."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from zoo.errors import InputError


def bootstrap(
    statistic: Callable[[np.ndarray], float], group: np.ndarray, *, draws: int = 400, seed: int = 0
) -> tuple[float, float]:
    """Percentile interval, 95%, of a statistic over resampled groups.

    Parameters
    ----------
    statistic : callable
        The number, as a function of row indices; NaN where some rows have none.
    group : ndarray
        The simulation of each row, (n,).
    draws : int
        Number of resamples.
    seed : int
        Seed of the resampling.

    Raises
    ------
    InputError
        If all rows are of one group, of which no interval can be known.
    """
    order = np.argsort(group, kind="stable")
    members = np.split(order, np.flatnonzero(np.diff(group[order])) + 1)
    if len(members) < 2:
        raise InputError(f"expected rows of at least two independent groups for an interval, given {len(members)}")
    single = len(members) == len(order)
    rng = np.random.default_rng(seed)
    values = []
    for _ in range(draws):
        chosen = rng.integers(len(members), size=len(members))
        values.append(statistic(order[chosen] if single else np.concatenate([members[i] for i in chosen])))
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return float(low), float(high)

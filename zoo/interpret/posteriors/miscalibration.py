"""When a posterior does not mean what it says: which measured distances are more than chance, and in which direction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from zoo.interpret.posteriors.coverage import Coverage, rank_uniformity

CHANCE = 0.01
"""Probability that an exact posterior is accused."""
DISTANCE = 1.358
"""Quantile, 95%, of the Kolmogorov-Smirnov distance of n numbers from their distribution, times sqrt(n)."""


def miscalibrated(
    ranks: np.ndarray, draws: int, names: Sequence[str], covered: Mapping[str, Coverage], what: str = "posterior"
) -> list[str]:
    """Say which ranks and coverages are not those of an exact posterior.

    Of many parameters of an exact posterior, one in twenty lies beyond its own 95% limit. So a number is named where its
    p-value is below 1% divided by how many numbers there are (Bonferroni): an exact posterior is accused once in a hundred.

    Parameters
    ----------
    ranks : ndarray
        Ranks of true parameters among draws, (n, D), as `sbc_ranks` gives them.
    draws : int
        Number of draws that they were ranked among.
    names : sequence of str
        Names of the parameters.
    covered : mapping of str to Coverage
        Coverage by the kind of its references, as `tarp` gives it.
    what : str
        What was drawn from.

    Returns
    -------
    list of str
        A clause for each number that is too large, with its limit; empty where all are as chance has it.
    """
    uniform = rank_uniformity(ranks, draws)
    found = [
        (f"sbc distance {name}", distance, uniform.n, p_value, _direction(column / draws, what))
        for name, distance, p_value, column in zip(names, uniform.distance, uniform.p_value, ranks.T, strict=True)
    ]
    found += [(f"coverage distance, {kind} references", one.distance, one.n, one.p_value, "") for kind, one in covered.items()]
    least = CHANCE / len(found)
    return [
        f"{name} is {distance:.2g}, of exact posteriors 95% stay below {DISTANCE / np.sqrt(n):.2g}{direction}"
        for name, distance, n, p_value, direction in found
        if p_value < least
    ]


def _direction(share: np.ndarray, what: str) -> str:
    """What ranks that are not uniform say of the draws, where they say one thing clearly."""
    shift = (share.mean() - 0.5) * np.sqrt(12 * len(share))
    spread = (np.mean(np.square(share - 0.5)) - 1 / 12) * np.sqrt(180 * len(share))  # the square has a variance of 1/180
    if abs(shift) >= abs(spread):
        return f" (the {what} lies too {'low' if shift > 0 else 'high'})"
    return f" (the {what} is too {'narrow' if spread > 0 else 'wide'})"

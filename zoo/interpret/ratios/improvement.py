"""By how much a cut on a score makes a signal more significant."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

LEAST = 25
"""Background events that the cut of the largest improvement leaves at least: with fewer it is the largest fluctuation."""


class Improvement(NamedTuple):
    """Significance improvement, the efficiency for signal over the root of that for background (arXiv:1001.2768).

    Attributes
    ----------
    most : float
        The largest, over cuts that leave at least ``LEAST`` background events.
    at_percent, at_permille : float
        Where 1% and 0.1% of the background pass.
    """

    most: float
    at_percent: float
    at_permille: float


def efficiencies(signal: np.ndarray, background: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Shares of signal and background that pass each cut, from that which one background event passes on.

    Parameters
    ----------
    signal, background : ndarray
        Scores, larger for what is more like signal, of shape (n,) and (m,).

    Returns
    -------
    of_signal, of_background : ndarray
        Shares that score at least as much as each of the background events, the highest first, of shape (m,).
    """
    signal, background = np.sort(signal), np.sort(background)
    cuts = background[::-1]
    of_signal, of_background = (1 - np.searchsorted(one, cuts, side="left") / len(one) for one in (signal, background))
    return of_signal, of_background


def improvement(signal: np.ndarray, background: np.ndarray) -> Improvement:
    """The significance improvement of scores; parameters of `efficiencies`."""
    of_signal, of_background = efficiencies(signal, background)
    ratio = of_signal / np.sqrt(of_background)
    enough = of_background * len(background) >= min(LEAST, len(background)) - 0.5

    def at(level: float) -> float:
        return float(ratio[np.searchsorted(of_background, level * (1 - 1e-9)).clip(max=len(ratio) - 1)])

    return Improvement(float(ratio[enough].max()), at(0.01), at(0.001))

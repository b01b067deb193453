"""Rows of numbers that summarize a field, on which networks stand beside those that see the field itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, get_args

import numpy as np

from zoo.data.fields.summaries import equilateral_bispectrum, one_point, peak_counts, power_spectrum
from zoo.errors import InputError

Summary = Literal["power", "bispectrum", "one-point", "peaks"]
EDGES = np.linspace(-3.5, 5.0, 27)
"""Edges of the bins of ln(1 + delta + 0.01) in which cells are counted."""
THRESHOLDS = np.geomspace(0.5, 100, 14)
"""Overdensities above which peaks are counted."""
POWER_BINS, TRIANGLE_BINS = 14, 6
"""Shells of wavenumber."""


def features(fields: np.ndarray, side: float, names: Sequence[Summary]) -> np.ndarray:
    """Summaries of periodic fields side by side, on scales on which they vary about as much as they are uncertain.

    Parameters
    ----------
    fields : ndarray
        Overdensities, (n, s, s) or (n, s, s, s).
    side : float
        Side of all of them in Mpc/h.
    names : sequence of str
        Which: "power" (natural logarithms), "bispectrum" of equilateral triangles (reduced), "one-point" (roots of the
        fractions of cells), "peaks" of maps (roots of their numbers).

    Returns
    -------
    ndarray
        (n, k) float32.

    Raises
    ------
    InputError
        There is no such summary, or none is named.
    """
    if not names or not set(names) <= set(OF):
        raise InputError(f"summary: expected some of {', '.join(get_args(Summary))}, given {', '.join(names) or 'none'}")
    return np.concatenate([OF[name](fields, side) for name in names], axis=1).astype(np.float32)


OF: dict[str, Callable[[np.ndarray, float], np.ndarray]] = {
    "power": lambda fields, side: np.log(power_spectrum(fields, side, POWER_BINS)[1]),
    "bispectrum": lambda fields, side: equilateral_bispectrum(fields, side, TRIANGLE_BINS, reduced=True)[1],
    "one-point": lambda fields, side: np.sqrt(one_point(fields, EDGES)),
    "peaks": lambda fields, side: np.sqrt(peak_counts(fields, THRESHOLDS)),
}

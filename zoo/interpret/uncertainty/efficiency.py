"""Whether the efficiency of a cut depends on what it should not depend on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zoo.errors import InputError
from zoo.interpret.uncertainty.calibration import wilson_interval
from zoo.model.handed_in.tensors import numbers_alone


@dataclass(frozen=True, eq=False)
class Efficiency:
    """Fraction of rows beyond a cut in the bins of a nuisance parameter that hold any row.

    Attributes
    ----------
    edges : ndarray
        Edges of the bins, of shape (bins, 2).
    center : ndarray
        Mean of the parameter in each bin.
    efficiency : ndarray
        Fraction of the rows of each bin that pass.
    count : ndarray
        Number of rows of each bin.
    low, high : ndarray
        95% Wilson interval of ``efficiency``.
    p_value : float
        Probability of curves no flatter than this one, were the efficiency the same everywhere (chi-squared test).
    """

    edges: np.ndarray
    center: np.ndarray
    efficiency: np.ndarray
    count: np.ndarray
    low: np.ndarray
    high: np.ndarray
    p_value: float


def efficiency_against(
    score: np.ndarray, nuisance: np.ndarray, cut: float = 0.5, *, bins: int | np.ndarray = 10, least: bool = True
) -> Efficiency:
    """Efficiency of a classifier's cut against a nuisance parameter.

    Call it with the rows of one class: of signal for its efficiency, of background for the rate of false alarms.

    Parameters
    ----------
    score : ndarray
        Scores of the classifier, of shape (n,).
    nuisance : ndarray
        The parameter of each row, such as the energy scale or the noise, of shape (n,).
    cut : float
        The cut on the score.
    bins : int or ndarray
        Number of bins with equal numbers of rows; or their edges, outside which rows are left out.
    least : bool
        Whether rows of a score of at least the cut pass, or those of at most.

    Raises
    ------
    InputError
        Different lengths, no rows in any bin, NaN, edges that do not increase.
    """
    from scipy.stats import chi2_contingency

    score, nuisance = (numbers_alone(one, "score, nuisance").astype(float) for one in (score, nuisance))
    if score.ndim != 1 or score.shape != nuisance.shape or not score.size:
        raise InputError(f"expected score and nuisance of one shape (n,), given {score.shape} and {nuisance.shape}")
    if not (np.isfinite(score).all() and np.isfinite(nuisance).all()):
        raise InputError("score, nuisance: expected finite numbers, given NaN or infinity")
    if np.ndim(bins) == 0:
        if int(bins) < 1:
            raise InputError(f"bins: expected at least 1, given {bins}")
        edges = np.unique(np.quantile(nuisance, np.linspace(0, 1, int(bins) + 1)))
        edges = edges if len(edges) > 1 else np.repeat(edges, 2)
    else:
        edges = np.asarray(bins, dtype=float)
        if edges.ndim != 1 or len(edges) < 2 or not (np.diff(edges) > 0).all():
            raise InputError("bins: expected a number, or edges that increase")
    inside = (nuisance >= edges[0]) & (nuisance <= edges[-1])
    if not inside.any():
        raise InputError(f"bins: no row lies between {edges[0]:g} and {edges[-1]:g}")
    number = len(edges) - 1
    bin_of = np.clip(np.searchsorted(edges, nuisance[inside], side="right") - 1, 0, number - 1)
    passed = score[inside] >= cut if least else score[inside] <= cut
    count = np.bincount(bin_of, minlength=number)
    filled = count > 0
    total, passing = (
        np.bincount(bin_of, weights=w, minlength=number)[filled] for w in (nuisance[inside], passed.astype(float))
    )
    count = count[filled]
    table = np.stack([passing, count - passing])
    comparable = len(count) > 1 and (table.sum(axis=1) > 0).all()
    p_value = float(chi2_contingency(table).pvalue) if comparable else 1.0
    pairs = np.stack([edges[:-1], edges[1:]], axis=1)[filled]
    return Efficiency(pairs, total / count, passing / count, count, *wilson_interval(passing, count), p_value)

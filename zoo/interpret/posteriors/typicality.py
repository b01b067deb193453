"""Out-of-distribution test by typicality, of whether a row is like those that a flow was trained on.

The likelihood alone cannot tell: in many dimensions almost no sample lies near the mode, and other data can be more likely
than the training data (Nalisnick et al. 2019, arXiv:1810.09136, 1906.02994). Typical rows are those whose statistics, not
too low and not too high, are those of held-out rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from zoo.errors import InputError
from zoo.interpret.uncertainty.calibration import wilson_interval
from zoo.model.handed_in.tensors import numbers_alone
from zoo.seeds import generator

FEWEST = 60
"""Reference rows below which no tail probability is told."""
LEAST_SPREAD = 1e-3
"""Least spread in nat per square root of a dimension: a log-determinant that varies less does so by rounding alone."""


@dataclass(frozen=True, eq=False)
class Typicality:
    """How far rows are from typical.

    Attributes
    ----------
    score : ndarray
        Squared Mahalanobis distance of a row's statistics from the reference's, infinite outside the support, of shape (n,).
    p_value : ndarray
        Fraction of reference rows that are at least as far; uniform for rows of the same distribution; of shape (n,).
    ranked : int
        Number of those reference rows; they leave p-values uncertain by a binomial of as many trials, the same for all n
        rows.
    log_likelihood : ndarray, optional
        Log-likelihood of each row, for comparison, of shape (n,); None where the flow is conditional.
    """

    score: np.ndarray
    p_value: np.ndarray
    ranked: int
    log_likelihood: np.ndarray | None


def typicality_test(flow: Any, reference: np.ndarray, x: np.ndarray, seed: int = 0) -> Typicality:
    """Test each row of x against the distribution that the reference rows are from.

    Statistics of a row under an unconditional flow with latent u: its norm, ``(|u|^2 / D)^(1/3)``, close to normal for any
    D (Wilson & Hilferty 1931), and ``log |det du/dx|``. The log-likelihood weighs the two against each other; held apart
    and judged on both sides they are those of density of states estimation (Morningstar et al. 2021, arXiv:2006.09273). A
    conditional flow does not know p(x): there rows are observations, and the statistic is the norm of their whitened
    features, the output of the embedding. What the embedding throws away is not tested.

    One part of the reference measures mean and covariance of the statistics, another gives p-values by rank (conformal
    prediction, Vovk et al. 2005), valid for any flow, however badly it fits.

    Parameters
    ----------
    flow : Flow
        The flow.
    reference : ndarray
        Rows of the right distribution that the flow was not trained on, of shape (m, D) with m >= 60. p-values are at least 2
        / m, of a conditional flow 3 / m.
    x : ndarray
        Rows to judge, of shape (n, D); for a conditional flow, reference and x are contexts (m, ...) and (n, ...), as its
        ``draw`` takes several.
    seed : int
        Seed of the division of the reference.

    Raises
    ------
    InputError
        Rows of another width or with NaN; fewer reference rows than 60 or than four for each feature of an embedding.
    """
    conditional = bool(flow.context)
    width = flow.context if conditional else flow.dimensions
    dtype = flow.precision(int(conditional)) if hasattr(flow, "precision") else "float32"
    if isinstance(width, int):
        reference, x = (_rows(name, rows, width, dtype) for name, rows in (("reference", reference), ("x", x)))
    if len(reference) < FEWEST:
        raise InputError(f"reference: expected at least {FEWEST} rows, given {len(reference)}")
    shuffled = generator(seed).permutation(len(reference))
    if conditional:
        fitted = len(reference) // 3
        features = np.concatenate([flow.embedded(reference)[shuffled], flow.embedded(x)])
        statistics, log_likelihood = _of_embedding(features.astype(float), fitted), None
    else:
        fitted = 0
        statistics, log_likelihood = _of_latent(flow, np.concatenate([reference[shuffled], x]))

    measured, ranked = np.array_split(np.arange(fitted, len(reference)), 2)
    center, inverse = _gaussian(statistics[measured], flow.dimensions)
    inside = np.isfinite(statistics).all(axis=1)
    away = np.where(inside[:, None], statistics, 0.0) - center
    score = np.where(inside, np.einsum("ni,ij,nj->n", away, inverse, away), np.inf)
    given = score[len(reference) :]
    nearer = np.searchsorted(np.sort(score[ranked]), given, side="left")
    return Typicality(
        score=given,
        p_value=(1 + len(ranked) - nearer) / (1 + len(ranked)),
        ranked=len(ranked),
        log_likelihood=None if log_likelihood is None else log_likelihood[len(reference) :],
    )


@dataclass(frozen=True, eq=False)
class TypicalityCalibration:
    """How often rows of the right distribution are flagged.

    Attributes
    ----------
    levels : ndarray
        Nominal levels: a row is flagged where its p-value is at most the level; of shape (k,).
    flagged : ndarray
        Fraction of rows flagged, of shape (k,).
    low, high : ndarray
        95% interval of the fraction over all such rows and all references of the same size, of shape (k,).
    n : int
        Number of rows.
    """

    levels: np.ndarray
    flagged: np.ndarray
    low: np.ndarray
    high: np.ndarray
    n: int


def typicality_calibration(p_value: np.ndarray, ranked: int, levels: np.ndarray | None = None) -> TypicalityCalibration:
    """Fraction of in-distribution rows flagged against the nominal level.

    Parameters
    ----------
    p_value : ndarray
        P-values of further held-out rows, neither trained on nor in the reference, of shape (n,).
    ranked : int
        Number of reference rows that the p-values are fractions of, ``Typicality.ranked``.
    levels : ndarray, optional
        Levels in (0, 1]; by default 41, evenly in the logarithm, from 0.002 or where ten rows are expected, to 1.

    Raises
    ------
    InputError
        If the p-values are not of shape (n,) or not in [0, 1], or a level is outside (0, 1].
    """
    p_value = np.asarray(p_value, dtype=float)
    if p_value.ndim != 1 or not p_value.size or not ((p_value >= 0) & (p_value <= 1)).all():
        raise InputError(f"p_value: expected values from 0 to 1 of shape (n,), given shape {p_value.shape}")
    if levels is None:
        levels = np.geomspace(min(0.5, max(0.002, 10 / p_value.size)), 1, 41)
    levels = np.asarray(levels, dtype=float)
    if not ((levels > 0) & (levels <= 1)).all():
        raise InputError("levels: expected values above 0 and up to 1")
    flagged = (p_value[:, None] <= levels).mean(axis=0)
    trials = 1 / (1 / p_value.size + 1 / ranked)  # the variances of rows and reference add
    return TypicalityCalibration(
        levels, flagged, *wilson_interval(flagged * trials, np.full(levels.shape, trials)), n=p_value.size
    )


def _rows(name: str, rows: np.ndarray, width: int, dtype: str) -> np.ndarray:
    rows = numbers_alone(rows, name).astype(dtype)
    if rows.ndim != 2 or rows.shape[1] != width or not len(rows):
        raise InputError(f"{name}: expected rows of {width} values, given shape {rows.shape}")
    if not np.isfinite(rows).all():
        raise InputError(f"{name}: {(~np.isfinite(rows)).any(axis=1).sum()} of {len(rows)} rows are not finite")
    return rows


def _of_latent(flow: Any, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Norm of the latent and log-determinant (n, 2), and the log-likelihood (n,)."""
    from zoo.families.batches import in_batches

    u, log_det = in_batches(flow.to_base, rows)
    squared = np.square(u, dtype=float).sum(axis=1)
    likelihood = log_det - squared / 2 - flow.dimensions * np.log(2 * np.pi) / 2
    return np.stack([np.cbrt(squared / flow.dimensions), log_det.astype(float)], axis=1), likelihood


def _of_embedding(features: np.ndarray, fitted: int) -> np.ndarray:
    """Norm of the features (n, 1), whitened by the first ``fitted`` rows."""
    from sklearn.covariance import LedoitWolf

    scale = features[:fitted].std(axis=0)
    features = features[:, scale > 1e-6 * scale.max()] / scale[scale > 1e-6 * scale.max()]  # rectifiers may give always zero
    if 4 * features.shape[1] > 3 * fitted:
        raise InputError(f"reference: expected four rows for each of {features.shape[1]} features, given {3 * fitted}")
    distance = LedoitWolf().fit(features[:fitted]).mahalanobis(features)
    return np.cbrt(distance / features.shape[1])[:, None]


def _gaussian(statistics: np.ndarray, dimensions: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and inverse covariance of the rows that are finite."""
    finite = statistics[np.isfinite(statistics).all(axis=1)]
    if len(finite) < FEWEST / 4:
        raise InputError(f"reference: {len(statistics) - len(finite)} of {len(statistics)} rows are outside the flow's support")
    covariance = np.atleast_2d(np.cov(finite, rowvar=False))
    covariance += np.diag([1e-12, LEAST_SPREAD**2 * dimensions][: len(covariance)])
    return finite.mean(axis=0), np.linalg.inv(covariance)

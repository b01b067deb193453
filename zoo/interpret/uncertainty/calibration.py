"""Whether a probability means what it says."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zoo.counts import expect_counts
from zoo.errors import InputError
from zoo.model.handed_in.tensors import numbers_alone


@dataclass(frozen=True, eq=False)
class Reliability:
    """Predicted and observed frequencies in the bins of the probability that hold any row.

    Attributes
    ----------
    predicted : ndarray
        Mean probability in each bin.
    observed : ndarray
        Fraction of its rows that are of class 1.
    count : ndarray
        Number of its rows, or the sum of their weights.
    low, high : ndarray
        95% Wilson interval of ``observed``.
    """

    predicted: np.ndarray
    observed: np.ndarray
    count: np.ndarray
    low: np.ndarray
    high: np.ndarray


def reliability(probability: np.ndarray, label: np.ndarray, bins: int = 15, *, weight: np.ndarray | None = None) -> Reliability:
    """Reliability curve over equal bins of the probability of class 1.

    Parameters
    ----------
    probability : ndarray
        Probabilities in [0, 1], of shape (n,).
    label : ndarray
        Labels 0 and 1, of shape (n,).
    bins : int
        Number of bins of equal width.
    weight : ndarray, optional
        Event weights of either sign, of shape (n,). Bins whose sum of weights is not positive are left out, and intervals are
        those of as many rows as the weights are worth.

    Raises
    ------
    InputError
        Different lengths, no rows, a probability outside [0, 1] or NaN, a label that is not 0 or 1, weights without a positive
        sum.
    """
    probability, label, bin_of = _binned(probability, label, bins)
    worth = None
    if weight is not None:
        weight = _weights(weight, label)
        worth = np.bincount(bin_of, weight**2, minlength=bins)
    count = np.bincount(bin_of, weight, minlength=bins)
    filled = count > 0
    counted = probability, label.astype(float)
    predicted, positive = (np.bincount(bin_of, w if weight is None else weight * w, minlength=bins)[filled] for w in counted)
    count = count[filled]
    if worth is None:
        interval = wilson_interval(positive, count)
    else:
        trials = count**2 / worth[filled]
        interval = wilson_interval(np.clip(positive / count, 0, 1) * trials, trials)
    return Reliability(predicted / count, positive / count, count, *interval)


def _weights(weight: np.ndarray, label: np.ndarray) -> np.ndarray:
    weight = numbers_alone(weight, "weight").astype(float)
    if weight.shape != label.shape or not np.isfinite(weight).all() or not weight.sum() > 0:
        raise InputError(f"weight: expected {len(label)} finite numbers with a positive sum, one a row, given {weight.shape}")
    return weight


def _binned(probability: np.ndarray, label: np.ndarray, bins: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probabilities and labels that were checked, and the bin of each row."""
    probability, label = numbers_alone(probability, "probability").astype(float), numbers_alone(label, "label")
    if probability.ndim != 1 or probability.shape != label.shape or not probability.size:
        raise InputError(f"expected probability and label of one shape (n,), given {probability.shape} and {label.shape}")
    if not ((probability >= 0) & (probability <= 1)).all():
        raise InputError("probability: expected values from 0 to 1, given some outside or NaN")
    if not np.isin(label, (0, 1)).all():
        raise InputError(f"label: expected 0 and 1, given {np.unique(label)[:5].tolist()}")
    expect_counts(bins=bins)
    return probability, label, np.minimum((probability * bins).astype(int), bins - 1)


def expected_calibration_error(
    probability: np.ndarray, label: np.ndarray, bins: int = 15, *, weight: np.ndarray | None = None
) -> float:
    """Mean ``|observed fraction - mean probability|`` over bins, weighted by their rows.

    Guo et al. (2017, arXiv:1706.04599), eq. 3, with the probability of class 1 for the confidence. With few rows it is
    biased upwards: a calibrated classifier gets about 0.8 sqrt(bins p(1 - p) / n).
    """
    if weight is not None:  # the same sum without a division, which bins of a negative sum would not bear
        probability, label, bin_of = _binned(probability, label, bins)
        weight = _weights(weight, label)
        return float(np.abs(np.bincount(bin_of, weight * (label - probability))).sum() / weight.sum())
    found = reliability(probability, label, bins)
    return float(np.average(np.abs(found.observed - found.predicted), weights=found.count))


def wilson_interval(successes: np.ndarray, trials: np.ndarray, z: float = 1.959964) -> tuple[np.ndarray, np.ndarray]:
    """Interval of a binomial fraction (Wilson 1927); by default 95%.

    Parameters
    ----------
    successes, trials : ndarray
        Arrays of one shape, trials > 0.
    z : float
        Half-width in standard deviations.

    Returns
    -------
    low, high : ndarray
        Ends of the intervals in [0, 1].
    """
    fraction = successes / trials
    center = (fraction + z**2 / (2 * trials)) / (1 + z**2 / trials)
    half = z * np.sqrt(fraction * (1 - fraction) / trials + z**2 / (4 * trials**2)) / (1 + z**2 / trials)
    return np.clip(center - half, 0.0, 1.0), np.clip(center + half, 0.0, 1.0)


COLDEST, HOTTEST = 1e-2, 1e2
"""Temperatures between which one is sought."""


def fit_temperature(logit: np.ndarray, label: np.ndarray, weight: np.ndarray | None = None) -> float:
    """The temperature by which logits are to be divided, so that held-out labels are most likely (Guo et al. 2017, sec. 4.2).

    Parameters
    ----------
    logit : ndarray
        Log-odds of class 1 of shape (n,), or logits of k classes of shape (n, k), of rows that the model was not trained on.
    label : ndarray
        Labels 0 and 1, or 0 to k - 1, of shape (n,).
    weight : ndarray, optional
        Event weights of either sign, of shape (n,).

    Returns
    -------
    float
        The temperature, above 1 for a classifier that is too sure.

    Raises
    ------
    InputError
        Different lengths, a logit that is not finite, a label that is none, or labels that the logits separate or that go
        against them: then no temperature is the best. Nor is one where negative weights leave several that are.
    """
    from scipy.optimize import brentq

    logit, label = numbers_alone(logit, "logit").astype(float), numbers_alone(label, "label")
    if logit.ndim not in (1, 2) or label.shape != logit.shape[:1] or not label.size:
        raise InputError(f"expected logits (n,) or (n, k) and labels (n,), given {logit.shape} and {label.shape}")
    if not np.isfinite(logit).all():
        raise InputError("logit: expected finite numbers, given NaN or infinity")
    scores = np.stack([np.zeros_like(logit), logit], axis=1) if logit.ndim == 1 else logit
    if not np.isin(label, np.arange(scores.shape[1])).all():
        raise InputError(f"label: expected 0 to {scores.shape[1] - 1}, given {np.unique(label)[:5].tolist()}")
    weight = None if weight is None else _weights(weight, label)
    of_label = np.take_along_axis(scores, label.astype(int)[:, None], axis=1)[:, 0]

    def slope(log_temperature: float) -> float:
        """The slope of the mean log-likelihood against 1 / temperature, which falls as that grows."""
        scaled = scores / np.exp(log_temperature)
        share = np.exp(scaled - scaled.max(axis=1, keepdims=True))
        return float(np.average(of_label - (share * scores).sum(axis=1) / share.sum(axis=1), weights=weight))

    ends = np.log(COLDEST), np.log(HOTTEST)
    if not slope(ends[0]) < 0 < slope(ends[1]):
        raise InputError(
            f"no temperature from {COLDEST:g} to {HOTTEST:g} is the best: the logits separate the {len(label)} labels, or say"
            " nothing about them or the contrary: use more rows, or look at the classifier"
        )
    if weight is not None and weight.min() < 0:
        signs = np.sign([slope(at) for at in np.linspace(*ends, 100)])
        if np.count_nonzero(np.diff(signs)) > 1:
            raise InputError("weight: the negative weights leave several temperatures that are the best nearby: use more rows")
    return float(np.exp(brentq(slope, *ends, xtol=1e-10)))

"""Split-conformal prediction: intervals and sets that hold the truth as often as asked for, whatever the model.

Rows for calibration must be exchangeable with those that are answered later: held out, of the same distribution, one of each
simulation where rows share simulations. The coverage is on average over calibrations and rows, not in every part of the data.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zoo.errors import InputError
from zoo.model.handed_in.tensors import numbers_alone


@dataclass(frozen=True)
class ConformalRegressor:
    """Intervals answer +- radius, in units of the row's own scale where there is one.

    Attributes
    ----------
    radius : float
        Half the width; infinite where fewer rows were calibrated on than the coverage takes.
    coverage : float
        Least probability of the truth inside.
    rows : int
        Number of rows that it was calibrated on.
    scaled : bool
        Whether ``interval`` needs scales.
    """

    radius: float
    coverage: float
    rows: int
    scaled: bool

    def interval(self, answer: np.ndarray, scale: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Low and high ends, each of the shape of ``answer``."""
        if self.scaled != (scale is not None):
            raise InputError(f"scale: expected {'one for each answer' if self.scaled else 'none'}, as in the calibration")
        answer = np.asarray(answer, dtype=float)
        half = self.radius * (1.0 if scale is None else np.asarray(scale, dtype=float))
        return answer - half, answer + half


@dataclass(frozen=True)
class ConformalClassifier:
    """Sets of the classes whose probability is high enough.

    Attributes
    ----------
    threshold : float
        Least probability of a class in a set.
    coverage : float
        Least probability of the true class in the set.
    rows : int
        Number of rows that it was calibrated on.
    """

    threshold: float
    coverage: float
    rows: int

    def sets(self, probability: np.ndarray) -> np.ndarray:
        """Whether each class is in the row's set (n, k), of probabilities (n, k), or (n,) of class 1."""
        return _classes(probability) >= self.threshold


def conformal_regressor(
    answer: np.ndarray, truth: np.ndarray, coverage: float = 0.9, *, scale: np.ndarray | None = None
) -> ConformalRegressor:
    """Calibrate intervals on held-out rows (Lei et al. 2018, arXiv:1604.04173).

    Parameters
    ----------
    answer, truth : ndarray
        Answers and true values, of shape (n,).
    coverage : float
        The wanted coverage in (0, 1).
    scale : ndarray, optional
        Positive scales of shape (n,), such as the deviation that the model answers with: intervals are then wide where it is.

    Raises
    ------
    InputError
        Different shapes, no rows, NaN, a scale that is not positive, a coverage outside (0, 1).
    """
    answer, truth = numbers_alone(answer, "answer").astype(float), numbers_alone(truth, "truth").astype(float)
    if answer.ndim != 1 or answer.shape != truth.shape or (scale is not None and np.shape(scale) != answer.shape):
        given = " and ".join(str(np.shape(array)) for array in (answer, truth, scale) if array is not None)
        raise InputError(f"expected answer, truth and scale of one shape (n,), given {given}")
    if scale is not None and not (np.asarray(scale) > 0).all():
        raise InputError("scale: expected positive numbers")
    score = np.abs(truth - answer) / (1.0 if scale is None else np.asarray(scale, dtype=float))
    return ConformalRegressor(_quantile(score, coverage), coverage, len(score), scale is not None)


def conformal_classifier(probability: np.ndarray, label: np.ndarray, coverage: float = 0.9) -> ConformalClassifier:
    """Calibrate sets of classes on held-out rows: the smallest on average (Sadinle et al. 2019, arXiv:1609.00451).

    Parameters
    ----------
    probability : ndarray
        Probabilities of shape (n, k), or those of class 1, of shape (n,).
    label : ndarray
        Labels 0 to k - 1, of shape (n,).
    coverage : float
        The wanted coverage in (0, 1).

    Raises
    ------
    InputError
        Different lengths, no rows, a probability outside [0, 1], a label that is no class, a coverage outside (0, 1).
    """
    classes, label = _classes(probability), numbers_alone(label, "label")
    if label.shape != classes.shape[:1]:
        raise InputError(f"expected as many labels as rows, given {label.shape} and {classes.shape}")
    if not np.isin(label, np.arange(classes.shape[1])).all():
        raise InputError(f"label: expected 0 to {classes.shape[1] - 1}, given {np.unique(label)[:5].tolist()}")
    of_label = np.take_along_axis(classes, label.astype(int)[:, None], axis=1)[:, 0]
    return ConformalClassifier(-_quantile(-of_label, coverage), coverage, len(label))


def _quantile(score: np.ndarray, coverage: float) -> float:
    """The ceil((n + 1) coverage)-th smallest score: a new one is no larger with the probability asked for, or more."""
    if not 0 < coverage < 1:
        raise InputError(f"coverage: expected a number between 0 and 1, given {coverage}")
    if not score.size or np.isnan(score).any():
        raise InputError(f"expected rows to calibrate on, without NaN, given {score.size}")
    # Rounded, so that (9 + 1) 0.9 is 9 and not a little more.
    rank = int(np.ceil(np.round((len(score) + 1) * coverage, 9)))
    return float(np.sort(score)[rank - 1]) if rank <= len(score) else float("inf")


def _classes(probability: np.ndarray) -> np.ndarray:
    probability = numbers_alone(probability, "probability").astype(float)
    if probability.ndim == 1:
        probability = np.stack([1 - probability, probability], axis=1)
    if probability.ndim != 2 or probability.shape[1] < 2:
        raise InputError(f"probability: expected shape (n, k), or (n,) of class 1, given {probability.shape}")
    if not ((probability >= 0) & (probability <= 1)).all():
        raise InputError("probability: expected values from 0 to 1, given some outside or NaN")
    return probability

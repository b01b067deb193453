"""How well a classifier tells two samples apart: one number for the distance of a posterior from its reference."""

from __future__ import annotations

import warnings

import numpy as np

from zoo.errors import InputError
from zoo.model.handed_in.tensors import numbers_alone
from zoo.seeds import SHORT, expect_seed


def c2st(first: np.ndarray, second: np.ndarray, seed: int = 1, folds: int = 5) -> float:
    """Classifier two-sample test as the sbibm benchmark defines it (Lueckmann et al. 2021, arXiv:2101.04653).

    The cross-validated accuracy of a perceptron with two hidden layers of 10 D units, on samples scaled by mean and
    standard deviation of the first: 0.5 where they cannot be told apart, 1 where they share nothing.

    Parameters
    ----------
    first : ndarray
        The reference, of shape (n, D).
    second : ndarray
        What is held against it, of shape (m, D); the published figures have n = m = 10,000. Unequal sizes shift the accuracy
        of a guess from 0.5.
    seed : int
        Seed of folds and classifier.
    folds : int
        Number of folds of the cross-validation.

    Raises
    ------
    InputError
        Samples have different widths, values are not finite, or a variable of the first never changes.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.model_selection import KFold, cross_val_score
    from sklearn.neural_network import MLPClassifier
    from threadpoolctl import threadpool_limits

    expect_seed(seed, below=SHORT)
    first, second = (numbers_alone(one, "c2st").astype(np.float64) for one in (first, second))
    if first.ndim != 2 or second.ndim != 2 or first.shape[1] != second.shape[1]:
        raise InputError(f"c2st: expected two samples (n, D) of one D, given {first.shape} and {second.shape}")
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise InputError("c2st: the samples have NaN or infinity")
    mean, deviation = first.mean(axis=0), first.std(axis=0, ddof=1)
    if np.any(deviation == 0):
        raise InputError(f"c2st: variable {int(np.argmin(deviation))} of the first sample is the same in every row")
    rows = (np.concatenate([first, second]) - mean) / deviation
    label = np.repeat([0, 1], [len(first), len(second)])
    units = 10 * first.shape[1]
    classifier = MLPClassifier((units, units), activation="relu", solver="adam", max_iter=10_000, random_state=seed)
    split = KFold(n_splits=folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings(), threadpool_limits(1):  # small matrices: more threads only wait for each other
        warnings.simplefilter("ignore", ConvergenceWarning)
        return float(np.mean(cross_val_score(classifier, rows, label, cv=split, scoring="accuracy")))

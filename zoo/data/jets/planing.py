"""Weights that give two classes one distribution of a variable, from which nothing is learned then (arXiv:1709.10106)."""

from __future__ import annotations

import numpy as np

from zoo.data.dataset import Rows
from zoo.errors import InputError

BINS = 50
"""Bins of the variable, which hold as many jets of both classes together each."""


def planing_weights(rows: Rows, training: Rows, name: str) -> np.ndarray:
    """Weights (n,) of rows, 1 for class 1, that give class 0 the distribution of a truth in class 1 of the training rows.

    Parameters
    ----------
    rows : Rows
        Rows of two classes.
    training : Rows
        Rows whose distributions are measured, in bins.
    name : str
        The truth.

    Returns
    -------
    ndarray
        The weights, which have a mean of 1 in class 0 of the training rows.

    Raises
    ------
    InputError
        Rows have weights, more than two classes or no such truth.
    """
    if name not in training.truth:
        raise InputError(f"planed: expected a truth of the rows, {', '.join(training.truth)}, given {name}")
    label, value = training.target[:, 0], training.truth[name]
    if training.weight is not None or set(np.unique(label)) != {0.0, 1.0}:
        raise InputError("planed: expected rows of two classes without event weights")
    edges = np.unique(np.quantile(value, np.linspace(0, 1, BINS + 1)))[1:-1]
    number = np.digitize(value, edges)
    signal, background = (np.bincount(number[label == k], minlength=len(edges) + 1) for k in (1, 0))
    ratio = np.divide(signal, background, out=np.zeros(len(signal)), where=background > 0)
    ratio *= background.sum() / (ratio @ background)
    return np.where(rows.target[:, 0] == 1, 1.0, ratio[np.digitize(rows.truth[name], edges)])

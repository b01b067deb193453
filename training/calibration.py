"""How sure a classifier of two classes is beside how sure it should be, as two numbers with intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from zoo.data.dataset import Rows
from zoo.errors import InputError
from zoo.families.base import ZooModel
from zoo.interpret.uncertainty.calibration import fit_temperature, reliability
from zoo.model.spec import Metric
from zoo.training.fine_tune import losses
from zoo.training.metrics import Units, mean, measured

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TEMPERATURE, SHIFT = "best temperature", "mean probability minus share of class 1"
CERTAIN = 1e-7
"""Probability that is taken for zero or, from one, for one: single precision has no logit beyond."""


def calibration(probability: np.ndarray, label: np.ndarray, units: Units, draws: int = 400) -> list[Metric]:
    """Measure the temperature that would suit the rows best, and how far probabilities are off in the mean.

    Parameters
    ----------
    probability : ndarray
        Probability of class 1 of each row, (n,).
    label : ndarray
        Its class, 0 or 1, (n,).
    units : Units
        Independent units of the rows, and their weights.
    draws : int
        Number of resamples of the bootstrap.

    Returns
    -------
    list of Metric
        The temperature is above 1 for answers that are too sure, below for those that are not sure enough. There are none where
        the answers separate the rows, or say nothing of them: no temperature is the best then.
    """
    p = np.clip(np.asarray(probability, np.float64), CERTAIN, 1 - CERTAIN)
    scored = np.column_stack([np.log(p / (1 - p)), label, p - label])
    try:
        fit_temperature(scored[:, 0], scored[:, 1].astype(int), units.weight)
    except InputError:
        return []
    try:
        temperature = measured(
            TEMPERATURE, _temperature, [scored], units, "temperature of the logits that suits the test rows best", draws=draws
        )
    except InputError:  # hardly any resample has a best one
        return []
    meaning = "mean over test rows of the probability minus the label"
    return [temperature, measured(SHIFT, _shift, [scored], units, meaning, draws=draws)]


def calibration_of(model: ZooModel, rows: Rows) -> tuple[list[Metric], dict[str, Figure]]:
    """How sure a classifier of two classes is beside how sure it should be, as numbers and a figure.

    Parameters
    ----------
    model : ZooModel
        The model.
    rows : Rows
        Rows that no choice has used.

    Returns
    -------
    tuple of list of Metric and dict of str to Figure
        As ``calibration`` measures it, and a reliability diagram; none of other models.
    """
    from zoo.interpret.plots import reliability_diagram

    probability = probability_of_class_1(model, rows)
    if probability is None:
        return [], {}
    label = np.asarray(rows.target[:])[:, 0]
    figure = reliability_diagram(reliability(probability, label, weight=rows.weight))
    return calibration(probability, label, Units.of(rows)), {"reliability": figure}


def probability_of_class_1(model: ZooModel, rows: Rows) -> np.ndarray | None:
    """What a classifier of two classes says of each row, (n,); None of other models."""
    if model.classes != 2:
        return None
    _, answer = losses(model, rows)
    return None if answer is None or answer.shape[1:] != (1,) else answer[:, 0].astype(np.float64)


def _temperature(scored: np.ndarray, weights: np.ndarray | None) -> float:
    try:
        return fit_temperature(scored[:, 0], scored[:, 1].astype(int), weights)
    except InputError:  # resampled rows that have none
        return float("nan")


def _shift(scored: np.ndarray, weights: np.ndarray | None) -> float:
    return mean(scored[:, 2], weights)

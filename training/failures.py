"""The rows that a model answers worst, for a person to look at."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zoo.data.dataset import Dataset
from zoo.families.base import ZooModel
from zoo.training.checks import row_numbers
from zoo.training.fine_tune import losses

LOOKED_AT = 4096
"""Test rows at most among which the worst are looked for."""
WORST = 8
"""How many of them are named."""
NUMBERS = 6
"""Numbers of a target or an answer that are shown."""


@dataclass(frozen=True)
class Failure:
    """One test row that a model answers badly.

    Attributes
    ----------
    row : int
        Which row of the user's it is, or of the test split, counted from 0.
    group : str
        The simulation, object or run that it is of.
    loss : float
        What it costs by the model's objective.
    target, answer : str
        The first of its numbers; no answer of models that have none but a density.
    """

    row: int
    group: str
    loss: float
    target: str
    answer: str


def failures(model: object, dataset: Dataset) -> list[Failure]:
    """Find the test rows of the largest loss, the worst first.

    Parameters
    ----------
    model : object
        The model, which says what each row costs; of trees, which do not, nothing is found.
    dataset : Dataset
        The data set, of whose test rows at most 4096 at random are looked at.

    Returns
    -------
    list of Failure
        The worst eight.
    """
    if not isinstance(model, ZooModel) or type(model).objective is ZooModel.objective:
        return []
    rows = dataset.rows("test")
    numbers = row_numbers(dataset, "test", rows)[rows.chosen(LOOKED_AT)]
    some = rows.some(LOOKED_AT)
    loss, answer = losses(model, some)
    worst = np.argsort(-loss, kind="stable")[:WORST]
    target = np.asarray(some.target)
    return [
        Failure(
            row=int(numbers[i]),
            group=str(some.group[i]),
            loss=float(loss[i]),
            target=_shown(target[i]),
            answer="" if answer is None else _shown(answer[i]),
        )
        for i in worst
    ]


def _shown(values: np.ndarray) -> str:
    flat = np.ravel(values)
    more = ", …" if len(flat) > NUMBERS else ""
    return ", ".join(f"{float(value):.4g}" for value in flat[:NUMBERS]) + more

"""Partial dependence and individual conditional expectation, through scikit-learn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.errors import InputError, UnknownNameError
from zoo.interpret.attribution.scalar_output import name_of
from zoo.interpret.elements import element_units
from zoo.interpret.methods import Asked, explanation_method
from zoo.interpret.result import Result
from zoo.progress import track
from zoo.seeds import generator

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from zoo.interpret.estimator import EndpointRegressor

FEATURES = 4
"""How many features are drawn where none is asked for."""
MOST_FEATURES = 1000
"""How many features at most these are looked for among."""


@dataclass(frozen=True, eq=False)
class Dependence(Result):
    """How an answer goes with one feature, all others as they are in each row.

    Attributes
    ----------
    grid : ndarray
        Values that each feature takes, of shape (k, g).
    average : ndarray
        Mean answers: partial dependence (Friedman 2001); of shape (k, g).
    individual : ndarray
        Answers of each row, individual conditional expectations (Goldstein et al. 2015, arXiv:1309.6392), of shape (k, n, g).
    names, units : list of str
        Names and units of the features.
    answer, model : str
        Names of the answer and the model.
    """

    grid: np.ndarray
    average: np.ndarray
    individual: np.ndarray
    names: list[str]
    units: list[str]
    answer: str
    model: str

    def plot(self) -> Figure:
        """A panel for each feature: rows as thin lines, their mean above."""
        from zoo.interpret import plots

        return plots.partial_dependence_curves(self)


def partial_dependence(
    model: Any,
    inputs: np.ndarray | Mapping[str, np.ndarray],
    features: Sequence[int | str] | None = None,
    *,
    weight: np.ndarray | None = None,
    points: int = 50,
    endpoint: str | None = None,
    output: str | None = None,
    target: int | str = 0,
    seed: int = 0,
    allow_out_of_range: bool = False,
) -> Dependence:
    """Answers where one feature takes each value of a grid in every row.

    Parameters
    ----------
    inputs : ndarray or mapping of str to ndarray
        Rows of shape (n, ...), or an array for each input tensor of the endpoint by name.
    features : sequence of int or str, optional
        Elements, counted through all input tensors in C order, or their names (`feature_names`); default the four whose
        shuffling among the rows changes the answer most.
    weight : ndarray, optional
        Event weights, of either sign, by which rows count in the mean, of shape (n,).
    points : int
        Points of the grid, from the 5th to the 95th percentile of the rows.
    endpoint : str, optional
        The explained number, as `as_estimator` takes it.
    output : str, optional
        The explained number, as `as_estimator` takes it.
    target : int or str
        The explained number, as `as_estimator` takes it.
    allow_out_of_range : bool
        The explained number, as `as_estimator` takes it.

    Raises
    ------
    InputError, UnknownNameError
        No such feature, more than 1000 features to choose from, weights of another shape, or bad inputs.
    """
    from sklearn.inspection import partial_dependence as of_features

    from zoo.interpret.estimator import as_estimator, feature_names

    estimator, matrix = as_estimator(
        model, inputs, endpoint=endpoint, output=output, target=target, allow_out_of_range=allow_out_of_range
    )
    if weight is not None and (np.shape(weight) != (len(matrix),) or not np.sum(weight) > 0):
        raise InputError(f"weight: expected {len(matrix)} numbers with a positive sum, given shape {np.shape(weight)}")
    names = feature_names(estimator.answer)
    arrays = estimator.answer.arrays
    units = [
        unit for name, tensor in estimator.answer.tensors.items() for unit in element_units(tensor, arrays[name].shape[1:])
    ]
    columns = _telling(estimator, matrix, weight, seed) if features is None else [_column(one, names) for one in features]
    if not columns:
        raise InputError("features: expected at least one, given none")
    found = [
        of_features(estimator, matrix, [column], kind="both", grid_resolution=points, method="brute", sample_weight=weight)
        for column in track(columns, "partial dependence")
    ]
    if len({len(one["grid_values"][0]) for one in found}) > 1:
        raise InputError(f"features: expected more than {points} different values of each in the rows, or points below that")
    return Dependence(
        grid=np.stack([one["grid_values"][0] for one in found]),
        average=np.stack([one["average"][0] for one in found]),
        individual=np.stack([one["individual"][0] for one in found]),
        names=[names[column] for column in columns],
        units=[units[column] for column in columns],
        answer=estimator.answer.element,
        model=name_of(model),
    )


@explanation_method("partial_dependence", "mean and single answers along an input", kind="global", asks="data", weighs=True)
def _dependence(
    asked: Asked,
    *,
    features: Sequence[str] | None = None,
    endpoint: str | None = None,
    output: str | None = None,
    target: int | str = 0,
) -> Dependence:
    return partial_dependence(
        asked.model,
        asked.inputs,
        features,
        weight=None if asked.data is None else asked.data.weight,
        endpoint=endpoint,
        output=output,
        target=target,
        allow_out_of_range=True,
    )


def _column(feature: int | str, names: list[str]) -> int:
    if isinstance(feature, str) and not feature.isdecimal():
        if feature not in names:
            raise UnknownNameError("feature", feature, names)
        return names.index(feature)
    if not 0 <= int(feature) < len(names):
        raise InputError(f"feature: expected 0 to {len(names) - 1}, given {feature}")
    return int(feature)


def _telling(estimator: EndpointRegressor, matrix: np.ndarray, weight: np.ndarray | None, seed: int) -> list[int]:
    """The columns whose shuffling changes the answer most."""
    if matrix.shape[1] > MOST_FEATURES:
        raise InputError(f"features: expected which of {matrix.shape[1]} to draw, as more than {MOST_FEATURES} are not tried")
    order = generator(seed).permutation(len(matrix))
    answers = estimator.predict(matrix)
    change = []
    for column in track(range(matrix.shape[1]), "features that matter"):
        shuffled = matrix.copy()
        shuffled[:, column] = matrix[order, column]
        change.append(np.average((estimator.predict(shuffled) - answers) ** 2, weights=weight))
    return [int(column) for column in np.argsort(change)[::-1][:FEATURES]]

"""Any endpoint as a scikit-learn regressor of one matrix of features."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin

from zoo.interpret import elements
from zoo.interpret.attribution.scalar_output import Answer, answer_of, chosen_endpoint, described_endpoint


class EndpointRegressor(RegressorMixin, BaseEstimator):
    """One number of an endpoint as a function of all elements of all its inputs, side by side in C order.

    Parameters
    ----------
    answer : Answer
        The number and, by the inputs that it holds, the shapes of its inputs.
    """

    def __init__(self, answer: Answer) -> None:
        self.answer = answer

    def fit(self, X: Any, y: Any = None) -> EndpointRegressor:
        """Leave the model as it is, since it is trained."""
        return self

    def __sklearn_is_fitted__(self) -> bool:
        """Tell scikit-learn that there is nothing to fit."""
        return True

    def predict(self, X: np.ndarray) -> np.ndarray:
        """The number (n,) at each row of features (n, elements)."""
        like = self.answer.arrays
        ends = np.cumsum([int(np.prod(array.shape[1:])) for array in like.values()])
        parts = np.split(np.asarray(X), ends[:-1], axis=1)
        arrays = {
            name: part.reshape(-1, *array.shape[1:]).astype(array.dtype)
            for (name, array), part in zip(like.items(), parts, strict=True)
        }
        return replace(self.answer, arrays=arrays).at(arrays[self.answer.wrt]).astype(float)


def as_estimator(
    model: Any,
    inputs: np.ndarray | Mapping[str, np.ndarray],
    *,
    endpoint: str | None = None,
    output: str | None = None,
    target: int | str = 0,
    allow_out_of_range: bool = False,
) -> tuple[EndpointRegressor, np.ndarray]:
    """An endpoint for whatever takes a fitted scikit-learn regressor, and its inputs as the matrix that goes with it.

    Parameters
    ----------
    inputs : ndarray or mapping of str to ndarray
        The explained number, as `zoo.interpret.explain` takes it.
    endpoint : str, optional
        The explained number, as `zoo.interpret.explain` takes it.
    target : int or str
        The explained number, as `zoo.interpret.explain` takes it.
    output : str, optional
        Output tensor; default the first, for a classifier its probability.

    Returns
    -------
    regressor : EndpointRegressor
        The endpoint as a regressor.
    features : ndarray
        Features of shape (n, elements), whose names `feature_names` gives.

    Raises
    ------
    InputError, UnknownNameError
        What `zoo.interpret.explain` refuses.
    """
    endpoint = chosen_endpoint(model, endpoint)
    output = output or described_endpoint(model, endpoint, inputs).outputs[0].name
    answer = answer_of(model, inputs, endpoint=endpoint, output=output, target=target, allow_out_of_range=allow_out_of_range)
    columns = np.concatenate([array.reshape(len(array), -1) for array in answer.arrays.values()], axis=1)
    return EndpointRegressor(answer), columns


def feature_names(answer: Answer) -> list[str]:
    """A name for each feature of an estimator, as the axes of its inputs tell.

    Parameters
    ----------
    answer : Answer
        The number that the estimator gives.

    Returns
    -------
    list of str
        Labels, or group, axis and coordinate, such as "TT multipole 1425"; else the tensor's name and the position.
    """
    return elements.feature_names(answer.tensors, {name: array.shape[1:] for name, array in answer.arrays.items()})

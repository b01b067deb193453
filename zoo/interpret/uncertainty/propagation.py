"""From the covariance of an input to that of an answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from zoo.counts import expect_counts
from zoo.errors import ExplanationError, InputError, UnknownNameError
from zoo.families.batches import in_batches
from zoo.interpret.attribution.differentiate import value_and_gradient
from zoo.model.handed_in.tensors import named_inputs, numbers_alone
from zoo.model.inputs import InputCheck
from zoo.progress import track
from zoo.seeds import generator

ELEMENTS_PER_BATCH = 2**20
"""Input elements per evaluation, as many as attribution takes."""


@dataclass(frozen=True, eq=False)
class Propagated:
    """What an uncertain input makes of an answer of k elements.

    Attributes
    ----------
    mean : ndarray
        Mean of shape (n, k); to first order the answer to the mean of the input.
    covariance : ndarray
        Covariance, of shape (n, k, k).
    method : str
        "first_order" or "monte_carlo".
    draws : int, optional
        Number of draws of Monte Carlo, None to first order.
    """

    mean: np.ndarray
    covariance: np.ndarray
    method: str
    draws: int | None = None

    @property
    def deviation(self) -> np.ndarray:
        """Standard deviations, of shape (n, k)."""
        return np.sqrt(np.diagonal(self.covariance, axis1=1, axis2=2))


def propagate(
    model: Any,
    inputs: np.ndarray | Mapping[str, np.ndarray],
    covariance: np.ndarray,
    *,
    method: str = "first_order",
    endpoint: str | None = None,
    output: str | None = None,
    wrt: str | None = None,
    draws: int = 10_000,
    seed: int = 0,
) -> Propagated:
    """Mean and covariance of an answer, given those of one input tensor.

    To first order the covariance is J C J^T, J the Jacobian at the mean: exact for a linear model, and right where the model
    bends little within a deviation. Monte Carlo draws normal inputs, bends or not; inputs that a draw takes out of the trained
    range are answered all the same.

    Parameters
    ----------
    model : EndpointModel
        A loaded model.
    inputs : ndarray or mapping of str to ndarray
        Means of the input tensor, of shape (n, ...), or an array for each tensor of the endpoint by name.
    covariance : ndarray
        Covariance of the d elements of the tensor in C order, in its unit squared, of shape (d, d) or (n, d, d).
    method : str
        "first_order", which needs a gradient, or "monte_carlo", which takes any model.
    endpoint : str, optional
        Name of the endpoint; by default `predict`, or the first where there is none.
    output : str, optional
        The explained one of its tensors, by default the first.
    wrt : str, optional
        The uncertain input tensor, default the first; the others are exact.
    draws, seed : int
        Number and seed of the draws of Monte Carlo.

    Raises
    ------
    UnknownNameError
        Unknown method, endpoint, output or tensor.
    InputError
        An input as for the endpoint; a covariance of another shape, not symmetric or not positive semi-definite; too few draws.
    ExplanationError
        First order of a model without a gradient.
    """
    import keras

    if method not in ("first_order", "monte_carlo"):
        raise UnknownNameError("method of propagation", method, ("first_order", "monte_carlo"))
    if method == "first_order" and (reason := model.no_gradient):
        raise ExplanationError(f"first order needs gradients, and {type(model).__name__} has none: {reason}; use monte_carlo")
    expect_counts(2, draws=draws)
    endpoint = endpoint or model.spec.default_endpoint
    described = model.spec.endpoint(endpoint)
    names, outputs = ([tensor.name for tensor in side] for side in (described.inputs, described.outputs))
    wrt, output = wrt or names[0], output or outputs[0]
    for kind, name, known in (("input", wrt, names), ("output", output, outputs)):
        if name not in known:
            raise UnknownNameError(f"{kind} of {endpoint}", name, known)
    arrays = InputCheck(described, model.reference)(named_inputs(inputs, names[0]))
    x = arrays[wrt]
    root = _root(covariance, len(x), x[0].size)

    def answer(*tensors: Any) -> Any:
        found = getattr(model, model.endpoints[endpoint])(*tensors)
        found = found[outputs.index(output)] if isinstance(found, tuple) else found
        return keras.ops.reshape(found, (len(tensors[0]), -1))

    if method == "monte_carlo":
        rng = generator(seed)
        means, covariances = [], []
        for row in track(range(len(x)), "monte carlo"):
            normal = rng.standard_normal((draws, root.shape[-1]))
            drawn = x[row].ravel() + normal @ root[row % len(root)].T
            many = {name: np.repeat(array[row : row + 1], draws, axis=0) for name, array in arrays.items()}
            many[wrt] = drawn.reshape(draws, *x.shape[1:]).astype(x.dtype)
            found = in_batches(answer, *many.values()).astype(np.float64)
            means.append(found.mean(axis=0))
            covariances.append(np.atleast_2d(np.cov(found, rowvar=False)))
        return Propagated(np.stack(means), np.stack(covariances), method, draws)
    value = in_batches(answer, *arrays.values()).astype(np.float64)
    jacobian = _jacobian(answer, arrays, wrt, value.shape[1])
    spread = jacobian @ root  # root is (1, d, d) or (n, d, d)
    return Propagated(value, spread @ spread.transpose(0, 2, 1), method)


def _jacobian(answer: Callable[..., Any], arrays: Mapping[str, np.ndarray], wrt: str, elements: int) -> np.ndarray:
    """The Jacobian (n, elements, d), all pairs of row and element in one list that is cut into batches."""
    import keras

    x = arrays[wrt]
    pairs = np.arange(len(x) * elements)
    size = max(1, ELEMENTS_PER_BATCH // x[0].size)
    found = np.empty((len(pairs), x[0].size))
    for start in track(range(0, len(pairs), size), "jacobian"):
        row, element = np.divmod(pairs[start : start + size], elements)
        chosen = np.eye(elements, dtype=np.float32)[element]

        def of(point: Any, row: np.ndarray = row, chosen: np.ndarray = chosen) -> Any:
            given = [point if name == wrt else keras.ops.convert_to_tensor(array[row]) for name, array in arrays.items()]
            return keras.ops.sum(answer(*given) * chosen, axis=-1)

        found[start : start + size] = value_and_gradient(of, x[row])[1].reshape(len(row), -1)
    return found.reshape(len(x), elements, -1)


def _root(covariance: np.ndarray, rows: int, size: int) -> np.ndarray:
    """Matrices (1 or rows, size, size) whose product with their transpose is the covariance, singular or not."""
    given = numbers_alone(covariance, "covariance").astype(np.float64)
    if given.shape not in ((size, size), (rows, size, size)):
        raise InputError(f"covariance: expected shape {(size, size)} or {(rows, size, size)}, given {given.shape}")
    given = given.reshape(-1, size, size)
    largest = np.abs(given).max()
    if not np.isfinite(largest) or np.abs(given - given.transpose(0, 2, 1)).max() > 1e-6 * largest:
        raise InputError("covariance: expected finite, symmetric matrices")
    values, vectors = np.linalg.eigh(given)
    if values.min() < -1e-6 * largest:
        raise InputError(f"covariance: expected no negative eigenvalue, given {values.min():.3g}")
    return vectors * np.sqrt(np.maximum(values, 0.0))[:, None, :]

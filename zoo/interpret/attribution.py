"""Attribution: which elements of an input make a model answer as it does.

The gradient says where the answer is sensitive; integrated gradients divide the difference between the answer and that
at a baseline among the elements, exactly so up to the error of a quadrature that is reported.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from zoo.errors import ExplanationError, InputError, UnknownNameError
from zoo.inputs import InputCheck
from zoo.interpret.differentiate import value_and_gradient
from zoo.interpret.explanation import Explanation
from zoo.progress import track
from zoo.spec import Endpoint, Tensor

LOGITS = "logits"
"""Name of a classifier's method that returns what its `predict`, which is its ``call``, puts through the sigmoid."""

ELEMENTS_PER_BATCH = 2**20
"""Input elements per gradient evaluation: enough to keep two cores busy, little enough for a 3-D convolution."""


def explain(
    model: Any,
    inputs: np.ndarray | Mapping[str, np.ndarray],
    *,
    method: str = "integrated_gradients",
    endpoint: str | None = None,
    output: str | None = None,
    target: int = 0,
    wrt: str | None = None,
    baseline: np.ndarray | float | None = None,
    steps: int = 64,
    allow_out_of_range: bool = False,
) -> Explanation:
    """Attribute one number that a model returns to the elements of one of its input tensors.

    Parameters
    ----------
    model : a loaded or freshly built model of any family whose answers have gradients
    inputs : (n, ...) array, or one for each input tensor of the endpoint by name; physical units, as for the endpoint
    method : "integrated_gradients" (Sundararajan et al. 2017, arXiv:1703.01365), "gradient" (Simonyan et al. 2013,
        arXiv:1312.6034) or "gradient_x_input" (Shrikumar et al. 2016, arXiv:1605.01713)
    endpoint : the function of the model to explain; by default `predict`, or the first where there is none
    output : output tensor of the endpoint; by default "logits" for the `predict` of a classifier that has them, else the
        first. A probability is saturated wherever the classifier is sure and its gradient vanishes there; its logit,
        log(p / (1 - p)), does not saturate and is additive in the evidence.
    target : element of that tensor, counted in C order
    wrt : input tensor to attribute to, default the first; the others are held as given
    baseline : where integrated gradients start: a number, one row, or one row each. Default: the mean of the training
        data where the model standardises the tensor (``model.baseline(tensor)``), else zero
    steps : nodes of the Gauss-Legendre rule along the path
    allow_out_of_range : explain inputs outside the trained range too

    Returns
    -------
    Explanation
        Attributions of the shape of the input tensor: in the unit of the output, for "gradient" in that over the
        unit of the input.

    Raises
    ------
    UnknownNameError
        Unknown method, endpoint, output or tensor.
    InputError
        Wrong shape, dtype, range, NaN or infinity in an input or the baseline; target or steps out of range.
    ExplanationError
        The model has no gradient, which every method here needs; the message names what explains it.
    """
    if method not in METHODS:
        raise UnknownNameError("attribution method", method, METHODS)
    if reason := getattr(model, "no_gradient", None):
        raise ExplanationError(f"method {method!r} needs gradients, and {type(model).__name__} has none: {reason}")
    if steps < 1:
        raise InputError(f"steps: expected at least 1, given {steps}")
    if endpoint is None:
        endpoint = "predict" if "predict" in model.endpoints else next(iter(model.endpoints))
    if endpoint not in model.endpoints:
        raise UnknownNameError("endpoint", endpoint, model.endpoints)
    described = _describe(model, endpoint, inputs)
    names = [tensor.name for tensor in described.inputs]
    wrt = names[0] if wrt is None else wrt
    if wrt not in names:
        raise UnknownNameError(f"input tensor of {endpoint}", wrt, names)
    given = inputs if isinstance(inputs, Mapping) else {names[0]: inputs}
    arrays = InputCheck(described)(given, allow_out_of_range=allow_out_of_range)
    if not len(arrays[wrt]):
        raise InputError(f"input {wrt!r}: expected at least one row to explain, given none")

    function, output = _output(model, endpoint, output, described)
    answer = _Answer(function, arrays, wrt, target)
    x = arrays[wrt]
    start = _baseline(model, wrt, x, baseline) if method in WITH_BASELINE else None
    if start is None and baseline is not None:
        raise InputError(f"method {method!r} takes no baseline; {' and '.join(sorted(WITH_BASELINE))} does")
    spec = getattr(model, "spec", None)
    return Explanation(
        values=METHODS[method](answer, x, start, steps),
        inputs=x,
        answer=answer.at(x),
        method=method,
        endpoint=endpoint,
        tensor=wrt,
        output=output,
        target=target,
        baseline=start,
        baseline_answer=None if start is None else answer.at(start),
        fixed={name: array for name, array in arrays.items() if name != wrt},
        meta={
            "model": getattr(spec, "name", model.name),
            "revision": getattr(spec, "revision", None),
            "unit": described.inputs[names.index(wrt)].unit,
            "steps": steps if start is not None else None,
        },
    )


@dataclass(frozen=True)
class _Answer:
    """The explained number as a function of one tensor, the endpoint's other inputs held at their rows."""

    function: Callable[..., Any]
    arrays: dict[str, np.ndarray]
    wrt: str
    target: int

    def at(self, x: np.ndarray) -> np.ndarray:
        """(n,) values at the rows ``x``."""
        import keras

        rows = np.arange(len(x))
        parts = (keras.ops.convert_to_numpy(self._scalar(x[part], part)) for part in _batches(rows, x[0].size))
        return np.concatenate(list(parts))

    def gradient(self, points: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Gradient at ``points``, each with the other inputs of the row in ``rows``."""
        return value_and_gradient(lambda x: self._scalar(x, rows), points)[1]

    def _scalar(self, x: Any, rows: np.ndarray) -> Any:
        import keras

        tensors = [keras.ops.convert_to_tensor(x if name == self.wrt else array[rows]) for name, array in self.arrays.items()]
        flat = keras.ops.reshape(self.function(*tensors), (len(rows), -1))
        if not 0 <= self.target < flat.shape[1]:
            raise InputError(f"target: expected 0 to {flat.shape[1] - 1} for an output of that size, given {self.target}")
        return flat[:, self.target]


def _gradient(answer: _Answer, x: np.ndarray, start: None, steps: int) -> np.ndarray:
    batches = _batches(np.arange(len(x)), x[0].size)
    return np.concatenate([answer.gradient(x[rows], rows) for rows in track(batches, "gradient")])


def _gradient_x_input(answer: _Answer, x: np.ndarray, start: None, steps: int) -> np.ndarray:
    return _gradient(answer, x, start, steps) * x


def _integrated_gradients(answer: _Answer, x: np.ndarray, start: np.ndarray, steps: int) -> np.ndarray:
    """(x - start) times the mean gradient on the straight line between them (Sundararajan et al., eq. 1).

    All rows and steps form one list of points that is cut into batches, so that the batch is full whatever their ratio.
    """
    nodes, weights = np.polynomial.legendre.leggauss(steps)
    nodes, weights = ((nodes + 1) / 2).astype(x.dtype), (weights / 2).astype(x.dtype)
    column = (-1,) + (1,) * (x.ndim - 1)
    mean_gradient = np.zeros(x.shape)
    for points in track(_batches(np.arange(len(x) * steps), x[0].size), "integrated gradients"):
        rows, step = np.divmod(points, steps)
        along = nodes[step].reshape(column)
        gradient = answer.gradient(start[rows] * (1 - along) + x[rows] * along, rows)
        present, first = np.unique(rows, return_index=True)
        mean_gradient[present] += np.add.reduceat(gradient * weights[step].reshape(column), first)
    return ((x - start) * mean_gradient).astype(x.dtype)


METHODS: dict[str, Callable[..., np.ndarray]] = {
    "gradient": _gradient,
    "gradient_x_input": _gradient_x_input,
    "integrated_gradients": _integrated_gradients,
}
WITH_BASELINE = {"integrated_gradients"}


def _batches(rows: np.ndarray, elements: int) -> list[np.ndarray]:
    size = max(1, ELEMENTS_PER_BATCH // elements)
    return [rows[i : i + size] for i in range(0, len(rows), size)]


def _describe(model: Any, endpoint: str, inputs: Any) -> Endpoint:
    """The endpoint as the model's spec has it; of a model without one, as its method and the given arrays suggest."""
    if (spec := getattr(model, "spec", None)) is not None:
        return spec.endpoint(endpoint)
    names = list(inspect.signature(getattr(model, model.endpoints[endpoint])).parameters)
    arrays = inputs if isinstance(inputs, Mapping) else {names[0]: inputs}
    shapes = {name: np.shape(arrays.get(name, ()))[1:] for name in names}
    tensors = [Tensor(name=name, shape=list(shapes[name]), unit="", description="") for name in names]
    return Endpoint(description="", inputs=tensors, outputs=[Tensor(name="output", shape=[], unit="", description="")])


def _output(model: Any, endpoint: str, output: str | None, described: Endpoint) -> tuple[Callable[..., Any], str]:
    """The function that returns the tensor named ``output``, and that name."""
    names = [tensor.name for tensor in described.outputs]
    has_logits = endpoint == "predict" and model.endpoints[endpoint] == "call" and hasattr(model, LOGITS)
    if output is None:
        output = LOGITS if has_logits else names[0]
    if output == LOGITS and has_logits:
        return getattr(model, LOGITS), LOGITS
    if output not in names:
        raise UnknownNameError(f"output of {endpoint}", output, [*names, LOGITS] if has_logits else names)
    method, position = getattr(model, model.endpoints[endpoint]), names.index(output)

    def function(*tensors: Any) -> Any:
        answer = method(*tensors)
        return answer[position] if isinstance(answer, tuple) else answer

    return function, output


def _baseline(model: Any, tensor: str, x: np.ndarray, given: np.ndarray | float | None) -> np.ndarray:
    """The baseline of each row, of the shape of ``x``."""
    if given is None:
        known = model.baseline(tensor) if hasattr(model, "baseline") else None
        given = 0.0 if known is None else known
    array = np.asarray(given)
    if array.dtype.kind not in "fiu":
        raise InputError(f"baseline of {tensor!r}: expected numbers, given {array.dtype}")
    if array.shape not in ((), x.shape[1:], (1, *x.shape[1:]), x.shape):
        raise InputError(f"baseline of {tensor!r}: expected shape {x.shape[1:]} or {x.shape}, given {array.shape}")
    if not np.isfinite(array).all():
        raise InputError(f"baseline of {tensor!r}: {np.count_nonzero(~np.isfinite(array))} values are NaN or infinite")
    return np.broadcast_to(array, x.shape).astype(x.dtype)

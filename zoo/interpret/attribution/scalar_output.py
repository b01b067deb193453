"""One number that a model returns, as a function of one of its input tensors: what attribution methods ask."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from zoo.errors import InputError, UnknownNameError
from zoo.families.contracts import Classifies
from zoo.interpret.attribution.differentiate import compiled_gradient, value_and_gradient
from zoo.interpret.elements import element_name, element_number
from zoo.model.axes import fixed_axes
from zoo.model.handed_in.tensors import named_inputs, numbers_alone
from zoo.model.inputs import InputCheck
from zoo.model.outputs import OutputCheck
from zoo.model.spec import Endpoint, ModelSpec, Tensor

LOGITS = "logits"
"""Name of a classifier's method that returns what its `predict` puts through the sigmoid."""

ELEMENTS_PER_BATCH = 2**20
"""Input elements per evaluation: enough to keep two cores busy, little enough for a 3-D convolution."""


@dataclass(frozen=True)
class Answer:
    """The explained number as a function of one tensor, the endpoint's other inputs held at their rows.

    Attributes
    ----------
    model : object
        The model whose answer it is.
    function : callable
        Takes the endpoint's tensors in order and returns the output tensor.
    arrays : dict of str to ndarray
        Every input of the endpoint by name, (n, ...) each.
    endpoint : str
        Names of the endpoint, of the tensor it is a function of and of the output; the element of that output, counted in C
        order.
    wrt : str
        Names of the endpoint, of the tensor it is a function of and of the output; the element of that output, counted in C
        order.
    output : str
        Names of the endpoint, of the tensor it is a function of and of the output; the element of that output, counted in C
        order.
    target : int
        Names of the endpoint, of the tensor it is a function of and of the output; the element of that output, counted in C
        order.
    tensors : dict of str to Tensor
        Every input as the spec describes it.
    answered : Tensor
        The output as the spec describes it.
    low, high : ndarray, optional
        The tensor's trained range, None where it has none.
    """

    model: Any
    function: Callable[..., Any]
    arrays: dict[str, np.ndarray]
    endpoint: str
    wrt: str
    output: str
    target: int
    tensors: dict[str, Tensor]
    answered: Tensor
    low: np.ndarray | None
    high: np.ndarray | None

    @property
    def x(self) -> np.ndarray:
        """The given rows of the tensor, of shape (n, ...)."""
        return self.arrays[self.wrt]

    @property
    def tensor(self) -> Tensor:
        """The tensor as the spec describes it."""
        return self.tensors[self.wrt]

    @property
    def real(self) -> np.ndarray | None:
        """Which elements of the tensor are real, (n, ...), where it has a mask."""
        return None if self.tensor.mask is None else self.arrays[self.tensor.mask]

    @property
    def element(self) -> str:
        """What the number is called: the name of its tensor, with its label or position where there are several."""
        sizes = [axis.size for axis in self.answered.axes]
        fixed = [size for size in sizes if size is not None]
        return element_name(self.answered, fixed if fixed and len(fixed) == len(sizes) else [self.target + 1], self.target)

    def at(self, points: np.ndarray, rows: np.ndarray | None = None, real: np.ndarray | None = None) -> np.ndarray:
        """Values (n,) at ``points``, each with the other inputs of the row in ``rows``, by default of its own.

        Of a tensor with a mask, ``real`` may say which elements of the points are real in place of the mask of the rows.
        """
        rows = np.arange(len(points)) if rows is None else rows
        parts = [
            _to_numpy(self.scalar(points[part], rows[part], None if real is None else real[part]))
            for part in batches(np.arange(len(points)), points[0].size)
        ]
        return np.concatenate(parts)

    def gradient(self, points: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Gradient at ``points``, each with the other inputs of the row in ``rows``."""
        return value_and_gradient(lambda x: self.scalar(x, rows), points)[1]

    def compiled_gradient(self) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
        """``gradient`` for many batches: traced once, which takes as long as some of them."""
        self.scalar(self.x[:1], np.zeros(1, int))  # a wrong target is an error before that
        others = [array for name, array in self.arrays.items() if name != self.wrt]
        position = list(self.arrays).index(self.wrt)

        def value(x: Any, *given: Any) -> Any:
            return self._element([*given[:position], x, *given[position:]])

        compiled = compiled_gradient(value, [self.x, *others])
        return lambda points, rows: compiled(points, *(array[rows] for array in others))

    def scalar(self, x: Any, rows: np.ndarray, real: np.ndarray | None = None) -> Any:
        """The number for each row of one batch, as the model's library has it."""
        given = {self.wrt: x} | ({} if real is None else {self.tensor.mask: real})
        return self._element([given[name] if name in given else array[rows] for name, array in self.arrays.items()])

    def _element(self, tensors: list[Any]) -> Any:
        if is_keras(self.model):
            import keras

            tensors = [keras.ops.convert_to_tensor(tensor) for tensor in tensors]
            flat = keras.ops.reshape(self.function(*tensors), (keras.ops.shape(tensors[0])[0], -1))
        else:
            flat = np.reshape(self.function(*tensors), (len(tensors[0]), -1))
        if flat.shape[1] is not None and not 0 <= self.target < flat.shape[1]:
            raise InputError(f"target: expected 0 to {flat.shape[1] - 1} for an output of that size, given {self.target}")
        return flat[:, self.target]


def answer_of(
    model: Any,
    inputs: np.ndarray | Mapping[str, np.ndarray],
    *,
    endpoint: str | None = None,
    output: str | None = None,
    target: int | str = 0,
    wrt: str | None = None,
    allow_out_of_range: bool = False,
) -> Answer:
    """One number of a model as a function of one tensor; parameters and errors as of `zoo.interpret.explain`."""
    endpoint = chosen_endpoint(model, endpoint)
    described = described_endpoint(model, endpoint, inputs)
    names = [tensor.name for tensor in described.inputs]
    wrt = _continuous(described, endpoint, wrt)
    check = InputCheck(described, getattr(model, "reference", None))
    arrays = check(named_inputs(inputs, names[0]), allow_out_of_range=allow_out_of_range)
    if not len(arrays[wrt]):
        raise InputError(f"input {wrt!r}: expected at least one row to explain, given none")
    if not allow_out_of_range:
        _expect_answered(model, endpoint, described, arrays)
    function, output = chosen_output(model, endpoint, output, described)
    tensors = {tensor.name: tensor for tensor in described.inputs}
    explained, answered = tensors[wrt], _described_output(described, output)
    low, high = (None if end is None else np.asarray(end, explained.dtype) for end in (explained.low, explained.high))
    number = element_number(answered, target)
    return Answer(model, function, arrays, endpoint, wrt, output, number, tensors, answered, low, high)


def _expect_answered(model: Any, endpoint: str, described: Endpoint, arrays: Mapping[str, np.ndarray]) -> None:
    """Refuse rows that the endpoint itself refuses to answer, as together unlike any that was trained."""
    if OutputCheck(described):
        from zoo.families.batches import rows_at_once

        size, answer = rows_at_once(arrays.values()), model.endpoint(endpoint)
        for start in range(0, len(next(iter(arrays.values()))), size):
            answer({name: array[start : start + size] for name, array in arrays.items()})


def _described_output(described: Endpoint, output: str) -> Tensor:
    """An output as the spec describes it; logits, which it does not, have the axes of the probabilities made of them."""
    for tensor in described.outputs:
        if tensor.name == output:
            return tensor
    return described.outputs[0].model_copy(update={"name": "logit", "unit": "1"})


def _continuous(described: Endpoint, endpoint: str, wrt: str | None) -> str:
    """The tensor that an answer is a function of, by default the first of floating-point numbers."""
    dtypes: dict[str, str] = {tensor.name: tensor.dtype for tensor in described.inputs}
    known = [name for name, dtype in dtypes.items() if dtype.startswith("float")]
    if wrt is None:
        wrt = (known or list(dtypes))[0]
    if wrt not in dtypes:
        raise UnknownNameError(f"input tensor of {endpoint}", wrt, dtypes)
    if wrt not in known:
        raise InputError(
            f"wrt: expected a tensor of floating-point numbers, {' or '.join(known) or 'of which there is none'};"
            f" {wrt} is {dtypes[wrt]}, which has no small changes"
        )
    return wrt


def chosen_endpoint(model: Any, endpoint: str | None) -> str:
    """The endpoint asked for; by default ``predict``, or the first where there is none."""
    if endpoint is None:
        return "predict" if "predict" in model.endpoints else next(iter(model.endpoints))
    if endpoint not in model.endpoints:
        raise UnknownNameError("endpoint", endpoint, model.endpoints)
    return endpoint


def described_endpoint(model: Any, endpoint: str, inputs: Any) -> Endpoint:
    """The endpoint as the model's spec has it; of a model without one, as its method and the given arrays suggest."""
    if (spec := spec_of(model)) is not None:
        return spec.endpoint(endpoint)
    names = list(inspect.signature(getattr(model, model.endpoints[endpoint])).parameters)
    arrays = named_inputs(inputs, names[0])
    shapes = {name: np.shape(arrays.get(name, ()))[1:] for name in names}
    tensors = [Tensor(name=name, axes=fixed_axes(name, shapes[name]), unit="", description="") for name in names]
    return Endpoint(description="", inputs=tensors, outputs=[Tensor(name="output", unit="", description="")])


def chosen_output(model: Any, endpoint: str, output: str | None, described: Endpoint) -> tuple[Callable[..., Any], str]:
    """The function that returns the tensor named ``output``, and that name."""
    names = [tensor.name for tensor in described.outputs]
    has_logits = endpoint == "predict" and model.answers_with == "probability" and isinstance(model, Classifies)
    if output is None:
        output = LOGITS if has_logits else names[0]
    if output == LOGITS and has_logits:
        return model.logits, LOGITS
    if output not in names:
        raise UnknownNameError(f"output of {endpoint}", output, [*names, LOGITS] if has_logits else names)
    method, position = getattr(model, model.endpoints[endpoint]), names.index(output)

    def function(*tensors: Any) -> Any:
        answer = method(*tensors)
        return answer[position] if isinstance(answer, tuple) else answer

    return function, output


def baseline_of(model: Any, tensor: str, x: np.ndarray, given: np.ndarray | float | None) -> np.ndarray:
    """The baseline of each row, of the shape of ``x``."""
    if given is None:
        known = model.baseline(tensor)
        if known is None and model.no_baseline:
            raise InputError(
                f"a baseline of {tensor!r} is asked for, and {model.no_baseline}: give baseline, or take occlusion or shap,"
                " which take elements away"
            )
        given = 0.0 if known is None else known
    array = numbers_alone(given, f"baseline of {tensor!r}")
    if array.dtype.kind not in "fiu":
        raise InputError(f"baseline of {tensor!r}: expected numbers, given {array.dtype}")
    if array.shape not in ((), x.shape[1:], (1, *x.shape[1:]), x.shape):
        raise InputError(f"baseline of {tensor!r}: expected shape {x.shape[1:]} or {x.shape}, given {array.shape}")
    if not np.isfinite(array).all():
        raise InputError(f"baseline of {tensor!r}: {np.count_nonzero(~np.isfinite(array))} values are NaN or infinite")
    return np.broadcast_to(array, x.shape).astype(x.dtype)


def batches(rows: np.ndarray, elements: int) -> list[np.ndarray]:
    """``rows`` in parts of at most ``ELEMENTS_PER_BATCH`` elements."""
    size = max(1, ELEMENTS_PER_BATCH // elements)
    return [rows[i : i + size] for i in range(0, len(rows), size)]


def spec_of(model: Any) -> ModelSpec | None:
    """The spec of a model that was loaded.

    Parameters
    ----------
    model : EndpointModel
        The model.

    Returns
    -------
    ModelSpec or None
        The spec, or None for a freshly built model.
    """
    return getattr(model, "spec", None)


def name_of(model: Any) -> str:
    """The name in the model's spec, or that of its class."""
    spec = spec_of(model)
    return type(model).__name__ if spec is None else spec.name


def is_keras(model: Any) -> bool:
    """Whether a model takes and returns tensors; others take and return arrays."""
    return model.library == "keras"


def _to_numpy(values: Any) -> np.ndarray:
    if isinstance(values, np.ndarray):
        return values
    import keras

    return keras.ops.convert_to_numpy(values)

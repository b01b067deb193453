"""The gate of every export: does the exported graph answer as the model does in its own library?"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path

import numpy as np
import onnxruntime
import tensorflow as tf

from zoo.errors import InputError, ParityError
from zoo.export.traced import endpoint_call
from zoo.families.base import EndpointModel
from zoo.model.spec import LIBRARIES, ModelSpec, Strict, Tolerance

Tensors = Mapping[str, np.ndarray]
BATCH = 256


class OutputParity(Strict):
    """How far one output tensor is from the model's own, the reference."""

    rows: int
    max_absolute: float
    """Largest |exported - reference|, in the unit of the output."""
    max_relative: float
    """Largest |exported - reference| / |reference|, over elements where |reference| exceeds the absolute tolerance."""
    worst: list[int]
    """Row and element that come closest to the tolerance or exceed it most."""


class ParityReport(Strict):
    """How far one exported endpoint is from the model's own."""

    endpoint: str
    tolerance: Tolerance
    outputs: dict[str, OutputParity]

    @property
    def max_absolute(self) -> float:
        """Largest absolute difference of all outputs."""
        return max(output.max_absolute for output in self.outputs.values())


def in_range_rows(test_inputs: Tensors, n: int = 1000, seed: int = 0) -> dict[str, np.ndarray]:
    """Realistic inputs of an endpoint, made from its test tensors.

    The test rows themselves come first, then convex mixtures of random pairs of them: every row lies in the hull of real
    ones, so inside the trained range. All tensors of a row share pair and weight, which keeps them consistent.

    Parameters
    ----------
    test_inputs : input name -> (rows, *shape)
    n : rows to return
    seed : of the pairs and weights

    Returns
    -------
    dict
        Input name -> (n, *shape) float32.

    Raises
    ------
    InputError
        Without a test row, or for less than one row.
    """
    rows = len(next(iter(test_inputs.values())))
    if rows < 1 or n < 1:
        raise InputError(f"expected at least one row, given {rows} test rows to make {n} from")
    rng = np.random.default_rng(seed)
    mixed = max(n - rows, 0)
    first, second = rng.integers(rows, size=(2, mixed))
    weight = rng.random(mixed, dtype=np.float32)

    def mix(tensor: np.ndarray) -> np.ndarray:
        a, b = tensor[first], tensor[second]
        w = weight.reshape(-1, *[1] * (tensor.ndim - 1))
        # Rounding may leave the hull by one unit in the last place.
        mixtures = np.clip(w * a + (1 - w) * b, np.minimum(a, b), np.maximum(a, b))
        return np.concatenate([tensor[:n], mixtures]).astype(np.float32)

    return {name: mix(np.asarray(tensor)) for name, tensor in test_inputs.items()}


def onnx_function(graph: bytes | str | Path) -> Callable[[Tensors], dict[str, np.ndarray]]:
    """A graph, as bytes or file, in ONNX Runtime on the CPU: named arrays -> named arrays."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    source = graph if isinstance(graph, bytes) else str(graph)
    session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return lambda inputs: dict(zip(names, session.run(names, dict(inputs)), strict=True))


def row_by_row(function: Callable[[Tensors], Mapping[str, np.ndarray]]) -> Callable[[Tensors], dict[str, np.ndarray]]:
    """A function of one row, as a graph with a fixed batch of one is, for batches of any size."""

    def run(inputs: Tensors) -> dict[str, np.ndarray]:
        return _in_batches(function, inputs, range(len(next(iter(inputs.values())))))

    return run


def saved_model_function(folder: str | Path, endpoint: str) -> Callable[[Tensors], dict[str, np.ndarray]]:
    """One signature of a SavedModel on the CPU: named arrays -> named arrays."""
    loaded = tf.saved_model.load(str(folder))  # holds the variables, so it must outlive the signature

    def run(inputs: Tensors) -> dict[str, np.ndarray]:
        with tf.device("CPU:0"):
            outputs = loaded.signatures[endpoint](**{name: tf.constant(array) for name, array in inputs.items()})
        return {name: value.numpy() for name, value in outputs.items()}

    return run


def check_parity(
    model: EndpointModel,
    spec: ModelSpec,
    endpoint: str,
    exported: Callable[[Tensors], Mapping[str, np.ndarray]],
    rows: Tensors,
    tolerance: Tolerance | None = None,
    gradients: Collection[str] = (),
) -> ParityReport:
    """Compare an exported endpoint with the model, Keras or scikit-learn, element by element.

    The exported graph gets the rows in batches of 1, 7 and then 256, the model in batches of 256: a graph whose answer
    depends on the size of the batch does not pass.

    Parameters
    ----------
    exported : ``onnx_function(...)`` or ``saved_model_function(...)``
    rows : input name -> (n, *shape), such as ``in_range_rows`` makes
    tolerance : instead of the spec's
    gradients : outputs that jump where a ReLU switches or a spline has a knot: rounding may put a row on either side, so that
        one row in a hundred may differ by more

    Raises
    ------
    ParityError
        Naming the worst element where |exported - model's| > absolute + relative |model's|, or where either is not finite;
        or when the graph does not run.
    """
    described = spec.endpoint(endpoint)
    where = f"{spec.name}, endpoint {endpoint!r}"
    n = len(rows[described.inputs[0].name])
    call = endpoint_call(model, spec, endpoint)

    def reference(batch: Tensors) -> dict[str, np.ndarray]:
        # On the CPU: a GPU would multiply in TF32 and differ by 1e-3.
        with tf.device("CPU:0"):
            outputs = call(*(tf.constant(batch[tensor.name]) for tensor in described.inputs))
        return {name: np.asarray(value) for name, value in outputs.items()}

    expected = _in_batches(reference, rows, range(0, n, BATCH))
    try:
        given = _in_batches(exported, rows, [start for start in (0, 1, 8, *range(8 + BATCH, n, BATCH)) if start < n])
    except Exception as error:  # each runtime has its own
        raise ParityError(f"{where}: the exported graph does not run: {error}") from error
    outputs = {
        t.name: _compare(
            f"{where}, output {t.name!r}",
            LIBRARIES[model.library],
            given[t.name],
            expected[t.name],
            tolerance or spec.tolerance_of(t),
            spared=n // 100 if t.name in gradients else 0,
        )
        for t in described.outputs
    }
    return ParityReport(endpoint=endpoint, tolerance=tolerance or spec.tolerance, outputs=outputs)


def _in_batches(function: Callable[[Tensors], Mapping[str, np.ndarray]], rows: Tensors, starts) -> dict[str, np.ndarray]:
    starts = list(starts)
    batches = [
        function({name: array[start:stop] for name, array in rows.items()})
        for start, stop in zip(starts, [*starts[1:], None], strict=True)
    ]
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


def _compare(
    where: str, library: str, given: np.ndarray, expected: np.ndarray, tolerance: Tolerance, spared: int
) -> OutputParity:
    if given.shape != expected.shape:
        raise ParityError(f"{where}: {library} gives shape {expected.shape}, the exported graph {given.shape}")
    given, expected = given.astype(np.float64), expected.astype(np.float64)
    with np.errstate(invalid="ignore"):
        difference, size = np.abs(given - expected), np.abs(expected)
        allowed = tolerance.absolute + tolerance.relative * size
        excess = np.where(np.isfinite(difference), difference - allowed, np.inf)
    worst = np.unravel_index(excess.argmax(), excess.shape)
    rows = np.count_nonzero((excess > 0).any(axis=tuple(range(1, excess.ndim))))
    if rows > spared or not np.isfinite(excess[worst]):
        row, *element = map(int, worst)
        raise ParityError(
            f"{where}: differs from {library} in {rows} of {len(excess)} rows, most in row {row}, element {element}:"
            f" {library} {expected[worst]:.8g}, exported {given[worst]:.8g},"
            f" allowed difference {allowed[worst]:.3g} (absolute {tolerance.absolute:g} + relative {tolerance.relative:g})"
        )
    large = size > tolerance.absolute
    return OutputParity(
        rows=len(given),
        max_absolute=float(difference.max()),
        max_relative=float((difference[large] / size[large]).max(initial=0.0)),
        worst=[int(i) for i in worst],
    )

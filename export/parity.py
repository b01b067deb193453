"""The gate of every export: whether the exported graph answers as the model does in its own library."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

import numpy as np
import onnxruntime
import tensorflow as tf

from zoo.errors import ParityError
from zoo.export.rows import Tensors, in_range_rows, padded, resized, sizes_of, sizes_to_try
from zoo.export.traced import endpoint_call
from zoo.families.base import EndpointModel
from zoo.model.axes import Strict
from zoo.model.spec import LIBRARIES, ElementTolerance, Endpoint, ModelSpec, Tolerance
from zoo.model.test_tensors import excess

Run = Callable[[Tensors], Mapping[str, np.ndarray]]
BATCH = 256
SIZED_ROWS = 40
"""Rows of the comparison at each further size of the free axes."""
LARGE = 2**16
"""Numbers of a row from which on it is large: fewer rows hold as much to compare, and many would not fit into memory."""
LARGE_ROWS, LARGE_SIZED_ROWS = 64, 9
"""Rows of the comparison where they are large, at the size of the test tensors and at each other."""
PATIENCE = 120.0
"""Seconds that the model may take for all rows; where it would take longer, fewer are compared."""


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
    sizes: list[dict[str, int]] = []
    """Sizes of the free axes at which it was compared beside those of the test tensors."""

    @property
    def max_absolute(self) -> float:
        """Largest absolute difference of all outputs."""
        return max(output.max_absolute for output in self.outputs.values())


def onnx_function(graph: bytes | str | Path) -> Callable[[Tensors], dict[str, np.ndarray]]:
    """A graph, as bytes or file, in ONNX Runtime on the CPU, as a function of named arrays to named arrays."""
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
    """One signature of a SavedModel on the CPU, as a function of named arrays to named arrays."""
    loaded = tf.saved_model.load(str(folder))  # holds the variables, so it must outlive the signature

    def run(inputs: Tensors) -> dict[str, np.ndarray]:
        with tf.device("CPU:0"):
            outputs = loaded.signatures[endpoint](**{name: tf.constant(array) for name, array in inputs.items()})
        return {name: value.numpy() for name, value in outputs.items()}

    return run


def check_export(
    model: EndpointModel,
    spec: ModelSpec,
    endpoint: str,
    exported: Run,
    test_inputs: Tensors,
    rows: int = 1000,
    gradients: Collection[str] = (),
) -> ParityReport:
    """Compare an exported endpoint with the model on rows made from its test tensors, at all sizes that it is to take.

    Where axes are free, the fewest elements, some more, and the most or ``CAP`` are tried beside those of the test tensors.
    Where a mask says which elements are real, more elements that are not, and other values in them, must leave every answer as
    it is.

    Parameters
    ----------
    model : EndpointModel
        The model, Keras or not.
    spec : ModelSpec
        The spec that names the endpoint's tensors and tolerance.
    endpoint : str
        One of ``spec.endpoints``.
    exported : callable
        The exported endpoint, by ``onnx_function(...)`` or ``saved_model_function(...)``.
    test_inputs : mapping of str to ndarray
        Inputs of the endpoint's test tensors.
    rows : int
        The number of rows that are compared at the size of the test tensors; fewer where they are large, or take minutes.
    gradients : collection of str
        The outputs that are gradients, as for ``check_parity``.

    Returns
    -------
    ParityReport
        The largest differences at any size.

    Raises
    ------
    ParityError
        The graph is farther from the model than ``check_parity`` allows, or padding changes an answer.
    """
    described = spec.endpoint(endpoint)
    costly = rows > LARGE_ROWS and (_large(test_inputs) or _takes_long(model, spec, endpoint, test_inputs, rows))
    made = in_range_rows(test_inputs, LARGE_ROWS if costly else rows)
    reports = [check_parity(model, spec, endpoint, exported, made, gradients=gradients)]
    few = {name: array[:SIZED_ROWS] for name, array in made.items()}
    tried = sizes_to_try(described)
    for sizes in tried:
        given = resized(described, {name: array[:1] for name, array in few.items()}, sizes)
        count = LARGE_SIZED_ROWS if _large(given) else SIZED_ROWS
        given = resized(described, {name: array[:count] for name, array in few.items()}, sizes)
        reports.append(check_parity(model, spec, endpoint, exported, given, gradients=gradients))
    check_padding(spec, endpoint, exported, few)
    outputs = {tensor.name: _worst([report.outputs[tensor.name] for report in reports]) for tensor in described.outputs}
    return reports[0].model_copy(update={"outputs": outputs, "sizes": tried})


def _large(inputs: Tensors) -> bool:
    """Whether a row of some input is large."""
    return any(array[:1].size >= LARGE for array in inputs.values())


def _takes_long(model: EndpointModel, spec: ModelSpec, endpoint: str, test_inputs: Tensors, rows: int) -> bool:
    """Whether so many rows would take the model longer than ``PATIENCE``, as maps out of many passes do."""
    few = in_range_rows(test_inputs, LARGE_ROWS)
    one = {name: array[:1] for name, array in few.items()}
    start = time.monotonic()
    answers(model, spec, endpoint, one)  # whose time, the first, is that of an answer to any number of rows
    middle = time.monotonic()
    answers(model, spec, endpoint, few)
    return (time.monotonic() - middle - (middle - start)) * rows / LARGE_ROWS > PATIENCE


def check_padding(spec: ModelSpec, endpoint: str, exported: Run, rows: Tensors) -> None:
    """Check that what masks call padding changes no answer.

    Parameters
    ----------
    spec : ModelSpec
        The spec that names the endpoint's tensors and tolerance.
    endpoint : str
        One of ``spec.endpoints``; nothing is checked where none of its inputs has a mask.
    exported : callable
        The exported endpoint, from named inputs to named outputs.
    rows : mapping of str to ndarray
        Arrays (n, ...) by the input's name.

    Raises
    ------
    ParityError
        Naming the worst element among those that are real.
    """
    described = spec.endpoint(endpoint)
    pair = padded(described, rows)
    if pair is None:
        return
    expected, given = (exported(inputs) for inputs in pair)
    for tensor in described.outputs:
        before = expected[tensor.name]
        after = given[tensor.name][tuple(slice(size) for size in before.shape)]
        beyond = excess(after, before, spec.tolerance_of(tensor))
        if tensor.mask is not None:
            beyond[~pair[0][tensor.mask]] = 0.0
        if (beyond > 0).any():
            worst = np.unravel_index(beyond.argmax(), beyond.shape)
            row, *element = map(int, worst)
            raise ParityError(
                f"{spec.name}, endpoint {endpoint!r}, output {tensor.name!r}: padding changes the answer: row {row}, element"
                f" {element} was {_number(before[worst])}, and is {_number(after[worst])} with further elements and other"
                f" values where {_masks(described)} is false; a model must leave out what its mask says is padding, and an"
                " output with an answer for each element names the mask too"
            )


def _masks(endpoint: Endpoint) -> str:
    return " or ".join(sorted({repr(tensor.mask) for tensor in endpoint.inputs if tensor.mask}))


def _worst(found: list[OutputParity]) -> OutputParity:
    """One report for several comparisons of an output: all their rows, and the largest differences."""
    worst = max(found, key=lambda parity: parity.max_absolute)
    relative = max(parity.max_relative for parity in found)
    return worst.model_copy(update={"rows": sum(parity.rows for parity in found), "max_relative": relative})


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

    The exported graph gets the rows in batches of 1, 7 and then 256, the model in batches of 256, or large ones one by one: a
    graph whose answer depends on the size of the batch does not pass.

    Parameters
    ----------
    exported : callable
        The exported endpoint, by ``onnx_function(...)`` or ``saved_model_function(...)``.
    rows : Tensors
        Arrays (n, *shape) by the input's name, such as ``in_range_rows`` makes.
    tolerance : Tolerance, optional
        Tolerance in place of the spec's.
    gradients : collection of str
        Outputs that jump where a ReLU switches or a spline has a knot: rounding may put a row on either side, so that one row
        in a hundred may differ by more.

    Raises
    ------
    ParityError
        Naming the worst element where |exported - model's| > absolute + relative |model's|, or where either is not finite;
        or when the graph does not run.
    """
    described = spec.endpoint(endpoint)
    where = f"{spec.name}, endpoint {endpoint!r}"
    n = len(rows[described.inputs[0].name])
    expected = answers(model, spec, endpoint, rows)
    try:
        given = _in_batches(exported, rows, [start for start in (0, 1, 8, *range(8 + BATCH, n, BATCH)) if start < n])
    except Exception as error:  # each runtime has its own
        raise ParityError(f"{where}: the exported graph does not run: {error}") from error
    outputs = {
        t.name: compare(
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


def answers(model: EndpointModel, spec: ModelSpec, endpoint: str, rows: Tensors) -> dict[str, np.ndarray]:
    """What the model itself answers, in batches of 256 on the CPU.

    Raises
    ------
    ParityError
        The model does not run with rows of this size.
    """
    described = spec.endpoint(endpoint)
    call = endpoint_call(model, spec, endpoint)

    def reference(batch: Tensors) -> dict[str, np.ndarray]:
        # On the CPU: a GPU would multiply in TF32 and differ by 1e-3.
        with tf.device("CPU:0"):
            outputs = call(*(tf.constant(batch[tensor.name]) for tensor in described.inputs))
        return {name: np.asarray(value) for name, value in outputs.items()}

    try:
        return _in_batches(reference, rows, range(0, len(rows[described.inputs[0].name]), 1 if _large(rows) else BATCH))
    except Exception as error:  # whatever the model's own code does with rows of such a size
        sizes = ", ".join(f"{axis} {size}" for axis, size in sizes_of(described, rows).items())
        how = f"does not run with {sizes}: correct least and most of the axis" if sizes else "does not run"
        why = (str(error) or repr(error)).splitlines()[0]
        raise ParityError(f"{spec.name}, endpoint {endpoint!r}: the model {how}: {why}") from error


def _in_batches(function: Callable[[Tensors], Mapping[str, np.ndarray]], rows: Tensors, starts) -> dict[str, np.ndarray]:
    starts = list(starts)
    batches = [
        function({name: array[start:stop] for name, array in rows.items()})
        for start, stop in zip(starts, [*starts[1:], None], strict=True)
    ]
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


def compare(
    where: str,
    library: str,
    given: np.ndarray,
    expected: np.ndarray,
    tolerance: Tolerance | ElementTolerance,
    spared: int,
) -> OutputParity:
    """Compare the exported answers with those of the model's library, of which some rows may be spared.

    Raises
    ------
    ParityError
        Naming the worst element, or shapes and dtypes that differ.
    """
    if (given.shape, given.dtype) != (expected.shape, expected.dtype):
        raise ParityError(
            f"{where}: {library} gives {expected.dtype} of shape {expected.shape},"
            f" the exported graph {given.dtype} of shape {given.shape}"
        )
    beyond = excess(given, expected, tolerance)
    worst = np.unravel_index(beyond.argmax(), beyond.shape)
    rows = np.count_nonzero((beyond > 0).any(axis=tuple(range(1, beyond.ndim))))
    if rows > spared or not np.isfinite(beyond[worst]):
        row, *element = map(int, worst)
        raise ParityError(
            f"{where}: differs from {library} in {rows} of {len(beyond)} rows, most in row {row}, element {element}:"
            f" {library} {_number(expected[worst])}, exported {_number(given[worst])},"
            f" {_allowed(expected[worst], *tolerance.at(element))}"
        )
    size = np.abs(expected, dtype=np.float64)
    difference = np.abs(given.astype(np.float64) - expected)
    relative = np.divide(difference, size, out=np.zeros_like(size), where=size > np.asarray(tolerance.absolute))
    return OutputParity(
        rows=len(given),
        max_absolute=float(difference.max()),
        max_relative=float(relative.max(initial=0.0)),
        worst=[int(i) for i in worst],
    )


def _number(value: np.generic) -> str:
    digits = 17 if value.dtype == np.float64 else 8
    return f"{value:.{digits}g}" if value.dtype.kind == "f" else str(value)


def _allowed(expected: np.generic, absolute: float, relative: float) -> str:
    if expected.dtype.kind != "f":
        return f"{expected.dtype} is to be equal"
    allowed = absolute + relative * abs(float(expected))
    return f"allowed difference {allowed:.3g} (absolute {absolute:g} + relative {relative:g})"

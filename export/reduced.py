"""Graphs of lower precision that are close enough to float32 to be of use, or are refused with the number that says why not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
import onnx

from zoo.errors import ExportError
from zoo.export.onnx import to_onnx
from zoo.export.parity import SIZED_ROWS, ParityReport, check_export, onnx_function, row_by_row
from zoo.export.precision import to_float16, to_int8
from zoo.export.rows import Tensors, in_range_rows, resized, sizes_to_try
from zoo.export.targets import Target, fit
from zoo.families.base import EndpointModel
from zoo.model.spec import Difference, ElementTolerance, Endpoint, ModelSpec, Reduced, Tolerance
from zoo.model.test_tensors import TestTensors
from zoo.progress import track

MEDIAN, LARGEST = 0.05, 0.5
"""Accepted differences from float32, as parts of the standard deviation of an answer over the rows."""
CALIBRATION_ROWS = 1000
_SPARE = 1.5
"""How much larger than seen a difference may be elsewhere: other processors sum in another order."""

Answers = dict[str, np.ndarray]


def reduced_graphs(
    model: EndpointModel,
    spec: ModelSpec,
    tensors: TestTensors,
    precision: Literal["float16", "int8"],
    *,
    opset: int,
    target: Target | None = None,
    calibration: Mapping[str, np.ndarray] | None = None,
    parity_rows: int = 1000,
) -> tuple[dict[str, bytes], dict[str, ParityReport], ModelSpec]:
    """Make every endpoint's graph in lower precision.

    Each graph is made of one in float32 that has passed its own gate. Float16 is judged as a GPU computes it.

    Parameters
    ----------
    model : EndpointModel
        The model.
    spec : ModelSpec
        Its spec, with the endpoints to export.
    tensors : TestTensors
        The test tensors of these endpoints.
    precision : {"float16", "int8"}
        The precision of products with large matrices.
    opset : int
        The opset of the graphs.
    target : Target, optional
        The place that the graphs must suit.
    calibration : mapping of str to ndarray, optional
        Rows of the model's data set by the tensor's name, (n, ...), for int8; by default the parity rows.
    parity_rows : int
        The rows of each comparison.

    Returns
    -------
    tuple of dict, dict and ModelSpec
        The graphs, their parity, and the spec with the tolerance and differences of these graphs.

    Raises
    ------
    ExportError
        When an endpoint has nothing to gain or its graph grows; when of an output the median difference is more than
        ``MEDIAN`` or the largest more than ``LARGEST`` of the standard deviation of the same number over the parity rows; or
        when whole numbers or truth values come out differently.
    ParityError
        The graphs are too far from the model, as for ``zoo.export.export``.
    """
    typical = {} if calibration is None or precision != "int8" else _inputs(model, spec, calibration)
    graphs, reports, differences = {}, {}, {}
    pairs: list[tuple[np.ndarray, np.ndarray]] = []
    rows = {endpoint: in_range_rows(tensors[endpoint][0], parity_rows) for endpoint in spec.endpoints}
    for endpoint in track(list(spec.endpoints), f"Exporting {spec.name} in {precision}"):
        where = f"{spec.name}, endpoint {endpoint!r}"
        proto = to_onnx(model, spec, endpoint, opset)
        full = proto.SerializeToString(deterministic=True)
        check_export(model, spec, endpoint, onnx_function(full), tensors[endpoint][0], parity_rows)
        if precision == "float16":
            small, judged = to_float16(proto, where), to_float16(proto, where, emulated=True)
        else:
            small = judged = to_int8(proto, where, typical.get(endpoint, rows[endpoint]))
        if target is not None:
            small = fit(small, target, where)
        graphs[endpoint] = small.SerializeToString(deterministic=True)
        if len(graphs[endpoint]) >= len(full):
            raise ExportError(
                f"{where}: {precision} takes {len(graphs[endpoint]):,} bytes, float32 {len(full):,}: export it in float32, or"
                " leave the endpoint out"
            )
        differences[endpoint], seen = _differences(
            where, spec.endpoint(endpoint), precision, judged, full, rows[endpoint], spec
        )
        pairs += seen
    spec = spec.model_copy(update={"tolerance": _tolerance(pairs, spec.tolerance)})
    for endpoint, graph in graphs.items():
        function = onnx_function(graph)
        if target is not None and target.batch == 1:
            function = row_by_row(function)
        reports[endpoint] = check_export(model, spec, endpoint, function, tensors[endpoint][0], parity_rows)
    source = None
    if precision == "int8":
        n = len(next(iter(next(iter((typical or rows).values())).values())))
        source = f"{n} rows of {spec.data.source}" if typical else f"{n} test rows and mixtures of them"
    reduced = Reduced(precision=precision, rows=parity_rows, calibration=source, differences=differences)
    export = spec.export.model_copy(update={"reduced": reduced})
    return graphs, reports, spec.model_copy(update={"export": export})


def _inputs(model: EndpointModel, spec: ModelSpec, rows: Mapping[str, np.ndarray]) -> dict[str, dict[str, np.ndarray]]:
    """Inputs of each endpoint, for rows spread over those of the data set."""
    n = len(next(iter(rows.values())))
    chosen = np.linspace(0, n - 1, min(n, CALIBRATION_ROWS)).round().astype(int)
    examples = model.example({name: array[chosen] for name, array in rows.items()}, np.random.default_rng(0))
    return {
        name: {t.name: np.asarray(array, t.dtype) for t, array in zip(endpoint.inputs, examples[name], strict=True)}
        for name, endpoint in spec.endpoints.items()
    }


def _differences(
    where: str, endpoint: Endpoint, precision: str, judged: onnx.ModelProto, full: bytes, rows: Tensors, spec: ModelSpec
) -> tuple[dict[str, Difference], list[tuple[np.ndarray, np.ndarray]]]:
    """The difference of each output from float32 on the rows, and all pairs of answers, those at other sizes too."""
    run, reference = onnx_function(judged.SerializeToString()), onnx_function(full)
    few = {name: array[:SIZED_ROWS] for name, array in rows.items()}
    differences: dict[str, Difference] = {}
    pairs = []
    for inputs in (rows, *(resized(endpoint, few, sizes) for sizes in sizes_to_try(endpoint))):
        given, expected = run(inputs), reference(inputs)
        for tensor in endpoint.outputs:
            output, answers = f"{where}, output {tensor.name!r}", (given[tensor.name], expected[tensor.name])
            if tensor.dtype.startswith("float"):
                pairs.append(answers)
                differences.setdefault(tensor.name, _judged(output, precision, *answers, spec.tolerance_of(tensor)))
            elif changed := np.count_nonzero(answers[0] != answers[1]):
                raise ExportError(
                    f"{output}: {precision} changes {changed} of {answers[0].size} answers of {tensor.dtype}, which are to be"
                    " equal: export it in float32, or leave the endpoint out"
                )
    return differences, pairs


def _judged(
    where: str, precision: str, given: np.ndarray, expected: np.ndarray, tolerance: Tolerance | ElementTolerance
) -> Difference:
    """The difference of one output; ExportError where it is too large."""
    difference = np.abs(given.astype(np.float64) - expected)
    spread = expected.astype(np.float64).std(axis=0)
    varies = spread > np.asarray(tolerance.absolute)  # elements that do not cannot be judged by it
    parts = (difference / np.where(varies, spread, 1.0))[:, varies]
    median, largest = (float(np.median(parts)), float(parts.max())) if parts.size else (0.0, 0.0)
    if not (median <= MEDIAN and largest <= LARGEST and np.isfinite(difference).all()):
        raise ExportError(
            f"{where}: {precision} is off by {median:.2g} (median) and {largest:.2g} (largest) of the spread of its answers,"
            f" accepted are {MEDIAN:g} and {LARGEST:g}: export it in float32, or leave the endpoint out"
        )
    return Difference(largest=float(difference.max()), median=float(np.median(difference)))


def _tolerance(pairs: list[tuple[np.ndarray, np.ndarray]], base: Tolerance) -> Tolerance:
    """What all differences keep with some to spare: of the pairs that do, the one that allows least in the geometric mean."""
    sizes = [(np.abs(given.astype(np.float64) - expected), np.abs(expected.astype(np.float64))) for given, expected in pairs]

    def with_relative(relative: float) -> Tolerance:
        excess = max(float((_SPARE * difference - relative * size).max()) for difference, size in sizes)
        return Tolerance(absolute=float(f"{base.absolute + max(excess, 0.0):.3g}"), relative=relative)

    def allowed(tolerance: Tolerance) -> float:
        return sum(float(np.log(tolerance.absolute + tolerance.relative * size).mean()) for _, size in sizes)

    if not sizes:
        return base
    return min((with_relative(float(f"{base.relative * 2**k:.3g}")) for k in range(13)), key=allowed)

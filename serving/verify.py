"""Does a folder still answer as it did on the day of its release? Checked with ONNX Runtime alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict

from zoo.errors import ReproductionError, ZooError
from zoo.model.spec import TEST_TENSORS, ElementTolerance, ModelSpec, Tensor, Tolerance
from zoo.model.store import ModelFolder, locate
from zoo.model.test_tensors import TestTensors, read_test_tensors
from zoo.serving.graph import Graph
from zoo.serving.session import Session, graph_of
from zoo.serving.trial import Trials

Arrays = Mapping[str, np.ndarray]


class Row(BaseModel):
    """Largest differences of one output from its test tensor; NaN where the output has NaN or another shape.

    The relative difference is over the expected values beyond the absolute tolerance, below which it means nothing. Whole
    numbers and truth values have no tolerance: any difference is a failure.
    """

    model_config = ConfigDict(frozen=True)

    endpoint: str
    output: str
    rows: int
    max_abs_diff: float
    max_rel_diff: float
    ok: bool
    device: str = "cpu"


class Report(BaseModel):
    """What ``verify`` found."""

    model_config = ConfigDict(frozen=True)

    name: str
    revision: str
    devices: list[str]
    """Where the graphs ran: each of the devices that a session uses."""
    tolerance: Tolerance
    files: int
    """Number of files whose sha256 was compared with the spec."""
    rows: list[Row]

    @property
    def ok(self) -> bool:
        """Whether every output is within its tolerance."""
        return all(row.ok for row in self.rows)

    def _repr_markdown_(self) -> str:
        """What a notebook shows: the outputs with their differences."""
        lines = [("Endpoint", "Output", "Device", "Rows", "Largest difference", "As released"), ("---",) * 6]
        for row in self.rows:
            ok = "yes" if row.ok else "NO"
            lines.append((row.endpoint, row.output, row.device, str(row.rows), f"{row.max_abs_diff:.2e}", ok))
        table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        return f"{self.name}@{self.revision}: {self.files} files as the card describes them\n\n{table}\n"


def verify(model: str | Path | Session, *, device: str = "auto") -> Report:
    """Compare a model's files with its spec's sha256 and its ONNX answers with its test tensors.

    Answers in float32 and float64 may differ by the spec's tolerance, whole numbers and truth values not at all.

    Parameters
    ----------
    model : str, Path or Session
        A released name, a folder, or a session over one.
    device : str
        Where the graphs run, as ``Session`` takes it; of a session its own devices are taken. With ``auto`` the answers of each
        device that is in use are compared.

    Returns
    -------
    Report
        The largest difference of each output.

    Raises
    ------
    UnknownNameError
        There is no such model.
    IntegrityError
        A file, or the test tensors of an endpoint, is missing or not the one that the card describes.
    ReproductionError
        A graph cannot be run on its test tensors.
    """
    folder = model.folder if isinstance(model, Session) else locate(model)
    spec = folder.spec
    for file in spec.files:
        folder.path(file.path)
    tensors = read_test_tensors(folder.read(TEST_TENSORS), spec)
    if not isinstance(model, Session) and not folder.released:
        _try(folder, tensors)
    session = model if isinstance(model, Session) else Session.of(folder, device=device)
    rows: list[Row] = []
    for used in session.devices:
        one = session if len(session.devices) == 1 else session.on(used)
        for endpoint in spec.endpoints:
            # The files are in question here, not the inputs.
            run = partial(one.run, endpoint=endpoint, allow_nonfinite=True, allow_out_of_range=True)
            found = compare(spec, endpoint, tensors[endpoint], run)
            rows += [row.model_copy(update={"device": used}) for row in found]
    return Report(
        name=spec.name,
        revision=spec.revision,
        devices=session.devices,
        tolerance=spec.tolerance,
        files=len(spec.files),
        rows=rows,
    )


def _try(folder: ModelFolder, tensors: TestTensors) -> None:
    """Try the graphs of a model whose hashes came with them."""
    trials = Trials()
    try:
        for name, (inputs, _) in tensors.items():
            trials(graph_of(folder, name), inputs)
    finally:
        trials.close()


def compare(
    spec: ModelSpec,
    endpoint: str,
    tensors: tuple[Arrays, Arrays],
    run: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]],
) -> list[Row]:
    """Run one endpoint on its test tensors.

    Parameters
    ----------
    spec : ModelSpec
        The model.
    endpoint : str
        Name of the endpoint.
    tensors : tuple of mapping of str to ndarray
        Inputs and the answers to them, as ``read_test_tensors`` gives them.
    run : callable
        The endpoint, from named inputs to named outputs.

    Returns
    -------
    list of Row
        One for each output.

    Raises
    ------
    ReproductionError
        It cannot be run.
    """
    inputs, expected = tensors
    try:
        given = run(dict(inputs))
        outputs = spec.endpoints[endpoint].outputs
        return [_compare(endpoint, t, given[t.name], expected[t.name], spec.tolerance_of(t)) for t in outputs]
    except ZooError:
        raise
    except Exception as error:  # errors of ONNX Runtime share no base
        raise ReproductionError(f"{spec.name}: {endpoint} cannot be run on its test tensors: {error}") from error


def must_reproduce(name: str, spec: ModelSpec, endpoint: str, tensors: tuple[Arrays, Arrays], graph: Graph) -> None:
    """Refuse a graph that does not answer its test tensors as it did.

    Parameters
    ----------
    name : str
        The name under which it is served.
    spec : ModelSpec
        The spec.
    endpoint : str
        Its endpoint.
    tensors : tuple of mapping of str to ndarray
        Inputs and the answers to them, as ``read_test_tensors`` gives them.
    graph : Graph
        The opened graph.

    Raises
    ------
    ReproductionError
        Naming the outputs, or what running it raised.
    """
    report = compare(spec, endpoint, tensors, lambda inputs: graph(inputs, True, True))
    if failed := [f"{row.endpoint}/{row.output}" for row in report if not row.ok]:
        raise ReproductionError(
            f"{name} does not reproduce its test tensors: {', '.join(failed)}; zoo verify shows by how much"
        )


def _compare(
    endpoint: str, tensor: Tensor, given: np.ndarray, expected: np.ndarray, tolerance: Tolerance | ElementTolerance
) -> Row:
    """One row of the report: |given - expected| <= absolute + relative |expected|, or equal where numbers are whole."""
    found = partial(Row, endpoint=endpoint, output=tensor.name, rows=len(expected))
    if given.shape != expected.shape:
        nan = float("nan")
        return found(max_abs_diff=nan, max_rel_diff=nan, ok=False)
    size = np.abs(expected.astype(np.float64))
    difference = np.abs(given.astype(np.float64) - expected)
    if exact := not tensor.dtype.startswith("float"):
        tolerance = Tolerance(absolute=0.0, relative=0.0)
    absolute, share = np.asarray(tolerance.absolute), np.asarray(tolerance.relative)
    relative = difference[size > absolute] / size[size > absolute]
    within = given == expected if exact else difference <= absolute + share * size
    return found(
        max_abs_diff=float(difference.max(initial=0.0)),
        max_rel_diff=float(relative.max(initial=0.0)),
        ok=bool(within.all()),
    )

"""From a model to a folder for serving: every endpoint, each gated by parity with the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import numpy as np

from zoo.atomic import whole_folder
from zoo.errors import ExportError, UnknownNameError
from zoo.export.client_files import write_client_files
from zoo.export.gradient.explain import EXPLAIN, Explained
from zoo.export.onnx import ir_version, to_onnx
from zoo.export.parity import ParityReport, check_parity, in_range_rows, onnx_function, row_by_row, saved_model_function
from zoo.export.reduced import reduced_graphs
from zoo.export.report import REPORT, ExportReport
from zoo.export.saved_model import to_saved_model
from zoo.export.subset import add_test_tensors, with_endpoints, write_test_tensors
from zoo.export.targets import OPSET, Target, find_target, fit
from zoo.families.base import EndpointModel
from zoo.loading import read_test_tensors, verify_model
from zoo.model.card import prose_of, write_card
from zoo.model.model_json import write_spec
from zoo.model.spec import TEST_TENSORS, Export, File, Library, ModelSpec, Precision, onnx_file
from zoo.model.store import locate
from zoo.model.test_tensors import TestTensors
from zoo.progress import track

FORMATS = ("onnx", "savedmodel")
PRECISIONS: tuple[Precision, ...] = ("float32", "float16", "int8")
PACKAGES: dict[Library, list[str]] = {"keras": ["tensorflow", "keras", "tf2onnx"], "sklearn": ["scikit-learn", "skl2onnx"]}
"""Library of a model -> what makes an ONNX graph of it."""


def export(
    model: EndpointModel,
    folder: str | Path,
    *,
    format: Literal["onnx", "savedmodel"] = "onnx",
    opset: int = OPSET,
    target: str | None = None,
    endpoints: Sequence[str] | None = None,
    precision: Precision = "float32",
    calibration: Mapping[str, np.ndarray] | None = None,
    explain: bool = False,
    source: str | Path | None = None,
    parity_rows: int = 1000,
    overwrite: bool = False,
) -> ExportReport:
    """Export the endpoints of a model.

    The folder holds ``model.json``, the card, ``test_tensors.npz``, ``report.json``, ``report.md`` and either one
    ``<endpoint>.onnx`` per endpoint, ready for ``zoo.serving.Session`` and ``zoo verify``, with ``clients/`` for
    ``physzoo.hpp``, or a SavedModel. It appears when all of it is written and every endpoint agrees with the model; until
    then nothing has its name.

    Parameters
    ----------
    model : as ``zoo.load`` returns it; a Keras one on the TensorFlow backend
    folder : to be made
    format : "onnx" or, of a Keras model, "savedmodel"
    opset : of the ONNX graphs, 9 to 18
    target : one of ``zoo.export.TARGETS``, which every ONNX graph must suit. Where it fixes the batch, as hls4ml does, the
        test tensors are cut to it.
    endpoints : only these
    precision : of products with large matrices in the ONNX graphs, "float32", "float16" or "int8"; inputs and outputs stay
        float32. The card has the differences from float32 and a tolerance that they keep.
    calibration : typical rows for int8, tensor name -> (n, ...), such as ``dataset.rows("validation").inputs``; by default the
        test tensors and mixtures of them, which may miss the extremes of real data
    explain : add the endpoint ``explain``: what ``predict`` (or the first endpoint) answers, and the gradient of its first
        output, or of a classifier's logits, with respect to each input. Where there are several elements to explain, the
        input ``weight`` says which, or which sum of them
    source : name or folder that the model was loaded from, whose card and test tensors travel along; by default where
        ``zoo.load`` found it
    parity_rows : rows of each endpoint's comparison with the model
    overwrite : replace an earlier export

    Raises
    ------
    ExportError
        When the model cannot be exported, a graph does not suit the target, an endpoint loses too much in the precision asked
        for or gains nothing (see ``zoo.export.reduced``), or the folder exists or cannot be written.
    UnknownNameError
        No such format, precision, target or endpoint.
    ReproductionError
        When the model does not reproduce the test tensors of ``source``.
    ParityError
        When an exported endpoint does not answer as the model does.
    """
    if format not in FORMATS:
        raise UnknownNameError("export format", format, FORMATS)
    if precision not in PRECISIONS:
        raise UnknownNameError("precision", precision, PRECISIONS)
    spec = getattr(model, "spec", None)
    if spec is None:
        raise ExportError("the model has no spec: load it with zoo.load, or assign model.spec")
    origin = model.folder if source is None else locate(source)
    if origin is None:
        raise ExportError("the model was not loaded by zoo.load: name its folder as source")
    place = None if target is None else find_target(target)
    if place is not None and format != "onnx":
        raise ExportError(f"target {target}: it runs ONNX graphs, format {format} was asked for")
    if precision != "float32" and format != "onnx":
        raise ExportError(f"precision {precision}: it is for ONNX graphs, format {format} was asked for")
    test_tensors = origin.path(TEST_TENSORS)
    if explain and format != "onnx":
        raise ExportError(
            "explain is written as ONNX: a SavedModel goes with TensorFlow, whose GradientTape gives the gradient"
        )
    if explain and precision != "float32":
        raise ExportError(f"precision {precision}: the gradient of explain is that of float32; export it without")
    tensors = read_test_tensors(test_tensors, spec)
    verify_model(model, tensors)
    explained = Explained(model, spec, tensors) if explain else None
    if endpoints is not None:
        if EXPLAIN in endpoints and EXPLAIN not in spec.endpoints:
            raise ExportError(f"endpoint {EXPLAIN!r} is made by explain=True (--explain), beside the endpoints that are named")
        spec = with_endpoints(spec, endpoints)
    with whole_folder(Path(folder), overwrite=overwrite, marker=REPORT) as new:
        write_test_tensors(test_tensors, new / TEST_TENSORS, spec, rows=None if place is None else place.batch)
        if format == "onnx":
            packages = [*PACKAGES[model.library], "onnx", "onnxruntime"]
            if explained is not None:
                endpoint = explained.spec.endpoint(EXPLAIN)
                spec = spec.model_copy(update={"endpoints": spec.endpoints | {EXPLAIN: endpoint}})
                tensors[EXPLAIN] = explained.tensors
                add_test_tensors(new / TEST_TENSORS, {EXPLAIN: explained.tensors}, rows=None if place is None else place.batch)
            if precision == "float32":
                reports = _export_onnx_files(model, spec, tensors, new, opset, place, parity_rows, explained)
                reduced = None
            else:
                graphs, reports, spec = reduced_graphs(
                    model,
                    spec,
                    tensors,
                    precision,
                    opset=opset,
                    target=place,
                    calibration=calibration,
                    parity_rows=parity_rows,
                )
                reduced = spec.export.reduced
                for name, graph in graphs.items():
                    (new / onnx_file(name)).write_bytes(graph)
            parity = {name: report.max_absolute for name, report in reports.items()}
            runtimes = [f"onnxruntime {version('onnxruntime')}"]
            made = Export(opset=opset, ir_version=ir_version(opset), runtimes=runtimes, parity=parity, reduced=reduced)
            spec = spec.model_copy(update={"export": made})
            write_client_files(new, spec)
        else:
            packages = ["tensorflow", "keras"]
            reports = export_saved_model(model, spec, new, parity_rows=parity_rows)
        report = ExportReport(
            name=spec.name,
            revision=spec.revision,
            library=model.library,
            format=format,
            opset=opset if format == "onnx" else None,
            ir_version=ir_version(opset) if format == "onnx" else None,
            target=target,
            reduced=spec.export.reduced,
            endpoints=list(reports.values()),
            versions={package: version(package) for package in packages},
        )
        report.write(new)
        files = [File.of(path) for path in sorted([*new.glob("*.onnx"), new / TEST_TENSORS])]
        write_card(new, write_spec(new, spec.model_copy(update={"files": files})), prose_of(origin.card))
    return report


def export_onnx_files(
    model: EndpointModel, spec: ModelSpec, folder: str | Path, opset: int = OPSET, *, parity_rows: int = 1000
) -> dict[str, ParityReport]:
    """Write ``<endpoint>.onnx`` for every endpoint into a folder that holds ``test_tensors.npz`` already.

    A graph is written when it agrees with the model on ``parity_rows`` rows made from the test tensors.

    Returns
    -------
    dict
        Endpoint -> how close to the model it is.

    Raises
    ------
    ExportError, ParityError
        As :func:`export`.
    IntegrityError
        When the test tensors lack one of the spec's.
    """
    tensors = read_test_tensors(Path(folder) / TEST_TENSORS, spec)
    return _export_onnx_files(model, spec, tensors, Path(folder), opset, None, parity_rows)


def _export_onnx_files(
    model: EndpointModel,
    spec: ModelSpec,
    tensors: TestTensors,
    folder: Path,
    opset: int,
    target: Target | None,
    parity_rows: int,
    explained: Explained | None = None,
) -> dict[str, ParityReport]:
    reports = {}
    answering: EndpointModel
    for endpoint in track(list(spec.endpoints), f"Exporting {spec.name}"):
        if explained is not None and endpoint == EXPLAIN:
            proto, answering, gradients = explained.to_onnx(opset), explained, explained.gradients
        else:
            proto, answering, gradients = to_onnx(model, spec, endpoint, opset), model, []
        if target is not None:
            proto = fit(proto, target, f"{spec.name}, endpoint {endpoint!r}")
        graph = proto.SerializeToString(deterministic=True)
        function = onnx_function(graph)
        if target is not None and target.batch == 1:
            function = row_by_row(function)
        rows = in_range_rows(tensors[endpoint][0], parity_rows)
        reports[endpoint] = check_parity(answering, spec, endpoint, function, rows, gradients=gradients)
        (folder / onnx_file(endpoint)).write_bytes(graph)
    return reports


def export_saved_model(
    model: EndpointModel, spec: ModelSpec, folder: str | Path, *, parity_rows: int = 1000
) -> dict[str, ParityReport]:
    """As :func:`export_onnx_files`, for one SavedModel with a signature per endpoint."""
    tensors = read_test_tensors(Path(folder) / TEST_TENSORS, spec)
    to_saved_model(model, spec, folder)
    reports = {}
    for endpoint in track(list(spec.endpoints), f"Comparing {spec.name}"):
        rows = in_range_rows(tensors[endpoint][0], parity_rows)
        reports[endpoint] = check_parity(model, spec, endpoint, saved_model_function(folder, endpoint), rows)
    return reports

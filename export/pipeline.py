"""From a model to a folder for serving: every endpoint, each gated by parity with the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import numpy as np

from zoo.atomic import whole_folder, write_whole
from zoo.errors import ExportError, UnknownNameError, option
from zoo.export.client_files import write_client_files
from zoo.export.experiments.cloud import Cloud, read_cloud
from zoo.export.experiments.gate import write_tagger
from zoo.export.gradient.explain import EXPLAIN, Explained
from zoo.export.onnx import ir_version, to_onnx
from zoo.export.parity import ParityReport, check_export, onnx_function, row_by_row, saved_model_function
from zoo.export.reduced import reduced_graphs
from zoo.export.report import REPORT, ExportReport
from zoo.export.saved_model import to_saved_model
from zoo.export.subset import add_test_tensors, with_endpoints, write_test_tensors
from zoo.export.targets import OPSET, Target, check, find_target, fit
from zoo.export.traced import expect_tensorflow
from zoo.families.base import EndpointModel
from zoo.loading import read_test_tensors, verify_model
from zoo.model.card import prose_of, write_card
from zoo.model.model_json import write_spec
from zoo.model.spec import TEST_TENSORS, Export, File, Library, ModelSpec, Precision, onnx_file
from zoo.model.store import ModelFolder, locate
from zoo.model.test_tensors import TestTensors
from zoo.progress import track

Format = Literal["onnx", "savedmodel"]
FORMATS: tuple[Format, ...] = ("onnx", "savedmodel")
PRECISIONS: tuple[Precision, ...] = ("float32", "float16", "int8")
PACKAGES: dict[Library, list[str]] = {"keras": ["tensorflow", "keras", "tf2onnx"], "sklearn": ["scikit-learn", "skl2onnx"]}
"""Package that makes an ONNX graph of a model, by the model's library."""


def export(
    model: EndpointModel,
    folder: str | Path,
    *,
    format: Format = "onnx",
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
    model : EndpointModel
        A model as ``zoo.load`` returns it; a Keras one on the TensorFlow backend.
    folder : str or Path
        The folder to be made.
    format : {"onnx", "savedmodel"}
        The form of the export; a SavedModel is for Keras models.
    opset : int
        The opset of the ONNX graphs, 9 to 18.
    target : str, optional
        One of ``zoo.export.TARGETS``, which every ONNX graph must suit. Where it fixes the batch, as hls4ml does, the test
        tensors are cut to it. Of a tagger on particle clouds, cmssw and athena get a folder more, of their name, with a graph
        that takes their variables.
    endpoints : sequence of str, optional
        The endpoints to export; all of them by default.
    precision : {"float32", "float16", "int8"}
        The precision of products with large matrices in the ONNX graphs; inputs and outputs keep their dtypes. The card has the
        differences from float32 and a tolerance that they keep.
    calibration : mapping of str to ndarray, optional
        Typical rows for int8, arrays (n, ...) by the tensor's name, such as ``dataset.rows("validation").inputs``; by default
        the test tensors and mixtures of them, which may miss the extremes of real data.
    explain : bool
        Add the endpoint ``explain``: what ``predict`` (or the first endpoint) answers, and the gradient of its first output, or
        of a classifier's logits, with respect to each floating-point input. Where there are several elements to explain, the
        input ``weight`` says which, or which sum of them.
    source : str or Path, optional
        The name or folder that the model was loaded from, whose card and test tensors travel along; by default where
        ``zoo.load`` found it.
    parity_rows : int
        The rows of each endpoint's comparison with the model.
    overwrite : bool
        Replace an earlier export.

    Returns
    -------
    ExportReport
        What was exported, and how close to the model it is.

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
        When an exported endpoint does not answer as the model does, or padding changes its answer.
    """
    expect_tensorflow(model)
    _check_options(format, precision, target, explain)
    place = None if target is None else find_target(target)
    origin, spec = _origin(model, source)
    cloud = _cloud(spec, place, endpoints, precision)
    stored = origin.read(TEST_TENSORS)
    tensors = read_test_tensors(stored, spec)
    verify_model(model, tensors)
    explained = Explained(model, spec, tensors) if explain else None
    if endpoints is not None:
        if EXPLAIN in endpoints and EXPLAIN not in spec.endpoints:
            raise ExportError(f"endpoint {EXPLAIN!r} is made by {option('explain')}, beside the endpoints that are named")
        spec = with_endpoints(spec, endpoints)
    with whole_folder(Path(folder), overwrite=overwrite, marker=REPORT) as new:
        write_test_tensors(stored, new / TEST_TENSORS, spec, rows=None if place is None else place.batch)
        if format == "onnx":
            settings = _Settings(opset, place, precision, calibration, parity_rows)
            spec, reports = _write_graphs(model, spec, tensors, new, settings, explained)
            write_client_files(new, spec)
            if cloud is not None:
                reports |= _write_tagger(model, spec, cloud, tensors, new, settings)
        else:
            reports = export_saved_model(model, spec, new, parity_rows=parity_rows)
        report = _report(model, spec, format, opset, target, reports, _without_form(model.spec, place, cloud))
        report.write(new)
        files = [File.of(path) for path in sorted([*new.glob("*.onnx"), new / TEST_TENSORS])]
        write_card(new, write_spec(new, spec.model_copy(update={"files": files})), prose_of(origin.card, origin.link_root))
    return report


def export_onnx_files(
    model: EndpointModel, spec: ModelSpec, folder: str | Path, opset: int = OPSET, *, parity_rows: int = 1000
) -> dict[str, ParityReport]:
    """Write ``<endpoint>.onnx`` for every endpoint into a folder that holds ``test_tensors.npz`` already.

    A graph is written when it agrees with the model on ``parity_rows`` rows made from the test tensors.

    Returns
    -------
    dict of str to ParityReport
        How close each endpoint is to the model.

    Raises
    ------
    ExportError, ParityError
        What :func:`export` raises.
    IntegrityError
        When the test tensors lack one of the spec's.
    """
    tensors = read_test_tensors(Path(folder) / TEST_TENSORS, spec)
    return _write_float32(model, spec, tensors, Path(folder), _Settings(opset, parity_rows=parity_rows))


def export_saved_model(
    model: EndpointModel, spec: ModelSpec, folder: str | Path, *, parity_rows: int = 1000
) -> dict[str, ParityReport]:
    """Write, as :func:`export_onnx_files` does, one SavedModel with a signature per endpoint."""
    tensors = read_test_tensors(Path(folder) / TEST_TENSORS, spec)
    to_saved_model(model, spec, folder)
    return {
        endpoint: check_export(model, spec, endpoint, saved_model_function(folder, endpoint), tensors[endpoint][0], parity_rows)
        for endpoint in track(list(spec.endpoints), f"Comparing {spec.name}")
    }


@dataclass(frozen=True)
class _Settings:
    """What the graphs of one export have in common."""

    opset: int
    target: Target | None = None
    precision: Precision = "float32"
    calibration: Mapping[str, np.ndarray] | None = None
    parity_rows: int = 1000


def _check_options(format: Format, precision: Precision, target: str | None, explain: bool) -> None:
    """Refuse options that do not go together, before anything is computed."""
    if format not in FORMATS:
        raise UnknownNameError("export format", format, FORMATS)
    if precision not in PRECISIONS:
        raise UnknownNameError("precision", precision, PRECISIONS)
    if format != "onnx" and target is not None:
        raise ExportError(f"target {target}: it runs ONNX graphs, format {format} was asked for")
    if format != "onnx" and precision != "float32":
        raise ExportError(f"precision {precision}: it is for ONNX graphs, format {format} was asked for")
    if format != "onnx" and explain:
        raise ExportError(
            "explain is written as ONNX: a SavedModel goes with TensorFlow, whose GradientTape gives the gradient"
        )
    if precision != "float32" and explain:
        raise ExportError(f"precision {precision}: the gradient of explain is that of float32; export it without")


def _cloud(spec: ModelSpec, place: Target | None, endpoints: Sequence[str] | None, precision: Precision) -> Cloud | None:
    """What the target's software must know of a tagger, where there is one and it is to be exported."""
    if place is None or place.form is None or (endpoints is not None and spec.default_endpoint not in endpoints):
        return None
    cloud = read_cloud(spec, place.name)
    if cloud is not None and precision != "float32":
        raise ExportError(f"precision {precision}: a tagger for {place.name} is written in float32, leave the precision out")
    return cloud


def _without_form(spec: ModelSpec, place: Target | None, cloud: Cloud | None) -> str | None:
    """What to say of an export that lacks the form in which the target's software loads taggers; None of any other."""
    if place is None or place.form is None or cloud is not None:
        return None
    free = spec.endpoint(spec.default_endpoint).free
    why = f"endpoint {spec.default_endpoint!r} was left out" if free else "the model is no tagger of particles"
    return (
        f"no folder {place.form.folder}/, as {why}: graphs are checked for what runs there, {place.runtime}, and software of"
        " your own calls them"
    )


def _write_tagger(
    model: EndpointModel, spec: ModelSpec, cloud: Cloud, tensors: TestTensors, folder: Path, settings: _Settings
) -> dict[str, ParityReport]:
    """Write a tagger as the target's software loads it, beside the graphs of the endpoints."""
    place = settings.target
    assert place is not None
    assert place.form is not None
    rows, _ = tensors[cloud.endpoint]
    graph, report = write_tagger(model, spec, cloud, place.form, rows, folder, settings.opset, settings.parity_rows)
    check(graph, place, report.endpoint, batch=False)
    return {report.endpoint: report}


def _origin(model: EndpointModel, source: str | Path | None) -> tuple[ModelFolder, ModelSpec]:
    """Where a model's card and test tensors are, and its spec."""
    spec = getattr(model, "spec", None)
    if spec is None:
        raise ExportError("the model has no spec: load it with zoo.load, or assign model.spec")
    origin = model.folder if source is None else locate(source)
    if origin is None:
        raise ExportError("the model was not loaded by zoo.load: name its folder as source")
    return origin, spec


def _write_graphs(
    model: EndpointModel, spec: ModelSpec, tensors: TestTensors, folder: Path, settings: _Settings, explained: Explained | None
) -> tuple[ModelSpec, dict[str, ParityReport]]:
    """Write every endpoint's graph; the spec with what was found of them, and how close each is to the model."""
    if explained is not None:
        spec = spec.model_copy(update={"endpoints": spec.endpoints | {EXPLAIN: explained.spec.endpoint(EXPLAIN)}})
        tensors = tensors | {EXPLAIN: explained.tensors}
        rows = None if settings.target is None else settings.target.batch
        add_test_tensors(folder / TEST_TENSORS, {EXPLAIN: explained.tensors}, rows=rows)
    if settings.precision == "float32":
        reports, reduced = _write_float32(model, spec, tensors, folder, settings, explained), None
    else:
        graphs, reports, spec = reduced_graphs(
            model,
            spec,
            tensors,
            settings.precision,
            opset=settings.opset,
            target=settings.target,
            calibration=settings.calibration,
            parity_rows=settings.parity_rows,
        )
        reduced = spec.export.reduced
        for name, graph in graphs.items():
            write_whole(folder / onnx_file(name), graph)
    made = Export(
        opset=settings.opset,
        ir_version=ir_version(settings.opset),
        runtimes=[f"onnxruntime {version('onnxruntime')}"],
        parity={name: report.max_absolute for name, report in reports.items()},
        reduced=reduced,
    )
    return spec.model_copy(update={"export": made}), reports


def _write_float32(
    model: EndpointModel,
    spec: ModelSpec,
    tensors: TestTensors,
    folder: Path,
    settings: _Settings,
    explained: Explained | None = None,
) -> dict[str, ParityReport]:
    reports = {}
    answering: EndpointModel
    for endpoint in track(list(spec.endpoints), f"Exporting {spec.name}"):
        if explained is not None and endpoint == EXPLAIN:
            proto, answering, gradients = explained.to_onnx(settings.opset), explained, explained.gradients
        else:
            proto, answering, gradients = to_onnx(model, spec, endpoint, settings.opset), model, []
        if settings.target is not None:
            proto = fit(proto, settings.target, f"{spec.name}, endpoint {endpoint!r}")
        graph = proto.SerializeToString(deterministic=True)
        function = onnx_function(graph)
        if settings.target is not None and settings.target.batch == 1:
            function = row_by_row(function)
        rows, _ = tensors[endpoint]
        reports[endpoint] = check_export(answering, spec, endpoint, function, rows, settings.parity_rows, gradients)
        write_whole(folder / onnx_file(endpoint), graph)
    return reports


def _report(
    model: EndpointModel,
    spec: ModelSpec,
    format: Format,
    opset: int,
    target: str | None,
    reports: dict[str, ParityReport],
    note: str | None,
) -> ExportReport:
    graphs = format == "onnx"
    packages = [*PACKAGES[model.library], "onnx", "onnxruntime"] if graphs else ["tensorflow", "keras"]
    return ExportReport(
        name=spec.name,
        revision=spec.revision,
        library=model.library,
        format=format,
        opset=opset if graphs else None,
        ir_version=ir_version(opset) if graphs else None,
        target=target,
        note=note,
        reduced=spec.export.reduced,
        endpoints=list(reports.values()),
        versions={package: version(package) for package in packages},
    )

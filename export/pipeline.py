"""From a model to a folder for serving: every endpoint, each gated by parity with the model."""

from __future__ import annotations

import hashlib
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from zoo.atomic import whole_folder
from zoo.card import write_card
from zoo.cpp_files import write_cpp_files
from zoo.errors import ExportError, UnknownNameError
from zoo.export.onnx import ir_version, to_onnx
from zoo.export.parity import ParityReport, check_parity, in_range_rows, onnx_function, saved_model_function
from zoo.export.report import REPORT, ExportReport
from zoo.export.saved_model import to_saved_model
from zoo.families.base import EndpointModel
from zoo.loading import read_test_tensors, verify_model
from zoo.progress import track
from zoo.spec import TEST_TENSORS, Export, File, Library, ModelSpec, onnx_file
from zoo.store import locate

FORMATS = ("onnx", "savedmodel")
PACKAGES: dict[Library, list[str]] = {"keras": ["tensorflow", "keras", "tf2onnx"], "sklearn": ["scikit-learn", "skl2onnx"]}
"""Library of a model -> what makes an ONNX graph of it."""


def export(
    model: EndpointModel,
    folder: str | Path,
    *,
    format: Literal["onnx", "savedmodel"] = "onnx",
    opset: int = 13,
    source: str | Path | None = None,
    parity_rows: int = 1000,
    overwrite: bool = False,
) -> ExportReport:
    """Export every endpoint of a model.

    The folder holds the card as ``README.md``, ``test_tensors.npz``, ``report.json``, ``report.md`` and either one
    ``<endpoint>.onnx`` per endpoint, ready for ``zoo.serving.Session`` and ``zoo verify``, with ``cpp/`` for
    ``physzoo.hpp``, or a SavedModel. It appears when all of it is written and every endpoint agrees with the model; until
    then nothing has its name.

    Parameters
    ----------
    model : as ``zoo.load`` returns it; a Keras one on the TensorFlow backend
    folder : to be made
    format : "onnx" or, of a Keras model, "savedmodel"
    opset : of the ONNX graphs, 9 to 18
    source : name or folder that the model was loaded from, whose card and test tensors travel along; by default where
        ``zoo.load`` found it
    parity_rows : rows of each endpoint's comparison with the model
    overwrite : replace an earlier export

    Raises
    ------
    ExportError
        When the model cannot be exported, or the folder exists or cannot be written.
    ReproductionError
        When the model does not reproduce the test tensors of ``source``.
    ParityError
        When an exported endpoint does not answer as the model does.
    """
    if format not in FORMATS:
        raise UnknownNameError("export format", format, FORMATS)
    spec = getattr(model, "spec", None)
    if spec is None:
        raise ExportError("the model has no spec: load it with zoo.load, or assign model.spec")
    origin = model.folder if source is None else locate(source)
    if origin is None:
        raise ExportError("the model was not loaded by zoo.load: name its folder as source")
    test_tensors = origin.path(TEST_TENSORS)
    verify_model(model, read_test_tensors(test_tensors, spec))
    with whole_folder(Path(folder), overwrite=overwrite, marker=REPORT) as new:
        shutil.copyfile(test_tensors, new / TEST_TENSORS)
        if format == "onnx":
            packages = [*PACKAGES[model.library], "onnx", "onnxruntime"]
            endpoints = export_onnx_files(model, spec, new, opset, parity_rows=parity_rows)
            parity = {name: report.max_absolute for name, report in endpoints.items()}
            runtimes = [f"onnxruntime {version('onnxruntime')}"]
            made = Export(opset=opset, ir_version=ir_version(opset), runtimes=runtimes, parity=parity)
            spec = spec.model_copy(update={"export": made})
            write_cpp_files(new, spec)
        else:
            packages = ["tensorflow", "keras"]
            endpoints = export_saved_model(model, spec, new, parity_rows=parity_rows)
        report = ExportReport(
            name=spec.name,
            revision=spec.revision,
            library=model.library,
            format=format,
            opset=opset if format == "onnx" else None,
            ir_version=ir_version(opset) if format == "onnx" else None,
            endpoints=list(endpoints.values()),
            versions={package: version(package) for package in packages},
        )
        report.write(new)
        files = [_describe(path) for path in sorted([*new.glob("*.onnx"), new / TEST_TENSORS])]
        shutil.copyfile(origin.card, new / "README.md")  # for its prose
        write_card(new / "README.md", spec.model_copy(update={"files": files}))
    return report


def export_onnx_files(
    model: EndpointModel, spec: ModelSpec, folder: str | Path, opset: int = 13, *, parity_rows: int = 1000
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
    reports = {}
    for endpoint in track(list(spec.endpoints), f"Exporting {spec.name}"):
        graph = to_onnx(model, spec, endpoint, opset).SerializeToString(deterministic=True)
        rows = in_range_rows(tensors[endpoint][0], parity_rows)
        reports[endpoint] = check_parity(model, spec, endpoint, onnx_function(graph), rows)
        (Path(folder) / onnx_file(endpoint)).write_bytes(graph)
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


def _describe(path: Path) -> File:
    content = path.read_bytes()
    return File(path=path.name, sha256=hashlib.sha256(content).hexdigest(), bytes=len(content))

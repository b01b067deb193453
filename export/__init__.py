"""Models as ONNX graphs, SavedModels and model repositories that answer as they do, or are not written.

Names are imported when they are first used: a repository of released models is made without TensorFlow.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from zoo.errors import ExportError as ExportError
from zoo.errors import ZooError
from zoo.lazy import importer

if TYPE_CHECKING:
    from zoo.export.onnx import to_onnx as to_onnx
    from zoo.export.parity import OutputParity as OutputParity
    from zoo.export.parity import ParityReport as ParityReport
    from zoo.export.parity import check_parity as check_parity
    from zoo.export.parity import in_range_rows as in_range_rows
    from zoo.export.pipeline import export as export
    from zoo.export.pipeline import export_onnx_files as export_onnx_files
    from zoo.export.pipeline import export_saved_model as export_saved_model
    from zoo.export.report import ExportReport as ExportReport
    from zoo.export.repository import add_to_repository as add_to_repository
    from zoo.export.saved_model import to_saved_model as to_saved_model
    from zoo.export.targets import TARGETS as TARGETS

_WITH_TENSORFLOW = {
    "ExportReport": "zoo.export.report",
    "OutputParity": "zoo.export.parity",
    "ParityReport": "zoo.export.parity",
    "check_parity": "zoo.export.parity",
    "export": "zoo.export.pipeline",
    "export_onnx_files": "zoo.export.pipeline",
    "export_saved_model": "zoo.export.pipeline",
    "in_range_rows": "zoo.export.parity",
    "to_onnx": "zoo.export.onnx",
    "to_saved_model": "zoo.export.saved_model",
}
_HOMES = _WITH_TENSORFLOW | {"TARGETS": "zoo.export.targets", "add_to_repository": "zoo.export.repository"}

__all__ = sorted([*_HOMES, "ExportError"])
_imported = importer(__name__, _HOMES)


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        _require("onnx", *(("onnxruntime", "tensorflow", "tf2onnx") if name in _WITH_TENSORFLOW else ()))
    return _imported(name)


def __dir__() -> list[str]:
    return __all__


def _require(*packages: str) -> None:
    for package in packages:
        if find_spec(package) is None:
            raise ZooError(f"export needs {package}, which is not installed: pip install 'physzoo[export,cpu]'")

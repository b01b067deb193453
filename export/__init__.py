"""Models as ONNX graphs and SavedModels that answer as they do, or are not written."""

from importlib.util import find_spec

from zoo.errors import ExportError, ZooError

for _package in ("onnx", "onnxruntime", "tensorflow", "tf2onnx"):
    if find_spec(_package) is None:
        raise ZooError(f"export needs {_package}, which is not installed: pip install 'physzoo[export,cpu]'")

from zoo.export.onnx import to_onnx  # noqa: E402
from zoo.export.parity import OutputParity, ParityReport, check_parity, in_range_rows  # noqa: E402
from zoo.export.pipeline import export, export_onnx_files, export_saved_model  # noqa: E402
from zoo.export.report import ExportReport  # noqa: E402
from zoo.export.saved_model import to_saved_model  # noqa: E402

__all__ = [
    "ExportError",
    "ExportReport",
    "OutputParity",
    "ParityReport",
    "check_parity",
    "export",
    "export_onnx_files",
    "export_saved_model",
    "in_range_rows",
    "to_onnx",
    "to_saved_model",
]

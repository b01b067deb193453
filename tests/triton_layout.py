"""A folder of models in Triton's layout, made by hand, for tests of the server."""

from __future__ import annotations

import shutil
from pathlib import Path

import tiny_models

from zoo.spec import TEST_TENSORS


def write_repository(root: Path, *versions: str, endpoint: str = "predict", config: str = "", name: str = "tiny") -> Path:
    """One model ``<root>/<name>``, with its card and test tensors beside its configuration; returns its folder."""
    served = name if endpoint == "predict" else f"{name}.{endpoint}"
    made = tiny_models.write_tiny_model(root / ".made" / served, name=name)
    folder = root / served
    folder.mkdir()
    for file in ("README.md", TEST_TENSORS):
        shutil.copy(made / file, folder / file)
    (folder / "config.pbtxt").write_text(f'name: "{served}"\nbackend: "onnxruntime"\nmax_batch_size: 64\n{config}')
    for version in versions:
        add_version(folder, version, made / f"{endpoint}.onnx")
    return folder


def add_version(folder: Path, version: str, graph: Path | None = None) -> Path:
    """A version with the graph of another, there all at once, as a careful copy would do it."""
    graph = graph or next(folder.glob("[1-9]*/model.onnx"))
    making = folder / f".{version}"
    making.mkdir()
    shutil.copy(graph, making / "model.onnx")
    return making.rename(folder / version)

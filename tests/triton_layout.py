"""A folder of models in Triton's layout, made by hand, for tests of the server."""

from __future__ import annotations

import shutil
from pathlib import Path

import tiny_models

from zoo.model.model_json import read_spec, write_spec
from zoo.model.spec import RANGES, SERVED_GRAPH, SPEC, TEST_TENSORS


def write_repository(root: Path, *versions: str, endpoint: str = "predict", config: str = "", name: str = "tiny") -> Path:
    """One model ``<root>/<name>`` with its configuration and versions; returns its folder."""
    served = name if endpoint == "predict" else f"{name}.{endpoint}"
    made = tiny_models.write_tiny_model(root / ".made" / served, name=name)
    (made / f"{endpoint}.onnx").rename(made / SERVED_GRAPH)
    spec = read_spec(made)
    listed = [file for file in tiny_models.files_of(made) if file.path in (SERVED_GRAPH, TEST_TENSORS)]
    write_spec(made, spec.model_copy(update={"files": listed}))
    folder = root / served
    folder.mkdir()
    (folder / "config.pbtxt").write_text(f'name: "{served}"\nbackend: "onnxruntime"\nmax_batch_size: 64\n{config}')
    for version in versions:
        add_version(folder, version, made)
    return folder


def add_version(folder: Path, version: str, source: Path | None = None) -> Path:
    """A version with the files of another, there all at once, as a careful copy would do it."""
    source = source or next(folder.glob("[1-9]*"))
    making = folder / f".{version}"
    making.mkdir()
    for file in (SERVED_GRAPH, SPEC, RANGES, TEST_TENSORS):
        if (source / file).exists():
            shutil.copy(source / file, making / file)
    return making.rename(folder / version)

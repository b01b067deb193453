"""A made-up model folder for tests that need a spec and files with the right hashes, but no real model."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from zoo.model.axes import fixed_axes
from zoo.model.card import write_card
from zoo.model.model_json import write_spec
from zoo.model.spec import METRICS, WEIGHTS, Data, Endpoint, File, Metric, ModelSpec, Tensor

TINY_METRICS = [Metric(name="auc", value=0.9731250000000001, interval=(0.96, 0.98), n=200, baseline=0.5, baseline_name="coin")]
TINY_ENDPOINT = Endpoint(
    description="The number times two",
    inputs=[
        Tensor(name="x", axes=fixed_axes("x", [3]), unit="muK^2", description="three numbers", low=[-1.5, 0.1, 1e-7], high=2.5)
    ],
    outputs=[Tensor(name="y", axes=fixed_axes("y", [1]), unit="1", description="one number")],
)


def make_model_folder(
    path: Path, *, name: str = "tiny-model", files: dict[str, bytes] | None = None, **fields: Any
) -> ModelSpec:
    """Write a folder with a spec, a card, and files whose hashes the spec carries.

    Parameters
    ----------
    path : Path
        The folder, made if missing.
    name : str
        The name of the model.
    files : dict, optional
        File name -> content; ``metrics.json`` is written from the spec's metrics unless given.
    **fields
        Fields of ModelSpec, over the made-up ones.

    Returns
    -------
    ModelSpec
        The spec as it was written.
    """
    metrics = fields.setdefault("metrics", TINY_METRICS)
    measured = json.dumps({"metrics": [metric.model_dump(mode="json") for metric in metrics]}).encode()
    files = {METRICS: measured} | ({WEIGHTS: b"not really weights"} if files is None else files)
    path.mkdir(parents=True, exist_ok=True)
    for file_name, content in files.items():
        (path / file_name).write_bytes(content)
    made_up: dict[str, Any] = {
        "name": name,
        "family": "tiny",
        "config": {"units": [64, 64], "rate": 1e-5},
        "task": "binary-classification",
        "summary": "A model made up for tests.",
        "endpoints": {"predict": TINY_ENDPOINT},
        "data": Data(source="coins", description="thrown", simulator="random 1.0", seed=1, rows={"train": 800, "test": 200}),
        "files": [file_entry(file_name, content) for file_name, content in files.items()],
        "physzoo_version": "0.1.0",
    }
    spec = write_spec(path, ModelSpec(**(made_up | fields)))
    write_card(path, spec)
    return spec


def file_entry(name: str, content: bytes) -> File:
    """What a spec says about a file of this content."""
    return File(path=name, sha256=hashlib.sha256(content).hexdigest(), bytes=len(content))

"""Models beside each other: how large, how fast on this machine, where they run, how good."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel

from zoo.errors import ZooError
from zoo.model.metric_text import metric_unit
from zoo.model.model_json import Summary
from zoo.model.spec import TEST_TENSORS, Data, Metric, onnx_file
from zoo.model.store import ModelFolder, locate
from zoo.model.test_tensors import read_test_tensors
from zoo.model.weights_file import parameters

WARM_UP, CALLS = 5, 50
"""Calls that are not timed, and calls whose median is the latency."""


class Compared(BaseModel):
    """One of several models."""

    name: str
    revision: str
    family: str
    task: str
    summary: str
    parameters: int | None
    """Numbers in its weights; None where they are not on this machine or h5py is not installed."""
    bytes: int
    """Bytes of all files."""
    endpoint: str
    """The endpoint that was timed."""
    latency: float | None
    """Median time of ONNX Runtime for one row on one thread of this CPU, in ms; None where it cannot run here."""
    opset: int
    runtimes: list[str]
    """Runtimes in which the graphs were tested."""
    data: Data
    metrics: list[Metric]
    """Those of the model itself on held-out rows, without variants and further test sets."""
    units: dict[str, str]
    """Unit of each metric that has one which is known."""


def listed(summary: Summary) -> dict[str, Any]:
    """What ``zoo list --json`` says of a model at hand.

    Parameters
    ----------
    summary : Summary
        What the registry says of it.

    Returns
    -------
    dict of str to object
        Plain data. A list opens no graph: the latency is for :func:`compare`.
    """
    metric = None if summary.metric is None else {**summary.metric.model_dump(mode="json"), "unit": summary.unit}
    return {
        **summary.model_dump(mode="json", include={"name", "revision", "family", "task", "summary"}),
        "parameters": _counted(summary.name),
        "bytes": summary.bytes,
        "runtimes": summary.export.runtimes,
        "metric": metric,
    }


def _counted(name: str) -> int | None:
    try:
        return parameters(locate(name))
    except ZooError:  # one folder that is damaged must not take the list down
        return None


def compare(names: Iterable[str | Path]) -> list[Compared]:
    """Put models beside each other.

    Parameters
    ----------
    names : iterable of str or Path
        Released names, ``name@revision``, folders or ``hf://owner/name``.

    Returns
    -------
    list of Compared
        In the order of the names.

    Raises
    ------
    ZooError
        A model is not there, or its files are not those that its spec describes.
    """
    return [_compared(locate(name)) for name in names]


def _compared(folder: ModelFolder) -> Compared:
    spec = folder.spec
    metrics = [metric for metric in spec.metrics if "/" not in metric.name]
    return Compared(
        **spec.model_dump(include={"name", "revision", "family", "task", "summary"}),
        parameters=parameters(folder),
        bytes=sum(file.bytes for file in spec.files),
        endpoint=spec.default_endpoint,
        latency=_latency(folder),
        opset=spec.export.opset,
        runtimes=spec.export.runtimes,
        data=spec.data,
        metrics=metrics,
        units={metric.name: unit for metric in metrics if (unit := metric_unit(metric, spec.units))},
    )


def _latency(folder: ModelFolder) -> float | None:
    """Milliseconds for a row of the test tensors."""
    spec = folder.spec
    endpoint = spec.default_endpoint
    if spec.file(onnx_file(endpoint)) is None or spec.file(TEST_TENSORS) is None:
        return None
    try:
        from zoo.serving import Session
    except ImportError:  # no ONNX Runtime
        return None
    session = Session.of(folder, device="cpu")
    inputs, _ = read_test_tensors(folder.read(TEST_TENSORS), spec)[endpoint]
    row = {name: array[:1] for name, array in inputs.items()}
    times = []
    for _ in range(WARM_UP + CALLS):
        start = time.perf_counter()
        session.run(row, endpoint, allow_out_of_range=True)
        times.append(time.perf_counter() - start)
    return 1e3 * float(np.median(times[WARM_UP:]))

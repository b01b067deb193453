"""Models beside each other: how large, how fast on this machine, where they run, how good."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, computed_field

from zoo.errors import ZooError
from zoo.extras import missing
from zoo.model.metric_text import metric_unit
from zoo.model.model_json import Summary
from zoo.model.spec import TEST_TENSORS, Data, Metric
from zoo.model.store import ModelFolder, locate
from zoo.model.test_tensors import read_test_tensors
from zoo.model.weights_file import parameters
from zoo.progress import track

WARM_UP, CALLS = 5, 50
"""Calls that are not timed, and calls whose median is the latency."""


class Latency(BaseModel):
    """How long one row takes on this machine, or why that was not measured."""

    ms: float | None = None
    """Median over the calls, in milliseconds."""
    low: float | None = None
    high: float | None = None
    """Milliseconds between which 95% of the calls took."""
    of: str | None = None
    """What was measured: the endpoint, the runtime with its version, the threads."""
    error: str | None = None
    """Why nothing was, such as a graph that is not there or ONNX Runtime that is not installed."""


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
    latency: Latency
    opset: int
    runtimes: list[str]
    """Runtimes in which the graphs were tested."""
    data: Data
    metrics: list[Metric]
    """Those of the model itself on held-out rows, without variants and further test sets."""
    units: dict[str, str]
    """Unit of each metric that has one which is known."""

    @computed_field
    def metric(self) -> dict[str, Any] | None:
        """The first metric with its unit, as :func:`listed` has it."""
        return _with_unit(self.metrics[0], self.units.get(self.metrics[0].name, "")) if self.metrics else None


def listed(summary: Summary, latency: Latency | None = None) -> dict[str, Any]:
    """What ``zoo list --json`` says of a model at hand.

    Parameters
    ----------
    summary : Summary
        What the registry says of it.
    latency : Latency, optional
        What was measured here, of :func:`latencies`.

    Returns
    -------
    dict of str to object
        Plain data; with the key ``latency`` where one was given.
    """
    return {
        **summary.model_dump(mode="json", include={"name", "revision", "family", "task", "summary"}),
        "parameters": _counted(summary.name),
        "bytes": summary.bytes,
        "runtimes": summary.export.runtimes,
        "metric": None if summary.metric is None else _with_unit(summary.metric, summary.unit),
        **({} if latency is None else {"latency": latency.model_dump(mode="json")}),
    }


def _with_unit(metric: Metric, unit: str) -> dict[str, Any]:
    return {**metric.model_dump(mode="json"), "unit": unit}


def _counted(name: str) -> int | None:
    try:
        return parameters(locate(name))
    except ZooError:  # one folder that is damaged must not take the list down
        return None


def latencies(names: Sequence[str]) -> dict[str, Latency]:
    """Measure models that are listed, with a bar on stderr where it takes long.

    Parameters
    ----------
    names : sequence of str
        Their names.

    Returns
    -------
    dict of str to Latency
        Of each name; for one that cannot be measured, it says why.
    """
    return {name: _latency_by_name(name) for name in track(names, "timing one row")}


def _latency_by_name(name: str) -> Latency:
    try:
        return _latency(locate(name))
    except ZooError as error:  # one folder that is damaged must not take the list down
        return Latency(error=str(error))


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
        A model is not there, or its spec cannot be read.
    """
    return [_compared(folder) for folder in track([locate(name) for name in names], "timing one row")]


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


def _latency(folder: ModelFolder) -> Latency:
    """Time the first test row of the default endpoint, its check included."""
    endpoint = folder.spec.default_endpoint
    try:
        from onnxruntime import __version__ as version

        from zoo.serving import Session

        session = Session.of(folder, device="cpu", threads=1)
        inputs, _ = read_test_tensors(folder.read(TEST_TENSORS), folder.spec, endpoint)[endpoint]
        row = {name: array[:1] for name, array in inputs.items()}
        times = []
        for _ in range(WARM_UP + CALLS):
            start = time.perf_counter()
            session.run(row, endpoint, allow_out_of_range=True)
            times.append(time.perf_counter() - start)
    except Exception as error:  # ONNX Runtime's errors share no base of their own
        return Latency(error=str(missing(error) if isinstance(error, ImportError) else error))
    low, ms, high = 1e3 * np.percentile(times[WARM_UP:], [2.5, 50, 97.5])
    return Latency(ms=ms, low=low, high=high, of=f"one row of {endpoint}, onnxruntime {version}, one CPU thread")

"""An endpoint on the devices that run it, each batch on the one that was measured to be fastest for its size."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from zoo.model.misspecification import Reference
from zoo.model.onnx_bytes import OnnxBytes
from zoo.model.spec import Endpoint
from zoo.serving.devices import CPU, Device, devices
from zoo.serving.graph import Graph
from zoo.serving.instances import Arrays, Timed, fastest, lengths
from zoo.serving.padding import Padded, sizes_up_to

_TYPICAL = 32
"""Rows of a batch as Triton's dynamic batching makes it."""
_log = logging.getLogger("zoo.serving")


def place(
    source: OnnxBytes,
    endpoint: Endpoint,
    wanted: Sequence[Device],
    *,
    row: Callable[[], Mapping[str, np.ndarray]],
    most: int,
    threads: int = 1,
    reference: Reference | None = None,
) -> list[Graph]:
    """Open an endpoint on each device that is to run it.

    Parameters
    ----------
    source : OnnxBytes
        The ONNX graph.
    endpoint : Endpoint
        What the spec says of it.
    wanted : sequence of Device
        The devices. Where the CPU is among them, another that does not run the graph is left out, which the log says.
    row : callable
        Gives inputs of one row, with which devices other than the CPU are prepared.
    most : int
        Rows of the largest batch that they are prepared for.
    threads : int
        Threads within one operator on the CPU.
    reference : Reference, optional
        What simulated observations are like, where inputs are held against them.

    Returns
    -------
    list of Graph
        At least one, in the order of their devices.

    Raises
    ------
    IntegrityError
        ONNX Runtime cannot load the graph, or its tensors are not those of the spec.
    ProviderError
        A device is not in use, and the CPU is not among them.
    """
    placed: list[Graph] = []
    for one in wanted:
        if one.kind == "cpu":
            placed.append(Graph(source, endpoint, one, threads=threads, reference=reference))
            continue
        try:
            placed.append(Padded(source, endpoint, one, sizes_up_to(most), row(), reference))
        except Exception as error:  # errors of ONNX Runtime, such as of a full device, share no base
            if CPU not in wanted:
                raise
            _log.warning("%s does not run on %s: %s", source.path, one, error)
    return placed


def instance_kind(file: Path, endpoint: Endpoint, row: Mapping[str, np.ndarray]) -> str:
    """Where Triton should run an endpoint, by what a batch takes on the devices of this machine.

    Parameters
    ----------
    file : Path
        The ONNX graph.
    endpoint : Endpoint
        What the spec says of it.
    row : mapping of str to ndarray
        Inputs of one row or more.

    Returns
    -------
    str
        ``KIND_GPU`` or ``KIND_CPU``, whichever runs a batch of 32 rows sooner; ``KIND_AUTO`` on a machine without a GPU.
    """
    first = {name: array[:1] for name, array in row.items()}
    graphs = place(OnnxBytes.read(file), endpoint, devices(), row=lambda: first, most=_TYPICAL)
    if len(graphs) == 1:
        return "KIND_AUTO"
    timed = _timed(graphs, first, [_TYPICAL])
    best = fastest(timed, _TYPICAL, lengths(first, graphs[0].free.values()))[0]
    return "KIND_CPU" if best.device.kind == "cpu" else "KIND_GPU"


def warm_up(places: Sequence[Timed], graph: Graph, row: Mapping[str, np.ndarray], sizes: Sequence[int]) -> None:
    """Time an endpoint's runs of these sizes of batch on each of its devices.

    Parameters
    ----------
    places : sequence of Timed
        The endpoint on each device.
    graph : Graph
        It on one of them, which checks the row.
    row : mapping of str to ndarray
        Inputs of one row, whose copies make the batches.
    sizes : sequence of int
        Rows of the batches, rising.
    """
    first = graph.check(row, allow_nonfinite=True, allow_out_of_range=True)
    for place in places:
        place.warm_up(first, lengths(first, graph.free.values()), sizes)


def _timed(graphs: Sequence[Graph], row: Mapping[str, np.ndarray], sizes: Sequence[int]) -> list[Timed]:
    """The endpoint on each device, its runs of these sizes timed."""
    timed = [Timed(graph.run, graph.device) for graph in graphs]
    warm_up(timed, graphs[0], row, sizes)
    return timed


class Fastest:
    """An endpoint on several devices, each batch on the one that is fastest for its size; called as a ``Graph`` is.

    Parameters
    ----------
    graphs : sequence of Graph
        The endpoint on each device.
    row : mapping of str to ndarray
        Inputs of one row, whose copies are timed.
    most : int
        Rows of the largest batch that is timed.
    """

    def __init__(self, graphs: Sequence[Graph], row: Mapping[str, np.ndarray], most: int) -> None:
        self.check, self.guard, self._free = graphs[0].check, graphs[0].guard, tuple(graphs[0].free.values())
        self._timed = _timed(graphs, row, sizes_up_to(most))

    def __call__(self, inputs: object, allow_nonfinite: bool, allow_out_of_range: bool) -> Arrays:
        """Check and run a batch; InputError names the tensor, what was expected and what was given."""
        arrays = self.check(inputs, allow_nonfinite, allow_out_of_range)
        rows = len(next(iter(arrays.values())))
        outputs = fastest(self._timed, rows, lengths(arrays, self._free))[0].run(arrays)
        self.guard(outputs, allow_nonfinite, allow_out_of_range)
        return outputs

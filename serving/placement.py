"""An endpoint on the devices that run it, each batch on the one that was measured to be fastest for its size."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from zoo.model.spec import Endpoint
from zoo.serving.devices import devices
from zoo.serving.graph import Graph
from zoo.serving.instances import Arrays, Timed, fastest, lengths
from zoo.serving.padding import Padded, sizes_up_to

_log = logging.getLogger("zoo.serving")


def place(
    file: Path,
    endpoint: Endpoint,
    device: str = "auto",
    *,
    row: Callable[[], Mapping[str, np.ndarray]],
    most: int,
    threads: int = 1,
) -> list[Graph]:
    """Open an endpoint on each device that is to run it.

    Parameters
    ----------
    file : Path
        The ONNX graph.
    endpoint : Endpoint
        What the spec says of it.
    device : str
        As ``zoo.serving.devices.devices`` reads it. With ``auto`` a device that does not run the graph is left out, which the
        log says; any other word asks for just that.
    row : callable
        Gives inputs of one row, with which devices other than the CPU are prepared.
    most : int
        Rows of the largest batch that they are prepared for.
    threads : int
        Threads within one operator on the CPU.

    Returns
    -------
    list of Graph
        At least one; of ``auto`` the CPU is the last.

    Raises
    ------
    InputError
        The word names no device.
    IntegrityError
        ONNX Runtime cannot load the graph, or its tensors are not those of the spec.
    ProviderError
        The device that was asked for is not in use.
    """
    placed: list[Graph] = []
    for one in devices(device):
        if one.kind == "cpu":
            placed.append(Graph(file, endpoint, one, threads=threads))
            continue
        try:
            placed.append(Padded(file, endpoint, one, sizes_up_to(most), row()))
        except Exception as error:  # errors of ONNX Runtime, such as of a full device, share no base
            if device != "auto":
                raise
            _log.warning("%s does not run on %s: %s", file, one, error)
    return placed


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
        self.check, self._free = graphs[0].check, tuple(graphs[0].free.values())
        self._timed = [Timed(graph.run, graph.device) for graph in graphs]
        first = self.check(row, allow_nonfinite=True, allow_out_of_range=True)
        for timed in self._timed:
            timed.warm_up(first, lengths(first, self._free), sizes_up_to(most))

    def __call__(self, inputs: Mapping[str, object], allow_nonfinite: bool, allow_out_of_range: bool) -> Arrays:
        """Check and run a batch; InputError names the tensor, what was expected and what was given."""
        arrays = self.check(inputs, allow_nonfinite, allow_out_of_range)
        rows = len(next(iter(arrays.values())))
        return fastest(self._timed, rows, lengths(arrays, self._free))[0].run(arrays)

"""Batches of few sizes only, for a device on which each new size is dear.

cuDNN looks for an algorithm at each new size of batch, and a CUDA graph replays launches of one size. So batches are filled up
to the next of a few sizes, all of which run before the first request does, bound to the device's memory.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import onnxruntime

from zoo.model.misspecification import Reference
from zoo.model.onnx_bytes import OnnxBytes
from zoo.model.spec import Endpoint
from zoo.serving.devices import Device, open_graph
from zoo.serving.graph import Graph
from zoo.serving.instances import Arrays

_log = logging.getLogger("zoo.serving")
_CAPTURE_RUNS = 3
"""ONNX Runtime runs a graph twice before it captures it; the third run replays what was captured."""


def sizes_up_to(most: int) -> list[int]:
    """Powers of two below a number of rows, and the number: a batch is filled up to less than twice its rows."""
    return [*(1 << power for power in range((most - 1).bit_length())), most]


class Padded(Graph):
    """An endpoint ready to run on a device, at few sizes of batch.

    Free axes have the lengths that requests have: only the batch of an endpoint with such axes is filled up, and nothing of it
    is bound or captured.

    Parameters
    ----------
    source : OnnxBytes
        The ONNX graph.
    endpoint : Endpoint
        What the spec says of it.
    device : Device
        Where it runs.
    sizes : sequence of int
        Sizes of batch, rising.
    row : mapping of str to ndarray
        Inputs of one row that the graph takes, with which every size is prepared.
    reference : Reference, optional
        What simulated observations are like, where inputs are held against them.

    Raises
    ------
    IntegrityError
        ONNX Runtime cannot load the graph, or its tensors are not those of the spec.
    ProviderError
        The device is not in use.
    """

    def __init__(
        self,
        source: OnnxBytes,
        endpoint: Endpoint,
        device: Device,
        sizes: Sequence[int],
        row: Mapping[str, np.ndarray],
        reference: Reference | None = None,
    ) -> None:
        super().__init__(source, endpoint, device, reference=reference)
        self.sizes = list(sizes)
        self._lock = threading.Lock()  # bound memory holds one batch at a time
        first = self.check(row, allow_nonfinite=True, allow_out_of_range=True)
        self._bound: dict[int, _Bound] = {}
        if not self.free:
            self._bound = self._capture(source, first) or {
                size: _Bound(self.session, endpoint, device, size) for size in self.sizes
            }
        for size in self.sizes:
            self.run(_filled(first, size))

    def run(self, arrays: Arrays) -> Arrays:
        """Run a batch as ``Graph.run`` does; one of more rows than the largest size in pieces of that size."""
        rows, most = len(next(iter(arrays.values()))), self.sizes[-1]
        if rows <= most:
            return self._run(arrays, rows)
        ends = [*range(0, rows, most), rows]
        pieces = [
            self._run({name: array[start:end] for name, array in arrays.items()}, end - start) for start, end in pairwise(ends)
        ]
        return {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}

    def _run(self, arrays: Arrays, rows: int) -> Arrays:
        if not rows:
            return super().run(arrays)
        size = next(size for size in self.sizes if size >= rows)
        filled = arrays if size == rows else _filled(arrays, size)
        with self._lock:
            outputs = self._bound[size](filled) if self._bound else super().run(filled)
        return outputs if size == rows else {name: array[:rows] for name, array in outputs.items()}

    def _capture(self, source: OnnxBytes, row: Arrays) -> dict[int, _Bound] | None:
        """Every size as a CUDA graph; None where this graph is not captured, or does not answer as it does without."""
        if self.device.kind != "cuda":
            return None
        try:
            session = open_graph(source, self.device, capture=True)
            bound = {size: _Bound(session, self.endpoint, self.device, size, capture=True) for size in self.sizes}
            for size, one in bound.items():
                filled = _filled(row, size)
                expected = super().run(filled)
                answers = [one(filled) for _ in range(_CAPTURE_RUNS)][-1]
                for name, array in expected.items():
                    if not np.allclose(answers[name], array, rtol=1e-3, atol=1e-3 * float(np.abs(array).max()), equal_nan=True):
                        raise ValueError(f"output {name} of a captured run differs from that of a plain one")
        except Exception as error:  # ONNX Runtime's errors share no base; what is not captured runs plainly
            _log.info("%s runs without CUDA graphs: %s", self.file, error)
            return None
        return bound


def _filled(arrays: Arrays, size: int) -> Arrays:
    """The same with its last row repeated up to a number of rows: a row of zeros need not be one that the graph takes."""
    return {name: np.concatenate([array, np.repeat(array[-1:], size - len(array), axis=0)]) for name, array in arrays.items()}


class _Bound:
    """Inputs and outputs of one size in memory of the device, which serve one batch after the other."""

    def __init__(
        self, session: onnxruntime.InferenceSession, endpoint: Endpoint, device: Device, size: int, capture: bool = False
    ) -> None:
        self._session, self._binding = session, session.io_binding()
        self._options = onnxruntime.RunOptions()
        if capture:
            self._options.add_run_config_entry("gpu_graph_id", str(size))

        def memory(shape: list[int], dtype: str) -> onnxruntime.OrtValue:
            return onnxruntime.OrtValue.ortvalue_from_shape_and_type(
                [size, *shape], np.dtype(dtype).type, device.kind, device.number
            )

        self._inputs = {tensor.name: memory(tensor.fixed_shape, tensor.dtype) for tensor in endpoint.inputs}
        self._outputs = {tensor.name: memory(tensor.fixed_shape, tensor.dtype) for tensor in endpoint.outputs}
        for name, value in self._inputs.items():
            self._binding.bind_ortvalue_input(name, value)
        for name, value in self._outputs.items():
            self._binding.bind_ortvalue_output(name, value)

    def __call__(self, arrays: Arrays) -> Arrays:
        for name, value in self._inputs.items():
            value.update_inplace(np.ascontiguousarray(arrays[name]))
        self._session.run_with_iobinding(self._binding, self._options)
        return {name: np.array(value.numpy()) for name, value in self._outputs.items()}

"""One endpoint in ONNX Runtime: its graph, and the checks of its inputs and answers prepared once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from zoo.errors import IntegrityError
from zoo.model.axes import BATCH
from zoo.model.dtypes import NAMES
from zoo.model.inputs import InputCheck
from zoo.model.misspecification import Reference
from zoo.model.onnx_bytes import OnnxBytes
from zoo.model.outputs import OutputCheck
from zoo.model.spec import Endpoint, Tensor
from zoo.serving.devices import CPU, Device, open_graph

if TYPE_CHECKING:
    from onnxruntime import NodeArg


class Graph:
    """An endpoint ready to run, from one thread or from many.

    Parameters
    ----------
    source : OnnxBytes
        The ONNX graph.
    endpoint : Endpoint
        What the spec says of it.
    device : Device
        Where it runs.
    threads : int
        Threads within one operator on the CPU.
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
        device: Device = CPU,
        *,
        threads: int = 1,
        reference: Reference | None = None,
    ) -> None:
        self.file, self.endpoint, self.device = source.path, endpoint, device
        self.may_loop = source.may_loop
        self.session = open_graph(source, device, threads=threads)
        self.check, self.guard = InputCheck(endpoint, reference), OutputCheck(endpoint)
        self.free = free_axes(endpoint)
        self._outputs = endpoint.outputs
        self._names = [tensor.name for tensor in endpoint.outputs]
        _compare(self.file, "inputs", self.session.get_inputs(), endpoint.inputs)
        _compare(self.file, "outputs", self.session.get_outputs(), endpoint.outputs)

    def __call__(self, inputs: object, allow_nonfinite: bool, allow_out_of_range: bool) -> dict[str, np.ndarray]:
        """Check and run a batch; InputError names the tensor, what was expected and what was given."""
        outputs = self.run(self.check(inputs, allow_nonfinite, allow_out_of_range))
        self.guard(outputs, allow_nonfinite, allow_out_of_range)
        return outputs

    def run(self, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Run a batch that was checked.

        Parameters
        ----------
        arrays : dict of str to ndarray
            One array for each input, of shape (batch, ...) and the spec's dtype.

        Returns
        -------
        dict of str to ndarray
            One array for each output, of shape (batch, ...) and the spec's dtype.
        """
        if not len(next(iter(arrays.values()))):  # some operators refuse an empty batch, and some end the process
            return self._nothing(arrays)
        return dict(zip(self._names, self.session.run(self._names, arrays), strict=True))

    def _nothing(self, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The answers to an empty batch; free axes are as long as they are in the inputs."""
        sizes = {axis: arrays[name].shape[position] for axis, (name, position) in self.free.items()}
        return {tensor.name: np.empty((0, *tensor.sized(sizes)), tensor.dtype) for tensor in self._outputs}


def free_axes(endpoint: Endpoint) -> dict[str, tuple[str, int]]:
    """Where the length of each free axis of an endpoint is found in its inputs.

    Parameters
    ----------
    endpoint : Endpoint
        The endpoint whose inputs are looked at.

    Returns
    -------
    dict of str to tuple of (str, int)
        Name of the axis -> name of an input that has it, and its position there, counted with the batch.
    """
    found: dict[str, tuple[str, int]] = {}
    for tensor in endpoint.inputs:
        for position, axis in enumerate(tensor.axes, start=1):
            if axis.free:
                found.setdefault(axis.name, (tensor.name, position))
    return found


def _compare(file: Path, kind: str, nodes: Iterable[NodeArg], tensors: Sequence[Tensor]) -> None:
    """Refuse a graph whose tensors have other names, dtypes or shapes than those of the spec."""
    found = {node.name: node for node in nodes}
    if sorted(found) != (wanted := sorted(tensor.name for tensor in tensors)):
        raise IntegrityError(f"{file}: expected the {kind} {wanted} of its spec, found {sorted(found)}")
    for tensor in tensors:
        node, expected = found[tensor.name], tensor.shape
        sizes = [size if isinstance(size, int) else None for size in node.shape[1:]]  # the batch may be fixed, as for hls4ml
        # A dimension without a number takes any size, so a graph may leave open what its spec fixes, but not the reverse.
        fits = len(node.shape) == len(expected) + 1 and all(
            size is None or size == wanted for size, wanted in zip(sizes, expected, strict=True)
        )
        if node.type != NAMES[tensor.dtype].onnx or not fits:
            shape = ", ".join([BATCH, *(axis.name if axis.size is None else str(axis.size) for axis in tensor.axes)])
            raise IntegrityError(
                f"{file}: expected {tensor.name!r} among the {kind} to be {tensor.dtype} of shape ({shape}), as its spec says,"
                f" found {_dtype(node.type)} of shape ({', '.join(map(str, node.shape))})"
            )


def _dtype(onnx_type: str) -> str:
    return next((dtype for dtype, names in NAMES.items() if names.onnx == onnx_type), onnx_type)

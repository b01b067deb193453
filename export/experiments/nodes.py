"""Nodes that are put in front of a model's graph, and the graph that comes of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from zoo.export.canonical import replace

Given = str | float | np.ndarray | np.generic


class Nodes:
    """Nodes and constants under a prefix that no name of a model's graph has.

    Parameters
    ----------
    prefix : str
        What all names begin with, but for those of outputs that are asked for by name.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}

    def __call__(self, operator: str, *given: Given, out: str | None = None, **attributes: Any) -> str:
        """Add a node and return the name of its output; numbers and arrays become constants, a number one of float32."""
        number = len(self.nodes)
        output = out or f"{self._prefix}/{operator}_{number}"
        names = [name if isinstance(name, str) else self._constant(np.asarray(name)) for name in given]
        self.nodes.append(
            helper.make_node(operator, names, [output], name=f"{self._prefix}/node_{number}_{operator}", **attributes)
        )
        return output

    def _constant(self, value: np.ndarray) -> str:
        array = value.astype(np.float32) if value.dtype == np.float64 else value
        tensor = numpy_helper.from_array(array)
        for name, known in self.constants.items():
            if (known.data_type, known.dims, known.raw_data) == (tensor.data_type, tensor.dims, tensor.raw_data):
                return name
        tensor.name = f"{self._prefix}/constant_{len(self.constants)}"
        self.constants[tensor.name] = tensor
        return tensor.name


def joined(
    model: onnx.ModelProto,
    before: Nodes,
    after: Nodes,
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
) -> onnx.ModelProto:
    """A model's graph between nodes that make its inputs and nodes that read its outputs, under other inputs and outputs."""
    whole = onnx.ModelProto()
    whole.CopyFrom(model)
    graph = whole.graph
    nodes = [*before.nodes, *model.graph.node, *after.nodes]
    constants = [*before.constants.values(), *model.graph.initializer, *after.constants.values()]
    for field, items in ((graph.node, nodes), (graph.initializer, constants), (graph.input, inputs), (graph.output, outputs)):
        replace(field, [type(item).FromString(item.SerializeToString()) for item in items])
    onnx.checker.check_model(whole, full_check=True)
    return whole


def front(whole: onnx.ModelProto, names: Sequence[str]) -> onnx.ModelProto:
    """The part of a graph that makes some of its tensors, which become its outputs: what a model behind it is given."""
    part = onnx.ModelProto()
    part.CopyFrom(whole)
    needed, kept = set(names), []
    for node in reversed(whole.graph.node):
        if needed.intersection(node.output):
            kept.append(node)
            needed.update(node.input)
    replace(part.graph.node, reversed(kept))
    replace(part.graph.initializer, [tensor for tensor in whole.graph.initializer if tensor.name in needed])
    replace(part.graph.output, [onnx.ValueInfoProto(name=name) for name in names])
    return part

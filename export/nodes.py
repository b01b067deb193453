"""Nodes of ONNX graphs, those in the bodies of loops and branches included."""

from __future__ import annotations

from collections.abc import Iterator

import onnx


def walk(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """All nodes, each before those in its bodies."""
    for node in graph.node:
        yield node
        for body in bodies(node):
            yield from walk(body)


def inputs_of(node: onnx.NodeProto) -> set[str]:
    """What a node needs, its bodies included."""
    return set(node.input).union(*(inputs_of(other) for body in bodies(node) for other in body.node))


def bodies(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    """The bodies of a loop or a branch."""
    for attribute in node.attribute:
        yield from attribute.graphs
        if attribute.HasField("g"):
            yield attribute.g

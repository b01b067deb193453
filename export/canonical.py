"""One order and one set of names for the nodes of a graph, so that the same model gives the same bytes."""

from __future__ import annotations

import hashlib
import heapq
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import onnx
from onnx import numpy_helper

from zoo.export.nodes import bodies, inputs_of


def make_canonical(graph: onnx.GraphProto, keep: Sequence[str], *, by_structure: bool) -> None:
    """Order nodes and constants, name them, and drop shape hints.

    Parameters
    ----------
    graph : GraphProto
        The graph, which is changed.
    keep : sequence of str
        The names that stay: those of inputs and outputs.
    by_structure : bool
        Call nodes by their operation, in the order of what they compute from what, rather than by the layers that they come
        from. tf2onnx keeps any one of equal nodes, and operations on free axes ask for the same shapes again and again, so that
        the name of a layer is there by chance.
    """
    stems: dict[str, str] = {}
    if by_structure:
        _order_by_structure(graph, keep, {}, stems)
    else:
        _order(graph, [_stem(node.output[0]) for node in graph.node])
    _name(graph, keep, stems)


def replace(repeated: Any, items: Iterable[Any]) -> None:
    """Give a repeated field of a message other items."""
    items = list(items)
    del repeated[:]
    repeated.extend(items)


def _order_by_structure(graph: onnx.GraphProto, keep: Sequence[str], outside: Mapping[str, str], stems: dict[str, str]) -> None:
    """Order the nodes of a graph and of the bodies in it by what they compute, and call them by their operations in ``stems``.

    ``outside`` has the digest of each name that a body sees of the graph around it.
    """
    known = dict(outside)
    known |= {value.name: f"input {place}" for place, value in enumerate(graph.input) if value.name not in keep}
    digests = _digests(graph, keep, known)
    if outside:
        digests = _merged(graph, digests)
        stems |= {graph.name: "body", **dict.fromkeys((value.name for value in graph.input), "input")}
    for node in graph.node:
        for body in bodies(node):
            _order_by_structure(body, [], known, stems)
    _order(graph, digests)
    stems |= dict.fromkeys((tensor.name for tensor in graph.initializer), "constant")
    stems |= {name: node.op_type for node in graph.node for name in (node.name, *node.output)}


def _merged(body: onnx.GraphProto, digests: Sequence[str]) -> list[str]:
    """Keep one of the equal nodes of a body, which tf2onnx leaves there, and no constant that nothing takes; its digests.

    Which of them stands first is by chance, so that the same model would not give the same bytes.
    """
    answers = {value.name for value in body.output}
    first: dict[str, onnx.NodeProto] = {}
    instead: dict[str, str] = {}
    kept = []
    for node, digest in zip(body.node, digests, strict=True):
        _redirect(node, instead)
        if digest in first and not answers & set(node.output):
            instead |= dict(zip(node.output, first[digest].output, strict=True))
        else:
            first.setdefault(digest, node)
            kept.append((node, digest))
    replace(body.node, [onnx.NodeProto.FromString(node.SerializeToString()) for node, _ in kept])
    taken = answers.union(*(inputs_of(node) for node in body.node))
    replace(body.initializer, [tensor for tensor in body.initializer if tensor.name in taken])
    return [digest for _, digest in kept]


def _redirect(node: onnx.NodeProto, instead: Mapping[str, str]) -> None:
    """Give a node, and the bodies in it, other names for what they take."""
    replace(node.input, [instead.get(name, name) for name in node.input])
    for body in bodies(node):
        for inner in body.node:
            _redirect(inner, instead)
        for value in body.output:
            value.name = instead.get(value.name, value.name)


def _digests(graph: onnx.GraphProto, keep: Sequence[str], known: dict[str, str]) -> list[str]:
    """What each node computes from inputs and constants, as a digest that no name of a layer enters; ``known`` grows by it."""
    known |= {
        tensor.name: _digest(tensor.data_type, tensor.dims, numpy_helper.to_array(tensor).tobytes())
        for tensor in graph.initializer
    }
    found = []
    for node in graph.node:
        captured = sorted(known.get(name, name) for name in inputs_of(node) - set(node.input))
        attributes = sorted((attribute.name, _without_names(attribute)) for attribute in node.attribute)
        found.append(_digest(node.domain, node.op_type, [known.get(name, name) for name in node.input], captured, attributes))
        known |= {name: f"{found[-1]} {place}" for place, name in enumerate(node.output) if name not in keep}
    return found


def _digest(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _without_names(attribute: onnx.AttributeProto) -> bytes | list[str]:
    """The value of an attribute; of a body the operations alone, as its names are tf2onnx's."""
    if attribute.HasField("g"):
        return sorted(node.op_type for node in attribute.g.node)
    return attribute.SerializeToString(deterministic=True)


def _order(graph: onnx.GraphProto, keys: Sequence[str]) -> None:
    """Each node as early as its inputs allow, by key among those that are ready: tf2onnx's order changes from time to time."""
    makers = {name: place for place, node in enumerate(graph.node) for name in node.output}
    waits = [{makers[name] for name in inputs_of(node) if name in makers} for node in graph.node]
    followers: dict[int, list[int]] = {}
    for place, sources in enumerate(waits):
        for source in sources:
            followers.setdefault(source, []).append(place)
    ready = [(keys[place], place) for place, sources in enumerate(waits) if not sources]
    heapq.heapify(ready)
    ordered = []
    while ready:
        _, place = heapq.heappop(ready)
        ordered.append(graph.node[place])
        for follower in followers.get(place, ()):
            waits[follower].remove(place)
            if not waits[follower]:
                heapq.heappush(ready, (keys[follower], follower))
    replace(graph.node, [onnx.NodeProto.FromString(node.SerializeToString()) for node in ordered])


def _stem(name: str) -> str:
    return re.sub(r"__\d+", "", name)


def _shared_constants(graph: onnx.GraphProto) -> list[str]:
    """Names of the constants that several nodes take, by first use."""
    constants = {tensor.name for tensor in graph.initializer}
    uses = Counter(name for node in graph.node for name in node.input if name in constants)
    return [name for name, count in uses.items() if count > 1]


def _name(graph: onnx.GraphProto, keep: Sequence[str], stems: Mapping[str, str]) -> None:
    """Take tf2onnx's running numbers out of the names, sort the constants by first use, and drop shape hints.

    tf2onnx numbers names through one counter a process, so that a second conversion differs from the first. One
    injective renaming of all names, subgraphs included, keeps every reference. A name in ``stems`` becomes another altogether.
    """
    renamed = {name: name for name in ["", *keep]}
    # tf2onnx merges equal constants under the name of any of them.
    for name in _shared_constants(graph):
        renamed[name] = f"constant_{len(renamed) - len(keep)}"
    taken = set(renamed.values())

    def rename(name: str) -> str:
        if name not in renamed:
            stem = stems.get(name) or _stem(name)
            new, count = stem, 1
            while new in taken:
                new, count = f"{stem}_{count}", count + 1
            renamed[name] = new
            taken.add(new)
        return renamed[name]

    def walk(inner: onnx.GraphProto) -> None:
        inner.name = rename(inner.name)
        del inner.value_info[:]
        for value in inner.input:
            value.name = rename(value.name)
        for node in inner.node:
            node.name = rename(node.name)
            replace(node.input, [rename(name) for name in node.input])
            for body in bodies(node):
                walk(body)
            replace(node.output, [rename(name) for name in node.output])
        for value in (*inner.output, *inner.initializer):
            value.name = rename(value.name)
        for value in (*inner.input, *inner.output) if inner is not graph else ():
            for dimension in value.type.tensor_type.shape.dim:
                dimension.ClearField("dim_param")
        order = {name: place for place, name in enumerate(renamed.values())}
        inner.initializer.sort(key=lambda tensor: order[tensor.name])

    walk(graph)

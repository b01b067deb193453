"""Graphs that reach outside of their bytes or grow without bound are refused, however they are written."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper, numpy_helper

from zoo.errors import IntegrityError
from zoo.model.onnx_bytes import MESSAGES, OnnxBytes

VALUE = helper.make_tensor_value_info


def external(location: str = "../../secret") -> onnx.TensorProto:
    tensor = onnx.TensorProto(name="w", data_type=onnx.TensorProto.FLOAT, dims=[4])
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    return tensor


def graph_of(*nodes: onnx.NodeProto, **parts: object) -> onnx.GraphProto:
    graph = helper.make_graph(
        list(nodes) or [helper.make_node("Identity", ["x"], ["y"])], "g", [VALUE("x", 1, [4])], [VALUE("y", 1, [4])]
    )
    for name, values in parts.items():
        getattr(graph, name).extend(values)
    return graph


def model_of(graph: onnx.GraphProto, **parts: object) -> onnx.ModelProto:
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=10)
    for name, values in parts.items():
        getattr(model, name).extend(values)
    return model


def held_by(**attribute: object) -> onnx.NodeProto:
    node = helper.make_node("Constant", [], ["y"])
    node.attribute.append(onnx.AttributeProto(name="value", **attribute))
    return node


def function(name: str, *nodes: onnx.NodeProto) -> onnx.FunctionProto:
    return helper.make_function("own", name, ["x"], ["y"], list(nodes), [helper.make_opsetid("", 13)])


SPARSE = onnx.SparseTensorProto(values=external(), dims=[4])
PLACES: dict[str, Callable[[], onnx.ModelProto]] = {
    "initializer": lambda: model_of(graph_of(initializer=[external()])),
    "sparse initializer": lambda: model_of(graph_of(sparse_initializer=[SPARSE])),
    "indices": lambda: model_of(graph_of(sparse_initializer=[onnx.SparseTensorProto(indices=external(), dims=[4])])),
    "attribute": lambda: model_of(graph_of(held_by(t=external()))),
    "attributes": lambda: model_of(graph_of(held_by(tensors=[external()]))),
    "sparse attribute": lambda: model_of(graph_of(held_by(sparse_tensor=SPARSE))),
    "subgraph": lambda: model_of(graph_of(held_by(g=graph_of(initializer=[external()])))),
    "subgraphs": lambda: model_of(graph_of(held_by(graphs=[graph_of(held_by(g=graph_of(held_by(t=external()))))]))),
    "function": lambda: model_of(graph_of(), functions=[function("f", held_by(t=external()))]),
    "training": lambda: model_of(
        graph_of(), training_info=[onnx.TrainingInfoProto(algorithm=graph_of(initializer=[external()]))]
    ),
    "memory": lambda: model_of(graph_of(initializer=[external("*/_ORT_MEM_ADDR_/*")])),
}


def refused(content: bytes, match: str = "keeps weights in other files") -> None:
    with pytest.raises(IntegrityError, match=match):
        OnnxBytes(Path("model.onnx"), content)


@pytest.mark.parametrize("place", PLACES)
def test_weights_in_other_files_wherever_a_tensor_may_be(place):
    refused(PLACES[place]().SerializeToString())


def varint(value: int, extra: int = 0) -> bytes:
    """A whole number as protobuf writes it, with bytes that say nothing more where ``extra`` are asked for."""
    groups = [value & 0x7F]
    while value := value >> 7:
        groups.append(value & 0x7F)
    groups += [0] * min(extra, 5 - len(groups))
    return bytes([group | 0x80 for group in groups[:-1]]) + bytes(groups[-1:])


def rewritten(message: object, extra: Callable[[], int]) -> bytes:
    """The same message in another of the ways that protobuf reads: numbers longer than they must be."""
    parts = []
    for descriptor, value in message.ListFields():
        values = value if descriptor.is_repeated else [value]
        for one in values:
            tag = descriptor.number << 3
            if descriptor.message_type is not None or isinstance(one, str | bytes):
                content = rewritten(one, extra) if descriptor.message_type is not None else one
                content = content.encode() if isinstance(content, str) else content
                parts.append(varint(tag | 2, extra()) + varint(len(content), extra()) + content)
            else:
                parts.append(varint(tag, extra()) + varint(int(one) & (2**64 - 1), extra()))
    return b"".join(parts)


@settings(max_examples=60, deadline=None)
@given(place=st.sampled_from(list(PLACES)), data=st.data())
def test_however_its_numbers_are_written(place, data):
    content = rewritten(PLACES[place](), lambda: data.draw(st.integers(0, 3)))
    assert onnx.ModelProto.FromString(content) == PLACES[place]()
    refused(content)


def test_a_tensor_whose_parts_come_one_by_one():
    """Protobuf merges a message that stands several times."""
    whole = external()
    first, second = onnx.TensorProto(name="w", data_type=1, dims=[4]), onnx.TensorProto(external_data=whole.external_data)
    attribute = b"".join(b"\x2a" + varint(len(part)) + part for part in (one.SerializeToString() for one in (first, second)))
    node = onnx.NodeProto(output=["y"], op_type="Constant").SerializeToString() + b"\x2a" + varint(len(attribute)) + attribute
    graph = b"\x0a" + varint(len(node)) + node
    content = b"\x3a" + varint(len(graph)) + graph
    assert onnx.ModelProto.FromString(content).graph.node[0].attribute[0].t.external_data
    refused(content)


def test_every_message_that_may_hold_a_tensor_is_known():
    """The description that onnx has of its messages is the oracle."""
    found: dict[str, dict[int, str]] = {}

    def look(message) -> None:
        if message.name not in found:
            within = {field.number: field.message_type for field in message.fields if field.message_type is not None}
            found[message.name] = {number: one.name for number, one in within.items()}
            for one in within.values():
                look(one)

    look(onnx.ModelProto.DESCRIPTOR)
    holding = {"TensorProto", "NodeProto"}
    while more := {name for name, within in found.items() if holding & set(within.values())} - holding:
        holding |= more
    expected = {name: {number: kind for number, kind in within.items() if kind in holding} for name, within in found.items()}
    assert {name: within for name, within in expected.items() if within} == MESSAGES


def test_functions_that_call_each_other_twice():
    """Thirty functions of two calls each are a billion nodes: 2 kB on which ONNX Runtime never ends."""
    calls = [helper.make_node(f"f{i + 1}", ["x"], ["y"], domain="own") for i in range(30)]
    bomb = [function(f"f{i}", call, call) for i, call in enumerate(calls)]
    last = function("f30", helper.make_node("Identity", ["x"], ["y"]))
    model = model_of(graph_of(helper.make_node("f0", ["x"], ["y"], domain="own")), functions=[*bomb, last])
    refused(model.SerializeToString(), "no graph of a model")
    circle = [function("f0", helper.make_node("f0", ["x"], ["y"], domain="own"))]
    refused(model_of(model.graph, functions=circle).SerializeToString(), "calls itself")
    OnnxBytes(Path("model.onnx"), model_of(model.graph, functions=[*bomb[:3], last]).SerializeToString())


@pytest.mark.parametrize("content", [b"\x3a\xff", b"\x3a\x05ab", b"\x08" + b"\x80" * 11, b"\x0b", b"\x00\x00location"], ids=str)
def test_bytes_that_are_no_graph(content):
    refused(content, "it is no ONNX graph")


def test_a_graph_deeper_than_protobuf_reads():
    content = graph_of(initializer=[external()]).SerializeToString()
    for tag in [b"\x32", b"\x2a", b"\x0a"] * 60:  # the graph of an attribute of a node of a graph
        content = tag + varint(len(content)) + content
    refused(b"\x3a" + varint(len(content)) + content, "nested more than")


@given(content=st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(content):
    with contextlib.suppress(IntegrityError):
        OnnxBytes(Path("model.onnx"), b"\xca\x01\x00location" + content)


def test_the_word_alone_does_not_make_a_graph_suspect():
    node = helper.make_node("Identity", ["location"], ["y"], name="location")
    tensor = numpy_helper.from_array(np.zeros(4, np.float32), "location")
    graph = helper.make_graph([node], "g", [], [VALUE("y", 1, [4])], [tensor])
    OnnxBytes(Path("model.onnx"), model_of(graph).SerializeToString())

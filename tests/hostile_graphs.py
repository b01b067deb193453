"""Graphs of a stranger that run for ever or take all memory, in the folder of a tiny model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import tiny_models
from onnx import TensorProto, helper, numpy_helper
from tiny_models import WIDTH

from zoo.model.model_json import read_spec, write_spec


def model_of(nodes: list[onnx.NodeProto], constants: dict[str, np.ndarray]) -> bytes:
    """A graph from the tiny model's input to its output, ``extra`` being one number that the nodes make."""
    ends = [
        helper.make_node("ReduceMean", ["spectrum"], ["mean"], axes=[1], keepdims=1),
        helper.make_node("Add", ["mean", "extra"], ["probability"]),
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [*nodes, *ends],
        "hostile",
        [value("spectrum", TensorProto.FLOAT, [None, WIDTH])],
        [value("probability", TensorProto.FLOAT, [None, 1])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8).SerializeToString()


def loop(times: int) -> bytes:
    """A loop over constants, which ONNX Runtime would run while it opens the graph."""
    value = helper.make_tensor_value_info
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["goes"]), helper.make_node("Add", ["sum", "one"], ["more"])],
        "body",
        [value("i", TensorProto.INT64, []), value("go", TensorProto.BOOL, []), value("sum", TensorProto.FLOAT, [1])],
        [value("goes", TensorProto.BOOL, []), value("more", TensorProto.FLOAT, [1])],
        [numpy_helper.from_array(np.ones(1, np.float32), "one")],
    )
    constants = {"times": np.array(times), "true": np.array(True), "zero": np.zeros(1, np.float32)}
    return model_of([helper.make_node("Loop", ["times", "true", "zero"], ["extra"], body=body)], constants)


def as_many_as_the_largest_input() -> bytes:
    """A loop that runs as often as the largest number of its input says."""
    graph = onnx.ModelProto.FromString(loop(1)).graph
    count = [
        helper.make_node("ReduceMax", ["spectrum"], ["top"], keepdims=0),
        helper.make_node("Cast", ["top"], ["times"], to=7),
    ]
    constants = {t.name: numpy_helper.to_array(t) for t in graph.initializer if t.name != "times"}
    return model_of([*count, graph.node[0]], constants)


def large(numbers: int) -> bytes:
    nodes = [helper.make_node("ConstantOfShape", ["size"], ["zeros"]), helper.make_node("ReduceMax", ["zeros"], ["extra"])]
    return model_of(nodes, {"size": np.array([numbers])})


def put_in(folder: Path, content: bytes) -> Path:
    """Give a tiny model another graph, with the hash of it."""
    (folder / "predict.onnx").write_bytes(content)
    spec = read_spec(folder)
    write_spec(folder, spec.model_copy(update={"files": tiny_models.files_of(folder)}))
    return folder

"""Two constant matrices become one where nothing lies between them, and nowhere else."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from zoo.export.joined import join_products

RNG = np.random.default_rng(0)
MATRICES = {"a": RNG.normal(size=(3, 3)).astype("f4"), "b": RNG.normal(size=(3, 2)).astype("f4"), "c": np.ones(2, "f4")}


def answered(graph: onnx.GraphProto, x: np.ndarray) -> list[np.ndarray]:
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7)
    onnx.checker.check_model(model, full_check=True)
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, {"x": x})


@pytest.mark.parametrize(
    ("nodes", "outputs", "left"),
    [
        ([("MatMul", "x a", "y"), ("MatMul", "y b", "z")], "z", ["MatMul"]),
        ([("MatMul", "x a", "y"), ("Gemm", "y b c", "z")], "z", ["Gemm"]),
        ([("MatMul", "x a", "w"), ("MatMul", "w a", "y"), ("MatMul", "y b", "z")], "z", ["MatMul"]),
        ([("MatMul", "x a", "y"), ("Relu", "y", "r"), ("MatMul", "r b", "z")], "z", ["MatMul", "Relu", "MatMul"]),
        ([("MatMul", "x a", "y"), ("MatMul", "y b", "z")], "z y", ["MatMul", "MatMul"]),
        ([("MatMul", "x a", "y"), ("MatMul", "y b", "z"), ("Relu", "y", "r")], "z r", ["MatMul", "MatMul", "Relu"]),
    ],
)
def test_what_is_joined(nodes, outputs, left):
    graph = helper.make_graph(
        [helper.make_node(kind, taken.split(), [made]) for kind, taken, made in nodes],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", None]) for name in outputs.split()],
        [numpy_helper.from_array(array, name) for name, array in MATRICES.items()],
    )
    x = RNG.normal(size=(5, 3)).astype("f4")
    before = answered(graph, x)
    join_products(graph)
    assert [node.op_type for node in graph.node] == left
    for one, other in zip(answered(graph, x), before, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)

"""The same model gives the same bytes, whatever order and names tf2onnx happens to give the nodes of a loop."""

from __future__ import annotations

import itertools

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from zoo.export.canonical import make_canonical


def looped(order: tuple[int, ...], names: str) -> onnx.ModelProto:
    """Four times x <- x sin(x) + cos(x) sin(x) + x, where sin(x) is computed twice, the nodes of the body in some order."""
    s, t, c, p, q, r, y = (f"{names}{place}" for place in range(7))
    x = f"{names}x"
    one = numpy_helper.from_array(np.array([1.0], np.float32), f"{names}_one")
    unused = numpy_helper.from_array(np.array([2.0], np.float32), f"{names}_unused")
    nodes = [helper.make_node("Sin", [x], [s], name=f"n{s}"), helper.make_node("Sin", [x], [t], name=f"n{t}")]
    nodes = [nodes[place] for place in order]
    nodes += [
        helper.make_node("Cos", [x], [c], name=f"n{c}"),
        helper.make_node("Mul", [x, s], [p], name=f"n{p}"),
        helper.make_node("Mul", [c, t], [q], name=f"n{q}"),
        helper.make_node("Add", [p, q], [r], name=f"n{r}"),
        helper.make_node("Mul", [x, f"{names}_one"], [f"{names}same"], name=f"n{names}same"),
        helper.make_node("Add", [r, f"{names}same"], [y], name=f"n{y}"),
        helper.make_node("Identity", ["go"], ["on"], name=f"n{names}on"),
    ]
    value = helper.make_tensor_value_info
    body = helper.make_graph(
        nodes,
        f"{names}body",
        [
            value("i", TensorProto.INT64, []),
            value("go", TensorProto.BOOL, []),
            value(x, TensorProto.FLOAT, [None]),
        ],
        [value("on", TensorProto.BOOL, []), value(y, TensorProto.FLOAT, [None])],
        [one, unused],
    )
    graph = helper.make_graph(
        [helper.make_node("Loop", ["times", "true", "x"], ["answer"], name=f"loop_{names}", body=body)],
        "looped",
        [value("x", TensorProto.FLOAT, [None])],
        [value("answer", TensorProto.FLOAT, [None])],
        [numpy_helper.from_array(np.array(4), "times"), numpy_helper.from_array(np.array(True), "true")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


@pytest.fixture(scope="module")
def canonical() -> list[onnx.ModelProto]:
    found = []
    for order, names in itertools.product([(0, 1), (1, 0)], ["a__12", "b__7"]):
        model = looped(order, names)
        make_canonical(model.graph, ["x", "answer"], by_structure=True)
        onnx.checker.check_model(model, full_check=True)
        found.append(model)
    return found


def test_bytes_are_the_same(canonical):
    assert len({model.SerializeToString(deterministic=True) for model in canonical}) == 1
    (body,) = (attribute.g for node in canonical[0].graph.node for attribute in node.attribute if attribute.HasField("g"))
    assert [node.op_type for node in body.node].count("Sin") == 1
    assert len(body.initializer) == 1


def test_the_answer_stays(canonical):
    x = np.linspace(-1, 1, 5).astype(np.float32)
    expected = x.astype(float)
    for _ in range(4):
        expected = expected * np.sin(expected) + np.cos(expected) * np.sin(expected) + expected
    for model in (*canonical, looped((0, 1), "a")):
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        np.testing.assert_allclose(session.run(None, {"x": x})[0], expected, rtol=1e-5)

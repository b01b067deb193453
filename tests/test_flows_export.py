"""Both endpoints of every kind of flow as ONNX graphs and SavedModels, against Keras."""

from __future__ import annotations

from functools import cache

import numpy as np
import onnx
import pytest
from tiny_flows import CONTINUOUS, KINDS, build

from zoo.export import check_parity, to_onnx, to_saved_model
from zoo.export.parity import onnx_function, saved_model_function
from zoo.model.axes import fixed_axes
from zoo.model.spec import Data, Endpoint, ModelSpec, Tensor, Tolerance

TOLERANCE = Tolerance(absolute=1e-4, relative=1e-4)


def described(kind: str, case: str, **changes):
    """A flow of two transforms with a spec, and inputs of each endpoint."""
    flow, x, c = build(kind, case, **({"transforms": 2} if kind in KINDS else {}) | changes)
    theta = Tensor(name="theta", axes=fixed_axes("theta", [flow.dimensions]), unit="1", description="variables")
    noise = Tensor(name="z", axes=fixed_axes("z", [flow.dimensions]), unit="1", description="standard normal numbers")
    context = [] if c is None else [Tensor(name="x", axes=fixed_axes("x", [flow.context]), unit="1", description="context")]
    log_prob = Tensor(name="log_prob", axes=fixed_axes("log_prob", []), unit="1", description="log density")
    flow.spec = ModelSpec(
        name="tiny-flow",
        family=(KINDS | CONTINUOUS)[kind][0],
        config=flow.config,
        task="test",
        summary="a tiny flow",
        endpoints={
            "log_prob": Endpoint(description="density", inputs=[theta, *context], outputs=[log_prob]),
            "sample": Endpoint(description="draw", inputs=[noise, *context], outputs=[theta]),
        },
        data=Data(source="none", description="none", simulator="none", seed=0, rows={}),
        metrics=[],
        files=[],
        tolerance=TOLERANCE,
        physzoo_version="0.1.0",
    )
    z = np.random.default_rng(1).standard_normal(x.shape, dtype=np.float32)
    given = {} if c is None else {"x": c}
    return flow, {"log_prob": {"theta": x, **given}, "sample": {"z": z, **given}}


SLOWEST = "nsf-autoregressive"
"""Flows of which a graph of one variable is made by default, and those of several with the marker slow."""


OPSETS = [("nsf-coupling", 11), ("nsf-coupling", 18), ("realnvp", 11), ("maf", 18)]
"""A coupling with splines has the operations of all kinds, and is tested at both ends of what is supported."""
MISSING = {"Einsum", "Softplus", "Erf", "GatherND", "ScatterND", "NonZero"}
"""Operations that old runtimes compute slowly or not at all."""


@cache
def converted(kind: str, endpoint: str, opset: int):
    """A flow, rows of the endpoint, and its graph, for several tests."""
    flow, inputs = described(kind, "bounded", spread=0.5)
    return flow, inputs[endpoint], to_onnx(flow, flow.spec, endpoint, opset)


@pytest.mark.parametrize("endpoint", ["log_prob", "sample"])
@pytest.mark.parametrize(("kind", "opset"), [*OPSETS, *(pytest.param(SLOWEST, n, marks=pytest.mark.slow) for n in (11, 18))])
def test_graph_answers_as_keras(kind, opset, endpoint):
    flow, rows, graph = converted(kind, endpoint, opset)
    operations = {node.op_type for node in graph.graph.node}
    assert not operations & {"Loop", *MISSING}
    check_parity(flow, flow.spec, endpoint, onnx_function(graph.SerializeToString()), rows)


@pytest.mark.parametrize("endpoint", ["log_prob", "sample"])
@pytest.mark.parametrize("kind", ["maf", "nsf-autoregressive"])
def test_graph_of_one_variable_answers_as_keras(kind, endpoint):
    flow, inputs = described(kind, "boxed", spread=0.5, dimensions=1, support=[[-1.0, 2.0]])
    graph = to_onnx(flow, flow.spec, endpoint, 13)
    check_parity(flow, flow.spec, endpoint, onnx_function(graph.SerializeToString()), inputs[endpoint])


def test_wide_autoregressive_sample_is_a_loop():
    flow, inputs = described("maf", "plane", spread=0.5, dimensions=12, hidden=[12, 12])
    graph = to_onnx(flow, flow.spec, "sample", 13)
    assert sum(node.op_type == "Loop" for node in graph.graph.node) == len(flow.transforms)
    check_parity(flow, flow.spec, "sample", onnx_function(graph.SerializeToString()), inputs["sample"])


def test_velocity_is_integrated_by_a_loop():
    flow, inputs = described("flow-matching", "bounded", spread=0.5, steps=2, hidden=[5])
    graph = to_onnx(flow, flow.spec, "log_prob", 11)
    assert sum(node.op_type == "Loop" for node in graph.graph.node) == 1
    check_parity(flow, flow.spec, "log_prob", onnx_function(graph.SerializeToString()), inputs["log_prob"])


def test_graph_is_minus_infinity_outside_the_support():
    _, rows, graph = converted("nsf-coupling", "log_prob", 18)
    theta = rows["theta"].copy()
    theta[:, 0] = 2.5
    assert np.all(np.isneginf(onnx_function(graph.SerializeToString())(rows | {"theta": theta})["log_prob"]))


def test_saved_model_answers_as_keras(tmp_path):
    flow, inputs = described("nsf-autoregressive", "boxed", spread=0.5, transforms=1)
    to_saved_model(flow, flow.spec, tmp_path)
    for endpoint, rows in inputs.items():
        check_parity(flow, flow.spec, endpoint, saved_model_function(tmp_path, endpoint), rows)


def test_output_without_axes_has_the_batch_alone():
    _, _, graph = converted("realnvp", "log_prob", 11)
    (output,) = graph.graph.output
    assert [dim.dim_param for dim in output.type.tensor_type.shape.dim] == ["batch"]
    onnx.checker.check_model(graph, full_check=True)


@pytest.mark.parametrize("endpoint", ["log_prob", "sample"])
@pytest.mark.parametrize(("kind", "opset"), [pytest.param("maf", 18, marks=pytest.mark.slow), ("nsf-coupling", 11)])
def test_same_flow_gives_the_same_bytes(kind, opset, endpoint):
    """tf2onnx keeps any one of several equal nodes, so a flow must not compute a thing twice."""
    flow, _, first = converted(kind, endpoint, opset)
    second = to_onnx(flow, flow.spec, endpoint, opset)
    assert second.SerializeToString(deterministic=True) == first.SerializeToString(deterministic=True)

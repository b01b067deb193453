"""Models of sets and graphs, made by hand with answers in numpy: free axes, a mask, positions, and all five dtypes."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tiny_folder import make_model_folder

from zoo.model.axes import Axis
from zoo.model.spec import TEST_TENSORS, Endpoint, Tensor

Arrays = dict[str, np.ndarray]
PARTICLES = Axis(name="particles", least=1, most=16)
COMPONENTS = Axis(name="components", size=3, labels=["px", "py", "pz"], units=["GeV", "GeV", "GeV"])
NODES = Axis(name="nodes", least=2, most=8)
EDGES = Axis(name="edges", least=1, most=12)
CUT = 1.0
_TYPES = {
    "float32": TensorProto.FLOAT,
    "float64": TensorProto.DOUBLE,
    "int32": TensorProto.INT32,
    "int64": TensorProto.INT64,
    "bool": TensorProto.BOOL,
}


@dataclass(frozen=True)
class SetModel:
    """One model: its spec, its graph, what numpy answers, and how inputs of any length are drawn."""

    name: str
    endpoint: Endpoint
    nodes: list[onnx.NodeProto]
    constants: Arrays
    answer: Callable[[Arrays], Arrays]
    draw: Callable[[np.random.Generator, int], Arrays]
    """Random inputs of so many rows, of a random length."""

    def graph(self) -> onnx.ModelProto:
        """The ONNX graph, its free dimensions named after the axes."""
        described = [
            [
                helper.make_tensor_value_info(t.name, _TYPES[t.dtype], ["batch", *(axis.size or axis.name for axis in t.axes)])
                for t in side
            ]
            for side in (self.endpoint.inputs, self.endpoint.outputs)
        ]
        constants = [numpy_helper.from_array(array, name) for name, array in self.constants.items()]
        graph = helper.make_graph(self.nodes, self.name, *described, constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7)
        onnx.checker.check_model(model, full_check=True)
        return model

    def write(self, folder: Path) -> Path:
        """The model's folder, with its graph and test tensors."""
        inputs = self.draw(np.random.default_rng(5), 4)
        tensors = {f"predict/in/{name}": array for name, array in inputs.items()}
        tensors |= {f"predict/out/{name}": array for name, array in self.answer(inputs).items()}
        stored = io.BytesIO()
        np.savez(stored, **tensors)
        files = {"predict.onnx": self.graph().SerializeToString(), TEST_TENSORS: stored.getvalue()}
        make_model_folder(folder, name=self.name, files=files, endpoints={"predict": self.endpoint})
        return folder


def _tensor(name: str, dtype: str, *axes: Axis, unit: str = "1", **further: object) -> Tensor:
    return Tensor(name=name, dtype=dtype, axes=list(axes), unit=unit, description=name, **further)


def _mean(inputs: Arrays) -> Arrays:
    momenta, mask = inputs["momenta"], inputs["mask"]
    kept = np.where(mask[..., None], momenta, 0)
    count = mask.sum(axis=1)
    return {
        "mean": (kept.sum(axis=1, dtype=np.float64) / np.maximum(count, 1)[:, None]).astype(np.float32),
        "count": count.astype(np.int64),
        "forward": (momenta[..., 2] > CUT) & mask,
    }


def _draw_jets(random: np.random.Generator, rows: int) -> Arrays:
    particles = int(random.integers(1, 17))
    mask = random.random((rows, particles)) < 0.7
    momenta = random.integers(-256, 257, size=(rows, particles, 3)) / 64  # sums of these are exact, in whatever order
    return {"momenta": momenta.astype(np.float32) * mask[..., None], "mask": mask}


JETS = SetModel(
    "jet-mean",
    Endpoint(
        description="the mean momentum of the particles that are real",
        inputs=[
            _tensor("momenta", "float32", PARTICLES, COMPONENTS, unit="GeV", mask="mask", low=-100.0, high=100.0),
            _tensor("mask", "bool", PARTICLES),
        ],
        outputs=[
            _tensor("mean", "float32", COMPONENTS, unit="GeV"),
            _tensor("count", "int64"),
            _tensor("forward", "bool", PARTICLES, mask="mask"),
        ],
    ),
    [
        helper.make_node("Cast", ["mask"], ["ones"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["ones", "two"], ["weights"]),
        helper.make_node("Mul", ["momenta", "weights"], ["kept"]),
        helper.make_node("ReduceSum", ["kept", "one"], ["sum"], keepdims=0),
        helper.make_node("ReduceSum", ["ones", "one"], ["number"], keepdims=1),
        helper.make_node("Max", ["number", "least"], ["divisor"]),
        helper.make_node("Div", ["sum", "divisor"], ["mean"]),
        helper.make_node("Squeeze", ["number", "one"], ["flat"]),
        helper.make_node("Cast", ["flat"], ["count"], to=TensorProto.INT64),
        helper.make_node("Gather", ["momenta", "z"], ["pz"], axis=2),
        helper.make_node("Greater", ["pz", "cut"], ["fast"]),
        helper.make_node("And", ["fast", "mask"], ["forward"]),
    ],
    {
        "one": np.array([1], np.int64),
        "two": np.array([2], np.int64),
        "least": np.array([1], np.float32),
        "z": np.array(2, np.int64),
        "cut": np.array(CUT, np.float32),
    },
    _mean,
    _draw_jets,
)


def _draw_graph(random: np.random.Generator, rows: int) -> Arrays:
    nodes, edges = int(random.integers(2, 9)), int(random.integers(1, 13))
    return {
        "features": random.normal(size=(rows, nodes, 4)).astype(np.float32),
        "senders": random.integers(0, nodes, size=(rows, edges)),
    }


GRAPHS = SetModel(
    "edge-features",
    Endpoint(
        description="the features of the node at which each edge begins",
        inputs=[
            _tensor("features", "float32", NODES, Axis(name="features_of_a_node", size=4)),
            _tensor("senders", "int64", EDGES, index_of="nodes"),
        ],
        outputs=[_tensor("sent", "float32", EDGES, Axis(name="features_of_a_node", size=4))],
    ),
    [
        helper.make_node("Unsqueeze", ["senders", "two"], ["positions"]),
        helper.make_node("GatherND", ["features", "positions"], ["sent"], batch_dims=1),
    ],
    {"two": np.array([2], np.int64)},
    lambda inputs: {"sent": np.take_along_axis(inputs["features"], inputs["senders"][..., None], axis=1)},
    _draw_graph,
)

ORIGIN = 2_459_000.5
TIMES = SetModel(
    "later-times",
    Endpoint(
        description="a time and what comes a few days later",
        inputs=[
            _tensor("time", "float64", unit="d", low=2.4e6, high=2.5e6),
            _tensor("days", "int32", Axis(name="visits", size=3), unit="d", low=-1000, high=1000),
        ],
        outputs=[
            _tensor("later", "float64", Axis(name="visits", size=3), unit="d"),
            _tensor("twice", "int32", Axis(name="visits", size=3), unit="d"),
        ],
    ),
    [
        helper.make_node("Cast", ["days"], ["exact"], to=TensorProto.DOUBLE),
        helper.make_node("Unsqueeze", ["time", "one"], ["column"]),
        helper.make_node("Add", ["column", "exact"], ["later"]),
        helper.make_node("Add", ["days", "days"], ["twice"]),
    ],
    {"one": np.array([1], np.int64)},
    lambda inputs: {"later": inputs["time"][:, None] + inputs["days"], "twice": 2 * inputs["days"]},
    lambda random, rows: {
        "time": ORIGIN + random.uniform(size=rows),
        "days": random.integers(-1000, 1001, size=(rows, 3), dtype=np.int32),
    },
)


def _draw_clouds(random: np.random.Generator, rows: int) -> Arrays:
    particles = int(random.integers(1, 17))
    real = random.random((rows, particles)) < 0.7
    momenta = random.integers(0, 257, size=(rows, particles, 3)) / 64
    codes = random.choice([22, 211, -211, 130], (rows, particles)).astype(np.int32)
    return {"particles": (momenta * real[..., None]).astype(np.float32), "identity": codes * real, "real": real}


CLOUDS = SetModel(
    "cloud-sums",
    Endpoint(
        description="sums over the particles that are real, of momenta and of their codes",
        inputs=[
            _tensor("particles", "float32", PARTICLES, COMPONENTS, unit="GeV", mask="real", low=-100.0, high=100.0),
            _tensor("identity", "int32", PARTICLES, mask="real", low=-300, high=300),
            _tensor("real", "bool", PARTICLES),
        ],
        outputs=[_tensor("total", "float32", COMPONENTS, unit="GeV"), _tensor("codes", "int32")],
    ),
    [
        helper.make_node("Unsqueeze", ["real", "two"], ["each"]),
        helper.make_node("Where", ["each", "particles", "zero"], ["momenta"]),
        helper.make_node("ReduceSum", ["momenta", "one"], ["total"], keepdims=0),
        helper.make_node("Where", ["real", "identity", "none"], ["known"]),
        helper.make_node("ReduceSum", ["known", "one"], ["codes"], keepdims=0),
    ],
    {
        "one": np.array([1], np.int64),
        "two": np.array([2], np.int64),
        "zero": np.array(0, np.float32),
        "none": np.array(0, np.int32),
    },
    lambda inputs: {
        "total": np.where(inputs["real"][..., None], inputs["particles"], 0).sum(axis=1),
        "codes": np.where(inputs["real"], inputs["identity"], 0).sum(axis=1, dtype=np.int32),
    },
    _draw_clouds,
)
MODELS = {model.name: model for model in (JETS, GRAPHS, TIMES, CLOUDS)}

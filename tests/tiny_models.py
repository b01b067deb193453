"""Small models: a folder made by hand, whose answers numpy computes, for tests of everything after the export; and trees."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from zoo.data.dataset import Rows, groups
from zoo.model.axes import fixed_axes
from zoo.model.model_json import write_spec
from zoo.model.spec import CARD, RANGES, SPEC, TEST_TENSORS, WEIGHTS, Data, Endpoint, File, ModelSpec, Tensor

WIDTH = 5
HIDDEN = 8
TESTED_ROWS = 4

_random = np.random.default_rng(20181)
W1 = _random.normal(size=(WIDTH, HIDDEN)).astype(np.float32)
W2 = _random.normal(size=(HIDDEN, 1)).astype(np.float32)


def predict(spectrum: np.ndarray) -> np.ndarray:
    """The classifier in numpy, in double precision: sigmoid(relu(x W1) W2)."""
    hidden = np.maximum(spectrum.astype(np.float64) @ W1, 0.0)
    return 0.5 * (1.0 + np.tanh(hidden @ W2 / 2))  # the logistic function, without overflow


def encode(trajectory: np.ndarray, time: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The encoder in numpy: mean = trajectory W1, log variance = mean + time."""
    mean = trajectory.astype(np.float64) @ W1
    return mean, mean + time


def write_tiny_model(folder: Path, *, name: str = "tiny", endpoints: tuple[str, ...] = ("predict", "encode")) -> Path:
    """Write spec, ONNX files and test tensors of a model with the endpoints asked for; returns the folder."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(7)
    spectra = random.normal(size=(TESTED_ROWS, WIDTH)).astype(np.float32)
    times = random.uniform(size=(TESTED_ROWS, 1)).astype(np.float32)
    mean, log_variance = encode(spectra, times)
    tensors = {
        "predict/in/spectrum": spectra,
        "predict/out/probability": predict(spectra),
        "encode/in/trajectory": spectra,
        "encode/in/time": times,
        "encode/out/mean": mean,
        "encode/out/log_variance": log_variance,
    }
    kept = {key: array.astype(np.float32) for key, array in tensors.items() if key.partition("/")[0] in endpoints}
    np.savez(folder / TEST_TENSORS, **kept)
    for endpoint in endpoints:
        onnx.save(_GRAPHS[endpoint](), folder / f"{endpoint}.onnx")
    (folder / WEIGHTS).write_bytes(b"stands for the weights, which nothing after the export reads")
    write_spec(folder, _spec(name, endpoints, files_of(folder)))
    return folder


def files_of(folder: Path) -> list[File]:
    """What a spec says of the files in a folder."""
    return [
        File(path=file.name, sha256=hashlib.sha256(file.read_bytes()).hexdigest(), bytes=file.stat().st_size)
        for file in sorted(folder.iterdir())
        if file.name not in (CARD, SPEC, RANGES)
    ]


def _spec(name: str, endpoints: tuple[str, ...], files: list[File]) -> ModelSpec:
    return ModelSpec(
        name=name,
        revision="3",
        family="tiny",
        config={},
        task="binary-classification",
        summary="Not a model of anything.",
        endpoints={endpoint: _ENDPOINTS[endpoint] for endpoint in endpoints},
        data=Data(source="none", description="none", simulator="numpy", seed=0, rows={}),
        metrics=[],
        files=files,
        physzoo_version="0.1.0",
    )


def _tensor(name: str, width: int, low: float | list[float] | None = None, high: float | list[float] | None = None) -> Tensor:
    return Tensor(
        name=name,
        axes=fixed_axes(name, [width]),
        unit="muK^2" if name == "spectrum" else "1",
        description=name,
        low=low,
        high=high,
    )


_ENDPOINTS = {
    "predict": Endpoint(
        description="classify",
        inputs=[_tensor("spectrum", WIDTH, [-10.0] * WIDTH, [10.0] * WIDTH)],
        outputs=[_tensor("probability", 1)],
    ),
    "encode": Endpoint(
        description="encode",
        inputs=[_tensor("trajectory", WIDTH), _tensor("time", 1, 0.0, 10.0)],
        outputs=[_tensor("mean", HIDDEN), _tensor("log_variance", HIDDEN)],
    ),
}


def _predict_graph() -> onnx.ModelProto:
    nodes = [
        helper.make_node("MatMul", ["spectrum", "w1"], ["a"]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("MatMul", ["b", "w2"], ["c"]),
        helper.make_node("Sigmoid", ["c"], ["probability"]),
    ]
    return _model(nodes, {"spectrum": WIDTH}, {"probability": 1}, {"w1": W1, "w2": W2})


def _encode_graph() -> onnx.ModelProto:
    nodes = [
        helper.make_node("Reshape", ["trajectory", "keep"], ["a"]),  # refuses an empty batch, as Keras's Flatten does
        helper.make_node("MatMul", ["a", "w1"], ["mean"]),
        helper.make_node("Add", ["mean", "time"], ["log_variance"]),
    ]
    return _model(
        nodes, {"trajectory": WIDTH, "time": 1}, {"mean": HIDDEN, "log_variance": HIDDEN}, {"w1": W1, "keep": np.array([0, -1])}
    )


def _model(
    nodes: list[onnx.NodeProto], inputs: dict[str, int], outputs: dict[str, int], weights: dict[str, np.ndarray]
) -> onnx.ModelProto:
    def described(tensors: dict[str, int]) -> list[onnx.ValueInfoProto]:
        return [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", n]) for name, n in tensors.items()]

    constants = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph(nodes, "tiny", described(inputs), described(outputs), constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7)
    onnx.checker.check_model(model, full_check=True)
    return model


_GRAPHS = {"predict": _predict_graph, "encode": _encode_graph}


DENSITIES = 6


class TinyDensities:
    """A smooth function of six numbers with noise: what the trees of the tests are fitted on.

    The numbers have one decimal, so that thresholds lie between float32 numbers: scikit-learn cuts in the middle.
    """

    description, simulator, seed = "six normal numbers and a smooth function of three of them, with noise", "numpy", 0
    units = {"log10 M": "dex"}

    def __init__(self, width: int = DENSITIES, outputs: int = 1, broken: bool = False) -> None:
        self.width, self.outputs, self.broken = width, outputs, broken

    def rows(self, split: str, epoch: int = 0) -> Rows:
        """One split, its rows in groups of ten."""
        sizes = {"train": 1500, "validation": 500, "test": 500}
        rng = np.random.default_rng(list(sizes).index(split))
        x = rng.normal(0.1, 1.0, (sizes[split], self.width)).round(1).astype(np.float32)
        y = 13.0 + 0.4 * x[:, :1] + 0.3 * np.sin(2 * x[:, 1:2]) + 0.1 * x[:, 2:3] ** 2 + 0.1 * rng.normal(size=(len(x), 1))
        if self.broken:
            x[3, 1] = np.nan
        return Rows({"densities": x}, np.repeat(y, self.outputs, axis=1).astype(np.float32), groups(sizes, split) // 10)


TREES_RECIPE = {
    "name": "tiny-trees",
    "family": "boosted-trees",
    "task": "regression",
    "summary": "Trees on numbers made up for tests.",
    "config": {"inputs": DENSITIES, "max_leaf_nodes": 8, "min_samples_leaf": 10},
    "data": {"source": "tiny-densities"},
    "loss": "mean_squared_error",
    "optimizer": {"learning_rate": 0.1},
    "epochs": 80,
    "evaluation": {"kind": "distribution"},
    "endpoints": {
        "predict": {
            "description": "the mass",
            "inputs": [
                {"name": "densities", "axes": [{"name": "density", "size": DENSITIES}], "unit": "1", "description": "densities"}
            ],
            "outputs": [{"name": "log_mass", "axes": [{"name": "mass", "size": 1}], "unit": "dex", "description": "log10 M"}],
        }
    },
}
"""A recipe as plain data; its data set is known once ``DATASETS["tiny-densities"]`` is ``("tiny_models", "TinyDensities")``."""

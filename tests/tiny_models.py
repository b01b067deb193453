"""A model folder made by hand, small enough to compute its answers with numpy: for tests of everything after the export."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from zoo.card import write_card
from zoo.spec import TEST_TENSORS, WEIGHTS, Data, Endpoint, File, ModelSpec, Tensor

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
    """Write card, ONNX files and test tensors of a model with the endpoints asked for; returns the folder."""
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
    write_card(folder / "README.md", _spec(name, endpoints, files_of(folder)))
    return folder


def files_of(folder: Path) -> list[File]:
    """What a card says of the files in a folder."""
    return [
        File(path=file.name, sha256=hashlib.sha256(file.read_bytes()).hexdigest(), bytes=file.stat().st_size)
        for file in sorted(folder.iterdir())
        if file.suffix != ".md"
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
    return Tensor(name=name, shape=[width], unit="muK^2" if name == "spectrum" else "1", description=name, low=low, high=high)


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

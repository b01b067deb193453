"""The endpoint ``explain``: backward passes in ONNX against GradientTape and finite differences."""

from __future__ import annotations

import json
import math
from itertools import product

import numpy as np
import pytest

keras = pytest.importorskip("keras")
tf = pytest.importorskip("tensorflow")
pytest.importorskip("tf2onnx")
import onnx  # noqa: E402
import onnxruntime  # noqa: E402
from keras import layers, ops  # noqa: E402
from onnx import TensorProto, numpy_helper  # noqa: E402
from released_models import LARGE, ONE_A_SMALL_FAMILY  # noqa: E402
from tiny_networks import CONFIGS, example, released  # noqa: E402

import zoo  # noqa: E402
from zoo.errors import (  # noqa: E402
    ExportError,
    InputError,
    ParityError,
)
from zoo.export import ExportReport, check_parity, export  # noqa: E402
from zoo.export.gradient.explain import EXPLAIN, Explained  # noqa: E402
from zoo.export.parity import in_range_rows, onnx_function  # noqa: E402
from zoo.export.report import REPORT  # noqa: E402
from zoo.families.base import ZooModel  # noqa: E402
from zoo.loading import read_test_tensors  # noqa: E402
from zoo.model.axes import fixed_axes  # noqa: E402
from zoo.model.spec import TEST_TENSORS, Data, Endpoint, ModelSpec, Tensor  # noqa: E402
from zoo.serving import Session  # noqa: E402
from zoo.serving.verify import verify  # noqa: E402

ROWS = 12


class Function(ZooModel):
    """Any function of ``a`` (batch, 6) and ``b`` (batch, 3) as the endpoint ``f``, and a layer that it may use."""

    endpoints = {"f": "f"}

    def __init__(self, function, layer=None) -> None:
        super().__init__()
        self.function, self.layer, self.built = function, layer, True
        rng = np.random.default_rng(0)
        self.rows = {name: rng.normal(0.2, 1.0, (ROWS, width)).astype("f") for name, width in (("a", 6), ("b", 3))}
        answer = np.asarray(self.f(*self.rows.values()))
        self.spec = ModelSpec(
            name="any",
            family="any",
            config={},
            task="test",
            summary="Any function",
            endpoints={
                "f": Endpoint(
                    description="f",
                    inputs=[Tensor(name="a", axes=fixed_axes("a", [6]), unit="m", description="a"), _b()],
                    outputs=[Tensor(name="y", axes=fixed_axes("y", list(answer.shape[1:])), unit="dex", description="y")],
                )
            },
            data=Data(source="none", description="none", simulator="none", seed=0, rows={}),
            metrics=[],
            files=[],
            physzoo_version="0.1.0",
        )
        self.explained = Explained(self, self.spec, {"f": (self.rows, {"y": answer})})

    def f(self, a, b):
        return self.function(a, b) if self.layer is None else self.function(self.layer, a, b)


def _b() -> Tensor:
    return Tensor(name="b", axes=fixed_axes("b", [3]), unit="1", description="b")


def assert_gradients_agree(explained: Explained, opset: int, share: float = 1e-5) -> None:
    """With the tape, each within a share of its largest element."""
    given = onnx_function(explained.to_onnx(opset).SerializeToString())(explained.tensors[0])
    expected = explained.tensors[1]
    assert any(np.abs(expected[name]).max() > 0 for name in explained.gradients)
    for name in explained.gradients:
        assert given[name].shape == expected[name].shape
        np.testing.assert_allclose(given[name], expected[name], rtol=0, atol=share * max(np.abs(expected[name]).max(), 1e-3))


def in_double(proto: onnx.ModelProto) -> onnx.ModelProto:
    """The graph in double precision."""
    proto = onnx.ModelProto.FromString(proto.SerializeToString())

    def widen(tensor):
        if tensor.data_type == TensorProto.FLOAT:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float64), tensor.name))

    for value in (*proto.graph.input, *proto.graph.output):
        value.type.tensor_type.elem_type = TensorProto.DOUBLE
    for constant in proto.graph.initializer:
        widen(constant)
    for node in proto.graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                widen(attribute.t)
            if (node.op_type, attribute.name, attribute.i) == ("Cast", "to", TensorProto.FLOAT):
                attribute.i = TensorProto.DOUBLE
    return proto


FUNCTIONS = {
    "relu": lambda a, b: ops.relu(a),
    "leaky_relu": lambda a, b: ops.leaky_relu(a, 0.3),
    "elu": lambda a, b: ops.elu(a, 0.7),
    "selu": lambda a, b: ops.selu(a),
    "silu": lambda a, b: ops.silu(a),
    "tanh": lambda a, b: ops.tanh(a),
    "arctan": lambda a, b: ops.arctan(a),
    "sigmoid": lambda a, b: ops.sigmoid(a),
    "softplus": lambda a, b: ops.softplus(a),
    "softsign": lambda a, b: ops.softsign(a),
    "erf": lambda a, b: ops.erf(a),
    "gelu": lambda a, b: ops.gelu(a, approximate=True),
    "logsumexp": lambda a, b: ops.logsumexp(a, axis=-1),
    "softmax": lambda a, b: ops.softmax(a) * ops.exp(a),
    "log_softmax": lambda a, b: ops.log_softmax(a) * a,
    "exp of minus": lambda a, b: ops.exp(-a),
    "log and sqrt": lambda a, b: ops.log(1 + ops.square(a)) + ops.sqrt(1 + a * a),
    "reciprocal": lambda a, b: 1 / (2 + ops.cos(a)) + ops.sin(a),
    "power": lambda a, b: ops.power(ops.abs(a) + 1, 2.5) + ops.power(a, 3.0),
    "quotient": lambda a, b: a[:, :3] / (2 + b * b),
    "difference": lambda a, b: b - a[:, :1],
    "maximum": lambda a, b: ops.maximum(a[:, :3], b) + ops.minimum(b, a[:, 3:]) + ops.maximum(0.1, b),
    "clip": lambda a, b: ops.clip(a, -0.5, 0.8),
    "relu6": lambda a, b: ops.relu6(3 * a),
    "where": lambda a, b: ops.where(a[:, :3] > b, a[:, :3] * b, ops.sin(b)),
    "sum": lambda a, b: ops.sum(a * a, axis=-1) + ops.sum(b, axis=1),
    "mean": lambda a, b: ops.mean(ops.reshape(a, (-1, 2, 3)) * b[:, None, :], axis=(1, 2), keepdims=True),
    "extremes": lambda a, b: ops.max(a, axis=1) * ops.min(a * a, axis=-1),
    "joined": lambda a, b: ops.tanh(ops.concatenate([b, a, b], axis=-1)),
    "split": lambda a, b: ops.split(a * a, 3, axis=-1)[1] * ops.split(a, 3, axis=-1)[2],
    "sliced": lambda a, b: a[:, 1:3] * a[:, -2:],
    "each other": lambda a, b: a[:, ::2] * b,
    "reversed": lambda a, b: ops.flip(a, axis=1) * a,
    "gathered": lambda a, b: ops.take(a, np.array([4, 0, 0]), axis=1) * b,
    "one": lambda a, b: a[:, 2] * b[:, 0],
    "turned": lambda a, b: ops.transpose(ops.reshape(a * a, (-1, 2, 3)), (0, 2, 1)),
    "rows last": lambda a, b: ops.transpose(ops.transpose(a) * ops.transpose(a[:, :1])),
    "padded": lambda a, b: ops.pad(b * b, [[0, 0], [2, 1]]) * a,
    "broadcast": lambda a, b: ops.broadcast_to(b[:, :1] * 2, ops.shape(b)) * b,
    "product": lambda a, b: ops.matmul(ops.reshape(a, (-1, 2, 3)), b[:, :, None]),
    "outer": lambda a, b: ops.matmul(a[:, :, None], b[:, None, :]),
    "constants": lambda a, b: ops.matmul(a, np.ones((6, 2), "f")) + ops.matmul(np.eye(6, dtype="f")[:2], a[:, :, None])[..., 0],
    "without b": lambda a, b: ops.tanh(a),
}


AFTER_13 = ["mean", "extremes", "logsumexp", "softmax", "log_softmax", "split", "padded"]
"""Functions that have operations which opset 18 describes otherwise than 13 does: reductions, splits and padding."""


@pytest.mark.parametrize(("name", "opset"), [*product(FUNCTIONS, [11, 13]), *product(AFTER_13, [18])])
def test_gradient_of_each_operation_is_the_tapes(name, opset):
    assert_gradients_agree(Function(FUNCTIONS[name]).explained, opset)


def grid(*shape: int):
    """``a`` and its products, as many as the grid has cells, one channel for each of the last axis."""

    def reshape(layer, a, b):
        cells = math.prod(shape)
        wide = ops.concatenate([ops.sin((k + 1.0) * a) for k in range(-(-cells // 6))], axis=-1)[:, :cells]
        return layer(ops.reshape(wide, (-1, *shape)))

    return reshape


LAYERS = {
    "conv1d": (lambda: layers.Conv1D(4, 3, padding="valid"), (12, 2)),
    "conv1d, dilated": (lambda: layers.Conv1D(4, 3, dilation_rate=2, padding="same"), (12, 2)),
    "conv2d, strided": (lambda: layers.Conv2D(3, 3, strides=2, padding="same"), (6, 5, 2)),
    "conv2d, cells that no window reaches": (lambda: layers.Conv2D(3, 2, strides=3, padding="valid"), (7, 6, 2)),
    "conv2d, groups": (lambda: layers.DepthwiseConv2D(3, padding="same"), (4, 5, 3)),
    "conv3d": (lambda: layers.Conv3D(3, 3, padding="same"), (4, 4, 4, 2)),
    "conv3d, strided": (lambda: layers.Conv3D(3, 3, strides=2, padding="same", activation="relu"), (4, 6, 5, 1)),
    "transposed": (lambda: layers.Conv2DTranspose(3, 4, strides=2, padding="same"), (3, 4, 2)),
    "average": (lambda: layers.AveragePooling3D(2), (4, 4, 2, 3)),
    "average of all": (lambda: layers.GlobalAveragePooling2D(), (4, 3, 3)),
    "normalized": (lambda: layers.BatchNormalization(), (4, 3)),
    "layer norm": (lambda: layers.LayerNormalization(), (4, 3)),
}


@pytest.mark.parametrize(("name", "opset"), [*product(LAYERS, [13]), ("average of all", 11), ("layer norm", 11)])
def test_gradient_of_each_layer_is_the_tapes(name, opset):
    keras.utils.set_random_seed(1)
    make, shape = LAYERS[name]
    layer = make()
    layer.build((None, *shape))
    if name == "normalized":
        layer.moving_mean.assign([0.1, -0.2, 0.3])
        layer.moving_variance.assign([0.5, 1.5, 2.0])
    assert_gradients_agree(Function(grid(*shape), layer).explained, opset)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda a, b: ops.cumsum(a, axis=1), r"operation CumSum \(.*\) has no gradient here"),
        (
            lambda a, b: ops.while_loop(lambda i, x: i < 3, lambda i, x: (i + 1, x * b[:, :1]), (0, a))[1],
            "operation Loop .* has no gradient",
        ),
        (
            lambda a, b: ops.while_loop(lambda i, x: i < 3, lambda i, x: (i + 1, x * ops.sin(b)), (0, ops.ones_like(b)))[1],
            "operation Loop",
        ),
        (lambda a, b: ops.power(2 + a, ops.sigmoid(a)), "operation Pow .* where a constant is expected"),
        (lambda a, b: ops.max_pool(a[..., None], 2), "operation MaxPool"),
    ],
)
def test_operation_without_a_rule_is_named(function, message):
    with pytest.raises(ExportError, match=message):
        Function(function).explained.to_onnx(13)


def test_opset_that_is_too_old_is_refused():
    with pytest.raises(ExportError, match="opset 11 and up, given 9"):
        Function(lambda a, b: a * a).explained.to_onnx(9)


def test_rows_of_a_kink_are_spared_but_few():
    """Three of a thousand rows wrong pass, twenty do not, and one that is NaN does not."""
    explained = Function(lambda a, b: ops.relu(a[:, :1])).explained
    run = onnx_function(explained.to_onnx(13).SerializeToString())

    def wrong(rows: int, value: float):
        def changed(inputs):
            outputs = run(inputs)
            if len(outputs["y"]) == 256 and not done:
                done.append(True)
                outputs["a_gradient"][:rows] += value
            return outputs

        done: list[bool] = []
        return changed

    rows = in_range_rows(explained.tensors[0], 1000)
    known = {"gradients": explained.gradients}
    check_parity(explained, explained.spec, EXPLAIN, wrong(3, 1.0), rows, **known)
    for function in (wrong(20, 1.0), wrong(1, np.nan)):
        with pytest.raises(ParityError, match="a_gradient"):
            check_parity(explained, explained.spec, EXPLAIN, function, rows, **known)
    with pytest.raises(ParityError, match="a_gradient"):
        check_parity(explained, explained.spec, EXPLAIN, wrong(3, 1.0), rows)


# -- released models ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", sorted(LARGE & set(CONFIGS)))
def test_gradient_of_a_tiny_network(family):
    """As below, where the released network of a family is large."""
    model = released(family, **({"transforms": 1} if family in ("nsf", "realnvp") else {}))
    assert_gradient_is_right(model, {name: _answered(model, name) for name in model.endpoints})


def _answered(model, endpoint):
    given = model.example(example(model.spec.family), np.random.default_rng(0))[endpoint]
    inputs = {tensor.name: np.asarray(array) for tensor, array in zip(model.spec.endpoint(endpoint).inputs, given, strict=True)}
    return inputs, {name: np.asarray(array) for name, array in model.endpoint(endpoint)(**inputs).items()}


@pytest.mark.parametrize("name", ONE_A_SMALL_FAMILY)
def test_released_model_and_its_gradient(name, load):
    model = load(name)
    tensors = read_test_tensors(model.folder.path(TEST_TENSORS), model.spec)
    if model.no_gradient:
        with pytest.raises(ExportError, match=model.no_gradient[:20]):
            Explained(model, model.spec, tensors)
        return
    if model.spec.family == "particle-net":  # neighbors are taken by numbers that the graph itself finds
        with pytest.raises(ExportError, match=r"no gradient: operation Gather .* export without explain"):
            Explained(model, model.spec, tensors).to_onnx(13)
        return
    assert_gradient_is_right(model, tensors)


def assert_gradient_is_right(model, tensors):
    """Close to the tape, and in double precision to finite differences."""
    explained = Explained(model, model.spec, tensors)
    assert_gradients_agree(explained, 13, share=max(1e-5, model.spec.tolerance.relative))

    if any(tensor.dtype != "float32" for tensor in explained.forward_endpoint.inputs):
        return  # truth values and whole numbers stay what they are
    proto = in_double(explained.to_onnx(13))
    if any(node.op_type == "Conv" for node in proto.graph.node):
        return  # ONNX Runtime has none in double precision
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    inputs = {key: array.astype(np.float64) for key, array in explained.tensors[0].items()}
    rng, step = np.random.default_rng(0), 1e-6

    def value(x):
        answer = session.run([explained.explained.name], inputs | {key: x})[0].reshape(len(x), -1)
        return (answer * inputs["weight"].reshape(answer.shape) if explained.weighted else answer).sum(axis=1)

    for key in (tensor.name for tensor in explained.forward_endpoint.inputs):
        direction = rng.normal(size=inputs[key].shape) * inputs[key].std(axis=0)
        numeric = (value(inputs[key] + step * direction) - value(inputs[key] - step * direction)) / (2 * step)
        (gradient,) = session.run([f"{key}_gradient"], inputs)
        along = (gradient * direction).reshape(len(numeric), -1).sum(axis=1)
        assert np.quantile(np.abs(along - numeric), 0.9) < 1e-6 * np.abs(along).max(), key


@pytest.fixture
def classifier(exported):
    return exported("mlp-cmb-feature", explain=True)


def test_exported_folder_answers_with_the_saliency(classifier, load):
    report = ExportReport.model_validate_json((classifier / REPORT).read_text())
    assert [parity.endpoint for parity in report.endpoints] == ["predict", EXPLAIN]
    assert verify(classifier).ok
    session = Session(classifier)
    described = session.spec.endpoint(EXPLAIN)
    units = {tensor.name: (tensor.shape, tensor.unit) for tensor in described.outputs}
    assert units == {"probability": ([1], "1"), "logits": ([1], "1"), "spectrum_gradient": ([215], "1 / muK^2")}
    x = read_test_tensors(classifier / TEST_TENSORS, session.spec)["predict"][0]["spectrum"][:4]
    found = session.run({"spectrum": x}, EXPLAIN)
    np.testing.assert_allclose(found["probability"], session.run({"spectrum": x})["probability"], atol=1e-6)
    np.testing.assert_allclose(found["probability"], 1 / (1 + np.exp(-found["logits"])), atol=1e-6)
    by_zoo = zoo.interpret.explain(load("mlp-cmb-feature"), x, method="gradient")
    np.testing.assert_allclose(found["spectrum_gradient"], by_zoo.values, atol=1e-5 * np.abs(by_zoo.values).max())
    with pytest.raises(InputError, match="spectrum"):
        session.run({"spectrum": 1e6 * x}, EXPLAIN)


def test_exported_folder_is_served_to_any_client(classifier):
    pytest.importorskip("tritonclient.http")
    from live_server import infer, running, triton

    from zoo.serving.server import Server

    session, server = Session(classifier), Server([str(classifier)])
    x = read_test_tensors(classifier / TEST_TENSORS, session.spec)["predict"][0]["spectrum"][:2]
    with running(server) as address, triton.InferenceServerClient(address) as client:
        answer = infer(client, "mlp-cmb-feature.explain", {"spectrum": x})
    expected = session.run({"spectrum": x}, EXPLAIN)
    for name in ("probability", "logits", "spectrum_gradient"):
        np.testing.assert_allclose(answer.as_numpy(name), expected[name], rtol=1e-6)


def test_exported_folder_tells_readers_in_other_languages_the_tolerance(classifier):
    written = json.loads((classifier / "clients" / "model.json").read_text())["endpoints"][EXPLAIN]["outputs"][-1]
    own = Session(classifier).spec.endpoint(EXPLAIN).outputs[-1].tolerance
    assert (written["name"], written["tolerance"]) == ("spectrum_gradient", own.model_dump())


def test_exported_folder_goes_into_a_repository(classifier, tmp_path):
    from zoo.export import add_to_repository

    added = add_to_repository(classifier, tmp_path / "repository", endpoints=[EXPLAIN])
    assert [one.model for one in added] == ["mlp-cmb-feature.explain"]
    assert (added[0].folder / "model.onnx").read_bytes() == (classifier / "explain.onnx").read_bytes()


def test_of_several_outputs_the_client_says_which(load, exported):
    model, folder = load("mlp-cmb-emulator"), exported("mlp-cmb-emulator", explain=True, parity_rows=100)
    session = Session(folder)
    described = session.spec.endpoint(EXPLAIN)
    assert [tensor.name for tensor in described.inputs] == ["theta", "weight"]
    assert [tensor.name for tensor in described.outputs] == ["spectrum", "theta_gradient"]
    theta = read_test_tensors(folder / TEST_TENSORS, session.spec)["predict"][0]["theta"][:1]
    weight = np.zeros((1, 215), np.float32)
    weight[0, [3, 70]] = 1.0, -2.0
    found = session.run({"theta": theta, "weight": weight}, EXPLAIN)["theta_gradient"]
    one, two = (zoo.interpret.explain(model, theta, method="gradient", target=k).values for k in (3, 70))
    np.testing.assert_allclose(found, one - 2 * two, rtol=1e-4, atol=1e-5 * np.abs(found).max())


def test_explain_is_not_for_saved_models(load, tmp_path):
    with pytest.raises(ExportError, match="explain is written as ONNX"):
        export(load("mlp-cmb-feature"), tmp_path / "out", format="savedmodel", explain=True)
    with pytest.raises(ExportError, match="made by explain=True"):
        export(load("mlp-cmb-feature"), tmp_path / "out", endpoints=[EXPLAIN])
    assert not (tmp_path / "out").exists()

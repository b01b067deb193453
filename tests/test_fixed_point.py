"""Layers in fixed point: whole numbers and the package HGQ2 as oracles; and the firmware that is made of them."""

from __future__ import annotations

import shutil
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from keras import ops

from zoo.errors import ExportError
from zoo.families.contracts import Softens
from zoo.families.mlp import MLP
from zoo.families.quantized_mlp import QuantizedMLP
from zoo.model.axes import Axis
from zoo.model.spec import Endpoint, Tensor, Tolerance

X = Tensor(name="x", axes=[Axis(name="feature", size=6)], unit="1", low=-1e9, high=1e9, description="x")
LOGITS = Tensor(name="logits", axes=[Axis(name="class", size=3)], unit="1", description="logits")
ENDPOINT = Endpoint(description="logits", inputs=[X], outputs=[LOGITS])
SCALES = np.array([0.1, 1.0, 3.0, 90.0, 1.0, 0.02], np.float32)


def rows(n: int = 400) -> np.ndarray:
    return (np.random.default_rng(0).normal(2.0, 1.0, (n, 6)) * SCALES).astype(np.float32)


def made(beta: float = 1e-3, **changes) -> QuantizedMLP:
    """A network whose bits and biases are random."""
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(1)
    model = QuantizedMLP(**{"inputs": 6, "hidden": [8, 5], "outputs": 3, "beta": beta} | changes)
    model.adapt({"x": rows()}, None)
    for layer in model.dense:
        layer.bias.assign(rng.normal(size=layer.bias.shape))
        layer.input_integer.assign(rng.uniform(-3, 3, layer.input_integer.shape))
        for bits in (layer.kernel_fraction, layer.bias_fraction, layer.input_fraction):
            bits.assign(rng.uniform(-1, 5, bits.shape))
    return model


def numbers(tensor) -> np.ndarray:
    return np.asarray(ops.convert_to_numpy(tensor), np.float64)


def in_whole_numbers(model: QuantizedMLP, x: np.ndarray) -> np.ndarray:
    """Logits by sums of whole numbers, each of what stands after the point being shifted to 2^-16."""
    values = (np.asarray(x, np.float64) - numbers(model.standardize.mean)) / numbers(model.standardize.scale)
    for layer in model.dense:
        fraction = np.round(numbers(layer.input_fraction)).astype(int)
        integer = np.maximum(np.round(numbers(layer.input_integer)).astype(int), -fraction)
        highest = 2 ** (integer + fraction) - 1
        lowest = -(2 ** (integer + fraction)) * int(layer.signed)
        counts = np.clip(np.floor(values * 2.0**fraction + 0.5), lowest, highest)
        given = (counts * 2.0 ** (8 - fraction)).astype(np.int64)
        kernel_step, bias_step = (2.0 ** np.round(numbers(bits)) for bits in (layer.kernel_fraction, layer.bias_fraction))
        kernel = (np.floor(numbers(layer.kernel) * kernel_step + 0.5) / kernel_step * 2**8).astype(np.int64)
        bias = (np.floor(numbers(layer.bias) * bias_step + 0.5) / bias_step * 2**16).astype(np.int64)
        values = (given @ kernel + bias) / 2.0**16
        values = np.maximum(values, 0) if layer is not model.head else values
    return values


def test_logits_are_sums_of_whole_numbers():
    model = made()
    np.testing.assert_array_equal(numbers(model.logits(rows())), in_whole_numbers(model, rows()))
    np.testing.assert_allclose(numbers(model(rows())), numbers(ops.softmax(model.logits(rows()))), rtol=1e-6)


def test_training_computes_what_is_used():
    model = made()
    trained = model(rows(), training=True)
    assert float(model.losses[0]) == pytest.approx(1e-3 * float(model.ebops()))
    np.testing.assert_array_equal(numbers(trained), numbers(model(rows())))


def test_inputs_saturate_and_do_not_wrap():
    model = made()
    high, higher = (numbers(model.logits(np.full((1, 6), value, np.float32))) for value in (1e4, 1e8))
    np.testing.assert_array_equal(high, higher)


def test_scaling_is_a_shift_and_a_difference_of_whole_numbers():
    model = made()
    scale, mean = numbers(model.standardize.scale), numbers(model.standardize.mean)
    np.testing.assert_array_equal(np.log2(scale), np.round(np.log2(scale)))
    np.testing.assert_array_equal(mean / scale, np.round(mean / scale))
    assert np.all(np.abs(np.log2(scale / rows().std(axis=0))) <= 0.5001)


def test_graph_computes_the_same():
    """Of inputs halfway between two numbers too, which a last bit would send to the other one."""
    pytest.importorskip("tf2onnx")
    runtime = pytest.importorskip("onnxruntime")
    from zoo.export.onnx import to_onnx

    model = made()
    x = (numbers(model.standardize.mean) + numbers(model.standardize.scale) * np.arange(-480, 480)[:, None] / 128).astype("f")
    np.testing.assert_array_equal(numbers(model.logits(x)), in_whole_numbers(model, x))
    spec = SimpleNamespace(
        name="tiny-jets", revision="1", summary="", tolerance=Tolerance(), config={}, family="", endpoint=lambda name: ENDPOINT
    )
    graph = to_onnx(model, spec, "logits").SerializeToString()
    (answer,) = runtime.InferenceSession(graph).run(None, {"x": x})
    np.testing.assert_array_equal(answer, in_whole_numbers(model, x))


def test_layers_are_those_of_hgq2():
    """Answers, bit operations and every gradient, of the package in its own training."""
    pytest.importorskip("hgq")
    tf = pytest.importorskip("tensorflow")
    from hgq.layers import QDense
    from hgq.quantizer import QuantizerConfig

    model, target = made(), np.random.default_rng(2).integers(0, 3, 400)
    given = x = keras.Input((6,))
    theirs = []
    for layer in model.dense:
        of_inputs = QuantizerConfig("kif", "datalane", k0=layer.signed, overflow_mode="SAT", round_mode="RND", ir=None, fr=None)
        of_weights, of_biases = (
            QuantizerConfig("kif", place, overflow_mode="WRAP", i_decay_speed=np.inf, is_weight=True, ir=None, fr=None)
            for place in ("weight", "bias")
        )
        activation = None if layer is model.head else "relu"
        theirs.append(QDense(layer.units, activation, iq_conf=of_inputs, kq_conf=of_weights, bq_conf=of_biases, beta0=1e-3))
        x = theirs[-1](x)
    twin = keras.Model(given, x)
    pairs = []
    for layer, other in zip(model.dense, theirs, strict=True):
        bits = other.iq.quantizer
        pairs += [(layer.kernel, other._kernel), (layer.bias, other.bias), (layer.kernel_fraction, other.kq.quantizer._f)]
        pairs += [(layer.bias_fraction, other.bq.quantizer._f), (layer.input_integer, bits._i), (layer.input_fraction, bits._f)]
    for ours, other in pairs:
        other.assign(ops.reshape(ours, other.shape))

    def gradients(logits_and_losses, variables):
        with tf.GradientTape() as tape:
            logits, losses = logits_and_losses()
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(target, logits)) + sum(losses())
        return logits, [numbers(gradient).ravel() for gradient in tape.gradient(loss, [v.value for v in variables])]

    def by_us():
        model(rows(), training=True)
        return model.logits(rows()), lambda: model.losses

    def by_them():
        return twin(model.standardize(rows()), training=True), lambda: twin.losses

    logits, ours = gradients(by_us, [pair[0] for pair in pairs])
    expected, others = gradients(by_them, [pair[1] for pair in pairs])
    np.testing.assert_array_equal(numbers(logits), numbers(expected))
    np.testing.assert_array_equal(numbers(model.logits(rows())), numbers(twin(model.standardize(rows()))))
    assert float(model.ebops()) == sum(int(layer.ebops) for layer in theirs)
    for ours_, other in zip(ours, others, strict=True):
        np.testing.assert_allclose(ours_, other, atol=2e-6)
        assert np.any(ours_)


def test_a_larger_beta_makes_fewer_bits():
    x, target = rows(), (rows()[:, :1] > 0.2).astype(np.float32)
    found = []
    for beta in (0.0, 1e-3):
        keras.utils.set_random_seed(0)
        model = QuantizedMLP(inputs=6, hidden=[8], beta=beta)
        model.adapt({"x": x}, target)
        model.compile(keras.optimizers.Adam(3e-2), loss=model.objective, jit_compile=False)
        model.fit(x, target, epochs=8, batch_size=50, verbose=0)
        found.append((float(model.ebops()), float(np.mean((numbers(model(x)) > 0.5) == target))))
    assert found[1][0] < 0.8 * found[0][0]
    assert min(accuracy for _, accuracy in found) > 0.9


def test_a_temperature_is_refused():
    assert not isinstance(made(), Softens)
    assert isinstance(MLP(inputs=6, hidden=[]), Softens)
    with pytest.raises(ValueError, match="beta of at least 0"):
        QuantizedMLP(inputs=6, hidden=[], beta=-1.0)


@pytest.fixture
def released():
    """The network with what a spec says of its ports."""
    for package in ("hgq", "hls4ml", "da4ml", "onnx"):
        pytest.importorskip(package)
    model = made()
    model.spec = SimpleNamespace(name="tiny-jets", endpoint={"logits": ENDPOINT}.__getitem__)
    return model


def test_da4ml_computes_the_same(released, tmp_path):
    from zoo.export.fixed_point import to_verilog
    from zoo.export.hls import SCALING

    design = to_verilog(released, tmp_path / "design")
    x = np.concatenate([rows(), 1e3 * rows(), -rows()])
    np.testing.assert_array_equal(design.run({"x": x})["logits"], in_whole_numbers(released, x))
    assert list((tmp_path / "design").rglob("*.v"))
    with np.load(tmp_path / "design" / SCALING) as written:
        assert sorted(written) == [f"x/{name}" for name in ("high", "low", "mean", "scale", "step")]
    with pytest.raises(ExportError, match="exists: choose a new folder"):
        to_verilog(released, tmp_path / "design")


@pytest.mark.slow
def test_hls4ml_computes_the_same(released, tmp_path):
    from zoo.export.fixed_point import exact_to_hls

    if shutil.which("g++") is None:
        pytest.skip("g++ is not installed")
    project = exact_to_hls(released, tmp_path / "project")
    project.compile()
    x = np.concatenate([rows(), 1e3 * rows(), -rows()])
    np.testing.assert_array_equal(project.run({"x": x})["logits"], in_whole_numbers(released, x))


def test_firmware_of_what_is_not_exact_is_refused(released, tmp_path):
    from zoo.export.fixed_point import to_verilog

    floating = MLP(inputs=6, hidden=[4])
    floating.spec = released.spec
    with pytest.raises(ExportError, match="expected a model whose bits were trained"):
        to_verilog(floating, tmp_path / "design")
    released.head.input_integer.assign(np.full(5, 8.0))
    released.head.input_fraction.assign(np.full(5, 8.0))
    released.head.kernel_fraction.assign(np.full((5, 3), 8.0))
    with pytest.raises(ExportError, match="which float32 holds"):
        to_verilog(released, tmp_path / "design")
    assert not (tmp_path / "design").exists()


@pytest.mark.parametrize(
    ("value", "integer", "fraction"), [(0.0, 0, 0), (0.75, 0, 2), (-5.0, 3, 0), (1.0, 1, 0), (24.0, 5, -3)]
)
def test_bits_of_a_constant(value, integer, fraction):
    pytest.importorskip("onnx")
    from zoo.export.fixed_point import constant_format

    found = constant_format(np.array([value], np.float32))
    assert [float(bits[0]) for bits in found] == [integer, fraction]

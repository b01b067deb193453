"""The kits of ``zoo.testing`` find what is wrong with a family or a data set, and say what to do."""

from __future__ import annotations

import os

import keras
import numpy as np
import pytest
from keras import ops

from zoo.data.dataset import Rows, groups
from zoo.families.base import ZooModel
from zoo.families.layers import Standardize
from zoo.model.axes import Axis, fixed_axes
from zoo.model.spec import Endpoint, Tensor
from zoo.testing import check_dataset, check_family, graph_checks

X = np.random.default_rng(0).normal(3.0, 2.0, (32, 3)).astype(np.float32)
ROWS = Rows({"x": X}, X[:, :1] ** 2, np.arange(32))


class Line(ZooModel):
    """A scaling and a dense layer: the family that keeps every promise."""

    endpoints = {"predict": "call"}

    def __init__(self, inputs: int, **kwargs) -> None:
        super().__init__(**kwargs)
        self.config = {"inputs": inputs}
        self.standardize = Standardize((inputs,), name="standardize")
        self.head = self.dense(inputs)
        self.built = True

    def dense(self, inputs: int) -> keras.layers.Layer:
        layer = keras.layers.Dense(1, name="head")
        layer.build((None, inputs))
        return layer

    def call(self, x):
        return self.head(self.standardize(x))

    def objective(self, target, answer):
        return ops.mean(ops.square(answer - target), axis=-1)

    @property
    def blocks(self):
        return {"stem": [self.standardize], "head": [self.head]}

    def adapt(self, inputs, target):
        self.standardize.adapt(next(iter(inputs.values())))


class ForgetsConfig(Line):
    def __init__(self, inputs: int, **kwargs) -> None:
        super().__init__(inputs, **kwargs)
        self.config = {}


class Unnamed(Line):
    def dense(self, inputs):
        layer = keras.layers.Dense(1)
        layer.build((None, inputs))
        return layer


class Hides(Line):
    blocks = property(lambda self: {"head": [self.head]})


class Scalar(Line):
    def objective(self, target, answer):
        return ops.mean(ops.square(answer - target))


class Stuck(Line):
    def objective(self, target, answer):
        return ops.mean(ops.square(target), axis=-1) + 0 * answer[:, 0]


class Drifts(Line):
    def adapt(self, inputs, target):
        super().adapt(inputs, target)
        self.standardize.mean.trainable = True


class Random(Line):
    def call(self, x):
        return super().call(x) + keras.random.normal((1, 1))


class Mixes(Line):
    def call(self, x):
        return super().call(x - ops.mean(x, axis=0))


class Forgets(Line):
    def adapt(self, inputs, target):
        super().adapt(inputs, target)
        self.shift = 2.0

    def call(self, x):
        return super().call(x) + getattr(self, "shift", 0.0)


class Renames(Line):
    endpoints = {"predict": "call", "encode": "encode"}


class Unwritten(Line):
    def example(self, inputs, rng):
        return {}


class NotInOnnx(Line):
    def call(self, x):
        return ops.erfinv(0.5 * ops.tanh(super().call(x)))


class Excused(NotInOnnx):
    opset_reason = dict.fromkeys((11, 13, 18), "ONNX has no Erfinv")


class Doubles(Line):
    """A classifier whose logits are not of the shape of its answer."""

    answers_with = "probability"

    def logits(self, x):
        return ops.concatenate([self.call(x)] * 2, axis=-1)


def test_a_family_that_keeps_every_promise_passes():
    check_family(Line, {"inputs": 3}, ROWS)


@pytest.mark.parametrize(
    ("family", "message"),
    [
        (ForgetsConfig, "set self.config to the keyword arguments"),
        (Unnamed, "name every layer"),
        (Hides, "blocks must hold every weight exactly once"),
        (Scalar, r"objective must give the loss of each row, \(n,\), given \(\)"),
        (Stuck, "two steps moved no weight"),
        (Random, "the same inputs got two answers: take noise as an input"),
        (Mixes, "answers a row otherwise with other rows beside it"),
        (Forgets, "answers otherwise once saved and loaded: keep every number"),
        (Renames, "names the method 'encode': write it"),
        (Unwritten, r"example must make inputs for every endpoint and no other; it differs in \['predict'\]"),
        (Doubles, r"logits\(\.\.\.\) must be of shape \(8, 1\), given \(8, 2\)"),
        (dict, "derive it from zoo.families.base.ZooModel"),
    ],
)
def test_a_broken_promise_is_named(family, message):
    with pytest.raises(AssertionError, match=message):
        check_family(family, {"inputs": 3}, ROWS, opsets=[])


def test_a_config_that_is_not_plain_is_named():
    with pytest.raises(AssertionError, match="must be plain data"):
        check_family(Line, {"inputs": np.array(3)}, ROWS)


def test_an_operation_without_onnx_is_named_unless_there_is_a_reason():
    with pytest.raises(AssertionError, match=r"Erfinv.*NotInOnnx\.opset_reason\[13\]"):
        check_family(NotInOnnx, {"inputs": 3}, ROWS, opsets=[13])
    check_family(Excused, {"inputs": 3}, ROWS)


class Otherwise(Line):
    """One endpoint answers the same in every process, and one does not."""

    endpoints = {"predict": "call", "double": "double"}

    def double(self, x):
        return 2 * self.call(x) + float("KERAS_BACKEND" in os.environ)


def test_another_backend_is_asked_in_a_process_of_its_own(monkeypatch):
    """Another process of TensorFlow stands for backends that may not be installed; the first endpoint passes there."""
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    monkeypatch.setattr(graph_checks, "other_backends", lambda: ["tensorflow"])
    with pytest.raises(AssertionError, match="Otherwise on the backend tensorflow: 'double' answers otherwise"):
        check_family(Otherwise, {"inputs": 3}, ROWS, opsets=[])


class Masked(Line):
    """The mean over particles that are real, or over all of them."""

    honest = True

    def call(self, inputs):
        return self.predict_set(*inputs)

    endpoints = {"predict": "predict_set"}

    def predict_set(self, particles, mask):
        real = ops.cast(mask, "float32")[..., None] if self.honest else ops.ones_like(particles[..., :1])
        return self.head(ops.sum(self.standardize(particles) * real, axis=1) / ops.maximum(ops.sum(real, axis=1), 1.0))

    def adapt(self, inputs, target):
        self.standardize.adapt(inputs["particles"].reshape(-1, 3))


class CountsPadding(Masked):
    honest = False


SET = Axis(name="particle", least=1, most=9)
ENDPOINTS = {
    "predict": Endpoint(
        description="mass of a set",
        inputs=[
            Tensor(name="particles", axes=[SET, *fixed_axes("feature", [3])], unit="GeV", description="particles", mask="mask"),
            Tensor(name="mask", axes=[SET], dtype="bool", unit="1", description="which are real"),
        ],
        outputs=[Tensor(name="mass", axes=fixed_axes("mass", [1]), unit="GeV", description="mass")],
    )
}


def test_padding_that_changes_an_answer_is_named():
    rng = np.random.default_rng(0)
    mask = np.arange(5) < rng.integers(1, 6, (32, 1))
    particles = np.where(mask[..., None], rng.normal(size=(32, 5, 3)), 0).astype(np.float32)
    rows = Rows({"particles": particles, "mask": mask}, particles.sum(axis=1)[:, :1], np.arange(32))
    check_family(Masked, {"inputs": 3}, rows, endpoints=ENDPOINTS, opsets=[])
    with pytest.raises(AssertionError, match="padding changes mass: leave out what the mask calls padding"):
        check_family(CountsPadding, {"inputs": 3}, rows, endpoints=ENDPOINTS, opsets=[])


class Numbers:
    """A data set that keeps every promise."""

    description, simulator, seed = "normal numbers", "numpy", 0
    units = {"mean": "m"}

    def rows(self, split, epoch=0):
        sizes = {"train": 20, "validation": 10, "test": 10}
        rng = np.random.default_rng(list(sizes).index(split))
        x = rng.normal(size=(sizes[split], 2)).astype(np.float32)
        return Rows({"x": x}, x[:, :1], groups(sizes, split), {"mean": x.mean(axis=1)})


class Leaks(Numbers):
    def rows(self, split, epoch=0):
        rows = super().rows(split)
        return Rows(rows.inputs, rows.target, np.arange(len(rows)), rows.truth)


class Anew(Numbers):
    def rows(self, split, epoch=0):
        rows = super().rows(split)
        return Rows(rows.inputs, np.random.default_rng().normal(size=rows.target.shape), rows.group, rows.truth)


class Unitless(Numbers):
    units = {}


class Flat(Numbers):
    def rows(self, split, epoch=0):
        rows = super().rows(split)
        return Rows(rows.inputs, rows.target[:, 0], rows.group, rows.truth)


class Moves(Numbers):
    def rows(self, split, epoch=0):
        rows = super().rows(split)
        return Rows({"x": rows.inputs["x"] + epoch}, rows.target, rows.group, rows.truth)


class Silent(Numbers):
    description = ""


def test_a_data_set_that_keeps_every_promise_passes():
    check_dataset(Numbers(), again=Numbers)


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (Leaks, "train and validation share 10 groups"),
        (Anew, "the seed must decide every row"),
        (Unitless, "state the unit of mean in units"),
        (Flat, r"expected a target \(n, outputs\), given \(20,\)"),
        (Moves, "held-out rows must not change with the epoch"),
        (Silent, "say in description what the rows are"),
        (dict, "give it description, simulator, seed, units and rows"),
    ],
)
def test_what_a_data_set_lacks_is_named(dataset, message):
    with pytest.raises(AssertionError, match=message):
        check_dataset(dataset())

"""Models are copied, pickled and handed to other processes; a fork, where TensorFlow waits forever, is refused in words."""

from __future__ import annotations

import copy
import multiprocessing
import pickle

import keras
import numpy as np
import pytest
from tiny_networks import CONFIGS, released

import zoo
from zoo.data.sbi import simulate
from zoo.data.sbi.priors.prior import Prior
from zoo.errors import ZooError
from zoo.model.registry import get_family


def answers(model):
    inputs = model.example(
        {name: np.ones(shape, np.float32) for name, shape in shapes(model).items()}, np.random.default_rng(0)
    )
    found = (getattr(model, model.endpoints[name])(*tensors) for name, tensors in inputs.items())
    return [np.asarray(array) for answer in found for array in (answer if isinstance(answer, tuple) else (answer,))]


def shapes(model):
    return {tensor.name: (3, *tensor.fixed_shape) for tensor in model.spec.endpoint(model.data_endpoint).inputs}


def pickled(model):
    return pickle.loads(pickle.dumps(model))  # noqa: S301


@pytest.mark.parametrize("copied", [copy.deepcopy, pickled])
@pytest.mark.parametrize("name", CONFIGS)
def test_a_copy_answers_bit_for_bit_and_shares_nothing(name, copied):
    model = released(name)
    model.compile("adam", loss="mse")
    twin = copied(model)
    assert type(twin) is type(model)
    assert twin.spec == model.spec
    assert not twin.compiled
    assert all((a == b).all() for a, b in zip(answers(model), answers(twin), strict=True))
    for weight in twin.weights:
        weight.assign(keras.ops.zeros_like(weight))
    assert any(np.any(weight) for weight in model.get_weights())


def test_copies_of_trees_and_of_loaded_models_know_their_folder(load):
    trees = load("gbt-halo-mass")
    rows = np.random.default_rng(0).normal(size=(5, trees.config["inputs"])).astype(np.float32)
    for twin in (copy.deepcopy(trees), pickled(trees)):
        assert (twin.predict(rows) == trees.predict(rows)).all()
        assert twin.folder == trees.folder
    network = load("ive-pendulum")
    assert pickled(network).folder == network.folder


def answer_in_another(model, x, sender):
    try:
        sender.send(np.asarray(model(x)))
    except ZooError as error:
        sender.send(str(error))


def build_in_another(model, x, sender):
    try:
        get_family("mlp")(inputs=2, hidden=[3])
    except ZooError as error:
        sender.send(str(error))


def encode_in_another(model, x, sender):
    try:
        model.logits(x)
    except ZooError as error:
        sender.send(str(error))


def from_process(kind, target, model, x):
    """What a process of its own sends."""
    context = multiprocessing.get_context(kind)
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=target, args=(model, x, sender))
    process.start()
    try:
        assert receiver.poll(60), f"{kind}: no answer"
        return receiver.recv()
    finally:
        process.kill()
        process.join()


@pytest.mark.parametrize("target", [answer_in_another, build_in_another, encode_in_another])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_fork_is_refused_in_words(target):
    found = from_process("fork", target, released("mlp"), np.ones((2, 7), np.float32))
    assert "was forked" in found
    assert "get_context('spawn')" in found


@pytest.mark.slow
def test_a_spawned_process_gets_the_model_and_the_same_answer():
    model, x = released("mlp"), np.ones((2, 7), np.float32)
    assert (from_process("spawn", answer_in_another, model, x) == np.asarray(model(x))).all()


@pytest.mark.slow
def test_an_emulator_of_the_zoo_is_a_simulator_of_several_processes():
    emulator = zoo.load("mlp-cmb-emulator")
    tensor = emulator.spec.endpoint("predict").inputs[0]
    ends = zip(np.broadcast_to(tensor.low, tensor.fixed_shape), np.broadcast_to(tensor.high, tensor.fixed_shape), strict=True)
    prior = Prior({f"p{i}": {"distribution": "uniform", "low": float(a), "high": float(b)} for i, (a, b) in enumerate(ends)})

    def spectrum(theta, rng):
        return np.asarray(emulator(theta[None].astype(np.float32)))[0, :5] + rng.normal(0, 1e-3, 5)

    one, two = (simulate(spectrum, prior, 40, seed=3, jobs=jobs) for jobs in (1, 2))
    assert one.x == pytest.approx(two.x, rel=1e-6)
    assert (one.theta == two.theta).all()

"""Answers that guard: states that are each in its range, and whose energy is beyond any that was trained, are refused."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

import keras
import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
from live_server import running
from pydantic import ValidationError
from released_models import RELEASED
from tritonclient.utils import InferenceServerException

import zoo
from zoo.errors import InputError, ZooError
from zoo.families.dynamics.lagrangian import Lagrangian
from zoo.families.fields.field_cnn import FieldCNN
from zoo.model.axes import fixed_axes
from zoo.model.outputs import OutputCheck
from zoo.model.registry import RELEASED as RELEASED_IN
from zoo.model.registry import get_spec
from zoo.model.spec import TEST_TENSORS, Data, Endpoint, ModelSpec, Tensor, wire_name
from zoo.model.test_tensors import read_test_tensors
from zoo.model.unit_text import unit_behind
from zoo.serving import Session
from zoo.serving.server import Server
from zoo.training.recipe import load_recipe
from zoo.workflows.trained_ranges import with_answers

SMALL = "lnn-relativistic-particle"
MODELS = [name for name in RELEASED if get_spec(name).task == "dynamics"]
ENDPOINTS = [(name, endpoint) for name in MODELS for endpoint in get_spec(name).endpoints]
MARGIN = 0.05
"""States whose true energy is as near to the ends of the training's, over their distance, may be answered or not."""
MISSED = {"lnn-relativistic-particle": 0.03}
"""Largest share of the states beyond that a model answers: far from all that was trained the energy that it learned is wrong
too, as its card says."""


@cache
def session(name: str) -> Session:
    return Session(name)


@cache
def dataset(name: str):
    return load_recipe(name).data.dataset()


def given_for(name: str, endpoint: str, state: np.ndarray, parameters: np.ndarray) -> dict[str, np.ndarray]:
    """Inputs of an endpoint, a step of 0.01 among them."""
    known = {"state": state, "parameters": parameters, "time_step": np.full((len(state), 1), 0.01)}
    return {tensor.name: known[tensor.name].astype("f4") for tensor in get_spec(name).endpoint(endpoint).inputs}


def starts(name: str) -> tuple[np.ndarray, np.ndarray]:
    """The states in which every trajectory of the training starts, and whose energy it keeps; and its parameters."""
    states, parameters = dataset(name).starts("train")
    return as_given(name, states, parameters), parameters


def as_given(name: str, states: np.ndarray, parameters: np.ndarray) -> np.ndarray:
    system, n = dataset(name).system, dataset(name).system.coordinates
    if not dataset(name).canonical:
        return states
    return np.concatenate([states[:, :n], system.momenta(states, parameters)], axis=1)


def true_energy(name: str, given: np.ndarray, parameters: np.ndarray) -> np.ndarray:
    """Energy of states as a model is given them; where parameters differ, over the largest potential energy."""
    system = dataset(name).system
    energy = system.energy(system.from_momenta(given, parameters) if dataset(name).canonical else given, parameters)
    return energy if dataset(name).spread is None else energy / system.largest_potential(parameters)


@cache
def box(name: str, rows: int = 1000) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """States of the whole box, their parameters, and of which the true energy is far within the training's, or far beyond."""
    rng = np.random.default_rng(0)
    state, *others = (
        rng.uniform(tensor.low, tensor.high, (rows, tensor.axes[0].size)) for tensor in get_spec(name).endpoint("energy").inputs
    )
    parameters = others[0] if others else np.ones((rows, len(dataset(name).system.names)))
    energy, trained = true_energy(name, state, parameters), true_energy(name, *starts(name))
    slack = MARGIN * np.ptp(trained)
    within = (energy > trained.min() + slack) & (energy < trained.max() - slack)
    beyond = (energy < trained.min() - slack) | (energy > trained.max() + slack)
    assert min(within.sum(), beyond.sum()) > 20
    return state, parameters, within, beyond


def refuses(name: str, endpoint: str, given: dict[str, np.ndarray]) -> bool:
    try:
        session(name).run(given, endpoint)
    except InputError as error:
        return str(error).startswith("output 'energy'")
    return False


@pytest.mark.parametrize(("name", "endpoint"), ENDPOINTS)
def test_states_of_energies_beyond_the_training_are_refused(name, endpoint):
    """The oracle is the true energy, which no network knows."""
    state, parameters, within, beyond = box(name)
    few = slice(5 if endpoint == "rollout" else None)
    given = given_for(name, endpoint, state, parameters)
    refused = [
        [
            refuses(name, endpoint, {tensor: array[[row]] for tensor, array in given.items()})
            for row in np.flatnonzero(rows)[few]
        ]
        for rows in (within, beyond)
    ]
    assert not any(refused[0])
    assert np.mean(refused[1]) >= 1 - MISSED.get(name, 0)
    far = {tensor: array[beyond][few] for tensor, array in given.items()}
    answers = session(name).run(far, endpoint, allow_out_of_range=True)
    assert all(len(array) == len(far["state"]) for array in answers.values())


@pytest.mark.parametrize("name", MODELS)
def test_every_trajectory_of_the_training_is_answered(name):
    state, parameters = starts(name)
    energy = session(name).run(given_for(name, "energy", state, parameters), "energy")["energy"]
    tensor = get_spec(name).endpoint("energy").outputs[0]
    span = tensor.high[0] - tensor.low[0]
    assert np.ptp(energy) > 0.95 * span  # and no more than they need


@pytest.mark.parametrize("name", MODELS)
def test_cards_say_how_many_states_are_refused(name):
    state, parameters, _, _ = box(name)
    energy, trained = true_energy(name, state, parameters), true_energy(name, *starts(name))
    beyond = (energy < trained.min()) | (energy > trained.max())
    given = given_for(name, "energy", state, parameters)
    refused = np.array(
        [refuses(name, "energy", {key: array[[row]] for key, array in given.items()}) for row in range(len(state))]
    )
    assert not (refused & ~beyond).any()
    card = " ".join((RELEASED_IN / name / "README.md").read_text(encoding="utf-8").split())
    assert f"{beyond.sum()} have a true energy beyond any of the training, and {refused.sum()} are refused, all of them" in card
    if missed := (beyond & ~refused).sum():
        assert f"; the other {missed} are " in card


@pytest.mark.parametrize("name", MODELS)
def test_the_message_says_what_to_do(name):
    state, parameters, within, beyond = box(name)
    rows = [np.flatnonzero(within)[0], np.flatnonzero(beyond)[0]]
    given = given_for(name, next(iter(get_spec(name).endpoints)), state[rows], parameters[rows])
    energy = session(name).run(given, "energy", allow_out_of_range=True)["energy"]
    tensor = get_spec(name).endpoint("energy").outputs[0]
    expected = unit_behind(f"{tensor.low[0]:.6g} to {tensor.high[0]:.6g}", tensor.unit_of([0]))
    words = (
        rf"output 'energy': 1 values lie outside the trained range, the first at \(1, 0\): expected {expected},"
        r" found (.*), since the inputs of row 1 are together unlike any that was trained;"
        r" give others, or extrapolate with allow_out_of_range=True"
    )
    with pytest.raises(InputError, match=words) as refused:
        session(name).run(given, next(iter(get_spec(name).endpoints)))
    np.testing.assert_allclose(float(re.fullmatch(words, str(refused.value))[1]), energy[1, 0], rtol=1e-4)


@cache
def loaded(name: str):
    return zoo.load(name)


@pytest.mark.parametrize("name", [pytest.param(name, marks=[] if name == SMALL else pytest.mark.slow) for name in MODELS])
def test_the_model_in_keras_refuses_the_same(name):
    model = loaded(name)
    state, parameters, within, beyond = box(name)
    endpoint = model.data_endpoint
    given = given_for(name, endpoint, state, parameters)
    close, far = ({tensor: array[rows][:3] for tensor, array in given.items()} for rows in (within, beyond))
    answers = model.endpoint(endpoint)(close)
    expected = session(name).run(close, endpoint)
    for tensor, answer in answers.items():
        np.testing.assert_allclose(np.asarray(answer), expected[tensor], rtol=2e-3, atol=2e-3)
    with pytest.raises(InputError, match="output 'energy': 3 values"):
        model.endpoint(endpoint)(far)
    model.endpoint(endpoint)(far, allow_out_of_range=True)


def test_gradients_pass_through_what_is_guarded():
    tf = pytest.importorskip("tensorflow")
    model = loaded(SMALL)
    state = tf.constant([[0.0, 0.5]])
    with tf.GradientTape() as tape:
        tape.watch(state)
        answer = model.endpoint("acceleration")(state=state)["acceleration"]
    assert np.abs(np.asarray(tape.gradient(answer, state))).max() > 0


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    server = Server(MODELS)
    with running(server):
        yield server


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("client", ["http", "grpc"])
def test_the_server_refuses_the_same(server, name, client):
    state, parameters, within, beyond = box(name)
    endpoint = next(iter(get_spec(name).endpoints))
    given = given_for(name, endpoint, state, parameters)
    module, port = (triton_http, server.port) if client == "http" else (triton_grpc, server.grpc_port)

    def ask(rows: np.ndarray, **parameters: bool) -> np.ndarray:
        tensors = []
        for tensor, array in given.items():
            tensors.append(module.InferInput(tensor, [3, array.shape[1]], "FP32"))
            tensors[-1].set_data_from_numpy(array[rows][:3])
        with module.InferenceServerClient(f"127.0.0.1:{port}") as asked:
            return asked.infer(wire_name(name, endpoint), tensors, parameters=parameters).as_numpy("energy")

    assert ask(within).shape == (3, 1)
    with pytest.raises(InferenceServerException, match="output 'energy': 3 values lie outside the trained range"):
        ask(beyond)
    assert ask(beyond, allow_out_of_range=True).shape == (3, 1)


@pytest.mark.parametrize(("name", "endpoint"), ENDPOINTS)
def test_test_tensors_are_answered_without_a_flag(name, endpoint):
    inputs, expected = read_test_tensors(session(name).folder.read(TEST_TENSORS), get_spec(name))[endpoint]
    answers = session(name).run(inputs, endpoint)
    assert list(answers)[-1] == "energy"
    np.testing.assert_allclose(answers["energy"], expected["energy"], rtol=1e-3, atol=1e-3)


def tensor(name: str, size: int, **fields) -> Tensor:
    return Tensor(name=name, axes=fixed_axes(name, [size]), unit="1", description=name, **fields)


def law(**fields) -> tuple[Lagrangian, ModelSpec, dict[str, np.ndarray]]:
    """A Lagrangian of weights that nobody trained, its spec, and rows."""
    keras.utils.set_random_seed(3)
    model = Lagrangian(coordinates=1, hidden=[4], steps=2, **fields)
    rng = np.random.default_rng(3)
    rows = {"state": rng.normal(size=(50, 2)).astype("f4")}
    model.adapt(rows, rng.normal(size=(50, 1)))
    for weight in model.trainable_weights:
        weight.assign(keras.ops.convert_to_numpy(weight) + rng.normal(0, 0.3, weight.shape))
    energy, inputs = tensor("energy", 1, guards=True), [tensor("state", 2)]
    step = [tensor("time_step", 1)]
    spec = ModelSpec(
        name="tiny-law",
        family="lagrangian",
        config=model.config,
        task="dynamics",
        summary="a law made up for tests",
        endpoints={
            "acceleration": Endpoint(description="a", inputs=inputs, outputs=[tensor("acceleration", 1), energy]),
            "step": Endpoint(description="s", inputs=inputs + step, outputs=[tensor("next_state", 2), energy]),
        },
        data=Data(source="double-pendulum", description="none", simulator="none", seed=0, rows={}),
        metrics=[],
        files=[],
        physzoo_version="0",
    )
    model.spec = spec
    return model, spec, rows


def test_a_range_of_answers_is_that_of_the_training_rows():
    model, spec, rows = law()
    assert not OutputCheck(spec.endpoint("step"))  # before it is measured
    measured = with_answers(spec, model, rows)
    energy = np.asarray(model.energy(rows["state"]), np.float64)
    for endpoint in measured.endpoints.values():
        assert endpoint.outputs[0].unbounded
        (low,), (high,) = endpoint.outputs[1].low, endpoint.outputs[1].high
        hundredth = np.ptp(energy) / 100
        np.testing.assert_allclose([low, high], [energy.min() - hundredth, energy.max() + hundredth], atol=0.01 * hundredth)
    few = {"state": rows["state"][np.argsort(energy[:, 0])[10:40]]}
    again = with_answers(measured, model, few).endpoint("step").outputs[1]  # a fine-tuning keeps nothing of its parent's
    before = measured.endpoint("step").outputs[1]
    assert before.low[0] < again.low[0] < again.high[0] < before.high[0]
    outputs = [tensor("acceleration", 1)]
    without = spec.endpoint("acceleration").model_copy(update={"outputs": outputs})
    lacking = spec.model_copy(update={"endpoints": {**spec.endpoints, "acceleration": without}})
    with pytest.raises(ZooError, match="energy: expected what guards among the outputs of acceleration too"):
        with_answers(lacking, model, rows)


def test_what_an_endpoint_refuses_is_not_explained():
    """A gradient of 1 + delta in place of delta was drawn where ``zoo predict`` refuses such a map."""
    model, spec, rows = law()
    model.spec = with_answers(spec, model, rows)
    how = {"endpoint": "acceleration", "method": "gradient"}
    zoo.explain(model, {"state": rows["state"][:2]}, **how)
    far = {"state": np.float32([[0.0, 0.0], [40.0, 40.0]])}
    with pytest.raises(InputError, match=r"output 'energy'.*together unlike any that was trained"):
        zoo.explain(model, far, **how)
    assert zoo.explain(model, far, **how, allow_out_of_range=True).values.shape == (2, 2)


def test_no_distance_is_too_small():
    """A fine-tuned network of maps refused those that were more like the mean of its training than any of it was."""
    model, spec, rows = law()
    energy = np.asarray(model.energy(rows["state"]), np.float64)
    far = {"state": rows["state"][energy[:, 0] > np.median(energy)]}
    model.distances = frozenset({"energy"})
    (low,), (high,) = (getattr(with_answers(spec, model, far).endpoint("step").outputs[1], end) for end in ("low", "high"))
    assert low <= 0.0 < high
    assert FieldCNN.distances == {"unlikeness", "filled"}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"dtype": "int32"}, "what guards is an output of floating-point numbers without a mask"),
        ({"mask": "real"}, "what guards is an output of floating-point numbers without a mask"),
        ({"dtype": "float32"}, "expected an output as what guards, given an input"),
    ],
)
def test_what_guards_is_an_output_of_numbers(fields, message):
    with pytest.raises(ValidationError, match=message):
        Endpoint(description="e", inputs=[tensor("x", 2, guards=True, **fields)], outputs=[tensor("y", 1)])

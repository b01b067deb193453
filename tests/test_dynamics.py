"""Networks of motion: derivatives against automatic ones, laws that they keep, graphs, friction in a fine-tuning."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from quick_training import eagerly
from scipy.integrate import solve_ivp

import zoo
from zoo.data.dataset import Rows
from zoo.errors import InputError
from zoo.families.compiled import as_graph
from zoo.families.dynamics.conservative import Derivatives
from zoo.families.dynamics.derivatives import solved
from zoo.families.dynamics.hamiltonian import Hamiltonian
from zoo.families.dynamics.lagrangian import Lagrangian
from zoo.families.dynamics.unconstrained import UnconstrainedMotion
from zoo.families.ensemble import Ensemble
from zoo.model.axes import fixed_axes
from zoo.model.registry import get_family
from zoo.model.spec import Data, Endpoint, ModelSpec, Tensor
from zoo.serving import Session
from zoo.testing import check_family
from zoo.training.fine_tune import FineTuning, _new_layers, _thaw, untrained

TWO = {"coordinates": 2, "hidden": [7, 5], "angles": [0], "activation": "tanh", "steps": 3}
CONFIGS = {
    "lagrangian": TWO | {"parameters": 2, "force": True, "levels": [[0.0, 0.0], [3.0, 1.0]]},
    "hamiltonian": TWO | {"activation": "softplus"},
    "unconstrained-motion": TWO | {"canonical": True},
}


ENERGY = Tensor(name="energy", axes=fixed_axes("energy", [1]), unit="1", description="energy of the state", guards=True)


def rows_of(config: dict, outputs: int, n: int = 40) -> Rows:
    rng = np.random.default_rng(0)
    k = config["coordinates"]
    inputs = {"state": (rng.normal(0, 1, (n, 2 * k)) * np.repeat([1, 3], k)).astype(np.float32)}
    if config.get("parameters"):
        inputs["parameters"] = rng.uniform(0.5, 2, (n, config["parameters"])).astype(np.float32)
    return Rows(inputs, rng.normal(0, 4, (n, outputs)).astype(np.float32), np.arange(n))


def made(cls, seed=1, **config):
    """A network whose weights are no longer those of a free particle, and rows."""
    keras.utils.set_random_seed(seed)
    model = cls(**config)
    rows = rows_of(config, model.learned)
    model.adapt(rows.inputs, rows.target)
    rng = np.random.default_rng(seed)
    for weight in model.trainable_weights:
        weight.assign(keras.ops.convert_to_numpy(weight) + rng.normal(0, 0.2, weight.shape))
    return model, list(rows.inputs.values())


@pytest.mark.parametrize("name", CONFIGS)
def test_family_keeps_its_contract(name):
    config = CONFIGS[name]
    outputs = get_family(name)(**config).learned
    with eagerly():
        check_family(get_family(name), config, rows_of(config, outputs), opsets=())


@pytest.mark.slow
@pytest.mark.parametrize("name", CONFIGS)
def test_family_is_exported_at_every_opset(name):
    config = CONFIGS[name]
    check_family(get_family(name), config, rows_of(config, get_family(name)(**config).learned))


def test_a_rollout_is_exported():
    """The quick sibling, of one coordinate, whose loop holds all that the others have."""
    onnx = pytest.importorskip("onnxruntime")
    from zoo.export.onnx import to_onnx

    model, (state,) = made(Lagrangian, coordinates=1, hidden=[4], steps=3)
    tensors = [
        Tensor(name="state", axes=fixed_axes("state", [2]), unit="1", description="a state"),
        Tensor(name="time_step", axes=fixed_axes("time", [1]), unit="s", description="a time step"),
    ]
    path = Tensor(name="path", axes=fixed_axes("path", [3, 2]), unit="1", description="states")
    model.spec = tiny_spec(model, {"rollout": Endpoint(description="rollout", inputs=tensors, outputs=[path, ENERGY])})
    graph = onnx.InferenceSession(to_onnx(model, model.spec, "rollout", 13).SerializeToString())
    given = {"state": state[:5], "time_step": np.full((5, 1), 0.01, np.float32)}
    states, energy = graph.run(["path", "energy"], given)
    np.testing.assert_allclose(states, np.asarray(model.rollout(*given.values())), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(energy, np.asarray(model.energy(state[:5])), rtol=1e-4, atol=1e-4)


def tiny_spec(model, endpoints):
    return ModelSpec(
        name="tiny-law",
        revision="2",
        family="lagrangian",
        config=model.config,
        task="dynamics",
        summary="a law made up for tests",
        endpoints=endpoints,
        data=Data(source="double-pendulum", description="none", simulator="none", seed=0, rows={}),
        metrics=[],
        files=[],
        physzoo_version="0",
    )


def second_derivatives(function, state):
    """Value, gradient (n, k) and second derivatives (n, k, k) of a function (n, 1) of states, by TensorFlow."""
    tf = pytest.importorskip("tensorflow")
    state = tf.constant(state)
    with tf.GradientTape() as outer:
        outer.watch(state)
        with tf.GradientTape() as inner:
            inner.watch(state)
            value = function(state)
        gradient = inner.gradient(value, state)
    return (np.asarray(each, np.float64) for each in (value[:, 0], gradient, outer.batch_jacobian(gradient, state)))


@pytest.mark.parametrize(
    "config",
    [
        {"coordinates": 1, "hidden": [6], "activation": "softplus"},
        {"coordinates": 2, "hidden": [6, 5, 4], "angles": [1], "parameters": 2, "force": True, "activation": "tanh"},
        {"coordinates": 3, "hidden": [6, 5], "angles": [0, 2], "activation": "softplus"},
    ],
)
def test_accelerations_are_those_of_euler_and_lagrange(config):
    model, (state, *given) = made(Lagrangian, **config)
    n = config["coordinates"]
    value, gradient, second = second_derivatives(lambda x: model.lagrangian(x, *given), state)
    right = gradient[:, :n] - np.einsum("nij,nj->ni", second[:, n:, :n], state[:, n:])
    scale = np.asarray(model.seen.scale)[n:]
    if model.force is not None:
        right += np.asarray(model.force(state[:, n:] / scale)) / scale
    expected = np.linalg.solve(second[:, n:, n:], right[..., None])[..., 0]
    found = np.asarray(model.acceleration(state, *given))
    well = np.linalg.cond(second[:, n:, n:]) < 100
    assert well.mean() > 0.8
    np.testing.assert_allclose(found[well], expected[well], rtol=1e-3, atol=1e-3)
    energy = np.einsum("ni,ni->n", gradient[:, n:], state[:, n:]) - value
    np.testing.assert_allclose(np.asarray(model.energy(state, *given))[:, 0], energy, rtol=1e-4, atol=1e-4)


def test_rates_are_those_of_hamilton():
    model, (state,) = made(Hamiltonian, **TWO)
    _, gradient, _ = second_derivatives(model.energy, state)
    expected = np.concatenate([gradient[:, 2:], -gradient[:, :2]], axis=1)
    np.testing.assert_allclose(np.asarray(model.rate(state)), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("cls", [Lagrangian, Hamiltonian])
def test_a_new_network_is_a_free_particle(cls):
    config = {"coordinates": 2, "hidden": [4]}
    model, rows = cls(**config), rows_of(config, 2 if cls is Lagrangian else 4)
    model.adapt(rows.inputs, rows.target)
    rate = np.asarray(model.rate(rows.inputs["state"]))
    np.testing.assert_allclose(rate[:, 2:], 0, atol=1e-6)
    moving = rows.inputs["state"][:, 2:] / np.asarray(model.seen.scale)[2:]
    unit = np.asarray(model.unit.scale) if cls is Hamiltonian else 1
    np.testing.assert_allclose(
        np.asarray(model.energy(rows.inputs["state"])), unit * np.square(moving).sum(1)[:, None] / 2, rtol=1e-5
    )


@pytest.mark.parametrize("cls", [Lagrangian, Hamiltonian])
def test_energies_between_levels_are_those_of_other_scales(cls):
    config = TWO | {"parameters": 2}
    model, (state, given) = made(cls, **config)
    levels = [[0.5, -1.0], [2.0, 1.0]]
    scaled = cls(**config, levels=levels)
    scaled.set_weights(model.get_weights())
    for position, expected in zip(levels, (0, 1), strict=True):
        rest = np.tile(np.array([*position, 0, 0], np.float32), (len(given), 1))
        np.testing.assert_allclose(np.asarray(scaled.energy(rest, given)), expected, atol=1e-5)
    low, high = (
        np.asarray(model.energy(np.tile(np.array([*position, 0, 0], np.float32), (len(given), 1)), given))
        for position in levels
    )
    expected = (np.asarray(model.energy(state, given)) - low) / (high - low)
    np.testing.assert_allclose(np.asarray(scaled.energy(state, given)), expected, rtol=1e-3, atol=1e-3)
    change, energy = scaled.change_and_energy(state, given)
    np.testing.assert_allclose(np.asarray(energy), expected, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(np.asarray(change), np.asarray(model.change(state, given)), rtol=1e-5, atol=1e-5)
    with pytest.raises(ValueError, match="levels: expected two positions of 2 numbers"):
        cls(**config, levels=[0.5, 1.0])


def test_an_ensemble_of_laws_answers_with_accelerations_alone():
    """The energies of its members are on scales of their own."""
    members = [made(Lagrangian, seed, coordinates=1, hidden=[4]) for seed in (1, 2)]
    ensemble = Ensemble("lagrangian", members[0][0].config, 2)
    ensemble.set_weights([weight for model, _ in members for weight in model.get_weights()])
    state = members[0][1][0]
    each = [np.asarray(model.acceleration(state)) for model, _ in members]
    mean, deviation = ensemble.answer(state)
    np.testing.assert_allclose(np.asarray(mean), np.mean(each, axis=0), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(np.asarray(deviation), np.std(each, axis=0, ddof=1), rtol=1e-3, atol=1e-3)
    described = ensemble.described("acceleration", of_one_coordinate(members[0][0]).endpoint("acceleration"))
    assert [tensor.name for tensor in described.outputs] == ["acceleration", "acceleration_deviation"]


def test_what_trajectories_leave_open_changes_no_acceleration():
    """A Lagrangian with another factor, a constant, and the total derivative of a function of positions."""
    model, (state,) = made(Lagrangian, coordinates=2, hidden=[6, 5])
    expected, energy, before = np.asarray(model.acceleration(state)), np.asarray(model.energy(state)), model.derivatives
    scales = np.asarray(model.seen.scale)[2:]

    def of_another_gauge(state, parameters=None, second=False):
        """Adds d(x^2 y)/dt = 2 x y v + x^2 w, of positions x, y and velocities v, w."""
        found = before(state, parameters, second)
        x, y, v, w = np.asarray(state).T
        by_velocity = np.stack([2 * x * y, x**2]) * scales[:, None]
        gauge = Derivatives(
            2 * x * y * v + x**2 * w + 7,
            np.stack([2 * y * v + 2 * x * w, 2 * x * v]),
            by_velocity,
            0.0 if second else None,
            np.stack([2 * v * y + 2 * x * w, 2 * x * v]) * scales[:, None] if second else None,
        )
        return Derivatives(*(None if own is None else 3 * own + more for own, more in zip(found, gauge, strict=True)))

    object.__setattr__(model, "derivatives", of_another_gauge)
    np.testing.assert_allclose(np.asarray(model.acceleration(state)), expected, rtol=1e-2, atol=1e-3)
    np.testing.assert_allclose(np.asarray(model.energy(state)), 3 * energy - 7, rtol=1e-4, atol=1e-3)


def compiled(model, method):
    """A method of states, time steps and parameters as a graph, which is faster than its operations one by one."""
    widths = [2 * model.coordinates, 1, *([model.config["parameters"]] if model.given is not None else [])]
    return as_graph(model, method, [((width,), "float32") for width in widths])


@pytest.mark.parametrize("cls", [Lagrangian, Hamiltonian])
def test_energy_is_kept_along_a_rollout_and_turns_do_not_count(cls):
    model, (state,) = made(cls, coordinates=2, hidden=[6, 5], angles=[0, 1], steps=30)
    state, time_step = state[:5] * np.float32(0.3), np.full((5, 1), 0.01, np.float32)
    rollout = compiled(model, model.rollout)
    path = np.asarray(rollout(state, time_step))
    energy = np.asarray(model.energy(path.reshape(-1, 4)[:: model.steps]))
    np.testing.assert_allclose(np.asarray(model.energy(path[:, -1])), energy, atol=1e-4 * np.abs(energy).max())
    turn = np.array([2 * np.pi, -2 * np.pi, 0, 0], np.float32)
    turned = np.asarray(rollout(state + turn, time_step))
    np.testing.assert_allclose(turned - path, np.broadcast_to(turn, path.shape), atol=2e-3)


@pytest.mark.parametrize("name", ["lagrangian", "unconstrained-motion"])
def test_a_rollout_is_many_steps_and_a_solution(name):
    model, rows = made(get_family(name), **CONFIGS[name])
    state, *given = (each[:3] for each in rows)
    time_step = np.full((3, 1), 0.01, np.float32)
    path = np.asarray(compiled(model, model.rollout)(state, time_step, *given))
    step = compiled(model, model.step)
    stepped = state
    for i in range(3):
        stepped = np.asarray(step(stepped, time_step, *given))
        np.testing.assert_allclose(path[:, i], stepped, rtol=1e-5, atol=1e-5)
    rate = compiled(model, lambda state, time_step, *given: model.rate(state, *given))

    def flat(_, y):
        return np.asarray(rate(y.reshape(3, 4).astype(np.float32), time_step, *given)).ravel()

    right = solve_ivp(flat, (0, 0.03), state.ravel(), rtol=1e-5, atol=1e-5).y[:, -1]
    np.testing.assert_allclose(path[:, -1], right.reshape(3, 4), rtol=1e-3, atol=1e-3)


def test_a_rollout_is_by_the_weights_that_are_there_and_has_a_gradient():
    tf = pytest.importorskip("tensorflow")
    if keras.backend.backend() != "tensorflow":
        pytest.skip("other backends differentiate functions")
    model, (state,) = made(Lagrangian, coordinates=2, hidden=[6, 5], steps=3)
    given = tf.constant(state[:2]), tf.constant([[0.01], [0.02]])
    first = np.asarray(model.rollout(*given))
    model.set_weights([1.1 * weight for weight in model.get_weights()])
    second = np.asarray(model.rollout(*given))
    assert np.abs(second - first).max() > 1e-4
    np.testing.assert_allclose(second, np.asarray(model._rollout(*given)), rtol=1e-5, atol=1e-5)
    gradients = []
    for method in (model.rollout, model._rollout):
        with tf.GradientTape() as tape:
            tape.watch(given[0])
            last = tf.reduce_sum(method(*given)[:, -1])
        gradients.append(tape.gradient(last, given[0]))
    np.testing.assert_allclose(*gradients, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("size", [1, 2, 4])
def test_elimination_solves(size):
    rng = np.random.default_rng(0)
    root = rng.normal(size=(20, size, size))
    matrix, right = root @ root.transpose(0, 2, 1) + np.eye(size), rng.normal(size=(20, size))
    found = solved([[matrix[:, i, j] for j in range(size)] for i in range(size)], list(right.T))
    np.testing.assert_allclose(np.stack(found, 1), np.linalg.solve(matrix, right[..., None])[..., 0], rtol=1e-9)


@pytest.mark.parametrize(
    "bad", [{"coordinates": 0}, {"hidden": []}, {"angles": [2]}, {"angles": [0, 0]}, {"steps": 0}, {"activation": "relu"}]
)
@pytest.mark.parametrize("cls", [Lagrangian, UnconstrainedMotion])
def test_configs_that_mean_nothing_are_refused(cls, bad):
    with pytest.raises(ValueError, match="expected"):
        cls(**{"coordinates": 2, "hidden": [4]} | bad)


def test_a_head_is_a_force_and_nothing_else():
    model = Lagrangian(coordinates=2, hidden=[4])
    assert model.with_head(2, "regression") == ("lagrangian", {**model.config, "force": True})
    for given in ((3, "regression"), (2, "classification")):
        with pytest.raises(InputError, match="outputs=2 for a force"):
            model.with_head(*given)


def of_one_coordinate(model):
    """A spec of the accelerations of one coordinate."""
    state = Tensor(name="state", axes=fixed_axes("state", [2]), unit="m, m/s", description="a state")
    answer = Tensor(name="acceleration", axes=fixed_axes("acceleration", [1]), unit="m/s^2", description="an acceleration")
    return tiny_spec(model, {"acceleration": Endpoint(description="a", inputs=[state], outputs=[answer, ENERGY])})


def test_friction_and_a_drive_are_found_in_a_fine_tuning():
    """Of a free particle, whose accelerations under friction are -0.5 v + 1; its Lagrangian stays as it was."""
    parent, rows = Lagrangian(coordinates=1, hidden=[4]), rows_of({"coordinates": 1}, 1, 128)
    state = rows.inputs["state"]
    acceleration = 1 - 0.5 * state[:, 1:]
    parent.adapt(rows.inputs, acceleration)
    parent.spec = of_one_coordinate(parent)
    settings = FineTuning(outputs=1, task="regression")
    family, model = untrained(parent, settings)
    _thaw(model, settings, _new_layers(model, settings))
    assert family == "lagrangian"
    assert model.config["force"] is True
    assert [weight.path for weight in model.trainable_weights] == ["force/kernel", "force/bias"]
    model.compile(keras.optimizers.Adam(0.02), loss=model.objective, jit_compile=False)
    model.fit(state, acceleration, batch_size=16, epochs=40, verbose=0)
    kernel, bias = (np.asarray(weight) for weight in model.force.weights)
    np.testing.assert_allclose(kernel, -0.5, atol=0.05)
    np.testing.assert_allclose(bias * np.asarray(model.seen.scale)[1], 1.0, atol=0.1)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:only .* independent test rows")
def test_a_law_with_friction_is_a_model_like_any_other(tmp_path):
    model, (given,) = made(Lagrangian, coordinates=1, hidden=[4], steps=2)
    model.spec = of_one_coordinate(model)
    damped = {"state": given, "acceleration": 1 - 0.5 * given[:, 1:]}
    zoo.fine_tune(model, damped, folder=tmp_path / "mine", outputs=1, task="regression", epochs=2)
    tuned = zoo.load(tmp_path / "mine")
    assert tuned.spec.config["force"] is True
    assert list(tuned.spec.endpoints) == ["acceleration"]
    energy = tuned.spec.endpoint("acceleration").outputs[1]
    found = np.asarray(tuned.energy(given))
    assert found.min() - 0.1 * np.ptp(found) < energy.low[0] < energy.high[0] < found.max() + 0.1 * np.ptp(found)
    state = tuned.spec.endpoint("acceleration").inputs[0]
    corners = np.array([[q, v] for q in (state.low[0], state.high[0]) for v in (state.low[1], state.high[1])], np.float32)
    fastest = corners[[np.argmax(np.asarray(tuned.energy(corners)))]]
    with pytest.raises(InputError, match="output 'energy': 1 values lie outside the trained range"):
        Session(tmp_path / "mine").run({"state": fastest})


def test_errors_count_by_the_size_of_what_changes_where_a_floor_is_given():
    config = {"coordinates": 1, "hidden": [4], "floor": 0.1}
    model = Lagrangian(**config)
    target = np.array([[0.01], [1.0], [-3.0]], np.float32)
    model.adapt({"state": np.random.default_rng(0).normal(size=(3, 2))}, target)
    deviation = target.std()
    answer = target * 1.5
    expected = 0.5 * np.abs(target[:, 0]) / (np.abs(target[:, 0]) + 0.1 * deviation)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(model.objective(target, answer)), expected, rtol=1e-5)
    assert "0.1 of the targets' deviation" in model.objective_name
    assert Lagrangian.from_config(model.get_config()).floor == 0.1
    with pytest.raises(ValueError, match="floor: expected a positive number, given 0"):
        Lagrangian(coordinates=1, hidden=[4], floor=0)


@pytest.mark.parametrize("velocity", [1.2, -1.0])
def test_a_particle_as_fast_as_light_is_refused(velocity):
    """Ranges are the training's extremes and a quarter more, which for a velocity would be beyond what there is."""
    session = Session("lnn-relativistic-particle")
    for endpoint, steps in (("acceleration", {}), ("rollout", {"time_step": [[0.01]]})):
        session.run({"state": [[0.0, 0.9]], **steps}, endpoint)
        with pytest.raises(InputError, match=r"expected -0\.99 to 0\.99"):
            session.run({"state": [[0.0, velocity]], **steps}, endpoint)

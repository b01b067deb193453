"""Mechanical systems against theory, and the rows that are made of them."""

from __future__ import annotations

import numpy as np
import pytest
import sympy

from zoo.data.dataset import Moves
from zoo.data.mechanics.double_pendulum import GRAVITY, DoublePendulum
from zoo.data.mechanics.relativistic_particle import RelativisticParticle
from zoo.data.mechanics.states import DoublePendulumStates, RelativisticParticleStates
from zoo.data.mechanics.trajectories import integrated, smoothed
from zoo.errors import InputError
from zoo.testing import check_dataset

SMALL = {"train": 3, "validation": 2, "test": 2, "samples": 6, "duration": 0.5}


def some(system, n=50):
    rng = np.random.default_rng(0)
    moving = rng.uniform(-4, 4, (n, system.coordinates)) if system.coordinates > 1 else rng.uniform(-0.9, 0.9, (n, 1))
    state = np.concatenate([rng.uniform(-3, 3, (n, system.coordinates)), moving], axis=1)
    return state, rng.uniform(0.5, 2, (n, len(system.names)))


def of_theory(system):
    """Symbols of positions, velocities and parameters, and the Lagrangian as it is in textbooks."""
    if isinstance(system, RelativisticParticle):
        q, v, g = sympy.symbols("q v g")
        return [q], [v], [g], -sympy.sqrt(1 - v**2) - g * q
    a1, a2, w1, w2, m1, m2, l1, l2 = sympy.symbols("a1 a2 w1 w2 m1 m2 l1 l2")
    where = [(l1 * sympy.sin(a1), -l1 * sympy.cos(a1))]
    where.append((where[0][0] + l2 * sympy.sin(a2), where[0][1] - l2 * sympy.cos(a2)))
    moves = [[sympy.diff(x, a1) * w1 + sympy.diff(x, a2) * w2 for x in point] for point in where]
    kinetic = sum(m * (vx**2 + vy**2) / 2 for m, (vx, vy) in zip((m1, m2), moves, strict=True))
    potential = sum(m * GRAVITY * y for m, (_, y) in zip((m1, m2), where, strict=True))
    return [a1, a2], [w1, w2], [m1, m2, l1, l2], kinetic - potential


@pytest.mark.parametrize("system", [DoublePendulum(), RelativisticParticle()])
def test_systems_are_those_of_their_lagrangians(system):
    """Computes momenta, energies, forces and accelerations from the Lagrangian of the masses' Cartesian positions."""
    q, v, given, lagrangian = of_theory(system)
    momenta = [sympy.diff(lagrangian, each) for each in v]
    forces = [sympy.diff(lagrangian, each) for each in q]
    mass = sympy.Matrix([[sympy.diff(p, each) for each in v] for p in momenta])
    turning = sympy.Matrix([[sympy.diff(p, each) for each in q] for p in momenta])
    energy = sum(a * p for a, p in zip(v, momenta, strict=True)) - lagrangian
    state, parameters = some(system)
    numbers = [*state.T, *parameters.T]

    def at(expressions):
        function = sympy.lambdify([*q, *v, *given], list(expressions))
        return np.stack(np.broadcast_arrays(*function(*numbers), numbers[0])[:-1], axis=-1)

    found = at([*mass, *turning]).reshape(len(state), 2, len(q), len(q))
    right = at(forces) - np.einsum("nij,nj->ni", found[:, 1], state[:, len(q) :])
    expected = np.linalg.solve(found[:, 0], right[..., None])[..., 0]
    np.testing.assert_allclose(system.acceleration(state, parameters), expected, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(system.momenta(state, parameters), at(momenta), rtol=1e-9, atol=1e-12)
    canonical = np.concatenate([state[:, : len(q)], at(momenta)], axis=1)
    np.testing.assert_allclose(system.from_momenta(canonical, parameters), state, rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(system.force(state, parameters), at(forces), rtol=1e-9, atol=1e-12)
    rest = 0 if len(q) > 1 else 1
    np.testing.assert_allclose(system.energy(state, parameters) + rest, at([energy])[:, 0], rtol=1e-9)
    np.testing.assert_allclose(system.lagrangian(state, parameters), at([lagrangian])[:, 0], rtol=1e-9)


def test_energy_stays_over_a_chaotic_trajectory():
    state, parameters = some(DoublePendulum(), 8)
    times = np.linspace(0, 5, 30)
    trajectory = integrated(DoublePendulum(), state, parameters, times)
    energy = np.stack([DoublePendulum().energy(trajectory[:, i], parameters) for i in range(len(times))])
    largest = DoublePendulum().largest_potential(parameters)
    assert (np.abs(energy - energy[0]) / largest).max() < 1e-8


def test_small_swings_have_the_frequencies_of_the_normal_modes():
    """Equal masses and rods: omega^2 = (2 -+ sqrt 2) g / l, the rods' angles as 1 to +-sqrt 2."""
    parameters = np.ones((1, 4))
    for sign in (1, -1):
        frequency = np.sqrt((2 - sign * np.sqrt(2)) * GRAVITY)
        start = np.array([[1e-4, sign * np.sqrt(2) * 1e-4, 0, 0]])
        times = np.linspace(0, 4, 50)
        found = integrated(DoublePendulum(), start, parameters, times)[0, :, 0]
        np.testing.assert_allclose(found, 1e-4 * np.cos(frequency * times), atol=1e-9)


def test_a_particle_falls_as_it_should():
    """Its momentum falls evenly, p = p0 - g t, and its position follows from its energy."""
    state, field = some(RelativisticParticle(), 10)
    times = np.linspace(0, 3, 7)
    found = integrated(RelativisticParticle(), state, field, times)
    momentum = RelativisticParticle().momenta(state, field) - field * times
    root = np.sqrt(1 + momentum**2)
    np.testing.assert_allclose(found[..., 1], momentum / root, atol=1e-8)
    np.testing.assert_allclose(found[..., 0], state[:, :1] + (root[:, :1] - root) / field, atol=1e-8)


def test_friction_takes_energy_and_a_torque_gives_it():
    state, parameters = some(DoublePendulum(), 10)
    free, damped, driven = (DoublePendulum(*given) for given in ((0, 0), (0.3, 0), (0, 2.0)))
    power = np.einsum("ni,ni->n", damped.force(state, parameters) - free.force(state, parameters), state[:, 2:])
    np.testing.assert_allclose(power, -0.3 * np.square(state[:, 2:]).sum(1), atol=1e-12)
    mass = free.mass_matrix(state, parameters)
    pushed = np.einsum("nij,nj->ni", mass, driven.acceleration(state, parameters) - free.acceleration(state, parameters))
    np.testing.assert_allclose(pushed, np.tile([2.0, 0.0], (10, 1)), atol=1e-9)


@pytest.mark.parametrize(
    "made",
    [
        lambda: DoublePendulumStates(**SMALL),
        lambda: DoublePendulumStates(**SMALL, spread=[0.5, 2.0], canonical=True, seed=3),
        lambda: DoublePendulumStates(**SMALL | {"samples": 60}, noise=0.01),
        lambda: DoublePendulumStates(**SMALL, damping=0.2, torque=1.0),
        lambda: RelativisticParticleStates(**SMALL, spread=[0.5, 2.0]),
    ],
)
def test_they_are_data_sets(made):
    dataset = made()
    check_dataset(dataset, again=made)
    assert isinstance(dataset, Moves)


def test_rows_hold_states_of_any_turn_and_their_accelerations():
    dataset = DoublePendulumStates(**SMALL | {"duration": 20.0}, spread=[0.5, 2.0])
    rows = dataset.rows("test")
    state, parameters = (array.astype(np.float64) for array in rows.inputs.values())
    assert np.abs(state[:, :2]).max() <= np.pi + 1e-6
    np.testing.assert_allclose(rows.target, dataset.system.acceleration(state, parameters), rtol=1e-3, atol=1e-3)
    start, _ = dataset.starts("test")
    np.testing.assert_allclose(state[:: SMALL["samples"]], start, atol=1e-6)
    energy = rows.truth["energy"].reshape(2, -1)
    np.testing.assert_allclose(energy, np.repeat(energy[:, :1], energy.shape[1], axis=1), atol=1e-6)


def test_velocities_as_if_they_were_momenta():
    """Rates of positions are the velocities, those of velocities the accelerations."""
    known, given = (RelativisticParticleStates(**SMALL, velocities_as_momenta=which).rows("train") for which in (False, True))
    np.testing.assert_array_equal(given.inputs["state"], known.inputs["state"])
    np.testing.assert_array_equal(given.target, np.concatenate([known.inputs["state"][:, 1:], known.target], axis=1))


def test_canonical_rows_obey_hamilton():
    """With dH/dp and -dH/dq by differences of the energy, states given by momenta."""
    dataset = DoublePendulumStates(**SMALL, canonical=True)
    rows, system = dataset.rows("test"), dataset.system
    state, ones = rows.inputs["state"].astype(np.float64), np.ones((len(rows), 4))

    def energy(given):
        moving = np.linalg.solve(system.mass_matrix(given, ones), given[:, 2:, None])[..., 0]
        return system.energy(np.concatenate([given[:, :2], moving], axis=1), ones)

    steps = 1e-5 * np.eye(4)
    slope = np.stack([(energy(state + step) - energy(state - step)) / 2e-5 for step in steps], axis=1)
    np.testing.assert_allclose(rows.target, np.concatenate([slope[:, 2:], -slope[:, :2]], axis=1), rtol=1e-4, atol=1e-4)


def test_noisy_positions_become_states():
    rng = np.random.default_rng(0)
    times = np.sort(rng.uniform(0, 6, 600))
    clean = np.stack([np.sin(times), np.cos(2 * times)], axis=1)
    state, acceleration = smoothed(times, clean + rng.normal(0, 1e-3, clean.shape))
    inner = slice(20, -20)
    np.testing.assert_allclose(state[inner, :2], clean[inner], atol=2e-3)
    np.testing.assert_allclose(state[inner, 2], np.cos(times[inner]), atol=0.01)
    np.testing.assert_allclose(acceleration[inner, 1], -4 * np.cos(2 * times[inner]), atol=0.1)


@pytest.mark.parametrize(
    ("times", "positions", "message"),
    [
        (np.arange(13), np.zeros((13, 2)), "at least 14 positions of a trajectory, given 13"),
        (np.arange(20), np.full((20, 1), np.nan), "given NaN"),
        (np.zeros(20), np.zeros((20, 1)), "times that rise"),
        (np.arange(20), np.zeros(20), r"positions \(t, coordinates\)"),
    ],
)
def test_positions_that_tell_no_motion_are_refused(times, positions, message):
    with pytest.raises(InputError, match=message):
        smoothed(times, positions)


@pytest.mark.parametrize(
    "bad",
    [
        {"spread": [2.0, 0.5]},
        {"spread": [1.0]},
        {"noise": -1.0},
        {"noise": 0.1, "canonical": True},
        {"velocities_as_momenta": True, "canonical": True},
    ],
)
def test_parameters_that_mean_nothing_are_refused(bad):
    with pytest.raises(InputError, match="expected"):
        DoublePendulumStates(**SMALL, **bad)


def test_the_fewest_positions_are_enough():
    times = np.linspace(0, 1, 14)
    state, acceleration = smoothed(times, times[:, None] ** 3)
    np.testing.assert_allclose(state, np.stack([times**3, 3 * times**2], axis=1), atol=1e-8)
    np.testing.assert_allclose(acceleration[:, 0], 6 * times, atol=1e-6)

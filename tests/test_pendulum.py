"""The pendulum against its equation of motion."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from zoo.data.pendulum import DAMPING, QUERIED_UNTIL, STIFFNESS, Pendulum, displacement


@pytest.mark.parametrize("damping", DAMPING)
@pytest.mark.parametrize("stiffness", STIFFNESS)
def test_solution_obeys_the_equation_of_motion(damping, stiffness):
    """Solves x'' = -kappa x - b x', from the solution's own start: x(0) = 1 m, x'(0) = -b/2 m/s."""
    time = np.linspace(0, QUERIED_UNTIL, 200)
    solved = solve_ivp(
        lambda t, y: (y[1], -stiffness * y[0] - damping * y[1]),
        (0, QUERIED_UNTIL),
        (1.0, -damping / 2),
        t_eval=time,
        rtol=1e-9,
        atol=1e-10,
    )
    np.testing.assert_allclose(displacement(time, damping, stiffness), solved.y[0], atol=1e-6)


def test_energy_without_damping_is_conserved():
    time = np.linspace(0, QUERIED_UNTIL, 10_001)
    x = displacement(time, 0.0, 9.0)
    energy = 0.5 * np.gradient(x, time) ** 2 + 0.5 * 9.0 * x**2
    np.testing.assert_allclose(energy[1:-1], 4.5, rtol=1e-4)


def test_overdamped_is_refused():
    with pytest.raises(ValueError, match="underdamped"):
        displacement(np.array([1.0]), np.array([5.0]), np.array([4.0]))


def test_rows():
    data = Pendulum(train=100, validation=10, test=20)
    first, second = data.rows("train", 0), data.rows("train", 1)
    assert np.array_equal(first.inputs["trajectory"], second.inputs["trajectory"])
    assert not np.array_equal(first.inputs["time"], second.inputs["time"])
    test = data.rows("test")
    assert test.inputs["trajectory"].shape == (20, 50)
    expected = displacement(test.inputs["time"][:, 0], test.truth["damping"], test.truth["stiffness"])
    np.testing.assert_allclose(test.target[:, 0], expected, atol=1e-5)
    assert not set(test.group) & set(first.group)

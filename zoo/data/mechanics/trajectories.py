"""Trajectories of mechanical systems: integrated, or as they come out of noisy positions."""

from __future__ import annotations

from typing import ClassVar, Protocol

import numpy as np
from scipy.integrate import solve_ivp
from scipy.interpolate import BSpline, make_lsq_spline

from zoo.errors import InputError

TOGETHER = 256
"""Trajectories that are integrated as one system, in steps that suit the fastest of them."""
RELATIVE, ABSOLUTE = 1e-10, 1e-11
"""Tolerances of a step: energies stay within 1e-8 of themselves for 10 s."""
DEGREE = 5
"""Degree of the splines through noisy positions, whose accelerations are cubic."""
SPARSER = (3, 4, 6, 8, 12, 16, 24, 32)
"""Observed positions to a knot of such a spline, of which cross-validation chooses."""
FEWEST = 2 * (DEGREE + 2)
"""Positions that such a spline needs."""


class System(Protocol):
    """A mechanical system whose equations of motion are known; states are positions, then velocities."""

    coordinates: int
    """Number of positions."""
    coordinate_units: ClassVar[tuple[str, ...]]
    """Unit of each position."""
    names: ClassVar[tuple[str, ...]]
    """Names of the parameters."""
    units: ClassVar[dict[str, str]]
    """Units of the parameters and of the energy."""

    def energy(self, state: np.ndarray, parameters: np.ndarray) -> np.ndarray:
        """Energy (n,) of states (n, 2 coordinates)."""
        ...

    def largest_potential(self, parameters: np.ndarray) -> np.ndarray:
        """Potential energy (n,) that errors of an energy are measured in."""
        ...

    def lagrangian(self, state: np.ndarray, parameters: np.ndarray) -> np.ndarray:
        """Lagrangian (n,)."""
        ...

    def momenta(self, state: np.ndarray, parameters: np.ndarray) -> np.ndarray:
        """Canonical momenta (n, coordinates)."""
        ...

    def from_momenta(self, state: np.ndarray, parameters: np.ndarray) -> np.ndarray:
        """States (n, 2 coordinates) of positions and velocities, given positions and canonical momenta."""
        ...

    def acceleration(self, state: np.ndarray, parameters: np.ndarray) -> np.ndarray:
        """Accelerations (n, coordinates)."""
        ...

    def force(self, state: np.ndarray, parameters: np.ndarray) -> np.ndarray:
        """Rates of the canonical momenta (n, coordinates)."""
        ...


def without_turns(angle: np.ndarray) -> np.ndarray:
    """Angles in rad, of any shape, less whole turns: -pi to pi."""
    return angle - 2 * np.pi * np.round(angle / (2 * np.pi))


def integrated(system: System, start: np.ndarray, parameters: np.ndarray, times: np.ndarray) -> np.ndarray:
    """States along trajectories, by SciPy's DOP853.

    Parameters
    ----------
    system : System
        The system.
    start : ndarray of shape (n, 2 coordinates)
        States at time 0.
    parameters : ndarray of shape (n, k)
        Parameters of each trajectory.
    times : ndarray of shape (t,)
        Times in s, rising, of which the first is 0 or later.

    Returns
    -------
    ndarray of shape (n, t, 2 coordinates)
        The states, whose angles count turns.

    Raises
    ------
    InputError
        A trajectory cannot be followed, as its velocity grows without bound.
    """
    parts = range(0, len(start), TOGETHER)
    return np.concatenate([_together(system, start[i : i + TOGETHER], parameters[i : i + TOGETHER], times) for i in parts])


def _together(system: System, start: np.ndarray, parameters: np.ndarray, times: np.ndarray) -> np.ndarray:
    shape = start.shape

    def rate(_: float, flat: np.ndarray) -> np.ndarray:
        state = flat.reshape(shape)
        return np.concatenate([state[:, system.coordinates :], system.acceleration(state, parameters)], axis=1).ravel()

    solved = solve_ivp(rate, (0.0, times[-1]), start.ravel(), "DOP853", times, rtol=RELATIVE, atol=ABSOLUTE)
    if not solved.success:
        raise InputError(f"a trajectory of {times[-1]:g} s cannot be integrated: {solved.message}")
    return np.moveaxis(solved.y.reshape(*shape, -1), -1, 1)


def smoothed(times: np.ndarray, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """States and accelerations from noisy positions at irregular times.

    They are those of a quintic spline of least squares, with as many knots as generalized cross-validation asks for (Craven &
    Wahba 1979), so that the noise need not be known. Accelerations are least known at the ends, whose rows may be left out.

    Parameters
    ----------
    times : ndarray of shape (t,)
        Times in s, each later than the one before.
    positions : ndarray of shape (t, coordinates)
        Positions; angles without jumps of a turn, as `numpy.unwrap` makes them.

    Returns
    -------
    state : ndarray of shape (t, 2 coordinates)
        Positions and velocities.
    acceleration : ndarray of shape (t, coordinates)
        Accelerations.

    Raises
    ------
    InputError
        Times do not rise, there are fewer than fourteen, or a number is not finite.
    """
    times, positions = np.asarray(times, np.float64), np.asarray(positions, np.float64)
    if times.ndim != 1 or positions.ndim != 2 or len(times) != len(positions):
        raise InputError(f"expected times (t,) and positions (t, coordinates), given {times.shape} and {positions.shape}")
    if len(times) < FEWEST:
        raise InputError(f"expected at least {FEWEST} positions of a trajectory, given {len(times)}: observe it more often")
    if not (np.isfinite(times).all() and np.isfinite(positions).all()):
        raise InputError("expected finite times and positions, given NaN or infinity: leave out what was not observed")
    if not (np.diff(times) > 0).all():
        raise InputError("expected times that rise, each given once: sort the rows by time and join those of one time")
    candidates = [found for sparser in SPARSER if (found := _spline(times, positions, sparser)) is not None]
    _, fitted = min(candidates, key=lambda found: found[0])
    value, rate, second = (fitted(times, derivative) for derivative in range(3))
    return np.concatenate([value, rate], axis=-1), second


def _spline(times: np.ndarray, positions: np.ndarray, sparser: int) -> tuple[float, BSpline] | None:
    """Mean squared error that generalized cross-validation expects of a spline with a knot to so many positions; the spline.

    None where the spline has more than half as many numbers as there are positions.
    """
    knots = max(len(times) // sparser, 2)
    inner = np.quantile(times, np.linspace(0, 1, knots + 1))[1:-1]
    free = len(inner) + DEGREE + 1
    if free > len(times) // 2:
        return None
    padded = np.concatenate([np.full(DEGREE + 1, times[0]), inner, np.full(DEGREE + 1, times[-1])])
    spline = make_lsq_spline(times, positions, padded, DEGREE)
    return float(np.mean(np.square(positions - spline(times))) / (1 - free / len(times)) ** 2), spline

"""The planar double pendulum: two point masses on massless rods, the second hanging from the first.

Angles are measured from the vertical below, both in the frame of the laboratory (Goldstein, Poole & Safko, chapter 1):

    T = m1 l1^2 w1^2 / 2 + m2 (l1^2 w1^2 + l2^2 w2^2 + 2 l1 l2 w1 w2 cos(a1 - a2)) / 2
    V = -(m1 + m2) g l1 cos a1 - m2 g l2 cos a2,    the pivot at height zero.

States are (n, 4): the angles a1, a2 in rad, and their rates w1, w2 in rad/s. Parameters are (n, 4): m1, m2 in kg, l1, l2 in m.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

GRAVITY = 9.81
"""Acceleration of gravity, m/s^2."""


class DoublePendulum:
    """Equations of motion of double pendulums.

    Parameters
    ----------
    damping : float
        Torque against each rod's rotation per angular velocity, N m s.
    torque : float
        Constant torque that drives the first rod, N m.
    """

    coordinates = 2
    coordinate_units: ClassVar[tuple[str, ...]] = ("rad", "rad")
    names: ClassVar[tuple[str, ...]] = ("m1", "m2", "l1", "l2")
    units: ClassVar[dict[str, str]] = {"m1": "kg", "m2": "kg", "l1": "m", "l2": "m", "energy": "J"}

    def __init__(self, damping: float = 0.0, torque: float = 0.0) -> None:
        self.damping, self.torque = damping, torque

    def mass_matrix(self, state: np.ndarray, parameters: np.ndarray) -> np.ndarray:
        """Second derivatives (n, 2, 2) of the kinetic energy by the rates, kg m^2."""
        m1, m2, l1, l2 = parameters.T
        mixed = m2 * l1 * l2 * np.cos(state[:, 0] - state[:, 1])
        return np.stack([np.stack([(m1 + m2) * l1**2, mixed], -1), np.stack([mixed, m2 * l2**2], -1)], -2)

    def kinetic(self, state: np.ndarray, parameters: np.ndarray) -> np.ndarray:
        """Kinetic energy (n,), J."""
        rate = state[:, 2:]
        return np.einsum("ni,nij,nj->n", rate, self.mass_matrix(state, parameters), rate) / 2

    def potential(self, state: np.ndarray, parameters: np.ndarray) -> np.ndarray:
        """Potential energy (n,), J, zero where both masses are as high as the pivot."""
        m1, m2, l1, l2 = parameters.T
        return -GRAVITY * ((m1 + m2) * l1 * np.cos(state[:, 0]) + m2 * l2 * np.cos(state[:, 1]))

    def largest_potential(self, parameters: np.ndarray) -> np.ndarray:
        """Potential energy (n,) of both masses above the pivot, J, the largest there is."""
        m1, m2, l1, l2 = parameters.T
        return GRAVITY * ((m1 + m2) * l1 + m2 * l2)

    def energy(self, state: np.ndarray, parameters: np.ndarray) -> np.ndarray:
        """Energy (n,), J."""
        return self.kinetic(state, parameters) + self.potential(state, parameters)

    def lagrangian(self, state: np.ndarray, parameters: np.ndarray) -> np.ndarray:
        """Kinetic less potential energy (n,), J."""
        return self.kinetic(state, parameters) - self.potential(state, parameters)

    def momenta(self, state: np.ndarray, parameters: np.ndarray) -> np.ndarray:
        """Canonical momenta (n, 2), derivatives of the Lagrangian by the rates, kg m^2/s."""
        return np.einsum("nij,nj->ni", self.mass_matrix(state, parameters), state[:, 2:])

    def from_momenta(self, state: np.ndarray, parameters: np.ndarray) -> np.ndarray:
        """States (n, 4) of angles and rates, given angles and canonical momenta."""
        rate = np.linalg.solve(self.mass_matrix(state, parameters), state[:, 2:, None])[..., 0]
        return np.concatenate([state[:, :2], rate], axis=1)

    def acceleration(self, state: np.ndarray, parameters: np.ndarray) -> np.ndarray:
        """Angular accelerations (n, 2), rad/s^2, by the equations of Euler and Lagrange and the torques."""
        m1, m2, l1, l2 = parameters.T
        a1, a2, w1, w2 = state.T
        turning, mixed = m2 * l1 * l2 * np.sin(a1 - a2), m2 * l1 * l2 * np.cos(a1 - a2)
        first = -turning * w2**2 - (m1 + m2) * GRAVITY * l1 * np.sin(a1) - self.damping * w1 + self.torque
        second = turning * w1**2 - m2 * GRAVITY * l2 * np.sin(a2) - self.damping * w2
        upper, lower = (m1 + m2) * l1**2, m2 * l2**2
        determinant = upper * lower - mixed**2
        solved = lower * first - mixed * second, upper * second - mixed * first
        return np.stack(solved, -1) / determinant[:, None]

    def force(self, state: np.ndarray, parameters: np.ndarray) -> np.ndarray:
        """Rates of the canonical momenta (n, 2), N m."""
        m1, m2, l1, l2 = parameters.T
        a1, a2, w1, w2 = state.T
        turning = m2 * l1 * l2 * np.sin(a1 - a2) * w1 * w2
        first = -turning - (m1 + m2) * GRAVITY * l1 * np.sin(a1) - self.damping * w1 + self.torque
        second = turning - m2 * GRAVITY * l2 * np.sin(a2) - self.damping * w2
        return np.stack([first, second], -1)

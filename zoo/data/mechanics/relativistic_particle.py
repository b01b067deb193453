"""A relativistic particle in a uniform field, whose canonical momentum is not its velocity (Cranmer et al. 2020, section 5).

In units in which mass and the speed of light are 1, with the field g:

    L = -sqrt(1 - v^2) - g q,    p = v / sqrt(1 - v^2),    E = 1 / sqrt(1 - v^2) - 1 + g q,    dp/dt = -g.

States are (n, 2): position q and velocity v. Parameters are (n, 1): the field.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np


class RelativisticParticle:
    """Equations of motion of a particle that falls in a uniform field."""

    coordinates = 1
    coordinate_units: ClassVar[tuple[str, ...]] = ("1",)
    names: ClassVar[tuple[str, ...]] = ("field",)
    units: ClassVar[dict[str, str]] = {"field": "1", "energy": "1"}

    def energy(self, state: np.ndarray, parameters: np.ndarray) -> np.ndarray:
        """Energy (n,) without the rest energy, in units of that."""
        return 1 / np.sqrt(1 - state[:, 1] ** 2) - 1 + parameters[:, 0] * state[:, 0]

    def largest_potential(self, parameters: np.ndarray) -> np.ndarray:
        """Potential energy (n,) a unit of length above the start, as a uniform field has no largest."""
        return parameters[:, 0]

    def lagrangian(self, state: np.ndarray, parameters: np.ndarray) -> np.ndarray:
        """Lagrangian (n,) in units of the rest energy."""
        return -np.sqrt(1 - state[:, 1] ** 2) - parameters[:, 0] * state[:, 0]

    def momenta(self, state: np.ndarray, parameters: np.ndarray) -> np.ndarray:
        """Canonical momenta (n, 1)."""
        return state[:, 1:] / np.sqrt(1 - state[:, 1:] ** 2)

    def from_momenta(self, state: np.ndarray, parameters: np.ndarray) -> np.ndarray:
        """States (n, 2) of position and velocity, given position and canonical momentum."""
        return np.concatenate([state[:, :1], state[:, 1:] / np.sqrt(1 + state[:, 1:] ** 2)], axis=1)

    def acceleration(self, state: np.ndarray, parameters: np.ndarray) -> np.ndarray:
        """Accelerations (n, 1): what the field does to a mass that grows with its velocity."""
        return -parameters * (1 - state[:, 1:] ** 2) ** 1.5

    def force(self, state: np.ndarray, parameters: np.ndarray) -> np.ndarray:
        """Rates of the canonical momenta (n, 1)."""
        return -parameters

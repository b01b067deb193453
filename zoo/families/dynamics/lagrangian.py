"""A network that learns a Lagrangian (Cranmer et al. 2020, arXiv:2003.04630)."""

from __future__ import annotations

from typing import Any, ClassVar

import keras
from keras import ops

from zoo.errors import InputError
from zoo.families.dynamics.conservative import Conservative
from zoo.families.dynamics.derivatives import solved
from zoo.model.registry import register_family


@register_family("lagrangian")
class Lagrangian(Conservative):
    """A network of positions and velocities to one number L, which moves by the equations of Euler and Lagrange.

    The accelerations solve (d2L/dv dv) a = dL/dq - (d2L/dv dq) v, so that an energy v dL/dv - L is kept, with no need to know
    momenta. Before training it is a free particle. Trajectories leave open what multiplies L, and what is a total derivative by
    time and added to it, so that the energy, which the motion keeps where there is no force, has no unit, and no zero.

    Parameters
    ----------
    coordinates : int
        Number n of positions.
    hidden : list of int
        Units of each hidden layer.
    force : bool
        Whether a force is learned beside it, linear in the velocities: friction, and a constant drive. It starts at none.
    **kwargs : object
        Others, as `Conservative` takes them.

    Raises
    ------
    ValueError
        The config is none, as `Conservative` says.
    """

    endpoints: ClassVar[dict[str, str]] = {
        "acceleration": "change_and_energy",
        "energy": "energy",
        "step": "step_and_energy",
        "rollout": "rollout_and_energy",
    }
    data_endpoint: ClassVar[str] = "acceleration"
    bent = True

    def __init__(self, coordinates: int, hidden: list[int], *, force: bool = False, **kwargs: Any) -> None:
        super().__init__(coordinates, hidden, **kwargs)
        self.config["force"] = force
        self.force = None
        if force:
            self.force = keras.layers.Dense(coordinates, kernel_initializer="zeros", name="force")
            self.force.build((None, coordinates))
        self.built = True

    def change_of(self, state, found):
        n = self.coordinates
        right = found.by_position * self.seen.scale[n:, None] - found.drift
        if self.force is not None:
            right = right + ops.transpose(self.force(self.moving(state)))
        matrix = [[found.masses[i, j] for j in range(n)] for i in range(n)]
        return ops.stack(solved(matrix, [right[i] for i in range(n)]), axis=1) * self.seen.scale[n:]

    def acceleration(self, state, parameters=None):
        """Accelerations (batch, n) of states (batch, 2 n)."""
        return self.change(state, parameters)

    def lagrangian(self, state, parameters=None):
        """The Lagrangian (batch, 1), up to what trajectories leave open."""
        return self.derivatives(state, parameters).value[:, None]

    def energy_of(self, state, found):
        return (ops.sum(self.moving(state) * ops.transpose(found.by_moving), axis=1) - found.value)[:, None]

    def rate(self, state, parameters=None):
        return ops.concatenate([state[:, self.coordinates :], self.acceleration(state, parameters)], axis=1)

    def with_head(self, outputs, task) -> tuple[str, dict[str, Any]]:
        if (outputs, task) != (self.coordinates, "regression"):
            raise InputError(
                f"a Lagrangian has {self.coordinates} accelerations, given {outputs} outputs for {task}: give"
                f" outputs={self.coordinates} for a force beside it, such as friction, or leave outputs and task out"
            )
        return "lagrangian", {**self.config, "force": True}

    @property
    def blocks(self) -> dict[str, list[keras.layers.Layer]]:
        return {"stem": self.stem, "lagrangian": [*self.root, *self.free], "force": [] if self.force is None else [self.force]}

"""What networks of motion share that keep an energy: one number of a state, and its derivatives."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from keras import ops

from zoo.families.dynamics.derivatives import carried, dense_layers
from zoo.families.dynamics.motion import Motion

BOUND = 3.0
"""Bound of the logarithm of the roots of masses in scaled units."""


class Derivatives(NamedTuple):
    """A number of a state, and its derivatives by positions q and scaled velocities or momenta m.

    Attributes
    ----------
    value : Tensor of shape (batch,)
        The number.
    by_position : Tensor of shape (n, batch)
        Derivative by each q.
    by_moving : Tensor of shape (n, batch)
        Derivative by each m.
    masses : Tensor of shape (n, n, batch), optional
        Second derivatives by two of m.
    drift : Tensor of shape (n, batch), optional
        How fast each derivative by m changes while q changes as fast as the state says.
    """

    value: Any
    by_position: Any
    by_moving: Any
    masses: Any = None
    drift: Any = None


class Conservative(Motion):
    """A law of motion that follows from one number of a state.

    It is what a network answers that sees all, and a kinetic energy |C^T m|^2 / 2 of the scaled velocities or momenta m, as
    most systems have one (Lutter, Ritter & Peters 2019, arXiv:1907.04490): masses are positive when training begins. C is
    triangular, and another network's answer to positions and parameters alone.

    Every endpoint but ``energy`` answers with the energy of the given state too, by which states are told whose elements are
    each in the trained range, and whose energy is beyond any that was trained.

    Parameters
    ----------
    coordinates : int
        Number n of positions.
    hidden : list of int
        Units of each hidden layer of both networks.
    levels : list of list of float, optional
        Two positions (n,), where the energy at rest is 0 and where it is 1, whatever the parameters. Without them energies
        of two systems cannot be compared, of which each has a scale and a zero of its own. None for the energy as learned.
    **kwargs : object
        Others, as `Motion` takes them.

    Raises
    ------
    ValueError
        The levels are not two positions, or the config is none, as `Motion` says.
    """

    bent: bool
    """Whether what is learned takes second derivatives."""

    def __init__(self, coordinates: int, hidden: list[int], *, levels: list[list[float]] | None = None, **kwargs: Any) -> None:
        super().__init__(coordinates, hidden, **kwargs)
        if levels is not None and np.shape(levels) != (2, coordinates):
            raise ValueError(f"levels: expected two positions of {coordinates} numbers, given {levels}")
        self.levels = None
        if levels is not None:
            self.config["levels"] = [list(position) for position in levels]
            self.levels = np.concatenate([np.asarray(levels, np.float32), np.zeros((2, coordinates), np.float32)], axis=1)
        self.free = dense_layers("free", self.width, hidden, 1)
        self.root = dense_layers("root", self.width - coordinates, hidden, len(self.products))
        first = coordinates + len(self.angles)
        self.first, self.rest = first, self.width - first - coordinates
        owner = np.concatenate([np.arange(coordinates), self.angles]).astype(int)
        self.owned = (owner == np.arange(coordinates)[:, None]).astype(np.float32)
        """Which features of positions are of which position, (n, first)."""
        rows = np.zeros((coordinates, 1, self.width), np.float32)
        rows[np.arange(coordinates), 0, first + np.arange(coordinates)] = 1
        self.rows = rows
        self.places = np.zeros((len(self.products), coordinates**2), np.float32)
        for place, (i, j) in enumerate(self.products):
            self.places[place, i * coordinates + j] = 1
        self.diagonal = np.array([i == j for i, j in self.products])

    def change_of(self, state, found: Derivatives):
        """What is learned, (batch, learned), given the derivatives at states."""
        raise NotImplementedError

    def energy_of(self, state, found: Derivatives):
        """The energy (batch, 1) as it is learned, given the derivatives at states."""
        raise NotImplementedError

    def change(self, state, parameters=None):
        return self.change_of(state, self.derivatives(state, parameters, self.bent))

    def energy(self, state, parameters=None):
        """The energy (batch, 1) that the motion keeps: up to what the data leave open, or between the levels."""
        return self._between_levels(self.energy_of(state, self.derivatives(state, parameters)), state, parameters)

    def change_and_energy(self, state, parameters=None) -> tuple:
        """What is learned, and the energy, of one pass through the networks."""
        found = self.derivatives(state, parameters, self.bent)
        return self.change_of(state, found), self._between_levels(self.energy_of(state, found), state, parameters)

    def step_and_energy(self, state, time_step, parameters=None) -> tuple:
        """The state after a time step, and the energy of the given one."""
        return self.step(state, time_step, parameters), self.energy(state, parameters)

    def rollout_and_energy(self, state, time_step, parameters=None) -> tuple:
        """The states after each of many time steps, and the energy of the given one."""
        return self.rollout(state, time_step, parameters), self.energy(state, parameters)

    def _between_levels(self, energy, state, parameters):
        """The energy on the scale of the levels, which the same parameters have."""
        if self.levels is None:
            return energy
        zero, one = (ops.zeros_like(state) + level for level in self.levels)
        zero, one = (self.energy_of(rest, self.derivatives(rest, parameters)) for rest in (zero, one))
        return (energy - zero) / (one - zero)

    def derivatives(self, state, parameters=None, second: bool = False) -> Derivatives:
        """The number of states (batch, 2 n) and its derivatives, with ``second`` also those that accelerations need."""
        n, value, moving = self.coordinates, self.features(state, parameters), self.moving(state)
        along = self.slopes(state)[None] * self.owned[:, None]
        if second:
            along = ops.concatenate([along, ops.expand_dims(self.slopes(state) * ops.matmul(state[:, n:], self.owned), 0)])
        first = self.first
        kinetic = self._kinetic(ops.concatenate([value[:, :first], value[:, first + n :]], axis=1), along, moving)
        nothing = ops.zeros_like(value)[None]
        rows = [ops.pad(along, [(0, 0), (0, 0), (0, self.width - first)]), nothing + self.rows]
        if second:  # so that what is crossed stands side by side
            rows = [rows[0][:n], rows[1], rows[0][n:]]
        crossed = (slice(n, 2 * n), slice(n, 2 * n + 1)) if second else None
        free = carried(self.free, self.activation, ops.concatenate([value[None], *rows]), crossed)[:, :, 0]
        found = Derivatives(
            free[0] + kinetic.value, free[1 : 1 + n] + kinetic.by_position, free[1 + n : 1 + 2 * n] + kinetic.by_moving
        )
        if not second:
            return found
        bent = ops.reshape(free[2 + 2 * n :], (n, n + 1, -1))
        return found._replace(masses=bent[:, :n] + kinetic.masses, drift=bent[:, n] + kinetic.drift)

    def _kinetic(self, seen, along, moving) -> Derivatives:
        """The kinetic energy, given what its network sees, the derivatives of the features of positions, and m (batch, n)."""
        n = self.coordinates
        along = ops.pad(along, [(0, 0), (0, 0), (0, self.rest)])
        root = self._positive(carried(self.root, self.activation, ops.concatenate([seen[None], along])))
        root = ops.reshape(ops.matmul(root, self.places), (root.shape[0], -1, n, n))
        turned = ops.sum(root * moving[None, :, :, None], axis=2)
        changed = ops.sum(turned[:1] * turned[1:], axis=2)
        now = root[0]
        found = Derivatives(
            ops.sum(ops.square(turned[0]), axis=1) / 2,
            changed[:n],
            ops.transpose(ops.sum(now * turned[0][:, None], axis=2)),
        )
        if root.shape[0] == 1 + n:
            return found
        masses = ops.sum(now[:, :, None] * now[:, None], axis=3)
        drift = ops.sum(root[1 + n] * turned[0][:, None] + now * turned[1 + n][:, None], axis=2)
        return found._replace(masses=ops.transpose(masses, (1, 2, 0)), drift=ops.transpose(drift))

    def _positive(self, streams):
        """The entries of C and their derivatives, those of its diagonal between 1 / 20 and 20, that no mass lacks a bound."""
        entries, tangents = ops.split(streams, [1])
        squashed = ops.tanh(entries / BOUND)
        grown = ops.exp(BOUND * squashed)
        slope = ops.where(self.diagonal, grown * (1 - ops.square(squashed)), 1.0)
        return ops.concatenate([ops.where(self.diagonal, grown, entries), slope * tangents])

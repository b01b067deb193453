"""States along trajectories of mechanical systems, and how they change: what a network learns a law of motion from."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from zoo.data.dataset import Rows, Split, groups, register_dataset
from zoo.data.mechanics.double_pendulum import DoublePendulum
from zoo.data.mechanics.relativistic_particle import RelativisticParticle
from zoo.data.mechanics.trajectories import System, integrated, smoothed, without_turns
from zoo.errors import InputError
from zoo.seeds import generator

ENDS = 5
"""Observed positions at each end of a trajectory that make no row, as their accelerations are hardly known."""


class States:
    """States along trajectories with their accelerations, or with the rates of positions and canonical momenta.

    A trajectory is one independent simulation, and all its rows are of one split. Where trajectories are observed, the rows of
    training and validation are what smoothing splines make of noisy positions at irregular times; test rows are as they are.

    Parameters
    ----------
    train, validation, test : int
        Number of trajectories in each split.
    samples : int
        Rows of a trajectory, or observed positions.
    duration : float
        Length of a trajectory, s (or in the unit of time of a system without units).
    spread : sequence of float, optional
        Range that each parameter of each trajectory is drawn from; None where all are 1 and no input.
    canonical : bool
        Whether states are positions and canonical momenta, and targets the rates of both.
    velocities_as_momenta : bool
        Whether targets are the rates of positions and velocities, as if these were canonical momenta: what a Hamiltonian is
        given where nobody knows the momenta.
    noise : float, optional
        Standard deviation of observed positions, in their unit; None where states are known.
    seed : int
        Seed of starts, times and noise.

    Raises
    ------
    InputError
        The range is none, noise is not positive, or momenta are asked for of observed positions, or canonical ones and
        velocities in their place.
    """

    moving: ClassVar[type[DoublePendulum] | type[RelativisticParticle]]
    """Kind of the system."""
    turns: ClassVar[bool]
    """Whether positions are angles."""
    simulator = "SciPy's DOP853"
    fields = ("mechanics",)

    def __init__(
        self,
        train: int,
        validation: int,
        test: int,
        samples: int = 50,
        duration: float = 10.0,
        spread: Sequence[float] | None = None,
        canonical: bool = False,
        velocities_as_momenta: bool = False,
        noise: float | None = None,
        seed: int = 0,
    ) -> None:
        if spread is not None and not (len(spread) == 2 and 0 < spread[0] < spread[1]):
            raise InputError(f"spread: expected two positive numbers that rise, given {spread}")
        if noise is not None and (canonical or not 0 < noise < np.inf):
            raise InputError(
                f"noise: expected a positive number, and velocities as states, given {noise}, canonical {canonical}"
            )
        if velocities_as_momenta and (canonical or noise is not None):
            raise InputError("velocities_as_momenta: expected states that are known, and no canonical momenta, given either")
        self.system: System = self.moving()
        self.driven: System = self.system
        """The system as it is simulated, with damping and drive."""
        self.sizes: dict[Split, int] = {"train": train, "validation": validation, "test": test}
        self.samples, self.duration, self.spread = samples, duration, spread
        self.canonical, self.velocities_as_momenta = canonical, velocities_as_momenta
        self.noise, self.seed = noise, seed
        self.units: Mapping[str, str] = self.system.units
        self._rows = functools.cache(self._simulated)

    def rows(self, split: Split, epoch: int = 0) -> Rows:
        return self._rows(split)

    def starts(self, split: Split) -> tuple[np.ndarray, np.ndarray]:
        """Positions and velocities (n, 2 coordinates) in which the trajectories of a split start, and parameters (n, k)."""
        rng, n, names = self._random(split), self.sizes[split], self.system.names
        parameters = (
            np.ones((n, len(names))) if self.spread is None else rng.uniform(self.spread[0], self.spread[1], (n, len(names)))
        )
        return self.drawn(n, rng), parameters

    def drawn(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """States (n, 2 coordinates) to start from."""
        raise NotImplementedError

    def _random(self, split: Split, stream: int = 0) -> np.random.Generator:
        return generator([self.seed, list(self.sizes).index(split), stream])

    def _simulated(self, split: Split) -> Rows:
        start, parameters = self.starts(split)
        observed = self.noise is not None and split != "test"
        rng = self._random(split, 1)
        times = np.linspace(0, self.duration, self.samples)
        if observed:
            times = np.sort(rng.uniform(0, self.duration, self.samples))
        trajectory = integrated(self.driven, start, parameters, times)
        each = np.repeat(np.arange(len(start)), self.samples)
        state, parameters = trajectory.reshape(len(each), -1), parameters[each]
        if observed:
            kept = np.tile((np.arange(self.samples) >= ENDS) & (np.arange(self.samples) < self.samples - ENDS), len(start))
            state, target = self._observed(times, trajectory, rng)
            state, target, parameters, each = state[kept], target[kept], parameters[kept], each[kept]
        else:
            target = self.driven.acceleration(state, parameters)
        return self._as_rows(split, state, target, parameters, each)

    def _observed(self, times: np.ndarray, trajectory: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """States and accelerations, one trajectory below another, from positions with noise."""
        positions = trajectory[..., : self.system.coordinates]
        seen = positions + rng.normal(0, self.noise or 0, positions.shape)
        state, acceleration = zip(*(smoothed(times, one) for one in seen), strict=True)
        return np.concatenate(state), np.concatenate(acceleration)

    def _as_rows(self, split: Split, state: np.ndarray, target: np.ndarray, parameters: np.ndarray, each: np.ndarray) -> Rows:
        n = self.system.coordinates
        truth = {"energy": self.system.energy(state, parameters)}
        truth |= dict(zip(self.system.names, parameters.T, strict=True))
        position, velocity = state[:, :n], state[:, n:]
        if self.canonical:
            target = np.concatenate([velocity, self.driven.force(state, parameters)], axis=1)
            velocity = self.system.momenta(state, parameters)
        elif self.velocities_as_momenta:
            target = np.concatenate([velocity, target], axis=1)
        position = without_turns(position) if self.turns else position
        inputs = {"state": np.concatenate([position, velocity], axis=1).astype(np.float32)}
        if self.spread is not None:
            inputs["parameters"] = parameters.astype(np.float32)
        return Rows(inputs=inputs, target=target.astype(np.float32), group=groups(self.sizes, split)[each], truth=truth)


@register_dataset("double-pendulum")
class DoublePendulumStates(States):
    """Double pendulums that start at any angles, with rates of up to 2 rad/s.

    Parameters
    ----------
    train, validation, test : int
        Number of trajectories in each split.
    damping : float
        Torque against each rod's rotation per angular velocity, N m s.
    torque : float
        Constant torque that drives the first rod, N m.
    **others : object
        As `States` takes it.
    """

    description = "double pendulums in the Earth's gravity, from any angles and rates up to 2 rad/s, states along trajectories"
    moving, turns = DoublePendulum, True

    def __init__(
        self, train: int = 2000, validation: int = 200, test: int = 100, damping: float = 0.0, torque: float = 0.0, **others
    ) -> None:
        super().__init__(train, validation, test, **others)
        self.driven = DoublePendulum(damping, torque)

    def drawn(self, n: int, rng: np.random.Generator) -> np.ndarray:
        return np.concatenate([rng.uniform(-np.pi, np.pi, (n, 2)), rng.uniform(-2.0, 2.0, (n, 2))], axis=1)


@register_dataset("relativistic-particle")
class RelativisticParticleStates(States):
    """Particles in a uniform field, that start with momenta of up to 2 in units of their mass and the speed of light.

    Parameters
    ----------
    train, validation, test : int
        Number of trajectories in each split.
    duration : float
        Length of a trajectory in the unit of time.
    **others : object
        As `States` takes it.
    """

    description = "relativistic particles in a uniform field, mass and speed of light 1, states along trajectories"
    moving, turns = RelativisticParticle, False

    def __init__(self, train: int = 1000, validation: int = 100, test: int = 100, duration: float = 4.0, **others) -> None:
        super().__init__(train, validation, test, duration=duration, **others)

    def drawn(self, n: int, rng: np.random.Generator) -> np.ndarray:
        momentum = rng.uniform(-2.0, 2.0, n)
        return np.stack([rng.uniform(-1.0, 1.0, n), momentum / np.sqrt(1 + momentum**2)], axis=1)

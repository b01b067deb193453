"""What networks of motion share: how they see a state, and what follows from how fast it changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from zoo.families.base import ZooModel
from zoo.families.compiled import TrainedInXla, in_one
from zoo.families.dynamics.derivatives import ACTIVATIONS
from zoo.families.layers import Standardize

STAGES = np.array([[1 / 2, 1 / 6, 0], [1 / 2, 1 / 3, 0], [1, 1 / 3, 0], [0, 1 / 6, 1]], np.float32)
"""Of each stage of Runge and Kutta's rule: how far the next one is asked, how much it counts, and whether it is the last."""


class Motion(TrainedInXla, ZooModel):
    """A law of motion of states (batch, 2 n): n positions, then as many velocities or momenta.

    A subclass says in ``rate`` how fast a state changes, and in ``change`` what of it is learned. Angles are seen as sine and
    cosine, so that turns do not count, and all else standardized; velocities are over their scale alone, so that rest is zero.

    Parameters
    ----------
    coordinates : int
        Number n of positions.
    hidden : list of int
        Units of each hidden layer.
    angles : sequence of int
        Numbers of the positions that are angles in rad.
    parameters : int
        Number of parameters of the system, such as masses, that are given beside a state; 0 for none.
    activation : str
        Activation of the hidden layers.
    steps : int
        Steps of a ``rollout``.
    floor : float, optional
        Where errors of what changes slowly count as much as those of what changes fast, as near the speed of light: an error is
        divided by the size of its target, and this share of the targets' deviation. None where all errors count alike.

    Raises
    ------
    ValueError
        There is no hidden layer or step, no position of a number among the angles, no such activation, or no positive floor.
    """

    repeats_operations = True

    learned: int
    """Numbers in the answer that is learned."""

    def __init__(
        self,
        coordinates: int,
        hidden: list[int],
        angles: Sequence[int] = (),
        parameters: int = 0,
        activation: str = "softplus",
        steps: int = 100,
        floor: float | None = None,
        learned: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if floor is not None and not floor > 0:
            raise ValueError(f"floor: expected a positive number, given {floor}")
        if min([coordinates, steps, len(hidden), *hidden]) < 1 or parameters < 0:
            raise ValueError(
                f"expected coordinates, steps and units of at least 1, one hidden layer and no negative parameters, given"
                f" {coordinates}, {steps}, {hidden} and {parameters}"
            )
        if len(set(angles)) != len(angles) or not set(angles) <= set(range(coordinates)):
            raise ValueError(f"angles: expected numbers of positions from 0 to {coordinates - 1}, given {list(angles)}")
        if activation not in ACTIVATIONS:
            raise ValueError(f"activation: expected one of {', '.join(ACTIVATIONS)}, given {activation}")
        self.config = {
            "coordinates": coordinates,
            "hidden": list(hidden),
            "angles": list(angles),
            "parameters": parameters,
            "activation": activation,
            "steps": steps,
            **({} if floor is None else {"floor": floor}),  # configs of released models are as they were
        }
        self.coordinates, self.steps, self.angles = coordinates, steps, list(angles)
        self.learned = coordinates if learned is None else learned
        self.activation, self.floor = activation, floor
        self.seen = Standardize((2 * coordinates,), name="seen")
        self.given = Standardize((parameters,), name="given") if parameters else None
        self.rescale = Standardize((self.learned,), name="rescale")
        self.width = 2 * coordinates + len(self.angles) + parameters
        self.turning = np.isin(np.arange(coordinates), self.angles)
        self.chosen = np.eye(coordinates, dtype=np.float32)[:, self.angles]
        self.products = [(i, j) for i in range(coordinates) for j in range(i + 1)]
        """Pairs of coordinates, each once."""

    def rate(self, state, parameters=None):
        """How fast a state (batch, 2 n) changes, (batch, 2 n), given parameters (batch, k)."""
        raise NotImplementedError

    def change(self, state, parameters=None):
        """What is learned of it, (batch, learned)."""
        raise NotImplementedError

    def moving(self, state):
        """Velocities or momenta (batch, n) over their scales."""
        n = self.coordinates
        return state[:, n:] / self.seen.scale[n:]

    def features(self, state, parameters=None):
        """What the first layer takes, (batch, width)."""
        n = self.coordinates
        position = ops.where(self.turning, ops.sin(state[:, :n]), self.seen(state)[:, :n])
        parts = [position, self.moving(state), *([self.given(parameters)] if self.given is not None else [])]
        if self.angles:
            parts.insert(1, ops.matmul(ops.cos(state[:, :n]), self.chosen))
        return ops.concatenate(parts, axis=1)

    def slopes(self, state):
        """Derivative (batch, positions) of the features of positions by that position which each is of."""
        q = state[:, : self.coordinates]
        own = ops.where(self.turning, ops.cos(q), 1 / self.seen.scale[: self.coordinates])
        return ops.concatenate([own, -ops.matmul(ops.sin(q), self.chosen)], axis=1) if self.angles else own

    def quadratic(self, state):
        """One, and the products of two scaled velocities or momenta, (batch, 1 + n (n + 1) / 2)."""
        moving = self.moving(state)
        columns = [moving[:, i : i + 1] for i in range(self.coordinates)]
        return ops.concatenate([ops.ones_like(columns[0]), *(columns[i] * columns[j] for i, j in self.products)], axis=1)

    def step(self, state, time_step, parameters=None):
        """The state after a time step (batch, 1), by Runge and Kutta's rule of fourth order."""
        first = self.rate(state, parameters)
        second = self.rate(state + time_step / 2 * first, parameters)
        third = self.rate(state + time_step / 2 * second, parameters)
        fourth = self.rate(state + time_step * third, parameters)
        return state + time_step / 6 * (first + 2 * (second + third) + fourth)

    def rollout(self, state, time_step, parameters=None):
        """The states (batch, steps, 2 n) after each of so many time steps, as ``step`` makes them."""
        given = (state, time_step) if parameters is None else (state, time_step, parameters)
        widths = (2 * self.coordinates, 1, self.config["parameters"])
        return in_one(self, self._rollout, [((width,), "float32") for width in widths[: len(given)]], *given)

    def _rollout(self, state, time_step, parameters=None):
        further, share, done = (np.tile(column, self.steps)[:, None, None] for column in STAGES.T)

        def stage(index, carried):
            now, asked, moved, path = carried
            rate = time_step * self.rate(asked, parameters)
            moved = moved + ops.take(share, index, axis=0) * rate
            last = ops.take(done, index, axis=0)
            now, moved = now + last * moved, (1 - last) * moved
            shifted = ops.concatenate([path[:, 1:], now[:, None]], axis=1)
            return now, now + ops.take(further, index, axis=0) * rate, moved, ops.where(last[None] > 0, shifted, path)

        path = state[:, None] * np.zeros((1, self.steps, 1), np.float32)
        return ops.fori_loop(0, 4 * self.steps, stage, (state, state, ops.zeros_like(state), path))[3]

    def call(self, inputs):
        return self.change(*inputs) if self.given is not None else self.change(inputs)

    @property
    def objective_name(self) -> str:
        if self.floor is None:
            return "absolute error in units of the targets' deviation"
        return f"absolute error over the size of the target and {self.floor:g} of the targets' deviation"

    def objective(self, target, answer):
        unit = self.rescale.scale if self.floor is None else ops.abs(target) + self.floor * self.rescale.scale
        return ops.mean(ops.abs(answer - target) / unit, axis=-1)

    def point(self, answer):
        return answer

    def standardized(self, *inputs) -> tuple:
        return (self.seen(inputs[0]), *((self.given(inputs[1]),) if self.given is not None else ()))

    @property
    def stem(self) -> list[keras.layers.Layer]:
        """Scalings of what is seen and of what is answered."""
        return [self.seen, *([self.given] if self.given is not None else []), self.rescale]

    def adapt(self, inputs: Mapping[str, Any], target: Any, weight: np.ndarray | None = None) -> None:
        state, *parameters = (np.asarray(array[:], np.float64) for array in inputs.values())
        self.seen.adapt(state, weight)
        if self.given is not None:
            self.given.adapt(parameters[0], weight)
        self.rescale.adapt(np.asarray(target, np.float64), weight)

    def baseline(self, tensor: str) -> np.ndarray | None:
        if not hasattr(self, "spec"):
            return None
        scalings = zip(self.spec.endpoint(self.data_endpoint).inputs, self.stem[:-1], strict=True)
        return next((ops.convert_to_numpy(scaling.mean) for one, scaling in scalings if one.name == tensor), None)

    def example(self, inputs, rng):
        state, *parameters = inputs.values()
        time_step = rng.uniform(0.002, 0.01, (len(state), 1)).astype(np.float32)
        moved = (state, time_step, *parameters)
        return {name: moved if name in ("step", "rollout") else (state, *parameters) for name in self.endpoints}

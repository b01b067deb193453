"""A bijector that moves points along a velocity, from noise at time 0 to the variables at time 1."""

from __future__ import annotations

import math

import numpy as np
from keras import ops

from zoo.families.flows.bijector import Bijector
from zoo.families.flows.velocity import Velocity

CROWDING = 3
"""Power by which steps crowd at the end of a path, as does the noise that is left there.

A density a thousandth as wide as the variables so needs no more steps than any: with 24, its logarithm is off by 0.01, and by
1.9 where steps are even.
"""


class Continuous(Bijector):
    """Move points as a network says: du/dt = velocity(u, t, c), integrated by Runge and Kutta's rule of fourth order.

    A point x ends a path that began at noise z, sin(a) x + cos(a) z, its angle a(t) rising from 0 to pi/2: of the Gaussian
    paths of Lipman et al. 2022 (arXiv:2210.02747) this one keeps variables that are standardized so at any time (Albergo &
    Vanden-Eijnden 2022, arXiv:2209.15571), and a velocity of zero makes it the identity.

    Parameters
    ----------
    dimensions : int
        Number D of variables.
    context : int
        Number of features of the context, 0 for none.
    hidden : list of int
        Units of each block of the network.
    steps : int
        Steps of the integration, of four evaluations of the network each.
    """

    def __init__(self, dimensions: int, context: int, hidden: list[int], steps: int, **kwargs) -> None:
        super().__init__(**kwargs)
        self.steps = steps
        self.times = np.linspace(0, 1, 2 * steps + 1, dtype=np.float32)[:, None]
        """Ends and middles of the steps."""
        self.velocity = Velocity(dimensions, context, hidden, name="velocity")
        self.built = True

    def mismatch(self, x, c, time, noise):
        """Mean squared difference (batch,) of the network's velocity from that of paths from noise (batch, D) to x.

        Paths cross, and the network answers with their mean: that velocity carries the one distribution to the other (Lipman et
        al. 2022, theorem 2). It is asked at ``time`` (batch, 1), which a path is at.
        """
        angle, _ = _angle(time)
        sine, cosine = ops.sin(angle), ops.cos(angle)
        found = self.velocity(sine * x + cosine * noise, self.velocity.at(time), self.velocity.given(c))
        return ops.mean(ops.square(found - (cosine * x - sine * noise)), axis=-1)

    def to_base(self, x, c=None):
        given = self.velocity.given(c)

        def rate(state, at, speed):
            velocity, divergence = self.velocity.with_divergence(state[0], at, given)
            return speed * velocity, speed[0] * divergence

        return self._integrated(rate, (x, ops.zeros_like(x[:, 0])), backwards=True)

    def from_base(self, u, c=None):
        given = self.velocity.given(c)
        (x,) = self._integrated(lambda state, at, speed: (speed * self.velocity(state[0], at, given),), (u,), backwards=False)
        return x

    def _integrated(self, rate, state, *, backwards: bool):
        """Move a state, tensors of a batch, from one end of time to the other at a ``rate`` in time."""
        times = self.times[::-1] if backwards else self.times
        size = -1 / self.steps if backwards else 1 / self.steps
        at, speed = self.velocity.at(times), ops.convert_to_tensor(_angle(times)[1])

        def moved(state, rates, size):
            return tuple(value + size * rate for value, rate in zip(state, rates, strict=True))

        def step(index, state):
            start, middle, end = ((_row(at, 2 * index + i), _row(speed, 2 * index + i)) for i in range(3))
            first = rate(state, *start)
            second = rate(moved(state, first, size / 2), *middle)
            third = rate(moved(state, second, size / 2), *middle)
            fourth = rate(moved(state, third, size), *end)
            inner = tuple(2 * (a + b) for a, b in zip(second, third, strict=True))
            rates = tuple(a + b + c for a, b, c in zip(first, inner, fourth, strict=True))
            return moved(state, rates, size / 6)

        return ops.fori_loop(0, self.steps, step, state)


def _angle(time):
    """The angle of a path at a time, and how fast it rises."""
    left = 1 - time
    return math.pi / 2 * (1 - left**CROWDING), math.pi / 2 * CROWDING * left ** (CROWDING - 1)


def _row(table, index):
    """One row (1, M) of a table."""
    return ops.expand_dims(ops.take(table, index, axis=0), 0)

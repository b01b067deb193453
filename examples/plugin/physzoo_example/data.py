"""A data set: orbits of two bodies, and their periods with the noise of a measurement."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from zoo.data.dataset import Rows, Split, groups, register_dataset

AXIS, MASS = (0.3, 30.0), (0.1, 10.0)
"""Ranges of the semi-major axis in AU and of the mass of both bodies in Msun, even in the logarithm."""
NOISE = 0.02
"""Standard deviation of the natural logarithm of a measured period."""


@register_dataset("kepler")
class Kepler:
    """Semi-major axis and mass of both bodies -> period, P = sqrt(a^3 / M) in years.

    Parameters
    ----------
    train, validation, test : int
        Number of orbits in each split.
    seed : int
        Seed of all orbits and their noise.
    """

    description = "orbits of two bodies with measured periods"
    simulator = "Kepler's third law with Gaussian noise of 2%"
    units: ClassVar[dict[str, str]] = {"period": "yr"}

    def __init__(self, train: int = 2000, validation: int = 500, test: int = 1000, seed: int = 0) -> None:
        self.sizes: dict[Split, int] = {"train": train, "validation": validation, "test": test}
        self.seed = seed

    def rows(self, split: Split, epoch: int = 0) -> Rows:
        n = self.sizes[split]
        rng = np.random.default_rng([self.seed, list(self.sizes).index(split)])
        low, high = np.log(np.array([AXIS, MASS])).T
        axis, mass = np.exp(rng.uniform(low, high, (n, 2))).T
        period = np.sqrt(axis**3 / mass)
        measured = period * np.exp(NOISE * rng.standard_normal(n))
        return Rows(
            inputs={"orbit": np.stack([axis, mass], axis=1).astype(np.float32)},
            target=measured[:, None].astype(np.float32),
            group=groups(self.sizes, split),
            truth={"period": period},
        )

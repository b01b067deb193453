"""Two interleaving half circles with Gaussian noise, as a density whose values are known.

A point is (cos t, sin t) or (1 - cos t, 1/2 - sin t) with even odds, t ~ U(0, pi), plus normal noise of 0.1 in both
coordinates: scikit-learn's ``make_moons(noise=0.1)``.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from zoo.data.dataset import Rows, Split, groups, register_dataset
from zoo.model.axes import Axis
from zoo.seeds import generator

NOISE = 0.1
NODES = 200
"""Nodes of the quadrature over t: 6 to a standard deviation of the noise, far beyond its accuracy in float64."""


@register_dataset("two-moons")
class TwoMoons:
    """Points of the plane.

    Parameters
    ----------
    train, validation, test : int
        Number of points in each split.
    seed : int
        Seed of all points.
    """

    description = "two interleaving half circles of radius 1 with Gaussian noise of 0.1"
    simulator = "analytic"
    units: ClassVar[dict[str, str]] = {}
    axes: ClassVar[dict[str, Axis]] = {"coordinate": Axis(name="coordinate", size=2, labels=["x", "y"])}

    def __init__(self, train: int = 20_000, validation: int = 5_000, test: int = 10_000, seed: int = 0) -> None:
        self.sizes: dict[Split, int] = {"train": train, "validation": validation, "test": test}
        self.seed = seed

    def rows(self, split: Split, epoch: int = 0) -> Rows:
        number, n = list(self.sizes).index(split), self.sizes[split]
        rng = generator([self.seed, number])
        angle, upper = rng.uniform(0, np.pi, n), rng.random(n) < 0.5
        points = np.where(upper[:, None], *_circles(angle)) + rng.normal(0, NOISE, (n, 2))
        return Rows(
            inputs={"x": points.astype(np.float32)},
            target=np.zeros((n, 1), np.float32),
            group=groups(self.sizes, split),
        )

    def log_density(self, x: np.ndarray) -> np.ndarray:
        """Natural logarithm (n,) of the true density at points (n, 2), by Gauss-Legendre quadrature over t."""
        nodes, weights = np.polynomial.legendre.leggauss(NODES)
        centers = np.concatenate(_circles((nodes + 1) * np.pi / 2))
        squared = np.sum((np.asarray(x, dtype=np.float64)[:, None, :] - centers) ** 2, axis=-1)
        nearest = squared.min(axis=1, keepdims=True)  # for points so far out that the exponential is zero
        summed = np.exp((nearest - squared) / (2 * NOISE**2)) @ np.tile(weights / 4, 2)
        return np.log(summed) - nearest[:, 0] / (2 * NOISE**2) - np.log(2 * np.pi * NOISE**2)


def _circles(angle: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The upper and the lower half circle at t: (n, 2) each."""
    upper = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return upper, np.array([1.0, 0.5]) - upper

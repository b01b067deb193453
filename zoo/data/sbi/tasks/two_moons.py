"""Two moons: a posterior of two thin crescents (Greenberg et al. 2019, arXiv:1905.07488; task T.8 of arXiv:2101.04653).

x = (r cos a + 1/4, r sin a) + (-|t1 + t2|, t2 - t1) / sqrt 2,    a ~ U(-pi/2, pi/2),  r ~ N(0.1, 0.01^2).
"""

from __future__ import annotations

import numpy as np

from zoo.data.sbi.priors.laws import Uniform
from zoo.data.sbi.priors.prior import Prior
from zoo.errors import InputError

OFFSET, RADIUS, WIDTH = 0.25, 0.1, 0.01
"""Center of the crescent, its mean radius and the standard deviation of the radius."""
ROUNDS = 1000
"""Number of rounds of rejection sampling."""
ANGLES, RADII, AT_ONCE = 1000, 31, 50
"""Points of the sum over the crescent in either coordinate, and how many rows are summed at once."""


class TwoMoons:
    """Two parameters, flat on [-1, 1]; two numbers of data."""

    description = "two moons: two parameters with a flat prior, a posterior of two thin crescents"
    prior = Prior({"theta_1": Uniform(low=-1, high=1), "theta_2": Uniform(low=-1, high=1)})

    def simulate(self, theta: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return _crescent(len(theta), rng) + _shift(theta)

    def log_likelihood(self, theta: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Give log p(x | theta) in the plane of x; the density of (a, r) over r, the Jacobian of polar coordinates."""
        u, v = np.moveaxis(x - _shift(theta), -1, 0)
        u = u - OFFSET
        radius = np.hypot(u, v)
        with np.errstate(divide="ignore"):
            log_density = -0.5 * ((radius - RADIUS) / WIDTH) ** 2 - np.log(WIDTH * np.sqrt(2 * np.pi) * np.pi * radius)
        return np.where(u < 0, -np.inf, log_density)

    def log_posterior(self, theta: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Natural logarithm (n,) of p(theta | x) for parameters and data (n, 2).

        The probability of x is the share of the crescent that can explain x by parameters inside the prior, once for either
        sign of t1 + t2, times the prior's density of 1/4: theta is x minus a point of the crescent, turned by 45 degrees.
        """
        theta, x = np.asarray(theta, np.float64), np.asarray(x, np.float64)
        shares = [_explained(rows) for rows in np.array_split(x, -(-len(x) // AT_ONCE))]
        return self.log_likelihood(theta, x) - np.log(np.concatenate(shares))

    def reference(self, x: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
        """Draws (n, 2) from p(theta | x): noise that explains x, mapped back to either sign of t1 + t2, inside the prior.

        Raises
        ------
        InputError
            When no parameters inside the prior explain x.
        """
        found = np.empty((0, 2))
        for _ in range(ROUNDS):
            shift = np.asarray(x) - _crescent(2 * n, rng)
            # |t1 + t2| cannot be negative: noise that would need it is impossible.
            shift = shift[shift[:, 0] <= 0]
            total = shift[:, 0] * rng.choice([-1.0, 1.0], len(shift))
            theta = np.stack([total - shift[:, 1], total + shift[:, 1]], axis=1) / np.sqrt(2)
            found = np.concatenate([found, theta[np.abs(theta).max(axis=1) <= 1]])
            if len(found) >= n:
                return found[:n]
        raise InputError(f"two moons: hardly any parameters inside the prior explain x = {x}")


def _crescent(n: int, rng: np.random.Generator) -> np.ndarray:
    angle = rng.uniform(-np.pi / 2, np.pi / 2, n)
    radius = rng.normal(RADIUS, WIDTH, n)
    return np.stack([radius * np.cos(angle) + OFFSET, radius * np.sin(angle)], axis=1)


def _explained(x: np.ndarray) -> np.ndarray:
    """How many times over the crescent can explain each x (n, 2), from 0 to 2."""
    angle = (np.arange(ANGLES) + 0.5) / ANGLES * np.pi - np.pi / 2
    node, weight = np.polynomial.hermite_e.hermegauss(RADII)
    radius = RADIUS + WIDTH * node
    points = np.stack([np.outer(radius, np.cos(angle)) + OFFSET, np.outer(radius, np.sin(angle))], axis=-1)
    along, across = np.moveaxis(x[:, None, None] - points, -1, 0)
    possible = along <= 0
    # Turned by 45 degrees, the square of the prior is |along| + |across| <= sqrt 2, the same for both signs of t1 + t2.
    inside = possible & (np.abs(along) + np.abs(across) <= np.sqrt(2))
    return 2 * inside.mean(axis=2) @ (weight / weight.sum())


def _shift(theta: np.ndarray) -> np.ndarray:
    first, second = np.moveaxis(np.asarray(theta, dtype=np.float64), -1, 0)
    return np.stack([-np.abs(first + second), second - first], axis=-1) / np.sqrt(2)

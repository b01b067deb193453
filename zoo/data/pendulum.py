"""The damped pendulum of SciNet (Iten et al. 2020, arXiv:1807.10300, section 5.A).

m x'' + b x' + kappa x = 0, released at x = 1 m with the phase of the solution at zero:

    x(t) = A0 exp(-b t / 2m) cos(omega t),    omega = sqrt(kappa/m) sqrt(1 - b^2 / (4 m kappa)),  m = 1 kg, A0 = 1 m.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from zoo.data.dataset import Rows, Split, groups, register_dataset
from zoo.model.axes import Axis, Coordinates
from zoo.seeds import generator

DAMPING = (0.4, 1.2)
"""Range of the damping b in kg/s."""
STIFFNESS = (4.0, 12.0)
"""Range of the stiffness kappa in kg/s^2."""
OBSERVED_UNTIL, QUERIED_UNTIL = 5.0, 10.0
"""Times in s up to which a pendulum is observed, and up to which it is asked for."""
SAMPLES = 50


def displacement(time: np.ndarray, damping: np.ndarray, stiffness: np.ndarray) -> np.ndarray:
    """Displacement x(t) in m at ``time`` (s) for b in kg/s and kappa in kg/s^2; arguments broadcast.

    Raises
    ------
    ValueError
        The pendulum is overdamped, b^2 >= 4 m kappa.
    """
    frequency_squared = stiffness - damping**2 / 4
    if np.any(frequency_squared <= 0):
        raise ValueError("expected an underdamped pendulum, b^2 < 4 m kappa")
    return np.exp(-damping * time / 2) * np.cos(np.sqrt(frequency_squared) * time)


def observation_times() -> np.ndarray:
    """The 50 times (s) at which a pendulum is observed."""
    return np.linspace(0.0, OBSERVED_UNTIL, SAMPLES)


@register_dataset("pendulum")
class Pendulum:
    """Observed trajectories and query times, and the displacement at that time.

    Every row is a pendulum of its own; the queries of the training rows are drawn anew each epoch.

    Parameters
    ----------
    train, validation, test : int
        Number of pendulums in each split.
    seed : int
        Seed of pendulums and queries.
    """

    description = "damped pendulums, 50 samples of x(t) over 5 s, queried up to 10 s"
    simulator = "analytic solution"
    fields = ("mechanics",)
    units: ClassVar[dict[str, str]] = {"damping": "kg/s", "stiffness": "kg/s^2"}
    axes: ClassVar[dict[str, Axis]] = {
        "time_step": Axis(
            name="time_step", size=SAMPLES, coordinates=Coordinates(values=observation_times().tolist(), unit="s")
        )
    }

    def __init__(self, train: int = 95_000, validation: int = 5_000, test: int = 50_000, seed: int = 0) -> None:
        self.sizes: dict[Split, int] = {"train": train, "validation": validation, "test": test}
        self.seed = seed

    def rows(self, split: Split, epoch: int = 0) -> Rows:
        number, n = list(self.sizes).index(split), self.sizes[split]
        rng = generator([self.seed, number])
        damping = rng.uniform(*DAMPING, (n, 1))
        stiffness = rng.uniform(*STIFFNESS, (n, 1))
        queries = generator([self.seed, number, 1 + (epoch if split == "train" else 0)])
        time = queries.uniform(0.0, QUERIED_UNTIL, (n, 1))
        trajectory = displacement(observation_times(), damping, stiffness)
        return Rows(
            inputs={"trajectory": trajectory.astype(np.float32), "time": time.astype(np.float32)},
            target=displacement(time, damping, stiffness).astype(np.float32),
            group=groups(self.sizes, split),
            truth={"damping": damping[:, 0], "stiffness": stiffness[:, 0]},
        )

"""What a task of the benchmark is, and the tasks by name."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from zoo.data.sbi.priors.prior import Prior
from zoo.data.sbi.tasks.gaussian_linear import GaussianLinear
from zoo.data.sbi.tasks.lotka_volterra import LotkaVolterra
from zoo.data.sbi.tasks.sir import SIR
from zoo.data.sbi.tasks.slcp import SLCP
from zoo.data.sbi.tasks.two_moons import TwoMoons
from zoo.errors import UnknownNameError


class Task(Protocol):
    """A prior, a vectorized simulator and its likelihood (Lueckmann et al. 2021, arXiv:2101.04653)."""

    description: str
    prior: Prior

    def simulate(self, theta: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Simulate data (n, C) at parameters (n, D)."""
        ...

    def log_likelihood(self, theta: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Natural logarithm (n,) of p(x | theta), for (n, D) and (n, C), or one row of either."""
        ...


class TaskWithReference(Task, Protocol):
    """A task whose posterior can be drawn from exactly."""

    def reference(self, x: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
        """Draws (n, D) from p(theta | x) of one observation x (C,)."""
        ...


TASKS: dict[str, type[Task]] = {
    "two-moons": TwoMoons,
    "slcp": SLCP,
    "gaussian-linear": GaussianLinear,
    "sir": SIR,
    "lotka-volterra": LotkaVolterra,
}


def get_task(name: str) -> Task:
    """A task by name; UnknownNameError with suggestions."""
    if name not in TASKS:
        raise UnknownNameError("task", name, TASKS)
    return TASKS[name]()

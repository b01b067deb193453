"""What a recipe trains and is judged on."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np

from zoo.errors import UnknownNameError

Split = Literal["train", "validation", "test"]


@dataclass(frozen=True)
class Rows:
    """Rows of one split.

    Attributes
    ----------
    inputs : by tensor name, each (n, ...), in the order of the model's ``call``
    target : (n, outputs)
    group : (n,) the independent simulation of each row: no two splits share one
    truth : physical parameters of each row by name, (n,) each; what a latent or an error may depend on
    """

    inputs: dict[str, np.ndarray]
    target: np.ndarray
    group: np.ndarray
    truth: dict[str, np.ndarray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.target)


class Dataset(Protocol):
    """Simulated data in three splits that share no simulation."""

    description: str
    simulator: str
    seed: int
    units: dict[str, str]
    """Unit of each truth, "1" for dimensionless."""

    def rows(self, split: Split, epoch: int = 0) -> Rows:
        """One split; training rows get new noise each epoch, the others are the same whatever the epoch."""
        ...


DATASETS = {
    "cmb-feature": ("zoo.data.cmb.feature", "CMBFeature"),
    "pendulum": ("zoo.data.pendulum", "Pendulum"),
}
"""Name in a recipe -> module and class; imported when asked for."""


def get_dataset(source: str, **parameters) -> Dataset:
    """A data set by name; UnknownNameError with suggestions, TypeError on a parameter that it has not."""
    if source not in DATASETS:
        raise UnknownNameError("data set", source, DATASETS)
    module, name = DATASETS[source]
    return getattr(importlib.import_module(module), name)(**parameters)

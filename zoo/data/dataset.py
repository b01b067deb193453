"""What a recipe trains and is judged on."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from zoo.errors import UnknownNameError

Split = Literal["train", "validation", "test"]


@dataclass(frozen=True)
class Rows:
    """Rows of one split.

    Attributes
    ----------
    inputs : by tensor name, each (n, ...), in the order of the model's ``call``; arrays, or what makes arrays of the rows that
        it is indexed with, such as cubes cut from mapped fields
    target : (n, outputs), or what makes arrays of the rows that it is indexed with, such as images to be reconstructed
    group : (n,) the independent simulation of each row: no two splits share one
    truth : physical parameters of each row by name, (n,) each; what a latent or an error may depend on
    """

    inputs: dict[str, Any]
    target: Any
    group: np.ndarray
    truth: dict[str, np.ndarray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.target)

    def some(self, n: int, seed: int = 0) -> Rows:
        """``n`` rows at random, or all where there are fewer, in their order, as arrays."""
        index = np.sort(np.random.default_rng(seed).permutation(len(self))[:n])
        inputs = {name: np.asarray(array[index]) for name, array in self.inputs.items()}
        target = next((inputs[name] for name, array in self.inputs.items() if array is self.target), None)
        return Rows(
            inputs=inputs,
            target=np.asarray(self.target[index]) if target is None else target,
            group=self.group[index],
            truth={name: np.asarray(values)[index] for name, values in self.truth.items()},
        )


def groups(sizes: Mapping[Split, int], split: Split) -> np.ndarray:
    """(n,) numbers of the rows of a split whose rows are a simulation each: they count on from split to split."""
    names = list(sizes)
    return np.arange(sizes[split]) + sum(sizes[name] for name in names[: names.index(split)])


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
    "cmb-emulation": ("zoo.data.cmb.emulation", "CMBEmulation"),
    "cmb-feature": ("zoo.data.cmb.feature", "CMBFeature"),
    "cmb-posterior": ("zoo.data.cmb.posterior_data", "CMBPosterior"),
    "halo-mass": ("zoo.data.nbody.halo_mass", "HaloMass"),
    "halo-mass-features": ("zoo.data.nbody.halo_mass", "HaloMassFeatures"),
    "halo-profile": ("zoo.data.nbody.halo_profile", "HaloProfile"),
    "pendulum": ("zoo.data.pendulum", "Pendulum"),
    "sbi": ("zoo.data.sbi.dataset", "BenchmarkTask"),
    "shapes3d": ("zoo.data.shapes3d.dataset", "Shapes3D"),
    "simulations": ("zoo.data.sbi.dataset", "SimulationsFile"),
    "simulator": ("zoo.data.sbi.dataset", "UserSimulator"),
    "synthetic-halo": ("zoo.data.halos.synthetic_halo", "SyntheticHalo"),
    "two-moons": ("zoo.data.moons", "TwoMoons"),
}
"""Name in a recipe -> module and class; imported when asked for."""


def get_dataset(source: str, folder: Path | None = None, **parameters) -> Dataset:
    """A data set by name; UnknownNameError with suggestions, TypeError on a parameter that it has not.

    Parameters
    ----------
    folder : of a user's recipe, given to the data sets that read files beside it
    """
    kind = dataset_class(source)
    if "folder" in inspect.signature(kind).parameters:
        return kind(folder=folder, **parameters)
    return kind(**parameters)


def dataset_class(source: str) -> type:
    """The class of a data set by name; UnknownNameError with suggestions."""
    if source not in DATASETS:
        raise UnknownNameError("data set", source, DATASETS)
    module, name = DATASETS[source]
    kind: type = getattr(importlib.import_module(module), name)
    return kind

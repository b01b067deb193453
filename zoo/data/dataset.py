"""What a recipe trains and is judged on."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

import numpy as np

from zoo.model.axes import Axis
from zoo.registration import Register
from zoo.seeds import generator

if TYPE_CHECKING:
    from zoo.data.mechanics.trajectories import System

Split = Literal["train", "validation", "test"]


@dataclass(frozen=True)
class Rows:
    """Rows of one split.

    Attributes
    ----------
    inputs : dict of str to ndarray
        Input tensors by name, each (n, ...), in the order of the model's ``call``; arrays, or what makes arrays of the rows
        that it is indexed with, such as cubes cut from mapped fields.
    target : ndarray
        Targets (n, outputs), or what makes arrays of the rows that it is indexed with, such as images to be reconstructed.
    group : ndarray
        The independent simulation of each row, (n,): no two splits share one.
    truth : dict of str to ndarray
        Physical parameters of each row by name, (n,) each; what a latent or an error may depend on.
    weight : ndarray, optional
        Event weight of each row, (n,), of either sign, by which it counts in training and in every number that is measured on
        the rows; None where all rows count the same.
    """

    inputs: dict[str, Any]
    target: Any
    group: np.ndarray
    truth: dict[str, np.ndarray] = field(default_factory=dict)
    weight: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.target)

    def chosen(self, n: int, seed: int = 0) -> np.ndarray:
        """Which rows are ``some`` of so many, rising."""
        return np.sort(generator(seed).permutation(len(self))[:n])

    def some(self, n: int, seed: int = 0) -> Rows:
        """``n`` rows at random, or all where there are fewer, in their order, as arrays."""
        index = self.chosen(n, seed)
        inputs = {name: np.asarray(array[index]) for name, array in self.inputs.items()}
        target = next((inputs[name] for name, array in self.inputs.items() if array is self.target), None)
        return Rows(
            inputs=inputs,
            target=np.asarray(self.target[index]) if target is None else target,
            group=self.group[index],
            truth={name: np.asarray(values)[index] for name, values in self.truth.items()},
            weight=None if self.weight is None else self.weight[index],
        )


def groups(sizes: Mapping[Split, int], split: Split) -> np.ndarray:
    """Numbers (n,) of the rows of a split whose rows are a simulation each: they count on from split to split."""
    names = list(sizes)
    return np.arange(sizes[split]) + sum(sizes[name] for name in names[: names.index(split)])


@runtime_checkable
class Dataset(Protocol):
    """Simulated data in three splits that share no simulation."""

    description: str
    """What the rows are, in one sentence."""
    simulator: str
    """What made them."""
    seed: int
    """Seed that all rows follow from."""
    units: Mapping[str, str]
    """Unit of each truth, "1" for dimensionless."""

    def rows(self, split: Split, epoch: int = 0) -> Rows:
        """One split; training rows get new noise each epoch, the others are the same whatever the epoch."""
        ...


# What else the zoo asks of a data set where it has it. One that has a part of it says so by having the attributes.


@runtime_checkable
class KnowsAxes(Protocol):
    """A data set that knows more of the axes of its tensors than their sizes."""

    axes: Mapping[str, Axis]
    """Each axis by its name, with labels, units, coordinates and groups, where it has such."""


@runtime_checkable
class KnowsDensity(Protocol):
    """A data set whose rows are drawn from a density that is known."""

    def log_density(self, x: np.ndarray) -> np.ndarray:
        """Natural logarithm of the true density, (n,), at points (n, D)."""
        ...


@runtime_checkable
class HasNotes(Protocol):
    """A data set of which a card has more to say than numbers."""

    notes: Sequence[str]
    """What a user has to know of the rows, in sentences."""


@runtime_checkable
class OfFields(Protocol):
    """A data set that is of some field of physics, by which a gallery and the Hub find its models."""

    fields: Sequence[str]
    """The fields, the widest first, in words of lower case joined by hyphens."""


def fields_of(dataset: object) -> list[str] | None:
    """The fields of physics of a data set or of its class; None where it says none."""
    return list(dataset.fields) if isinstance(dataset, OfFields) else None


class PriorDensity(Protocol):
    """The distribution that parameters were drawn from."""

    def log_density(self, theta: np.ndarray) -> np.ndarray:
        """Natural logarithm of the prior density, (n,), at parameters (n, D)."""
        ...

    def standard_deviation(self) -> np.ndarray:
        """Standard deviation of each parameter under the prior, (D,)."""
        ...


@runtime_checkable
class HasPrior(Protocol):
    """A data set of parameters drawn from a prior, and of data simulated at them."""

    prior: PriorDensity


@runtime_checkable
class KnowsPosterior(Protocol):
    """A data set that can draw from the exact posterior of an observation."""

    def reference(self, x: np.ndarray, n: int, rng: np.random.Generator, /) -> np.ndarray:
        """Exact draws (n, D) from p(theta | x), given one observation x (C,)."""
        ...


@runtime_checkable
class KnowsPosteriorDensity(Protocol):
    """A data set that knows the density of the exact posterior."""

    def log_posterior(self, theta: np.ndarray, x: np.ndarray, /) -> np.ndarray:
        """Natural logarithm (n,) of p(theta | x), for parameters (n, D) and an observation of each, (n, C)."""
        ...


@runtime_checkable
class KnowsBest(Protocol):
    """A data set of two classes whose likelihoods are known, so that it can say how well they can be told apart."""

    def best_scores(self, rows: Rows) -> Mapping[str, np.ndarray]:
        """Scores (n,) of rows, higher in class 1, by what they are: the best possible ones, and what needs no training."""
        ...


@runtime_checkable
class Described(Protocol):
    """A data set that knows simpler descriptions of its targets, such as a fitted profile."""

    def descriptions(self, split: Split) -> Mapping[str, np.ndarray]:
        """What each description answers to the rows of a split, (n, outputs), by its name."""
        ...


@runtime_checkable
class Noisy(Protocol):
    """A data set that knows how noisy its targets are."""

    def noise(self, split: Split) -> np.ndarray:
        """Noise of the targets of a split, (n, outputs), in their unit."""
        ...


@runtime_checkable
class Scaled(Dataset, Protocol):
    """A data set whose errors have a scale of their own."""

    scale: np.ndarray
    """What an error of each output is measured in, (outputs,)."""
    scale_description: str
    """What the scale is, in the words of a metric's detail."""
    panels: Mapping[str, tuple[slice, np.ndarray]]
    """Where the outputs of each panel of the figure lie, and their abscissa, by the panel's label."""
    abscissa: str
    """What the abscissa is, with its unit."""


@runtime_checkable
class Featured(Dataset, Protocol):
    """A data set that can describe its rows by engineered features."""

    feature_sets: tuple[str, ...]
    """Names of the sets of features, the simplest first."""
    scales: np.ndarray
    """Scales (k,) that the features are of; a set holds a whole number of kinds of feature, each on all scales."""
    scale_label: str
    """What the scales are, with their unit."""
    kinds_of_feature: tuple[str, ...]
    """What the kinds of feature are called."""

    def features(self, rows: Rows, names: str) -> np.ndarray:
        """Features (n, features) of the named set."""
        ...


@runtime_checkable
class FromUser(Dataset, Protocol):
    """A data set of a user's rows, which errors and cards name as the user's file does."""

    target_names: list[str]
    """Columns of the target."""
    target_unit: str | None
    """Unit of the target, None where it is not known."""
    labels: list[str] | None
    """Names of the classes in their order, None where the target counts no classes that have names."""

    def numbers(self, split: Split) -> np.ndarray:
        """Which row of the user's each row of a split is, (n,), counted from 0."""
        ...


@dataclass(frozen=True)
class Events:
    """Events of a search, with what they are.

    Attributes
    ----------
    x : ndarray
        Observables, of shape (n, D).
    mass : ndarray
        Mass in which a resonance would be narrow, of shape (n,).
    signal : ndarray of bool
        Which of them are signal, of shape (n,).
    """

    x: np.ndarray
    mass: np.ndarray
    signal: np.ndarray

    def __getitem__(self, chosen: np.ndarray) -> Events:
        """The chosen ones of the events."""
        return Events(self.x[chosen], self.mass[chosen], self.signal[chosen])

    def within(self, region: tuple[float, float]) -> Events:
        """Those whose mass lies in a region, its ends with it."""
        return self[(self.mass >= region[0]) & (self.mass <= region[1])]


@runtime_checkable
class Resonant(Dataset, Protocol):
    """A data set of a background that a signal can be hidden in."""

    region: tuple[float, float]
    """Ends of the signal region in mass."""
    names: tuple[str, ...]
    """Names of the observables."""
    mass_unit: str
    """Unit of the mass."""

    def events(self, split: Split) -> Events:
        """All background and signal of a split, in the signal region and beside it."""
        ...

    def observed(self, split: Split, fraction: float, seed: int) -> Events:
        """The background of a split, and as many of its signal events as give that fraction in the signal region."""
        ...


@runtime_checkable
class Moves(Dataset, Protocol):
    """A data set of states of a mechanical system whose laws are known."""

    system: System
    """The system, as it moves without damping and drive."""
    canonical: bool
    """Whether states are positions and canonical momenta, else positions and velocities."""
    velocities_as_momenta: bool
    """Whether targets are the rates of positions and velocities both, and not accelerations alone."""

    def starts(self, split: Split) -> tuple[np.ndarray, np.ndarray]:
        """Positions and velocities (n, 2 coordinates) in which the trajectories of a split start, and parameters (n, k)."""
        ...


DATASETS: Register[type[Any]] = Register(
    "data set",
    "zoo.datasets",
    {
        "cmb-emulation": "zoo.data.cmb.emulation",
        "cmb-extension": "zoo.data.cmb.extension_data",
        "cmb-feature": "zoo.data.cmb.feature",
        "cmb-posterior": "zoo.data.cmb.posterior_data",
        "dijet-anomaly": "zoo.data.jets.dijet_anomaly",
        "dijet-masses": "zoo.data.jets.dijet_masses",
        "double-pendulum": "zoo.data.mechanics.states",
        "field-cubes": "zoo.data.fields.dataset",
        "field-displacements": "zoo.data.fields.displacements",
        "field-maps": "zoo.data.fields.dataset",
        "formulae": "zoo.data.formulae.dataset",
        "halo-mass": "zoo.data.nbody.halo_mass",
        "halo-mass-features": "zoo.data.nbody.halo_mass",
        "halo-profile": "zoo.data.nbody.halo_profile",
        "jet-features": "zoo.data.jets.feature_dataset",
        "jets": "zoo.data.jets.dataset",
        "likelihood": "zoo.data.sbi.likelihood_rows",
        "pendulum": "zoo.data.pendulum",
        "relativistic-particle": "zoo.data.mechanics.states",
        "sbi": "zoo.data.sbi.dataset",
        "shapes3d": "zoo.data.shapes3d.dataset",
        "simulations": "zoo.data.sbi.dataset",
        "simulator": "zoo.data.sbi.dataset",
        "synthetic-halo": "zoo.data.halos.synthetic_halo",
        "two-moons": "zoo.data.moons",
    },
)
register_dataset = DATASETS.register


def get_dataset(source: str, folder: Path | None = None, **parameters: Any) -> Dataset:
    """A data set by name; UnknownNameError with suggestions, TypeError on a parameter that it has not.

    Parameters
    ----------
    source : str
        Name under which the data set is registered.
    folder : Path, optional
        Folder of a user's recipe, given to the data sets that read files beside it.
    **parameters : object
        What the data set is made with.
    """
    kind = DATASETS.get(source)
    if "folder" in inspect.signature(kind).parameters:
        return kind(folder=folder, **parameters)
    return kind(**parameters)

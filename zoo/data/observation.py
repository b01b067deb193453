"""Observations: rows that were measured and not simulated, with what is known of them from elsewhere.

A data source says how its observations are read by a class that is registered under its name. Such a class needs numpy and
nothing more, so that a model answers an observation wherever ONNX Runtime is installed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from zoo.errors import InputError, option
from zoo.model.spec import Endpoint, ModelSpec
from zoo.model.test_tensors import read_npz
from zoo.registration import Register

Constraint = tuple[float, float, float]
"""A value, and the limits of its 68% interval."""
FILES = (".npy", ".npz")
"""What is read for every data source: one row as an array, or one array for each input by its name."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """Simulated rows of one kind, among which an observation is placed.

    Attributes
    ----------
    description : str
        What the rows are, such as "simulated LambdaCDM skies".
    inputs : mapping of str to ndarray
        Their input tensors by name, of shape (n, ...).
    """

    description: str
    inputs: Mapping[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Observation:
    """One observation, as the input of a model.

    Attributes
    ----------
    inputs : mapping of str to ndarray
        Input tensors by name, of shape (1, ...), in the units of the model's spec.
    label : str
        A word for the names of files.
    description : str
        What was observed, for people.
    error : mapping of str to ndarray
        Standard deviations of the elements of an input, of the shape of ``inputs``, where they are known.
    reference : mapping of str to ndarray
        What each input is compared with, such as a best fit, of the shape of ``inputs``.
    reference_name : str
        What the reference is.
    published : mapping of str to tuple of float
        Published constraints on parameters by name: a value and the limits of its 68% interval.
    source : str
        Which publication ``published`` is from.
    notes : sequence of str
        What an inference from these data leaves out.
    compare : callable, optional
        Makes simulated rows among which the answer is placed.
    """

    inputs: Mapping[str, np.ndarray]
    label: str
    description: str
    error: Mapping[str, np.ndarray] = field(default_factory=dict)
    reference: Mapping[str, np.ndarray] = field(default_factory=dict)
    reference_name: str = ""
    published: Mapping[str, Constraint] = field(default_factory=dict)
    source: str = ""
    notes: Sequence[str] = ()
    compare: Callable[[], Comparison] | None = None

    def of(self, endpoint: Endpoint, given: Sequence[str] = ()) -> dict[str, np.ndarray]:
        """The inputs of an endpoint.

        Parameters
        ----------
        endpoint : Endpoint
            The endpoint that is asked.
        given : sequence of str
            Inputs that come from elsewhere, such as noise.

        Returns
        -------
        dict of str to ndarray
            The observed inputs of the endpoint, of shape (1, ...).

        Raises
        ------
        InputError
            The endpoint takes another input too, or none of the observed ones.
        """
        names = [tensor.name for tensor in endpoint.inputs if tensor.name not in given]
        if missing := [name for name in names if name not in self.inputs]:
            raise InputError(
                f"{self.description}: the endpoint also takes {', '.join(missing)}, and only {', '.join(self.inputs)} was"
                f" observed; choose another with {option('endpoint', 'NAME')}, or give every input as rows"
            )
        return {name: np.asarray(self.inputs[name]) for name in names}


@runtime_checkable
class Observes(Protocol):
    """A data source of which there are observations."""

    def read_observation(self, path: Path) -> Observation:
        """Read what a user has of an observation.

        Parameters
        ----------
        path : Path
            A file or a folder, as the source's observations are distributed.

        Returns
        -------
        Observation
            Input tensors by the names and in the units of the source's models, and what is known of them from elsewhere.
        """
        ...


READERS: Register[type[Observes]] = Register(
    "reader of observations",
    "zoo.observations",
    {"cmb-feature": "zoo.data.cmb.planck", "cmb-posterior": "zoo.data.cmb.planck"},
)
"""The class that reads the observations of each data source; an installed package names its own in the entry point group."""
observes = READERS.register


def reader_of(source: str) -> Observes | None:
    """The reader of a data source's observations.

    Parameters
    ----------
    source : str
        Name of the data source.

    Returns
    -------
    Observes or None
        The reader, or None for a source that has none of its own.
    """
    return READERS.get(source)() if source in READERS.names() else None


def read_observation(spec: ModelSpec, path: str | Path) -> Observation:
    """Read an observation for a model.

    Parameters
    ----------
    spec : ModelSpec
        The model's spec, which names its data source.
    path : str or Path
        What the reader of that source takes; or, for any source, a ``.npy`` that holds one row, or a ``.npz`` that holds
        one under the name of each input.

    Returns
    -------
    Observation
        Inputs of one row, and what is known of them.

    Raises
    ------
    FileNotFoundError
        There is no such file or folder.
    InputError
        The file is another kind, holds something else than one row, or the source has no reader for it.
    """
    path = Path(path)
    if path.suffix in FILES:
        return _from_arrays(spec, path)
    reader = reader_of(spec.data.source)
    if reader is None:
        raise InputError(
            f"{path}: the data source {spec.data.source!r} has no reader of observations: expected a .npy of one row, or a .npz"
            " with one row of each input under its name"
        )
    return reader.read_observation(path)


def _from_arrays(spec: ModelSpec, path: Path) -> Observation:
    """One row of each input that a file of arrays has."""
    if path.suffix == ".npz":
        arrays: dict[str, Any] = read_npz(path)
    else:
        try:
            arrays = {_observed(spec): np.load(path, allow_pickle=False)}
        except (ValueError, EOFError) as error:
            raise InputError(f"{path} is not a .npy of plain numbers: {error}") from error
    shapes = {tensor.name: tuple(tensor.shape) for end in spec.endpoints.values() for tensor in end.inputs}
    if not (known := {name: array for name, array in arrays.items() if name in shapes}):
        raise InputError(f"{path}: expected an array named {' or '.join(shapes)}, found {', '.join(arrays) or 'none'}")
    rows = {}
    for name, array in known.items():
        row = array[None] if array.ndim == len(shapes[name]) else array
        if array.dtype.kind not in "fiub" or row.ndim != len(shapes[name]) + 1 or len(row) != 1:
            raise InputError(f"{path}: expected one {name} of shape {shapes[name]}, given {array.dtype} of shape {array.shape}")
        rows[name] = row
    return Observation(inputs=rows, label=path.stem, description=str(path))


def _observed(spec: ModelSpec) -> str:
    """Name of the one tensor that an observation of the model has: what is not noise of a flow, else the first input."""
    if "sample" in spec.endpoints:
        return spec.endpoints["sample"].inputs[-1].name
    return spec.endpoint(spec.default_endpoint).inputs[0].name

"""Observations: rows that were measured and not simulated, with what is known of them from elsewhere.

A data source says how its observations are read by a class that is registered under its name. Such a class needs numpy and
nothing more, so that a model answers an observation wherever ONNX Runtime is installed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from zoo.errors import InputError, ZooError, option
from zoo.model.handed_in.columns import Columns
from zoo.model.handed_in.files import READERS as READERS_OF_FILES
from zoo.model.handed_in.files import SUFFIXES, read_array, read_columns
from zoo.model.handed_in.tensors import array_of, inputs_of, rows_of
from zoo.model.handed_in.values import Values, values_of
from zoo.model.spec import Endpoint, ModelSpec, Tensor
from zoo.paths import expect_there, user_path
from zoo.registration import Register

Constraint = tuple[float, float, float]
"""A value, and the limits of its 68% interval."""
TABLES = tuple(READERS_OF_FILES)
"""Files that are read for a data source without a reader, and for any where their columns name an input."""


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
        tensors = {tensor.name: tensor for tensor in endpoint.inputs}
        masked = {t.mask: t for t in endpoint.inputs if t.mask is not None and t.name in self.inputs}
        names = [tensor.name for tensor in endpoint.inputs if tensor.name not in given]
        if missing := [name for name in names if name not in self.inputs and name not in masked]:
            raise InputError(
                f"{self.description}: the endpoint also takes {', '.join(missing)}, and only {', '.join(self.inputs)} was"
                f" observed; choose another with {option('endpoint', 'NAME')}, or give every input as rows"
            )
        found = {name: array_of(self.inputs[name], tensors[name]) for name in names if name in self.inputs}
        for name in names:  # what was observed is real
            if name not in found:
                found[name] = np.ones(found[masked[name].name].shape[: len(tensors[name].axes) + 1], bool)
        return {name: found[name] for name in names}


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
    {"cmb-extension": "zoo.data.cmb.planck", "cmb-feature": "zoo.data.cmb.planck", "cmb-posterior": "zoo.data.cmb.planck"},
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


def read_observation(spec: ModelSpec, path: str | Path, *, several: bool = False) -> Observation:
    """Read an observation for a model.

    Parameters
    ----------
    spec : ModelSpec
        The model's spec, which names its data source.
    path : str or Path
        What the reader of that source takes; or, for any source, a ``.npy`` that holds one row, or a file of columns with one
        row of each input: a ``.npz``, CSV, FITS, ECSV, HDF5, ROOT or Parquet file. A column may hold the elements of the row
        one under the other. For a source without a reader, an image of FITS is taken as a ``.npy``.
    several : bool
        Take a file of any number of rows, each an observation.

    Returns
    -------
    Observation
        Inputs of one row, or of several, and what is known of them.

    Raises
    ------
    InputError
        There is no such file or folder, the file is of another kind or holds something else than one row, or the source has no
        reader for it.
    """
    path = user_path(path)
    reader = reader_of(spec.data.source)
    if reader is None or path.suffix in TABLES:  # else its reader says what it takes
        expect_there(
            path, f"one observation: a .npy of one row, or a file with one row of each input under its name ({SUFFIXES})"
        )
    if (path.suffix == ".npy" or reader is None) and (array := read_array(path)) is not None:
        return _of_rows(path, {_observed(spec): array}, spec, several)
    if path.suffix == ".npz" or (path.suffix in TABLES and (reader is None or _names_an_input(spec, path))):
        return _of_rows(path, read_columns(path), spec, several)
    if reader is None:
        raise InputError(
            f"{path}: the data source {spec.data.source!r} has no reader of observations: expected a .npy of one row, or a file"
            f" with one row of each input under its name ({SUFFIXES})"
        )
    return reader.read_observation(path)


def _names_an_input(spec: ModelSpec, path: Path) -> bool:
    """Whether the columns of a file name an input of the model; else the source's own reader may take it."""
    try:
        columns = read_columns(path)
        return any(columns.find(tensor) for tensor in _tensors(spec).values())
    except ZooError:
        return False


def _tensors(spec: ModelSpec) -> dict[str, Tensor]:
    """Every input of every endpoint by name."""
    return {tensor.name: tensor for endpoint in spec.endpoints.values() for tensor in endpoint.inputs}


def _of_rows(path: Path, given: Columns | dict[str, np.ndarray | Values], spec: ModelSpec, several: bool) -> Observation:
    """One row, or several, of each input that arrays or columns name."""
    rows = {}
    for name, tensor in _tensors(spec).items():
        names = given.find(tensor) if isinstance(given, Columns) else [name] if name in given else None
        if not names:
            continue
        values = values_of(given[name]) if isinstance(given, dict) else given.one(names[0]).values
        if isinstance(given, dict) or (len(names) == 1 and len(np.shape(values.array)) == len(tensor.axes)):
            row, _ = rows_of(values, tensor)
        elif tensor.mask is not None and np.ndim(values.array) == 1 and not values.jagged:  # each row of the file is an element
            element = tensor.model_copy(update={"axes": tensor.axes[1:], "mask": None})
            row = inputs_of(given, Endpoint(description="", inputs=[element], outputs=[element]))[name][None]
        else:
            tensor = tensor.model_copy(update={"mask": None})
            row = inputs_of(given, Endpoint(description="", inputs=[tensor], outputs=[tensor]))[name]
        if row.dtype.kind not in "fiub" or row.ndim != len(tensor.axes) + 1 or (len(row) != 1 and not several):
            shape = np.shape(values.array) if len(names) == 1 else row.shape
            expected = ", ".join(axis.extent for axis in tensor.axes) + ("," if len(tensor.axes) == 1 else "")
            raise InputError(
                f"{path}: expected one {name} of shape ({expected}), given {row.dtype} of shape {tuple(shape)}"
                + _where_several_go(path, spec, row.ndim == len(tensor.axes) + 1)
            )
        rows[name] = row
    if not rows:
        raise InputError(f"{path}: expected an array named {' or '.join(_tensors(spec))}, found {', '.join(given) or 'none'}")
    return Observation(inputs=rows, label=path.stem, description=str(path))


def _where_several_go(path: Path, spec: ModelSpec, rows: bool) -> str:
    """The end of a message that refuses what is not one row: the option that takes several."""
    if "sample" in spec.endpoints:
        return "; infer takes several with " + option("together")
    return f"; several rows are given as {option('data', repr(str(path)), str(path))}" if rows else ""


def _observed(spec: ModelSpec) -> str:
    """Name of the one tensor that an observation of the model has: what is not noise of a flow, else the first input."""
    if "sample" in spec.endpoints:
        return [tensor for tensor in spec.endpoints["sample"].inputs if tensor.dtype != "bool"][-1].name
    return spec.endpoint(spec.default_endpoint).inputs[0].name

"""Inputs and outputs of endpoints as files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from zoo.atomic import whole_file
from zoo.errors import InputError, option
from zoo.model.axes import BATCH
from zoo.model.handed_in.columns import Columns, said
from zoo.model.handed_in.files import read_array, read_columns
from zoo.model.handed_in.tensors import array_of, inputs_of_columns
from zoo.model.handed_in.values import Values
from zoo.model.spec import TEST_TENSORS, Endpoint, Tensor
from zoo.model.store import ModelFolder
from zoo.model.test_tensors import read_test_tensors


def read_inputs(
    folder: ModelFolder,
    endpoint: str,
    file: Path | None,
    *,
    columns: Mapping[str, Sequence[str]] | None = None,
    units: Mapping[str, str] | None = None,
) -> dict[str, np.ndarray]:
    """Read input tensors of an endpoint from a file, or take its shipped test rows where there is none.

    Parameters
    ----------
    folder : ModelFolder
        The folder of the model.
    endpoint : str
        The endpoint.
    file : Path or None
        A file of columns, as `zoo.model.handed_in.files` reads them, such as a CSV or a ``.npz`` with one array for each input
        tensor; or a ``.npy`` or an image of FITS where the endpoint takes one; batch first.
    columns : mapping of str to sequence of str, optional
        Columns of each tensor by its name, where they are not called after it; None where the user cannot say them.
    units : mapping of str to str, optional
        Units of columns of which the file says none.

    Returns
    -------
    dict
        Arrays by the name of the tensor.

    Raises
    ------
    InputError, IntegrityError
        The file is of another kind, damaged, or holds Python objects, or lacks an input, or holds one row without a batch.
    """
    described = folder.spec.endpoint(endpoint)
    named = "columns" if columns else "units" if units else None
    if file is None and named:
        raise InputError(f"{named}: expected with a file of rows, given without one")
    if file is None:
        return read_test_tensors(folder.read(TEST_TENSORS), folder.spec, endpoint)[endpoint][0]
    names = [tensor.name for tensor in described.inputs]
    array = read_array(file)
    if array is None:
        found, _ = inputs_of_table(read_columns(file), described, columns, units)
        if len(names) == 1:
            _expect_rows(file, found[names[0]], described.inputs[0])
        return found
    if named:
        raise InputError(f"{named}: expected with a file of columns, given with {file}, a single array")
    if len(names) > 1:
        raise InputError(f"{file}: expected a file with the arrays {', '.join(names)}, given a {file.suffix} of one array only")
    _expect_rows(file, array, described.inputs[0])
    return {names[0]: array if isinstance(array, np.ndarray) else array_of(array, described.inputs[0])}


def inputs_of_table(
    table: Columns, endpoint: Endpoint, columns: Mapping[str, Sequence[str]] | None, units: Mapping[str, str] | None
) -> tuple[dict[str, Any], list[str]]:
    """Inputs of an endpoint from a table, and the columns that they are read from.

    Parameters
    ----------
    table : Columns
        The table.
    endpoint : Endpoint
        The endpoint.
    columns, units : mapping, optional
        As `read_inputs` takes them.

    Raises
    ------
    InputError, UnknownNameError
        What `inputs_of_columns` raises, or a unit is said of a column that no input is read from.
    """
    inputs = inputs_of_columns(table, endpoint, chosen=columns, units=units)
    used = [name for one in endpoint.inputs for name in table.find(one, (columns or {}).get(one.name)) or ()]
    if unused := [name for name in units or {} if name not in used]:
        raise InputError(f"units: expected those of columns that inputs are read from, {said(used)}, given {said(unused)}")
    return inputs, used


def _expect_rows(file: Path, array: np.ndarray | Values, tensor: Tensor) -> None:
    """Refuse an array with as many axes as one row has, which may be meant as an observation."""
    shape = np.shape(array.array if isinstance(array, Values) else array)
    if tensor.axes and len(shape) == len(tensor.axes):
        expected = ", ".join((BATCH, *(axis.extent for axis in tensor.axes)))
        observed = option("observation", f"read_observation(spec, {str(file)!r})", str(file))
        raise InputError(
            f"{file}: expected rows of {tensor.name}, of shape ({expected}), given shape {shape}: give one row alone as"
            f" {observed}, or with a first axis of length 1"
        )


def write_outputs(path: Path, outputs: dict[str, np.ndarray]) -> Path:
    """Write named arrays to a ``.npz``, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as file:
        np.savez(file, allow_pickle=False, **outputs)
    return path

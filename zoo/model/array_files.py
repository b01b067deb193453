"""Inputs and outputs of endpoints as files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from zoo.atomic import whole_file
from zoo.errors import InputError
from zoo.model.handed_in.files import read_array, read_columns
from zoo.model.handed_in.tensors import array_of, inputs_of
from zoo.model.spec import TEST_TENSORS
from zoo.model.store import ModelFolder
from zoo.model.test_tensors import read_test_tensors


def read_inputs(folder: ModelFolder, endpoint: str, file: Path | None) -> dict[str, np.ndarray]:
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

    Returns
    -------
    dict
        Arrays by the name of the tensor.

    Raises
    ------
    InputError, IntegrityError
        The file is of another kind, damaged, or holds Python objects, or lacks an input.
    """
    described = folder.spec.endpoint(endpoint)
    if file is None:
        return read_test_tensors(folder.read(TEST_TENSORS), folder.spec, endpoint)[endpoint][0]
    names = [tensor.name for tensor in described.inputs]
    array = read_array(file)
    if array is None:
        return inputs_of(read_columns(file), described)
    if len(names) > 1:
        raise InputError(f"{file}: expected a file with the arrays {', '.join(names)}, given a {file.suffix} of one array only")
    return {names[0]: array if isinstance(array, np.ndarray) else array_of(array, described.inputs[0])}


def write_outputs(path: Path, outputs: dict[str, np.ndarray]) -> Path:
    """Write named arrays to a ``.npz``, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as file:
        np.savez(file, allow_pickle=False, **outputs)
    return path

"""From a name to a model that has proved itself on its own test tensors."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.errors import IntegrityError, ReproductionError, ZooError, option
from zoo.families.base import EndpointModel
from zoo.families.bounds import at_most, check_config
from zoo.families.state import apart
from zoo.model.integrity import InMemory
from zoo.model.reference_file import read_reference
from zoo.model.registry import get_family
from zoo.model.spec import TEST_TENSORS, WEIGHTS
from zoo.model.store import ModelFolder, locate
from zoo.model.test_tensors import TestTensors, excess
from zoo.model.test_tensors import read_test_tensors as read_test_tensors
from zoo.model.weights_file import plain_arrays

if TYPE_CHECKING:

    class Loaded(EndpointModel, Any):
        """A model of any family: an editor completes what all have, checkers of types let each family's own pass."""


COMPARED = 4
"""Rows of its test tensors that a model is compared with as it is loaded; other weights show in each, and a map takes time."""


@apart()
def load(name: str | Path, *, verify: bool = True) -> Loaded:
    """Load a pretrained model.

    Parameters
    ----------
    name : str or Path
        A released name, ``name@revision``, a folder, or ``hf://owner/name@revision``.
    verify : bool
        Recompute the first rows of the model's test tensors, of every endpoint.

    Returns
    -------
    EndpointModel
        The model, of the spec's family, with ``.spec`` and ``.endpoint(name)``: a ``keras.Model`` with all of Keras, or where
        the card says that the library is scikit-learn, a model that holds its estimator.

    Raises
    ------
    UnknownNameError
        The name is not there; the message suggests others.
    IntegrityError
        If a file is not the one that the card describes, or the folder is an export, which holds graphs and no weights.
    ReproductionError
        If the model does not reproduce its test tensors within the card's tolerance.
    """
    folder = locate(name)
    spec = folder.spec
    if spec.file(WEIGHTS) is None:
        raise IntegrityError(
            f"{folder.folder} holds graphs and no weights, as zoo export writes it: zoo predict, verify and serve and"
            f" zoo.serving.Session take it; load the model that it was exported from, {spec.name}@{spec.revision}"
        )
    model = _built(folder)
    model.spec, model.folder, model.reference, model.emulate = spec, folder, read_reference(folder), emulated
    if verify:
        tensors = read_test_tensors(folder.read(TEST_TENSORS), spec)
        verify_model(model, {endpoint: (_first(inputs), _first(outputs)) for endpoint, (inputs, outputs) in tensors.items()})
    return model


def _first(rows: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: array[:COMPARED] for name, array in rows.items()}


def emulated(name: str, inputs: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
    """Ask a model by its name, as a posterior asks for what its draws predict; it is loaded once."""
    found: Mapping[str, np.ndarray] = _loaded(name).endpoint("predict")(**inputs)
    return found


@lru_cache(maxsize=2)
def _loaded(name: str) -> Any:
    return load(name)


def _built(folder: ModelFolder) -> Any:
    """The model with its weights, which is no larger than their file."""
    spec, file = folder.spec, folder.read(WEIGHTS)
    family = get_family(spec.family)
    arrays, numbers = plain_arrays(file)
    try:
        check_config(spec.config, numbers)
        with at_most(arrays, numbers):
            model = family(**spec.config)
    except ZooError:
        raise
    except Exception as error:  # whatever a constructor makes of a config that a stranger wrote
        raise IntegrityError(f"{folder.folder}: family {spec.family} does not take this config: {error}") from error
    _fill(model, file)
    return model


def load_weights(model: EndpointModel, path: Path) -> None:
    """Fill a built model from a ``.weights.h5`` file of plain numbers; IntegrityError on anything else."""
    file = InMemory(path, path.read_bytes())
    plain_arrays(file)
    _fill(model, file)


def _fill(model: EndpointModel, file: InMemory) -> None:
    try:
        model.load_weights(file)
    except ZooError:
        raise
    except Exception as error:  # Keras and h5py have a dozen kinds of errors for what does not fit
        raise IntegrityError(f"{file} does not fit its model: {error}") from error


def verify_model(model: EndpointModel, tensors: TestTensors) -> None:
    """Compare a model with its test tensors: numbers within the spec's tolerance, whole numbers and truth values exactly.

    Raises
    ------
    ReproductionError
        Naming the first output that differs, and where it differs most; or an endpoint that cannot be run.
    """
    for name, (inputs, expected) in tensors.items():
        try:
            outputs = model.endpoint(name)(**inputs, allow_nonfinite=True, allow_out_of_range=True)
        except Exception as error:  # the errors of Keras' backends share no base
            reason = str(error).splitlines()[0]
            raise ReproductionError(f"{model.spec.name}: {name} cannot be run on its test tensors: {reason}") from error
        for described in model.spec.endpoint(name).outputs:
            tensor, tolerance = described.name, model.spec.tolerance_of(described)
            wanted, found = expected[tensor], np.asarray(outputs[tensor])
            where = f"{model.spec.name}: {name}/{tensor}"
            if found.shape != wanted.shape:
                raise ReproductionError(f"{where} should have shape {wanted.shape}, this model gives {found.shape}")
            beyond = excess(found, wanted, tolerance)
            if (beyond > 0).any():
                at = np.unravel_index(beyond.argmax(), beyond.shape)
                allowed = "no difference"
                if wanted.dtype.kind == "f":
                    absolute, relative = tolerance.at([int(i) for i in at[1:]])
                    allowed = f"a difference of at most {absolute:g} + {relative:g} |value|"
                raise ReproductionError(
                    f"{where}[{', '.join(map(str, at))}] should be {_number(wanted[at])}, this model gives"
                    f" {_number(found[at])}; expected {allowed}; {option('verify', 'False')} loads it all the same"
                )


def _number(value: np.generic) -> str:
    digits = 17 if value.dtype == np.float64 else 7
    return f"{value:.{digits}g}" if value.dtype.kind == "f" else str(value)

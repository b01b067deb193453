"""What the workflows that make a model of others have in common: the model that is given, and the folder that is made."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from zoo.errors import ExportError, InputError, ZooError, option
from zoo.extras import expect_installed, expect_trainable
from zoo.model.registry import refuse_released_name
from zoo.model.spec import TEST_TENSORS, Name
from zoo.model.store import ModelFolder, locate
from zoo.model.test_tensors import read_test_tensors
from zoo.paths import user_path

if TYPE_CHECKING:
    from zoo.workflows.folder import TestInputs


def new_folder(folder: str | Path, overwrite: bool) -> tuple[Path, str]:
    """Path of a model's folder that can be made, and the name of the model, which is the folder's.

    Parameters
    ----------
    folder : str or Path
        The folder to be made.
    overwrite : bool
        Whether a model that is there may be replaced.

    Returns
    -------
    tuple of Path and str
        The absolute path, and the name.

    Raises
    ------
    InputError
        The folder's name cannot be a model's.
    ZooError
        A released model has the name.
    ExportError
        The folder exists and may not be replaced.
    MissingExtraError
        What writes its graphs in the end is not installed.
    """
    expect_exportable()
    path = user_path(folder).resolve()
    try:
        name: str = TypeAdapter(Name).validate_python(path.name)
    except ValidationError as error:
        raise InputError(
            f"folder {path.name!r} names the model: expected lower case letters, digits and hyphens, such as my-model"
        ) from error
    refuse_released_name(name, path)
    if path.exists() and not overwrite:
        raise ExportError(f"{path} exists: choose a new folder, or replace the model there with {option('overwrite')}")
    return path, name


def expect_exportable() -> None:
    """Ask for what makes a model and writes and runs the graphs of its folder, before hours of training.

    Raises
    ------
    MissingExtraError
        A package is not installed.
    """
    expect_trainable()
    import keras

    if keras.backend.backend() == "tensorflow":  # elsewhere a folder gets no graphs
        expect_installed("onnx", "tf2onnx", "skl2onnx", "onnxruntime")


def opened(model: Any) -> tuple[Any, ModelFolder]:
    """Load a model by name, or take one that is loaded, with the folder that it came from.

    Parameters
    ----------
    model : str, Path or EndpointModel
        The model, as ``zoo.load`` takes or returns it.

    Returns
    -------
    tuple of EndpointModel and ModelFolder
        The model and its folder.

    Raises
    ------
    ZooError
        A model is given that ``zoo.load`` did not load.
    """
    if isinstance(model, str | Path):
        from zoo.loading import load

        return load(model), locate(model)
    if getattr(model, "folder", None) is None:
        raise ZooError(f"expected the name of a model, a folder or a model that zoo.load loaded, given {type(model).__name__}")
    return model, model.folder


def shipped_inputs(folder: ModelFolder) -> TestInputs:
    """Inputs of the test tensors of a model, for those of a model that is made of it."""
    spec = folder.spec
    tensors = read_test_tensors(folder.read(TEST_TENSORS), spec)
    return {name: tuple(inputs[tensor.name] for tensor in spec.endpoint(name).inputs) for name, (inputs, _) in tensors.items()}

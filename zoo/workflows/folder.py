"""A complete model folder: weights, metrics, test tensors, a graph for each endpoint past the parity gate, spec and card."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.atomic import whole_file, whole_folder, write_whole
from zoo.errors import warn
from zoo.model.card import write_card
from zoo.model.model_json import write_spec
from zoo.model.spec import CARD, FIGURES, METRICS, SPEC, TEST_TENSORS, WEIGHTS, Export, File, Lineage, ModelSpec
from zoo.model.whole_numbers import rounded

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from zoo.data.dataset import Dataset
    from zoo.families.base import EndpointModel

TestInputs = Mapping[str, tuple[np.ndarray, ...]]
"""Inputs of each endpoint in the spec's order, as ``EndpointModel.example`` makes them."""


def write_model_folder(
    model: EndpointModel,
    spec: ModelSpec,
    folder: Path,
    inputs: TestInputs,
    *,
    measured: Mapping[str, Any] | None = None,
    figures: Mapping[str, Figure] | None = None,
    prose: str | None = None,
    overwrite: bool = False,
) -> ModelSpec:
    """Write a model that was made of others, so that it loads, exports and serves like them.

    Parameters
    ----------
    model : EndpointModel
        The model, whose weights and graphs are written.
    spec : ModelSpec
        What the folder says of it; files and exports are filled in, and its metrics go to ``metrics.json`` too.
    folder : Path
        The folder to be made.
    inputs : mapping
        The inputs of the test tensors.
    measured : mapping, optional
        What else ``metrics.json`` is to say.
    figures : mapping, optional
        Name -> a figure, for the card to show.
    prose : str, optional
        The body of the card.
    overwrite : bool
        Whether an earlier model there is replaced.

    Returns
    -------
    ModelSpec
        The spec as it was written, which is the model's from now on.

    Raises
    ------
    ExportError
        When an endpoint cannot be exported; there is no folder then.
    ParityError
        When a graph does not answer as the model does; there is no folder then.
    """
    model.spec = spec
    with whole_folder(folder, overwrite=overwrite, marker=METRICS) as staged:
        model.bare().save_weights(staged / WEIGHTS)
        metrics = [metric.model_dump(mode="json") for metric in spec.metrics]
        content = {"name": spec.name, "revision": spec.revision, "metrics": metrics, **(measured or {})}
        write_whole(staged / METRICS, json.dumps(content, indent=1))
        if figures:
            (staged / FIGURES).mkdir()
        for name, figure in (figures or {}).items():
            with whole_file(staged / FIGURES / f"{name}.png") as file:
                figure.savefig(file, dpi=120)
        write_test_tensors(model, inputs, staged)
        spec = write_spec(staged, exported(model, spec, staged))
        write_card(staged, spec, prose)
    model.spec = spec
    return spec


def revision_of(name: str, parent: ModelSpec) -> str:
    """The revision of a model made of another: the next whole number where it keeps the name, of which it is a version."""
    return str(int(parent.revision.split(".")[0]) + 1) if name == parent.name else "1"


def lineage_of(parent: EndpointModel, data_sha256: str | None) -> Lineage:
    """What a model says of the one that it was made from, by its address on the Hub where it came from there."""
    hub = None if parent.folder is None else parent.folder.hub
    return Lineage(parent=parent.spec.name, revision=parent.spec.revision, hub=hub, data_sha256=data_sha256)


def test_inputs(model: EndpointModel, dataset: Dataset, n: int) -> dict[str, tuple[np.ndarray, ...]]:
    """Make the inputs of every endpoint from rows spread over the test split."""
    rows = dataset.rows("test")
    chosen = np.linspace(0, len(rows) - 1, n).round().astype(int)
    return model.example({name: array[chosen] for name, array in rows.inputs.items()}, np.random.default_rng(0))


def write_test_tensors(model: EndpointModel, inputs: TestInputs, folder: Path) -> None:
    """Write inputs and answers of every endpoint."""
    tensors: dict[str, np.ndarray] = {}
    for name, endpoint in model.spec.endpoints.items():
        given = {t.name: rounded(t, array) for t, array in zip(endpoint.inputs, inputs[name], strict=True)}
        tensors |= {f"{name}/in/{key}": array for key, array in given.items()}
        tensors |= {
            f"{name}/out/{key}": np.asarray(array)
            for key, array in model.endpoint(name)(given, allow_nonfinite=True, allow_out_of_range=True).items()
        }
    with whole_file(folder / TEST_TENSORS) as file:
        np.savez_compressed(file, allow_pickle=False, **tensors)


def exported(model: EndpointModel, spec: ModelSpec, folder: Path) -> ModelSpec:
    """Write one graph per endpoint, each past the parity gate; the spec with what was found and all files of the folder.

    Where Keras does not run on TensorFlow, from which graphs are traced, there are none, which a warning says.
    """
    import keras

    if (backend := keras.backend.backend()) != "tensorflow":
        warn(
            f"{spec.name} gets no ONNX graphs, which are traced from TensorFlow, since Keras runs on {backend}: zoo export and"
            " zoo.export make them from this folder with KERAS_BACKEND=tensorflow"
        )
        return spec.model_copy(update={"export": Export(), "files": describe_files(folder)})
    from zoo.export import export_onnx_files

    parity = {name: report.max_absolute for name, report in export_onnx_files(model, spec, folder).items()}
    export = Export(runtimes=[f"onnxruntime {version('onnxruntime')}"], parity=parity)
    return spec.model_copy(update={"export": export, "files": describe_files(folder)})


def describe_files(folder: Path) -> list[File]:
    """Measure size and sha256 of every file in a model's folder but its spec, its card and its figures."""
    return [File.of(path) for path in sorted(folder.iterdir()) if path.is_file() and path.name not in (SPEC, CARD)]

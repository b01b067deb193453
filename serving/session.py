"""A released model in ONNX Runtime, without TensorFlow: names, dtypes, shapes and ranges checked, arrays in and out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from zoo.errors import InputError, IntegrityError
from zoo.model.spec import ModelSpec, onnx_file
from zoo.model.store import ModelFolder, locate
from zoo.serving.graph import Graph


class Session:
    """A model ready to run, from one thread or from many.

    All endpoints are loaded at once, so that what is broken shows here and not at the first event.

    Parameters
    ----------
    model : str or Path
        Whatever ``zoo.model.store.locate`` finds: a released name, a folder, ``hf://owner/name@revision``.
    providers : sequence of str, optional
        ONNX Runtime execution providers in order of preference, of which the first must really be in use; None takes CUDA
        where it works and the CPU elsewhere.
    threads : int
        Threads within one operator; small models run fastest on one.

    Raises
    ------
    UnknownNameError
        There is no such model.
    IntegrityError
        A file is missing, is not the one that the spec describes, or does not fit the spec's endpoint.
    ProviderError
        The provider asked for is not there, or ONNX Runtime fell back to another.

    Examples
    --------
    >>> session = Session("mlp-cmb-feature")
    >>> session.run({"spectrum": spectra})["probability"]  # doctest: +SKIP
    """

    def __init__(self, model: str | Path, *, providers: Sequence[str] | None = None, threads: int = 1) -> None:
        self.folder: ModelFolder = locate(model)
        self._graphs = {
            name: Graph(graph_file(self.folder, name), endpoint, providers=providers, threads=threads)
            for name, endpoint in self.spec.endpoints.items()
        }

    def __repr__(self) -> str:
        return f"Session({self.spec.name!r}, revision {self.spec.revision}, {', '.join(self.endpoints)}, {self.provider})"

    @property
    def spec(self) -> ModelSpec:
        """What the model is: endpoints with units and ranges, metrics, files."""
        return self.folder.spec

    @property
    def endpoints(self) -> list[str]:
        """Names of the functions that this model offers."""
        return list(self._graphs)

    @property
    def provider(self) -> str:
        """The execution provider that is really in use."""
        provider: str = next(iter(self._graphs.values())).session.get_providers()[0]
        return provider

    def run(
        self,
        inputs: Mapping[str, object],
        endpoint: str | None = None,
        *,
        allow_nonfinite: bool = False,
        allow_out_of_range: bool = False,
    ) -> dict[str, np.ndarray]:
        """Run one endpoint on a batch.

        Parameters
        ----------
        inputs : mapping of str to array_like
            One array for each input tensor, of shape (batch, ...), in the spec's unit. A free axis may have any length
            between its limits; all tensors of the call that have the axis agree in it.
        endpoint : str, optional
            Name of the endpoint; None for ``predict``, or for the only one.
        allow_nonfinite : bool
            Let NaN and infinity through.
        allow_out_of_range : bool
            Let values outside the trained range through.

        Returns
        -------
        dict of str to ndarray
            One array for each output tensor, of shape (batch, ...) and the spec's dtype. An empty batch gives empty arrays,
            whose free axes are as long as those of the inputs.

        Raises
        ------
        InputError
            Naming the tensor, what was expected and what was given.
        UnknownNameError
            No such endpoint.
        """
        graph = self._graphs.get("predict" if endpoint is None else endpoint) or self._find(endpoint)
        return graph(inputs, allow_nonfinite, allow_out_of_range)

    def _find(self, endpoint: str | None) -> Graph:
        if endpoint is not None:
            self.spec.endpoint(endpoint)  # raises
        if len(self._graphs) > 1:
            raise InputError(f"{self.spec.name} has several endpoints: name one of {', '.join(self.endpoints)}")
        return next(iter(self._graphs.values()))


def graph_file(folder: ModelFolder, endpoint: str) -> Path:
    """The ONNX file of one endpoint, of the size and sha256 that the spec gives.

    Parameters
    ----------
    folder : ModelFolder
        The model's folder.
    endpoint : str
        Name of the endpoint.

    Returns
    -------
    Path
        The file, checked.

    Raises
    ------
    IntegrityError
        The endpoint was never exported, or its file is not the one described.
    """
    name = onnx_file(endpoint)
    if folder.spec.file(name) is None:
        raise IntegrityError(f"{folder.folder} lists no {name}: make it with zoo export")
    return folder.path(name)

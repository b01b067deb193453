"""A released model in ONNX Runtime, without TensorFlow: names, shapes and ranges checked, arrays in and out."""

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
    model : whatever ``zoo.model.store.locate`` finds: a released name, a folder, ``hf://owner/name@revision``
    providers : ONNX Runtime execution providers in order of preference, of which the first must really be in use;
        None takes CUDA where it works and the CPU elsewhere
    threads : threads within one operator; small models run fastest on one

    Raises
    ------
    UnknownNameError
        No such model.
    IntegrityError
        A file is missing, is not the one that the card describes, or does not fit the card's endpoint.
    ProviderError
        The provider asked for is not there, or ONNX Runtime fell back to another.

    Examples
    --------
    >>> session = Session("mlp-cmb-feature")
    >>> session.run({"spectrum": spectra})["probability"]  # (batch, 215) in muK^2 -> (batch, 1)
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
        """What the card says: endpoints with units and ranges, metrics, files."""
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
        inputs : one array per input tensor, shape (batch, *shape), in the units of the card
        endpoint : None for ``predict``, or for the only one
        allow_nonfinite : let NaN and infinity through
        allow_out_of_range : let values outside the trained range through

        Returns
        -------
        dict of str to ndarray
            One float32 array per output tensor, shape (batch, *shape).

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
    """The ONNX file of one endpoint, of the size and sha256 that the card gives.

    Raises
    ------
    IntegrityError
        The endpoint was never exported, or its file is not the one described.
    """
    name = onnx_file(endpoint)
    if folder.spec.file(name) is None:
        raise IntegrityError(f"{folder.folder} lists no {name}: make it with zoo export")
    return folder.path(name)
